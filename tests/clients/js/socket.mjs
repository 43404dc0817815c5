// A sync connection without a client. It checks the chain of versions.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import WebSocket from "ws";
import { until, url } from "./cases.mjs";

export class Socket {
  constructor(path = "/api/1.48.0/sync", headers = {}) {
    this.all = [];
    this.messages = [];
    this.pings = 0;
    this.transitions = 0;
    this.results = new Map();
    this.version = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };
    this.error = undefined;
    this.chunks = "";
    this.socket = new WebSocket(url.replace("http", "ws") + path, { headers });
    this.opened = new Promise((resolve, reject) => this.socket.on("open", resolve).on("error", reject));
    this.socket.on("ping", () => (this.pings += 1));
    this.socket.on("close", (code, reason) => (this.closed = { code, reason: `${reason}` }));
    this.socket.on("message", (text) => {
      try {
        this.take(JSON.parse(text));
      } catch (error) {
        this.error ??= error;
      }
    });
  }

  async connect(more = {}) {
    await this.opened;
    const connect = { connectionCount: 0, lastCloseReason: "InitialConnect", clientTs: Date.now() };
    this.send({ type: "Connect", sessionId: randomUUID(), ...connect, ...more });
    return this;
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  add(queryId, udfPath, args) {
    const modifications = [{ type: "Add", queryId, udfPath, args: [args] }];
    this.send({ type: "ModifyQuerySet", baseVersion: queryId, newVersion: queryId + 1, modifications });
  }

  mutate(requestId, udfPath, args) {
    this.send({ type: "Mutation", requestId, udfPath, args: [args] });
  }

  // The response to a mutation or an action.
  async response(requestId) {
    const find = () => this.messages.find((message) => message.requestId === requestId);
    await until("a response", () => this.error || this.closed || find(), () => [this.messages, this.closed]);
    if (!find()) throw this.error ?? new Error(`closed before the response: ${JSON.stringify(this.closed)}`);
    return find();
  }

  // The end of the connection: the last message and the code of the close frame.
  async ending() {
    await until("the end of the connection", () => this.closed, () => this.all.slice(-3));
    return { last: this.messages.at(-1), ...this.closed };
  }

  // The value of a query once `isSo` holds for it.
  async value(queryId, isSo = (value) => value !== undefined, seconds = 10) {
    const state = () => ({ value: this.results.get(queryId), error: `${this.error}`, closed: this.closed });
    await until("a query's value", () => this.error || isSo(this.results.get(queryId)), state, seconds);
    if (this.error) throw this.error;
    return this.results.get(queryId);
  }

  take(message) {
    this.all.push(message);
    if (message.type === "TransitionChunk") {
      this.chunks += message.chunk;
      if (message.partNumber + 1 < message.totalParts) return;
      message = JSON.parse(this.chunks);
      this.chunks = "";
    }
    if (message.type !== "Transition") {
      this.messages.push(message);
      return;
    }
    this.transitions += 1;
    assert.deepStrictEqual(message.startVersion, this.version, "a transition starts where the last one ended");
    this.version = message.endVersion;
    for (const change of message.modifications) {
      assert.ok(change.type === "QueryRemoved" || Array.isArray(change.logLines), "there are log lines");
      this.results.set(change.queryId, change.value);
    }
  }
}
