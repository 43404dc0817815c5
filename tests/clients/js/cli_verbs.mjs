// Every command of `npx convex` 1.49 that may call the server: each exits promptly with a result or with one sentence.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { check, finish, until, url } from "./cases.mjs";
import { convex, folder, start } from "./cli_start.mjs";

writeFileSync(join(folder, "rows.jsonl"), '{"name":"imported"}\n');
writeFileSync(join(folder, "vars.env"), 'FROM_FILE=1\nTWO="two words"\n');

const channel = '{"channel":"verbs"}';
const limit = ["--metric", "functionCalls", "--window", "day", "--type", "warning"];
const COMPILED = /functions are compiled into this server; build and start its program/;
const NO_USAGE = /this server has no usage limits/;
const NO_COMPONENT = /there are no components here/;

// The command and its arguments, the exit code, and the output.
const VERBS = [
  [["run", "messages:count", channel], 0, /^0$/m],
  [["run", "messages:count", channel, "--identity", '{"subject":"ada"}'], 0, /^0$/m],
  [["run", "messages:count", channel, "--component", "chat"], 1, NO_COMPONENT],
  [["run", "messages:count", channel, "--push"], 1, COMPILED],
  [["run", "_system/frontend/listById"], 1, /does not have that part of Convex's system/],
  [["run", "--inline-query", "1 + 1"], 1, /this server does not run JavaScript; look at documents with `npx convex data <table>`/],
  [["run", "--inline-query", "1 + 1", "--component", "chat"], 1, /no mounted components/],
  [["data"], 0, /^counters\nmessages$/m],
  [["data", "messages", "--limit", "100000"], 0, /no documents in this table/],
  [["data", "_storage"], 0, /no documents in this table/],
  [["data", "_scheduled_functions"], 0, /no documents in this table/],
  [["data", "--component", "chat"], 1, NO_COMPONENT],
  [["env", "list"], 0, /No environment variables set/],
  [["env", "get", "NONE"], 0, /not found/],
  [["env", "set", "CONVEX_SITE_URL", "x"], 1, /EnvVarNameForbidden/],
  [["env", "default", "list"], 1, /only available for cloud projects/],
  [["function-spec", "--file"], 0, /Wrote function spec/],
  [["deploy"], 1, COMPILED],
  [["dev", "--once"], 1, COMPILED],
  [["codegen"], 1, COMPILED],
  [["export", "--path", "out.zip"], 1, /copy the data folder/],
  [["import", "--table", "counters", "rows.jsonl"], 1, /write a mutation/],
  [["deployment", "usage"], 1, NO_USAGE],
  [["deployment", "usage-limits", "list"], 1, NO_USAGE],
  [["deployment", "usage-limits", "set", ...limit, "--limit", "5"], 1, NO_USAGE],
  [["deployment", "usage-limits", "remove", ...limit], 1, NO_USAGE],
  [["deployments"], 0, new RegExp(`URL: ${url}`)],
  [["dashboard"], 0, /not supported for self-hosted/],
  [["insights"], 1, /only available for cloud deployments/],
  [["network-test"], 0, /Network test passed/],
  [["docs", "--no-open"], 0, /docs\.convex\.dev/],
  [["auth", "list"], 1, /were removed/],
];

// Several at a time, because a command needs most of its time to start.
const waiting = [...VERBS];
const AT_ONCE = 4;

async function next() {
  for (let verb = waiting.shift(); verb; verb = waiting.shift()) {
    const [args, code, said] = verb;
    await check(`convex ${args.join(" ")}`, async () => {
      const ended = await convex(...args);
      assert.equal(ended.code, code, ended.out + ended.err);
      assert.match(ended.out + ended.err, said);
      // A 404, for example, is retried for half a minute.
      assert.doesNotMatch(ended.err, /[Rr]etrying/);
    }, 60);
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, next));

await check("env reads variables from a file and lists their names", async () => {
  assert.equal((await convex("env", "set", "--from-file", "vars.env")).code, 0);
  assert.equal((await convex("env", "list", "--names-only")).out, "FROM_FILE\nTWO\n");
  assert.equal((await convex("env", "get", "TWO")).out, "two words\n");
}, 60);

await check("dev reports it too, and waits for changed files as after any failed push", async () => {
  const dev = start(["dev"]);
  await until("the sentence", () => COMPILED.test(dev.said.err), () => dev.said, 30);
  assert.doesNotMatch(dev.said.err, /[Rr]etrying/);
  dev.child.kill();
  await dev.ended;
}, 60);

await check("run --watch follows a query", async () => {
  const watch = start(["run", "--watch", "messages:count", channel]);
  await until("the first result", () => watch.said.out === "0\n", () => watch.said, 30);
  await convex("run", "messages:send", '{"channel":"verbs","body":"b"}');
  await until("the second result", () => watch.said.out === "0\n1\n", () => watch.said);
  watch.child.kill();
  await watch.ended;
}, 60);

await check("logs prints the history as lines of JSON", async () => {
  const logs = start(["logs", "--history", "100", "--success", "--jsonl"]);
  const sent = () => logs.said.out.split("\n").filter((line) => line.includes('"identifier":"messages:send"'));
  await until("the history", () => sent().length > 0, () => logs.said, 30);
  assert.equal(JSON.parse(sent()[0]).kind, "Completion");
  logs.child.kill();
  await logs.ended;
}, 60);

// The tools first ask Convex's cloud whether this user may use them.
const cloud = createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  response.end('{"optInsToAccept":[]}');
});
await new Promise((resolve) => cloud.listen(0, "127.0.0.1", resolve));
const asUser = { CONVEX_OVERRIDE_ACCESS_TOKEN: "a token", CONVEX_PROVISION_HOST: `http://127.0.0.1:${cloud.address().port}` };

await check("each tool of mcp works or explains the alternative", async () => {
  const { child, said, ended } = start(["mcp", "start"], { stdin: "pipe", more: asUser });
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  let id = 0;
  async function ask(method, params) {
    const asked = ++id;
    send({ id: asked, method, params });
    const answers = () => said.out.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    const answer = () => said.out.endsWith("\n") && answers().find(({ id }) => id === asked);
    await until(`an answer to ${method}`, answer, () => said, 30);
    return answer().result;
  }
  const call = async (name, args) => JSON.parse((await ask("tools/call", { name, arguments: args })).content[0].text);
  const clientInfo = { name: "test", version: "1" };
  await ask("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo });
  send({ method: "notifications/initialized" });
  const { availableDeployments } = await call("status", { projectDir: folder });
  assert.equal(availableDeployments[0].url, url);
  const { deploymentSelector } = availableDeployments[0];
  const tool = (name, args) => call(name, { deploymentSelector, ...args });
  const { tables } = await tool("tables");
  assert.deepStrictEqual(Object.keys(tables), ["counters", "messages"]);
  const { schema, inferredSchema } = tables.counters;
  assert.deepStrictEqual(schema.indexes, [{ indexDescriptor: "by_name", fields: ["name"] }]);
  assert.deepStrictEqual(schema.documentType.value.value, { fieldType: { type: "bigint" }, optional: false });
  assert.deepStrictEqual(inferredSchema.fields.map((field) => field.fieldName), ["_creationTime", "_id", "name", "value"]);
  assert.equal((await tool("data", { tableName: "messages", order: "desc", limit: 5 })).page.length, 1);
  assert.deepStrictEqual((await tool("data", { tableName: "_storage", order: "asc" })).page, []);
  assert.ok((await tool("functionSpec")).some(({ identifier }) => identifier === "counters.js:add"));
  assert.equal((await tool("run", { functionName: "messages:count", args: channel })).result, 1);
  assert.match((await tool("runOneoffQuery", { query: "export default query({})" })).error, /does not run JavaScript/);
  assert.equal((await tool("envSet", { name: "BY_TOOL", value: "1" })).success, true);
  assert.ok((await tool("envList")).variables.some(({ name }) => name === "BY_TOOL"));
  assert.equal((await tool("envGet", { name: "BY_TOOL" })).value, "1");
  assert.equal((await tool("envRemove", { name: "BY_TOOL" })).success, true);
  assert.ok((await tool("logs")).newCursor > 0);
  assert.match((await tool("insights")).error, /only available for cloud deployments/);
  child.kill();
  await ended;
}, 60);

finish();
