// An idle socket gets pings of both kinds, so that no client considers it dead.
import assert from "node:assert/strict";
import { check, finish, until } from "./cases.mjs";
import { Socket } from "./socket.mjs";

await check("both kinds of ping arrive on both paths", async () => {
  const sockets = await Promise.all(["/api/1.48.0/sync", "/api/sync"].map((path) => new Socket(path).connect()));
  sockets.forEach((socket) => socket.add(0, "messages:count", { channel: "idle" }));
  await Promise.all(sockets.map((socket) => socket.value(0)));
  const isKept = (socket) => socket.pings > 0 && socket.messages.some((message) => message.type === "Ping");
  const state = () => sockets.map((socket) => [socket.pings, socket.messages, socket.closed]);
  await until("pings", () => sockets.every(isKept), state, 25);
  assert.ok(sockets.every((socket) => !socket.closed && !socket.error));
}, 28);

finish();
