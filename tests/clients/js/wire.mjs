// The sync protocol itself: the behaviour that clients depend on, and its errors.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { adminKey, ask, check, finish, until, url } from "./cases.mjs";
import { Socket } from "./socket.mjs";

const http = new ConvexHttpClient(url, { logger: false });
const get = (name) => http.query(api.counters.get, { name });
const integer = (n) => ({ $integer: Buffer.from(new BigInt64Array([BigInt(n)]).buffer).toString("base64") });
const plusOne = (name) => ({ name, by: integer(1) });
const time = (ts) => Buffer.from(ts, "base64").readBigUInt64LE();
const open = (more, path) => new Socket(path).connect(more);

await check("an empty change of the query set gets a transition", async () => {
  const socket = await open();
  socket.send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [] });
  await until("the new version", () => socket.version.querySet === 1, () => socket.all);
  assert.deepStrictEqual(socket.all[0].modifications, []);
});

await check("a response precedes the transition that includes it, which always follows", async () => {
  const socket = await open();
  socket.add(0, "counters:get", { name: "order" });
  await socket.value(0);
  for (let n = 0; n < 20; n++) {
    const before = socket.all.length;
    // In turn: a visible change, an invisible one, a failure with data, and an action.
    const [udfPath, args] = [
      ["counters:add", plusOne("order")],
      ["counters:add", plusOne("not looked at")],
      ["fails/mutation:application", { data: 1 }],
      ["counters:slow", { ms: 1 }],
    ][n % 4];
    if (n % 4 === 3) socket.send({ type: "Action", requestId: n, udfPath, args: [args] });
    else socket.mutate(n, udfPath, args);
    const { ts } = await socket.response(n);
    const at = socket.all.findIndex((message) => message.requestId === n);
    const transitions = (from, to) => socket.all.slice(from, to).filter((message) => message.type === "Transition");
    const changes = transitions(before, at).flatMap((message) => message.modifications);
    assert.deepStrictEqual(changes, [], "no change is sent before the response");
    const covers = (message) => !ts || time(message.endVersion.ts) >= time(ts);
    await until("a transition that has it", () => transitions(at).some(covers), () => socket.all.slice(before));
    assert.ok(Array.isArray(socket.all[at].logLines));
  }
  const told = socket.all.flatMap(({ modifications }) => modifications ?? []);
  assert.deepStrictEqual(told.map(({ value }) => value), [null, ...[1, 2, 3, 4, 5].map(integer)]);
});

await check("a write that changes no result sends none", async () => {
  const socket = await open();
  socket.add(0, "messages:count", { channel: "unchanged" });
  await socket.value(0);
  socket.mutate(0, "messages:send", { channel: "another", body: "" });
  socket.mutate(1, "messages:clear", { channel: "unchanged" });
  const { ts } = await socket.response(1);
  await until("a transition", () => time(socket.version.ts) >= time(ts));
  assert.equal(socket.all.flatMap(({ modifications }) => modifications ?? []).length, 1);
});

await check("a repeated mutation gets the same result and is executed once", async () => {
  const sessionId = randomUUID();
  const first = await open({ sessionId });
  first.mutate(0, "counters:add", plusOne("again"));
  first.mutate(1, "fails/mutation:plain", {});
  const [answer] = [await first.response(0), await first.response(1)];
  for (const restart of [false, true]) {
    if (restart) await ask("restart");
    const again = await open({ sessionId, connectionCount: 1, lastCloseReason: null, maxObservedTimestamp: answer.ts });
    again.mutate(0, "counters:add", plusOne("again"));
    again.mutate(1, "fails/mutation:plain", {});
    const answered = await again.response(0);
    assert.ok(time(answered.ts) >= time(answer.ts), "what is answered is covered by a transition that has it");
    assert.deepStrictEqual({ ...answered, ts: answer.ts }, answer);
    assert.equal((await again.response(1)).success, false);
    await until("a transition", () => time(again.version.ts) >= time(answer.ts), () => again.all);
  }
  assert.equal(await get("again"), 1n);
}, 25);

await check("a session on two connections executes each mutation once", async () => {
  for (let round = 0; round < 10; round++) {
    const [sessionId, name] = [randomUUID(), `at once ${round}`];
    const sockets = await Promise.all([0, 1, 2].map((connectionCount) => open({ sessionId, connectionCount })));
    for (let n = 0; n < 20; n++) sockets.forEach((socket) => socket.mutate(n, "counters:add", plusOne(name)));
    // The first two connections break during their mutations.
    sockets[0].socket.terminate();
    setTimeout(() => sockets[1].socket.terminate(), round);
    const answers = [];
    for (let n = 0; n < 20; n++) answers.push((await sockets[2].response(n)).result);
    assert.deepStrictEqual(answers, answers.map((_, n) => integer(n + 1)));
    assert.equal(await get(name), 20n);
  }
}, 30);

await check("only a client that accepts chunks gets them", async () => {
  const text = "x".repeat(6_000_000);
  const clients = [["/api/1.48.0/sync", true], ["/api/1.27.0/sync", false], ["/api/sync", false]];
  for (const [path, chunked] of clients) {
    const socket = await open({}, path);
    socket.add(0, "echo/query:any", { value: text });
    assert.equal(await socket.value(0), text);
    assert.equal(socket.all.some((message) => message.type === "TransitionChunk"), chunked, path);
  }
}, 30);

await check("an identity changes to admin, and a wrong key is reported and ends the connection", async () => {
  const socket = await open();
  const admin = { type: "Authenticate", tokenType: "Admin" };
  socket.send({ ...admin, baseVersion: 0, value: adminKey });
  await until("the administrator", () => socket.version.identity === 1, () => socket.all);
  socket.send({ type: "Authenticate", baseVersion: 1, tokenType: "None" });
  await until("nobody", () => socket.version.identity === 2, () => socket.all);
  socket.send({ ...admin, baseVersion: 2, value: adminKey.replace("|", "|0") });
  socket.send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [] });
  const { last, code } = await socket.ending();
  const expected = { type: "AuthError", error: last.error, baseVersion: 2, authUpdateAttempted: true };
  assert.deepStrictEqual(last, expected);
  assert.equal(code, 1005);
  assert.equal(socket.all.at(-1), last);
});

const fatal = (last) => assert.equal(last?.type, "FatalError", JSON.stringify(last));
const remove = { type: "Remove", queryId: 9 };
const misuse = {
  "no JSON": [(socket) => socket.socket.send("{"), 1005],
  "a binary message": [(socket) => socket.socket.send(Buffer.from("{}")), 1005],
  "an unknown type": [(socket) => socket.send({ type: "Hello" }), 1005],
  "a malformed path": [(socket) => socket.add(0, "no-path:f", {}), 1005],
  "another base version": [
    (socket) => socket.send({ type: "ModifyQuerySet", baseVersion: 3, newVersion: 4, modifications: [] }),
    1005,
  ],
  "another identity version": [
    (socket) => socket.send({ type: "Authenticate", baseVersion: 3, tokenType: "None" }),
    1005,
  ],
  "an unknown query removed": [
    (socket) => socket.send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [remove] }),
    1011,
  ],
};
for (const [what, [commit, expected]] of Object.entries(misuse)) {
  await check(`${what} ends the connection`, async () => {
    const socket = await open();
    commit(socket);
    const { last, code } = await socket.ending();
    assert.equal(code, expected);
    if (expected === 1005) fatal(last);
    else assert.equal(last, undefined);
  });
}

await check("a client that is ahead of the database is disconnected", async () => {
  const ahead = Buffer.alloc(8);
  ahead.writeBigUInt64LE(BigInt(Date.now() + 3_600_000) * 1_000_000n);
  const socket = await open({ maxObservedTimestamp: ahead.toString("base64") });
  const { last, code } = await socket.ending();
  assert.deepStrictEqual([last, code], [undefined, 1011]);
});

await check("unknown fields are ignored", async () => {
  const socket = await open({ future: { a: [1] } });
  const add = { type: "Add", queryId: 0, udfPath: "plain", args: [{}], journal: null, componentPath: "", future: 1 };
  socket.send({ baseVersion: 0, newVersion: 5, modifications: [add], future: null, type: "ModifyQuerySet" });
  assert.equal(await socket.value(0), "a default export");
  socket.send({ type: "Event", eventType: "ClientConnect", event: { marks: [] } });
  socket.mutate(0, "counters.js:add", plusOne("fields"));
  assert.deepStrictEqual((await socket.response(0)).result, integer(1));
});

finish();
