// A client that stops reading gets the latest result later, not all of them. Others do not wait for it.
import assert from "node:assert/strict";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { check, finish, follow, until, url } from "./cases.mjs";
import { Socket } from "./socket.mjs";

const SENT = 25;
// Each result has 3 MB; the buffers of the system hold a few of them.
const [LARGE, BODY] = [10, "x".repeat(300_000)];
const AT_MOST = 10;
const channel = "large";
const writer = new ConvexClient(url, { logger: false });
const [slow, fast] = await Promise.all([new Socket().connect(), new Socket().connect()]);

await check("others continue while it does not read", async () => {
  for (let n = 0; n < LARGE; n++) await writer.mutation(api.messages.send, { channel, body: BODY });
  for (const socket of [slow, fast]) socket.add(0, "messages:list", { channel });
  await Promise.all([slow.value(0), fast.value(0)]);
  slow.socket.pause();
  const count = follow(writer, api.messages.count, { channel });
  await count.first();
  for (let n = 0; n < SENT; n++) {
    await writer.mutation(api.messages.send, { channel, body: `${n}` });
    assert.equal(count.current(), LARGE + n + 1);
    await fast.value(0, (messages) => messages.length === LARGE + n + 1);
  }
}, 30);

await check("then it gets the latest result", async () => {
  const before = slow.transitions;
  slow.socket.resume();
  await slow.value(0, (messages) => messages.length === LARGE + SENT, 20);
  assert.ok(slow.transitions - before <= AT_MOST, `${slow.transitions - before} transitions for ${SENT} changes`);
  await writer.mutation(api.messages.clear, { channel });
  await until("it goes on", () => slow.results.get(0).length === 0, () => [slow.closed, `${slow.error}`]);
}, 30);

finish();
