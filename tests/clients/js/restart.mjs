// ConvexClient: the server is killed during mutations, and each of them is executed once.
import assert from "node:assert/strict";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ask, check, failure, finish, follow, until, url } from "./cases.mjs";

const connect = () => new ConvexClient(url, { logger: false });
const add = (client, name) => client.mutation(api.counters.add, { name, by: 1n });

await check("two hundred mutations in flight at kill -9", async () => {
  const client = connect();
  const name = "killed";
  const value = follow(client, api.counters.get, { name });
  await value.first();
  let answered = 0;
  const all = Array.from({ length: 200 }, () => add(client, name).then((value) => ((answered += 1), value)));
  await until("some answers", () => answered >= 5);
  await ask("restart");
  console.log(`killed after ${answered} answers`);
  const values = await Promise.all(all);
  assert.deepStrictEqual(values, values.map((_, n) => BigInt(n + 1)), "each happened once, in order");
  assert.equal(value.current(), 200n);
  assert.equal(await new ConvexHttpClient(url).query(api.counters.get, { name }), 200n);
  await client.close();
}, 40);

await check("three restarts during mutations", async () => {
  const client = connect();
  const name = "killed often";
  const all = [];
  for (let round = 0; round < 3; round++) {
    let answered = 0;
    const here = Array.from({ length: 50 }, () => add(client, name).then(() => (answered += 1)));
    await until("some answers", () => answered > round);
    await ask("restart");
    all.push(...here);
    await Promise.all(here);
  }
  assert.equal(await client.query(api.counters.get, { name }), 150n);
  await client.close();
}, 60);

await check("subscriptions resume with the changes in between", async () => {
  const client = connect();
  const channel = "meanwhile";
  const messages = follow(client, api.messages.list, { channel });
  const count = follow(client, api.messages.count, { channel });
  const failed = follow(client, api.fails.query.plain, {});
  await Promise.all([messages.first(), count.first(), failed.first()]);
  await client.mutation(api.messages.send, { channel, body: "before" });
  await ask("kill");
  const during = client.mutation(api.messages.send, { channel, body: "during" });
  await until("the client to notice", () => !client.connectionState().isWebSocketConnected);
  await ask("start");
  await new ConvexHttpClient(url).mutation(api.messages.send, { channel, body: "after" });
  await during;
  await until("all of it", () => count.last() === 3, () => [count.seen, messages.last()]);
  assert.deepStrictEqual(messages.last().map((message) => message.body).sort(), ["after", "before", "during"]);
  assert.equal(failed.errors.length >= 1 && failed.seen.length === 0, true);
  await client.close();
}, 40);

await check("an action in flight is reported as lost and executed at most once", async () => {
  const client = connect();
  await client.query(api.messages.count, { channel: "" });
  const slow = failure(client.action(api.counters.slow, { ms: 60_000 }));
  // A round trip ensures that the action has begun.
  await client.mutation(api.counters.add, { name: "after the action", by: 1n });
  await ask("restart");
  assert.match((await slow).message, /Connection lost while action was in flight/);
  assert.equal(await client.action(api.counters.addTwice, { name: "action" }), 2n);
  await client.close();
}, 40);

finish();
