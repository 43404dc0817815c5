// A client that stops reading gets the latest when it goes on, not all there was; nobody waits for it.
import assert from "node:assert/strict";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { check, finish, follow, until, url } from "./cases.mjs";
import { Socket } from "./socket.mjs";

const SENT = 100;
const channel = "large";
const writer = new ConvexClient(url, { logger: false });
const slow = await new Socket().connect();

await check("others go on while it does not read", async () => {
  slow.add(0, "messages:list", { channel });
  await slow.value(0);
  slow.socket.pause();
  const count = follow(writer, api.messages.count, { channel });
  await count.first();
  for (let n = 0; n < SENT; n++) {
    await writer.mutation(api.messages.send, { channel, body: `${n} `.padEnd(30_000, "x") });
    assert.equal(count.current(), n + 1);
  }
}, 30);

await check("then it gets the latest", async () => {
  const before = slow.transitions;
  slow.socket.resume();
  await slow.value(0, (messages) => messages.length === SENT, 20);
  assert.ok(slow.transitions - before < SENT / 2, `${slow.transitions - before} transitions for ${SENT} changes`);
  await writer.mutation(api.messages.clear, { channel });
  await until("it goes on", () => slow.results.get(0).length === 0, () => [slow.closed, `${slow.error}`]);
}, 30);

finish();
