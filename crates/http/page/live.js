// A client for live queries: the part of Convex's sync protocol that a read-only page needs.
//
//   const live = new Live(new URL("/api/sync", location.href));
//   const unsubscribe = live.subscribe("apps:list", {}, ({ value, error }) => …);
//   live.onstate = (isConnected) => …;
//
// All results move together, from one timestamp to the next. After a lost connection the client reconnects and
// subscribes again. Until then the last results stay.

const START = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };
const SILENCE_TIMEOUT_MS = 60_000; // The server sends a message at least every 15 s.
const MIN_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 15_000;

export class Live {
  #url;
  #socket = null;
  #session = crypto.randomUUID?.() ?? randomUuid();
  #connections = 0;
  #closeReason = "InitialConnect";
  #observed = null; // The last timestamp of any connection. The server never sends an earlier one.
  #version = START;
  #queries = new Map(); // id → { path, args, callback, journal }
  #nextQuery = 0;
  #querySet = 0;
  #backoff = MIN_BACKOFF_MS;
  #timer = null;
  #silenceTimer = null;
  #isConnected = null; // `null` until the first connection opens or fails.

  // Called when the connection opens or is lost.
  onstate = () => {};

  constructor(url) {
    this.#url = new URL(url);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    addEventListener("online", () => this.#connectNow());
    addEventListener("pageshow", () => this.#connectNow());
    // Browsers slow down the timers of hidden pages.
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#connectNow());
    this.#connect();
  }

  // Calls `callback` with `{ value }` or `{ error }` for the first result and each change. Returns a function that unsubscribes.
  subscribe(path, args, callback) {
    const id = this.#nextQuery++;
    const query = { path, args, callback, journal: undefined };
    this.#queries.set(id, query);
    this.#modify([add(id, query)]);
    return () => {
      if (this.#queries.delete(id)) this.#modify([{ type: "Remove", queryId: id }]);
    };
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#greet();
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#lose(socket, event.reason || "Closed");
    this.#restartSilenceTimer(socket);
  }

  // Connects at once if a reconnection is scheduled.
  #connectNow() {
    if (this.#timer !== null) this.#connect();
  }

  #greet() {
    this.#version = START;
    this.#querySet = 0;
    this.#send({
      type: "Connect",
      sessionId: this.#session,
      connectionCount: this.#connections++,
      lastCloseReason: this.#closeReason,
      clientTs: Date.now(),
      ...(this.#observed && { maxObservedTimestamp: this.#observed }),
    });
    this.#modify([...this.#queries].map(([id, query]) => add(id, query)));
  }

  #modify(modifications) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return; // `#greet` sends all queries when the connection opens.
    const baseVersion = this.#querySet++;
    this.#send({ type: "ModifyQuerySet", baseVersion, newVersion: this.#querySet, modifications });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(socket, text) {
    if (socket !== this.#socket) return;
    this.#restartSilenceTimer(socket);
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#lose(socket, "InvalidMessage");
    }
    if (message.type === "Transition") this.#move(socket, message);
    if (message.type === "FatalError") this.#lose(socket, message.error);
  }

  #move(socket, { startVersion, endVersion, modifications }) {
    const { querySet, identity, ts } = this.#version;
    if (startVersion.querySet !== querySet || startVersion.identity !== identity || startVersion.ts !== ts) {
      return this.#lose(socket, "StartVersionMismatch");
    }
    this.#version = endVersion;
    this.#observed = endVersion.ts;
    this.#backoff = MIN_BACKOFF_MS;
    this.#setConnected(true);
    for (const { type, queryId, value, errorMessage, journal } of modifications) {
      const query = this.#queries.get(queryId);
      if (!query) continue; // Unsubscribed in the meantime.
      query.journal = journal;
      if (type === "QueryUpdated") report(query, { value });
      if (type === "QueryFailed") report(query, { error: errorMessage });
    }
  }

  #setConnected(isConnected) {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.onstate(isConnected);
  }

  #lose(socket, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#silenceTimer);
    socket.close();
    this.#closeReason = reason;
    this.#setConnected(false);
    this.#timer = setTimeout(() => this.#connect(), this.#backoff * (0.5 + Math.random()));
    this.#backoff = Math.min(2 * this.#backoff, MAX_BACKOFF_MS);
  }

  // Closes the connection if the server stays silent.
  #restartSilenceTimer(socket) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#lose(socket, "InactiveServer"), SILENCE_TIMEOUT_MS);
  }
}

function add(queryId, { path, args, journal }) {
  return { type: "Add", queryId, udfPath: path, args: [args], journal };
}

// Reports an exception of a callback on the console, so that the other callbacks still run.
function report({ callback }, result) {
  try {
    callback(result);
  } catch (error) {
    reportError(error);
  }
}

// Browsers provide `crypto.randomUUID` only to pages from HTTPS or the local host.
function randomUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
