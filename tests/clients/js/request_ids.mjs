// A failure's request id: the client and `npx convex logs` show the same.
import assert from "node:assert/strict";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { adminKey, check, failure, finish, until, url } from "./cases.mjs";
import { start } from "./cli_start.mjs";

const logs = start(["logs", "--success", "--jsonl"]);
process.on("exit", () => logs.child.kill());
const entries = () => logs.said.out.split("\n").slice(0, -1).map((line) => JSON.parse(line));

const http = new ConvexHttpClient(url, { logger: false });
const websocket = new ConvexClient(url, { logger: false });
const idOf = (error) => error.message.match(/\[Request ID: ([\w-]+)\] Server Error/)?.[1];

async function entriesOf(id, count = 1) {
  const found = () => entries().filter((entry) => entry.requestId === id);
  await until(`${count} entries of ${id}`, () => found().length >= count, () => entries().slice(-5), 20);
  assert.equal(found().length, count);
  return found();
}

await until("the logs are watched", () => logs.said.err.includes("Watching logs"), () => logs.said.err);
// It first asks for past executions, and shows only later ones.
while (entries().length === 0) await http.query(api.counters.get, { name: "none" });

for (const [name, client] of Object.entries({ http, websocket })) {
  for (const kind of ["query", "mutation", "action"]) {
    for (const way of ["plain", "panics"]) {
      await check(`${name}: a ${kind} that ${way === "plain" ? "fails" : "panics"}`, async () => {
        const id = idOf(await failure(client[kind](api.fails[kind][way], {})));
        const [entry] = await entriesOf(id);
        assert.equal(entry.kind, "Completion");
        assert.equal(entry.udfType.toLowerCase(), kind);
        assert.equal(entry.identifier, `fails/${kind}:${way}`);
        assert.match(entry.error, way === "plain" ? /a plain failure/ : /a panic/);
        assert.match(entry.executionId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        assert.deepStrictEqual(
          [entry.identityType, entry.cachedResult, entry.parentExecutionId, entry.caller],
          ["unknown", false, null, name === "http" ? "HttpApi" : "SyncWorker"],
        );
        assert.equal(entry.logLines[0].messages[0], "'about to fail'");
      });
    }
  }
}

await check("a live query that begins to fail", async () => {
  const errors = [];
  websocket.onUpdate(api.traced.watch, {}, () => {}, (error) => errors.push(error));
  await websocket.mutation(api.traced.smash, {});
  await until("the failure arrives", () => errors.length > 0);
  const [entry] = await entriesOf(idOf(errors[0]));
  assert.equal(entry.identifier, "traced:watch");
});

await check("an action and the functions that it calls share the id", async () => {
  const id = idOf(await failure(http.action(api.traced.act, {})));
  const [mutation, action] = await entriesOf(id, 2);
  assert.deepStrictEqual([mutation.identifier, action.identifier], ["traced:fail", "traced:act"]);
  assert.equal(mutation.parentExecutionId, action.executionId);
  assert.notEqual(mutation.executionId, action.executionId);
  assert.deepStrictEqual([mutation.caller, action.caller], ["Action", "HttpApi"]);
});

await check("a cached result is marked as cached", async () => {
  const seen = entries().length;
  for (let i = 0; i < 2; i++) await http.query(api.counters.get, { name: "cached" });
  const found = () => entries().slice(seen).filter((entry) => entry.identifier === "counters:get");
  await until("both are there", () => found().length === 2);
  assert.deepStrictEqual(found().map((entry) => entry.cachedResult), [false, true]);
  assert.notEqual(found()[0].requestId, found()[1].requestId);
});

await check("the id of the client is kept, and the admin is named", async () => {
  const call = (path, headers) =>
    fetch(`${url}/api/mutation`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ path, args: {}, format: "json" }),
    }).then((response) => response.json());
  const admin = { authorization: `Convex ${adminKey}`, "convex-request-id": "my-own-id" };
  const { errorMessage } = await call("traced:fail", admin);
  assert.match(errorMessage, /^\[Request ID: my-own-id\] Server Error\n/);
  const [entry] = await entriesOf("my-own-id");
  assert.equal(entry.identityType, "instance_admin");
  const refused = await call("traced:fail", { "convex-request-id": "x".repeat(65) });
  assert.doesNotMatch(refused.errorMessage, /xxx/);
  await call("traced:nowhere", { "convex-request-id": "not-there" });
  assert.equal((await entriesOf("not-there"))[0].identifier, "traced:nowhere");
});

await check("a route and the functions that it calls share the id", async () => {
  const response = await fetch(`${url}/traced`, { headers: { "convex-request-id": "a-route" } });
  assert.deepStrictEqual(await response.json(), { error: "[Request ID: a-route] Server Error" });
  const found = await entriesOf("a-route", 3);
  assert.deepStrictEqual(found.map((entry) => entry.udfType), ["Mutation", "Action", "HttpAction"]);
  assert.equal(found[1].parentExecutionId, found[2].executionId);
});

await check("scheduled functions have their own ids", async () => {
  const seen = entries().length;
  await http.mutation(api.traced.failLater, {});
  const failed = () => entries().slice(seen).filter((entry) => entry.error !== null);
  await until("all three have failed", () => failed().length === 3, failed);
  assert.equal(new Set(failed().map((entry) => entry.requestId)).size, 2);
  assert.deepStrictEqual(failed().map((entry) => entry.caller).sort(), ["Action", "Scheduler", "Scheduler"]);
});

await check("functions see the request", async () => {
  const headers = { "content-type": "application/json", "user-agent": "a test", "convex-request-id": "seen" };
  const body = JSON.stringify({ path: "traced:request", args: {}, format: "json" });
  const response = await fetch(`${url}/api/action`, { method: "POST", headers, body });
  const { value } = await response.json();
  assert.deepStrictEqual(value, { ip: "127.0.0.1", userAgent: "a test", requestId: "seen" });
  const live = await websocket.action(api.traced.request, {});
  assert.equal(live.ip, "127.0.0.1");
  assert.equal(live.requestId.length, 16);
});

finish();
