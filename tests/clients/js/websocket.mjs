// ConvexClient: values, subscriptions, read-your-writes, actions, and the admin key.
import assert from "node:assert/strict";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { adminKey, check, finish, follow, until, url } from "./cases.mjs";
import { values } from "./values.mjs";

const lines = [];
const log = (...line) => lines.push(line.join(" "));
const logger = { log, warn: log, error: log, logVerbose: () => {} };
const client = new ConvexClient(url, { logger });
const other = new ConvexClient(url, { logger: false });
const http = new ConvexHttpClient(url, { logger: false });
const send = (client, channel, body) => client.mutation(api.messages.send, { channel, body });
const bodies = (messages) => messages?.map((message) => message.body);

for (const kind of ["query", "mutation", "action"]) {
  await check(`every value comes back from a ${kind}`, async () => {
    const all = values.map((value) => client[kind](api.echo[kind].any, { value }));
    assert.deepStrictEqual(await Promise.all(all), values);
  });
}

await check("a subscription follows changes until it is ended", async () => {
  const channel = "followed";
  const messages = follow(client, api.messages.list, { channel });
  await messages.first();
  assert.deepStrictEqual(messages.seen, [[]]);
  await send(other, channel, "one");
  await until("the first message", () => messages.seen.length > 1, () => messages.seen);
  await http.mutation(api.messages.send, { channel, body: "two" });
  await until("the second message", () => messages.seen.length > 2, () => messages.seen);
  assert.deepStrictEqual(messages.seen.map(bodies), [[], ["one"], ["one", "two"]]);
  messages.unsubscribe();
  const count = follow(client, api.messages.count, { channel });
  await send(other, channel, "three");
  await until("another subscription to see it", () => count.last() === 3, () => count.seen);
  assert.equal(messages.seen.length, 3);
  count.unsubscribe();
});

await check("after a mutation the local result has its writes", async () => {
  const channel = "read your writes";
  const messages = follow(client, api.messages.list, { channel });
  const count = follow(client, api.messages.count, { channel });
  await messages.first();
  for (let n = 0; n < 30; n++) {
    await send(client, channel, `${n}`);
    assert.equal(messages.current()?.length, n + 1);
    assert.equal(count.current(), n + 1);
  }
});

await check("a mutation completes although it changes no subscribed result", async () => {
  await client.mutation(api.messages.clear, { channel: "never written" });
  await client.mutation(api.counters.add, { name: "nobody looks", by: 0n });
});

await check("concurrent mutations are executed in order", async () => {
  const channel = "in order";
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  const messages = follow(client, api.messages.list, { channel });
  await messages.first();
  const ended = [];
  await Promise.all(numbers.map((n) => send(client, channel, `${n}`).then(() => ended.push(n))));
  assert.deepStrictEqual(ended, numbers);
  assert.deepStrictEqual(bodies(messages.current()), numbers.map(String));
  assert.deepStrictEqual(messages.current().map((message) => message.n), numbers);
});

await check("an action runs beside mutations", async () => {
  const ended = [];
  const slow = Array.from({ length: 10 }, () => client.action(api.counters.slow, { ms: 700 }));
  const all = Promise.all(slow).then(() => ended.push("actions"));
  await client.mutation(api.counters.add, { name: "beside", by: 1n }).then(() => ended.push("mutation"));
  await all;
  assert.deepStrictEqual(ended, ["mutation", "actions"]);
  assert.equal(await client.action(api.counters.addTwice, { name: "twice" }), 2n);
  assert.equal(await other.query(api.counters.get, { name: "twice" }), 2n);
}, 5);

await check("a query is called once, then again", async () => {
  assert.equal(await client.query(api.messages.count, { channel: "asked" }), 0);
  // Its response follows the end of the subscription of the first query.
  await send(client, "asked", "");
  assert.equal(await client.query(api.messages.count, { channel: "asked" }), 1);
});

await check("one query has many subscribers and ends with the last", async () => {
  const args = { name: "popular" };
  const followers = Array.from({ length: 10 }, () => follow(client, api.counters.get, args));
  await Promise.all(followers.map((follower) => follower.first()));
  await other.mutation(api.counters.add, { ...args, by: 1n });
  await until("all of them to see it", () => followers.every((each) => each.last() === 1n));
  followers.slice(1).forEach((follower) => follower.unsubscribe());
  await other.mutation(api.counters.add, { ...args, by: 1n });
  await until("the one left to see it", () => followers[0].last() === 2n);
  assert.ok(followers.slice(1).every((each) => each.last() === 1n));
  followers[0].unsubscribe();
  const again = follow(client, api.counters.get, args);
  await until("a new subscription", () => again.last() === 2n, () => again.seen);
});

await check("a hundred queries at once, and only one of them changes", async () => {
  const channels = Array.from({ length: 100 }, (_, n) => `many ${n}`);
  const all = channels.map((channel) => follow(client, api.messages.list, { channel }));
  await until("all results", () => all.every((each) => each.seen.length === 1));
  await send(client, channels[50], "here");
  assert.deepStrictEqual(all.map((each) => each.seen.length), channels.map((_, n) => (n === 50 ? 2 : 1)));
  all.forEach((each) => each.unsubscribe());
});

await check("writes of one callback are visible in the next", async () => {
  const name = "chain";
  const chain = [];
  const { unsubscribe } = client.onUpdate(api.counters.get, { name }, (value) => {
    chain.push(value);
    if ((value ?? 0n) < 10n) client.mutation(api.counters.add, { name, by: 1n });
  });
  await until("the end of the chain", () => chain.at(-1) === 10n, () => chain);
  assert.deepStrictEqual(chain, [null, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n]);
  unsubscribe();
});

await check("every spelling of a path is the same function", async () => {
  for (const path of ["plain", "plain:default", "plain.js:default"]) {
    assert.equal(await client.query(path, {}), "a default export", path);
  }
});

await check("a large value is sent and returned", async () => {
  const value = "é".repeat(3_500_000);
  assert.equal(await client.action(api.echo.action.any, { value }), value);
  // Over 5 MB, which is sent in several messages.
  assert.equal(await client.query(api.echo.query.any, { value }), value);
});

await check("log lines are sent with the result", async () => {
  lines.length = 0;
  await client.query(api.messages.list, { channel: "logs" });
  await send(client, "logs", "");
  await client.action(api.counters.addTwice, { name: "logs" });
  const said = lines.join("\n");
  assert.match(said, /\[CONVEX Q\(messages:list\)\] \[LOG\].* 'listed' 0/);
  assert.match(said, /\[CONVEX M\(messages:send\)\] \[INFO\].* 'sent' 0/);
  assert.match(said, /\[CONVEX A\(counters:addTwice\)\] \[WARN\].* 'adding twice'/);
});

await check("the admin key allows internal functions", async () => {
  const admin = new ConvexClient(url, { logger: false });
  admin.setAdminAuth(adminKey);
  assert.equal(await admin.query(api.internal.secret.get, {}), "a secret");
  assert.equal(await admin.mutation(api.counters.add, { name: "admin", by: 1n }), 1n);
  await admin.close();
});

await check("a wrong admin key is reported", async () => {
  const said = [];
  const error = (...line) => said.push(line.join(" "));
  const logger = { log: error, warn: error, error, logVerbose: () => {} };
  const admin = new ConvexClient(url, { logger });
  admin.setAdminAuth(`${adminKey.split("|")[0]}|0123456789abcdef`);
  const secret = follow(admin, api.internal.secret.get, {});
  await until("a word of it", () => /Failed to authenticate/.test(said.join("\n")), () => said);
  // The client continues without the key, so that the internal function is hidden.
  await until("a refusal", () => secret.errors.length > 0, () => said);
  assert.match(`${secret.errors[0]}`, /Could not find public function/);
  assert.deepStrictEqual(secret.seen, []);
  await admin.close();
});

await check("a closed client does not affect the others", async () => {
  await other.close();
  assert.equal(await client.mutation(api.counters.add, { name: "left", by: 1n }), 1n);
});

finish();
