// Connections that break at any byte in either direction: each mutation is executed once, and results stay correct.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ask, check, failure, finish, follow, until, url } from "./cases.mjs";

// A proxy that breaks each of the first connections after a number of bytes to or from the server.
async function proxy(cuts) {
  const left = [...cuts];
  const server = createServer((client) => {
    const upstream = connect(new URL(url).port, "127.0.0.1");
    const cut = left.shift();
    const both = [client, upstream];
    const destroy = () => both.forEach((socket) => socket.destroy());
    both.forEach((socket) => socket.setNoDelay().on("error", () => {}).on("close", destroy));
    const pass = (from, to, limit = Infinity) => {
      let passed = 0;
      from.on("data", (bytes) => {
        to.write(bytes.subarray(0, limit - passed));
        passed += bytes.length;
        // The forwarded bytes arrive; the rest does not.
        if (passed >= limit) to.end(destroy);
      });
    };
    pass(client, upstream, cut?.sent);
    pass(upstream, client, cut?.received);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, left };
}

await check("connections break at any byte", async () => {
  const names = Array.from({ length: 24 }, (_, n) => `cut ${n}`);
  const one = async (name, n) => {
    const [first, second] = [300 + 150 * n, 500 + 97 * n];
    const cuts = n % 2 ? [{ sent: first }, { received: second }] : [{ received: first }, { sent: second }];
    const { url, left } = await proxy(cuts);
    const client = new ConvexClient(url, { logger: false });
    const value = follow(client, api.counters.get, { name });
    const add = () => client.mutation(api.counters.add, { name, by: 1n });
    const values = await Promise.all(Array.from({ length: 40 }, add));
    assert.deepStrictEqual(values, values.map((_, n) => BigInt(n + 1)), name);
    assert.equal(value.current(), 40n, name);
    await client.close();
    return left.length;
  };
  const uncut = await Promise.all(names.map(one));
  assert.deepStrictEqual(uncut, names.map(() => 0), "each first connection was cut");
}, 40);

await check("a server that shuts down loses nothing either", async () => {
  const client = new ConvexClient(url, { logger: false });
  const name = "stopped";
  const value = follow(client, api.counters.get, { name });
  await value.first();
  const slow = failure(client.action(api.counters.slow, { ms: 60_000 }));
  let answered = 0;
  const add = () => client.mutation(api.counters.add, { name, by: 1n }).then(() => (answered += 1));
  const all = Array.from({ length: 200 }, add);
  await until("some answers", () => answered >= 5);
  const started = Date.now();
  await ask("stop");
  assert.ok(Date.now() - started < 10_000, `it took ${Date.now() - started} ms to stop`);
  await ask("start");
  await Promise.all(all);
  assert.equal(value.current(), 200n);
  assert.match((await slow).message, /Connection lost while action was in flight/);
  await client.close();
}, 45);

finish();
