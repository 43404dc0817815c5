// Identifiers that a client chooses. Each has a bound. The server rejects longer ones with a reason and keeps none.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { adminKey, check, finish, until, url } from "./cases.mjs";
import { Socket } from "./socket.mjs";

const MIB = 2 ** 20;
const long = "x".repeat(8 * MIB);
const plusOne = { name: "counted", by: { $integer: "AQAAAAAAAAA=" } };

// A message that closes the connection, with the reason that the client receives.
async function isFatal(reason, ...messages) {
  const socket = new Socket();
  await socket.opened;
  for (const message of messages) socket.send(message);
  const { last } = await socket.ending();
  assert.equal(last?.type, "FatalError", JSON.stringify(last)?.slice(0, 500));
  assert.match(last.error, reason);
  assert.ok(last.error.length < 1_500, `the reason has ${last.error.length} characters`);
}

async function post(path, { body = "", ...headers } = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url + path, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: text });
  const answer = await response.text();
  assert.ok(answer.length < 1_500, `${path}: an answer of ${answer.length} characters`);
  return [response.status, answer];
}

async function isRefused(status, reason, path, options) {
  const [got, answer] = await post(path, options);
  assert.equal(got, status, answer);
  assert.match(answer, reason);
}

const connect = (sessionId) => ({ type: "Connect", sessionId, connectionCount: 0, lastCloseReason: null });
const mutation = (udfPath = "counters:add", more = {}) => ({ type: "Mutation", requestId: 0, udfPath, args: [plusOne], ...more });
const query = (more) => ({
  type: "ModifyQuerySet", baseVersion: 0, newVersion: 1,
  modifications: [{ type: "Add", queryId: 0, udfPath: "messages:count", args: [{ channel: "a" }], ...more }],
});

await check("a session id is a UUID", async () => {
  for (const id of ["", "session", long, "{67e55044-10b1-426f-9247-bb680e5fe0c8}", "67e5504410b1426f9247bb680e5fe0c8"]) {
    await isFatal(/^Received Invalid JSON on websocket: `sessionId`: expected a UUID such as/, connect(id), mutation());
  }
  for (const id of [null, 5, {}, ["67e55044-10b1-426f-9247-bb680e5fe0c8"]]) await isFatal(/^Received Invalid JSON on websocket: /, connect(id));
}, 60);

await check("two spellings of a UUID are one session", async () => {
  const id = randomUUID();
  const results = [];
  for (const sessionId of [id, id.toUpperCase()]) {
    const socket = await new Socket().connect({ sessionId });
    socket.mutate(7, "counters:add", plusOne);
    results.push((await socket.response(7)).result);
  }
  assert.deepStrictEqual(results[0], results[1], "the second is the recorded result of the first");
});

await check("a function path has a bound", async () => {
  const path = "a/".repeat(4 * MIB) + "b:c";
  const reason = /is not a function path: write `module:function`.*at most 1024/;
  await isFatal(reason, connect(randomUUID()), mutation(path));
  await isFatal(reason, connect(randomUUID()), query({ udfPath: path }));
  await isRefused(400, reason, "/api/query", { body: { path, args: {} } });
  await isRefused(400, reason, "/api/query_batch", { body: { queries: [{ path, args: {} }] } });
  await isRefused(400, reason, `/api/run/${"a/".repeat(10_000)}b`, { body: { args: {} } });
}, 60);

await check("a component path must be empty", async () => {
  await isFatal(/component.* "xxx/, connect(randomUUID()), mutation("counters:add", { componentPath: long }));
  await isRefused(400, /there are no components here/, "/api/query", { body: { path: "a:b", args: {}, componentPath: long } });
}, 60);

await check("an unknown name of the protocol is quoted in part", async () => {
  await isFatal(/unknown variant `xxx/, { type: long });
  await isFatal(/^`?Received Invalid JSON|tokenType/, connect(randomUUID()), { type: "Authenticate", baseVersion: 0, tokenType: long });
  await isRefused(400, /`format` is \\"xxx/, "/api/query", { body: { path: "a:b", args: {}, format: long } });
}, 60);

await check("a journal has a bound", async () => {
  await isFatal(/^a journal of 8388608 bytes; the longest has/, connect(randomUUID()), query({ journal: long }));
}, 30);

await check("a cursor has a bound", async () => {
  const page = async (options) => {
    const args = { channel: "a", paginationOpts: { numItems: 1, cursor: null, ...options } };
    return JSON.parse((await post("/api/query", { body: { path: "messages:page", args } }))[1]);
  };
  const { continueCursor } = (await page()).value;
  const own = continueCursor.slice(0, 16);
  for (const cursor of [own + "00".repeat(4 * MIB), own + "0", own + "zz", "", long]) {
    for (const options of [{ cursor }, { endCursor: cursor }]) {
      const refused = await page(options);
      assert.deepStrictEqual([refused.status, refused.errorData?.paginationError], ["error", "InvalidCursor"], cursor.slice(0, 20));
    }
  }
  assert.equal((await page({ cursor: continueCursor })).status, "success");
  assert.equal((await page({ id: long })).status, "error", "a pagination id is a number");
}, 60);

await check("tokens have a bound", async () => {
  const socket = await new Socket().connect();
  socket.send({ type: "Authenticate", baseVersion: 0, tokenType: "User", value: long });
  const { last } = await socket.ending();
  assert.deepStrictEqual([last.type, last.error], ["AuthError", "the token cannot be validated: it is longer than 64 KiB"]);
  await isRefused(401, /the token cannot be validated/, "/api/query", { authorization: `Bearer ${"x".repeat(20_000)}`, body: { path: "a:b", args: {} } });
}, 30);

await check("an identity that an admin acts as has a bound", async () => {
  const socket = await new Socket().connect();
  const actingAs = { subject: "ada", issuer: "https://i.example", name: long };
  socket.send({ type: "Authenticate", baseVersion: 0, tokenType: "Admin", value: adminKey, actingAs });
  const { last } = await socket.ending();
  assert.equal(last.type, "AuthError");
  assert.match(last.error, /^the identity to act as is 83886\d\d bytes of JSON; the limit is 65536$/);
}, 30);

await check("a file's content type has a bound", async () => {
  const [, answer] = await post("/api/mutation", { body: { path: "files:uploadUrl", args: {} } });
  const target = new URL(JSON.parse(answer).value);
  const path = target.pathname + target.search;
  await isRefused(400, /the file's Content-Type is 20011 bytes long; the limit is 1024/, path, { "content-type": `text/plain;${"x".repeat(20_000)}`, body: "x" });
  assert.equal((await post(path, { "content-type": `text/plain;${"x".repeat(1_000)}`, body: "x" }))[0], 200);
  await isRefused(401, /StorageTokenInvalid/, `/api/storage/upload?token=${"x".repeat(20_000)}`, { body: "x" });
  const file = await fetch(`${url}/api/storage/${"x".repeat(20_000)}`);
  assert.deepStrictEqual([file.status, (await file.text()).length < 1_000], [400, true]);
});

await check("an environment variable's name and value have a bound", async () => {
  const change = (name, value) => ({ authorization: `Convex ${adminKey}`, body: { changes: [{ name, value }] } });
  await isRefused(400, /InvalidEnvVarName/, "/api/update_environment_variables", change(long, "x"));
  await isRefused(400, /EnvVarValueTooLarge/, "/api/update_environment_variables", change("NAME", long));
}, 30);

await check("the name and version of a client are not kept", async () => {
  const socket = await new Socket().connect({ lastCloseReason: long });
  socket.mutate(0, "counters:add", plusOne);
  await socket.response(0);
  socket.send({ type: "Event", eventType: long, event: null });
  socket.add(0, "counters:get", { name: "counted" });
  await until("the query's value", () => socket.results.get(0) !== undefined);
  await isRefused(400, /InvalidClientVersion/, "/api/query", { "convex-client": "x".repeat(20_000), body: { path: "a:b", args: {} } });
}, 30);

finish();
