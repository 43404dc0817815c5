// ConvexHttpClient: values, calls, order, pages, logs and the admin key.
import assert from "node:assert/strict";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { adminKey, check, failure, finish, url } from "./cases.mjs";
import { values } from "./values.mjs";

const lines = [];
const log = (...line) => lines.push(line.join(" "));
const logger = { log, warn: log, error: log, logVerbose: () => {} };
const client = new ConvexHttpClient(url, { logger });
const other = new ConvexHttpClient(url, { logger: false });

for (const kind of ["query", "mutation", "action"]) {
  await check(`every value comes back from a ${kind}`, async () => {
    for (const value of values) assert.deepStrictEqual(await client[kind](api.echo[kind].any, { value }), value);
  });
}

await check("a query without documents is empty", async () => {
  assert.deepStrictEqual(await client.query(api.messages.list, { channel: "empty" }), []);
  assert.equal(await client.query(api.messages.count, { channel: "empty" }), 0);
  assert.equal(await client.query(api.counters.get, { name: "none" }), null);
});

await check("a query returns the writes of the mutation before it", async () => {
  const channel = "written";
  const id = await client.mutation(api.messages.send, { channel, body: "hello" });
  const [message, ...rest] = await client.query(api.messages.list, { channel });
  assert.deepStrictEqual(rest, []);
  assert.match(id, /^[0-9a-hjkmnp-tv-z]{32}$/);
  assert.equal(typeof message._creationTime, "number");
  assert.ok(Math.abs(message._creationTime - Date.now()) < 60_000);
  assert.deepStrictEqual(Object.keys(message), ["_creationTime", "_id", "body", "channel", "n"]);
  assert.deepStrictEqual({ ...message, _creationTime: 0 }, { _creationTime: 0, _id: id, body: "hello", channel, n: 0 });
});

await check("integers stay integers", async () => {
  assert.equal(await client.mutation(api.counters.add, { name: "integers", by: 2n ** 62n }), 2n ** 62n);
  assert.equal(await client.mutation(api.counters.add, { name: "integers", by: 1n }), 2n ** 62n + 1n);
  assert.equal(await other.query(api.counters.get, { name: "integers" }), 2n ** 62n + 1n);
});

await check("an action runs its mutations", async () => {
  assert.equal(await client.action(api.counters.addTwice, { name: "twice" }), 2n);
  assert.equal(await client.query(api.counters.get, { name: "twice" }), 2n);
  assert.equal(await client.action(api.counters.slow, { ms: 20 }), 20);
});

await check("two clients see each other's writes", async () => {
  for (let n = 0; n < 10; n++) {
    const [writer, reader] = n % 2 ? [client, other] : [other, client];
    await writer.mutation(api.messages.send, { channel: "shared", body: `${n}` });
    assert.equal(await reader.query(api.messages.count, { channel: "shared" }), n + 1);
  }
});

await check("a client's mutations keep their order", async () => {
  const numbers = Array.from({ length: 30 }, (_, n) => n);
  await Promise.all(numbers.map((n) => client.mutation(api.messages.send, { channel: "queue", body: `${n}` })));
  const messages = await client.query(api.messages.list, { channel: "queue" });
  assert.deepStrictEqual(messages.map((message) => message.body), numbers.map(String));
});

await check("mutations that skip the queue are all executed", async () => {
  const add = () => client.mutation(api.counters.add, { name: "skip", by: 1n }, { skipQueue: true });
  await Promise.all(Array.from({ length: 30 }, add));
  assert.equal(await client.query(api.counters.get, { name: "skip" }), 30n);
});

await check("pages join without a gap", async () => {
  const channel = "pages";
  await client.mutation(api.messages.sendMany, { channel, count: 25 });
  const found = [];
  for (let cursor = null, isDone = false; !isDone; ) {
    const page = await client.query(api.messages.page, { channel, paginationOpts: { numItems: 10, cursor } });
    assert.deepStrictEqual(
      Object.keys(page),
      ["continueCursor", "isDone", "page", "pageStatus", "splitCursor"],
      "a page has five fields",
    );
    found.push(...page.page.map((message) => message.n));
    ({ continueCursor: cursor, isDone } = page);
    assert.equal(typeof cursor, "string");
    assert.ok(found.length <= 25);
  }
  assert.deepStrictEqual(found, Array.from({ length: 25 }, (_, n) => n));
});

await check("every spelling of a path is the same function", async () => {
  for (const path of ["plain", "plain:default", "plain.js:default", "plain.js"]) {
    assert.equal(await client.query(path, {}), "a default export", path);
  }
});

await check("a consistent query reads at one timestamp", async () => {
  const reader = new ConvexHttpClient(url, { logger: false });
  const count = () => reader.consistentQuery(api.messages.count, { channel: "consistent" });
  await other.mutation(api.messages.send, { channel: "consistent", body: "before" });
  assert.equal(await count(), 1);
  await other.mutation(api.messages.send, { channel: "consistent", body: "after" });
  assert.equal(await count(), 1);
  assert.equal(await reader.query(api.messages.count, { channel: "consistent" }), 2);
});

await check("log lines are sent with the result", async () => {
  lines.length = 0;
  await client.query(api.messages.list, { channel: "logs" });
  await client.mutation(api.messages.send, { channel: "logs", body: "" });
  await client.action(api.counters.addTwice, { name: "logs" });
  const said = lines.join("\n");
  assert.match(said, /\[CONVEX Q\(messages:list\)\] \[LOG\].* 'listed' 0/);
  assert.match(said, /\[CONVEX M\(messages:send\)\] \[INFO\].* 'sent' 0/);
  assert.match(said, /\[CONVEX A\(counters:addTwice\)\] \[WARN\].* 'adding twice'/);
});

await check("the admin key allows internal functions", async () => {
  const admin = new ConvexHttpClient(url, { logger: false });
  admin.setAdminAuth(adminKey);
  assert.equal(await admin.query(api.internal.secret.get, {}), "a secret");
  assert.equal(await admin.function(api.internal.secret.get, undefined, {}), "a secret");
  assert.equal(await admin.function(api.counters.add, undefined, { name: "any", by: 1n }), 1n);
  assert.equal(await admin.function(api.counters.addTwice, undefined, { name: "any" }), 3n);
});

await check("a wrong admin key allows nothing", async () => {
  const admin = new ConvexHttpClient(url, { logger: false });
  admin.setAdminAuth(`${adminKey.split("|")[0]}|0123456789abcdef`);
  assert.match((await failure(admin.query(api.internal.secret.get, {}))).message, /"BadAdminKey"/);
  assert.match((await failure(admin.query(api.messages.count, { channel: "" }))).message, /"BadAdminKey"/);
  assert.match((await failure(admin.function(api.internal.secret.get, undefined, {}))).message, /"BadAdminKey"/);
  const keyless = await failure(other.function(api.messages.count, undefined, { channel: "" }));
  assert.match(keyless.message, /"BadDeployKey"/);
});

finish();
