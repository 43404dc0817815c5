// Clock skew, the server's time, and the measurements that a client reports with `reportDebugInfoToConvex`.
import assert from "node:assert/strict";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import WebSocket from "ws";
import { check, finish, follow, until, url } from "./cases.mjs";

// The transitions that clients receive, and the events that they send.
const transitions = [];
const events = [];
class Watched extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "Transition") transitions.push(message);
    });
  }
  send(data) {
    const message = JSON.parse(data);
    if (message.type === "Event") events.push(message.eventType);
    super.send(data);
  }
}

const options = { logger: false, webSocketConstructor: Watched, reportDebugInfoToConvex: true };

await check("transitions have the clock skew and the server's time", async () => {
  const client = new ConvexClient(url, options);
  const count = follow(client, api.messages.count, { channel: "skew" });
  await count.first();
  for (const { clientClockSkew, serverTs } of transitions) {
    // Both are on this machine, so the two clocks are one.
    assert.ok(Number.isInteger(clientClockSkew) && Math.abs(clientClockSkew) < 5_000, `${clientClockSkew}`);
    assert.ok(Number.isInteger(serverTs) && Math.abs(serverTs / 1e6 - Date.now()) < 5_000, `${serverTs}`);
  }
  await client.close();
});

await check("a client whose clock is an hour ahead receives the skew", async () => {
  transitions.length = 0;
  const hour = 3_600_000;
  class Ahead extends Watched {
    send(data) {
      const message = JSON.parse(data);
      if (message.type === "Connect") message.clientTs += hour;
      super.send(JSON.stringify(message));
    }
  }
  const client = new ConvexClient(url, { ...options, webSocketConstructor: Ahead });
  await follow(client, api.messages.count, { channel: "skew" }).first();
  assert.ok(Math.abs(transitions[0].clientClockSkew - hour) < 5_000, `${transitions[0].clientClockSkew}`);
  await client.close();
});

await check("the server accepts the reports of a client and keeps the connection", async () => {
  const client = new ConvexClient(url, options);
  const list = follow(client, api.messages.list, { channel: "reports" });
  await list.first();
  await client.mutation(api.messages.send, { channel: "reports", body: "x".repeat(1 << 17) });
  await until("the message", () => list.last()?.length === 1);
  await until("reports", () => events.includes("ClientConnect") && events.includes("ClientReceivedTransition"), () => events);
  await client.mutation(api.messages.send, { channel: "reports", body: "after" });
  await until("the next message", () => list.last()?.length === 2);
  assert.equal(client.connectionState().connectionCount, 1);
  await client.close();
  const debug = await fetch(`${url}/api/debug_event`, { method: "POST", body: '{"event":"LongWebsocketDisconnect"}' });
  assert.equal(debug.status, 200);
});

finish();
