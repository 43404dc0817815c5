// A thousand connections on one query.
import assert from "node:assert/strict";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { check, finish, url } from "./cases.mjs";
import { Socket } from "./socket.mjs";

const int = (value) => value?.$integer && Buffer.from(value.$integer, "base64").readBigInt64LE();
const writer = new ConvexClient(url, { logger: false });
const crowd = [];

await check("a thousand clients connect and subscribe", async () => {
  // Not all at once, because the queue of the listener is shorter.
  for (let at = 0; at < 1000; at += 100) {
    const some = await Promise.all(Array.from({ length: 100 }, () => new Socket().connect()));
    some.forEach((socket) => socket.add(0, "counters:get", { name: "crowd" }));
    crowd.push(...some);
  }
  await Promise.all(crowd.map((socket) => socket.value(0, undefined, 20)));
}, 25);

await check("all of them see each change", async () => {
  for (let n = 1n; n <= 3n; n++) {
    await writer.mutation(api.counters.add, { name: "crowd", by: 1n });
    await Promise.all(crowd.map((socket) => socket.value(0, (value) => int(value) === n, 15)));
  }
}, 30);

await check("no connection was closed", async () => {
  assert.deepStrictEqual(crowd.filter((socket) => socket.closed || socket.error), []);
});

finish();
