// The commands of `npx convex` as an operator types them.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, finish, until, url } from "./cases.mjs";
import { convex, folder, start } from "./cli_start.mjs";

writeFileSync(join(folder, "rows.jsonl"), '{"name":"imported"}\n');

async function prints(expected, ...args) {
  const { code, out, err } = await convex(...args);
  assert.equal(code, 0, `convex ${args.join(" ")}: ${out}${err}`);
  assert.equal(out.trim(), expected, err);
}

await check("run calls public and internal functions", async () => {
  await prints("0", "run", "messages:count", '{"channel":"cli"}');
  await prints('"a secret"', "run", "internal/secret:get");
  await prints("", "run", "counters:get", '{"name":"none"}');
  await prints("", "run", "--identity", '{"subject":"ada"}', "counters:get", '{"name":"none"}');
}, 60);

await check("run lists the functions if the name is unknown", async () => {
  const { code, err } = await convex("run", "messages:lost");
  assert.equal(code, 1);
  assert.match(err, /Could not find function/);
  assert.match(err, /• messages:send\n/);
  assert.doesNotMatch(err, /_system/);
}, 60);

await check("run explains invalid arguments", async () => {
  const { code, err } = await convex("run", "messages:count", '{"channel":5}');
  assert.equal(code, 1);
  assert.match(err, /argument `channel`: expected v\.string\(\), got 5/);
}, 60);

await check("data shows tables and documents", async () => {
  await prints("counters\nmessages", "data");
  await convex("run", "messages:sendMany", '{"channel":"cli","count":5}');
  const newest = await convex("data", "messages", "--limit", "2");
  assert.match(newest.out, /"#4"[^]*"#3"/);
  const oldest = await convex("data", "messages", "--limit", "2", "--order", "asc");
  assert.match(oldest.out, /"#0"[^]*"#1"/);
  assert.equal((await convex("data", "lost")).code, 0);
}, 60);

await check("data shows the system tables that functions may read", async () => {
  await prints("", "run", "counters:addLater", '{"name":"later","by":{"$integer":"AQAAAAAAAAA="},"ms":3600000}');
  const { out: uploadUrl } = await convex("run", "files:uploadUrl");
  const upload = { method: "POST", headers: { "content-type": "text/plain" }, body: "hello" };
  const { storageId } = await (await fetch(JSON.parse(uploadUrl), upload)).json();
  const files = await convex("data", "_storage", "--format", "jsonl");
  assert.match(files.out, new RegExp(`"_id": "${storageId}", "contentType": "text/plain", "sha256": "[^"]+", "size": 5 }`));
  assert.doesNotMatch(files.out, /urlId/);
  const scheduled = await convex("data", "_scheduled_functions", "--limit", "1", "--order", "asc");
  assert.match(scheduled.out, /"counters\.js:add"[^]*\{ "kind": "pending" \}/);
}, 60);

await check("env stores the variables that functions read", async () => {
  await prints("", "env", "list");
  assert.equal((await convex("env", "set", "COLOR", "red")).code, 0);
  await prints("COLOR=red", "env", "list");
  await prints("red", "env", "get", "COLOR");
  assert.equal((await convex("env", "remove", "COLOR")).code, 0);
  await prints("", "env", "list");
  const refused = await convex("env", "set", "1COLOR", "red");
  assert.equal(refused.code, 1);
}, 60);

await check("function-spec prints every function", async () => {
  const { code, out, err } = await convex("function-spec");
  assert.equal(code, 0, err);
  const spec = JSON.parse(out);
  assert.equal(spec.url, url);
  const add = spec.functions.find((one) => one.identifier === "counters.js:add");
  assert.deepStrictEqual([add.functionType, add.visibility.kind, add.returns], ["Mutation", "public", { type: "bigint" }]);
  assert.deepStrictEqual(add.args.value.by, { fieldType: { type: "bigint" }, optional: false });
  assert.equal(spec.functions.find((one) => one.identifier === "internal/secret.js:get").visibility.kind, "internal");
}, 60);

await check("logs show each execution once", async () => {
  const logs = start(["logs"]);
  await until("the logs are watched", () => logs.said.err.includes("Watching logs"), () => logs.said.err);
  // It first asks for past executions and shows only later ones.
  const lines = () => logs.said.out.match(/CONVEX M\(messages:send\)/g)?.length ?? 0;
  while (lines() === 0) await convex("run", "messages:send", '{"channel":"logged","body":"b"}');
  const seen = lines();
  await convex("run", "messages:send", '{"channel":"logged","body":"b"}');
  await until("a run is shown", () => lines() > seen, () => logs.said.out);
  assert.equal(lines(), seen + 1, logs.said.out);
  logs.child.kill();
  await logs.ended;
}, 60);

const NOT_HERE = [
  [["deploy"], /compiled into this server/],
  [["dev", "--once"], /compiled into this server/],
  [["export", "--path", "out.zip"], /copy the data folder/],
  [["import", "--table", "counters", "rows.jsonl"], /write a mutation/],
];
for (const [args, advice] of NOT_HERE) {
  await check(`${args[0]} says at once what to do instead`, async () => {
    const { code, out, err } = await convex(...args);
    assert.equal(code, 1);
    assert.match(out + err, advice);
    assert.doesNotMatch(out + err, /\n {4}at /, "no stack");
    assert.doesNotMatch(err, /[Rr]etrying/);
  }, 60);
}

finish();
