// Live queries, for a page that reads: as much of the sync protocol as that needs.
//
//   const live = new Live(new URL("/api/sync", location.href));
//   const unsubscribe = live.subscribe("apps:list", {}, ({ value, error }) => …);
//   live.onstate = (isConnected) => …;
//
// All results move together, from one timestamp to the next. A lost connection is made anew, and asks again for
// everything that is subscribed; until then the last results stand.

const START = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };
const SILENCE_MS = 60_000; // The server says something every 15 s.
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;

export class Live {
  #url;
  #socket = null;
  #session = crypto.randomUUID?.() ?? randomUuid();
  #connections = 0;
  #closeReason = "InitialConnect";
  #observed = null; // The last timestamp of any connection: the server never goes back behind it.
  #version = START;
  #queries = new Map(); // id → { path, args, callback, journal }
  #nextQuery = 0;
  #querySet = 0;
  #pause = FIRST_PAUSE_MS;
  #timer = null;
  #watch = null;
  #isConnected = null; // Unknown, until the first connection is there or is lost.

  // Called with whether there is a connection, whenever that changes.
  onstate = () => {};

  constructor(url) {
    this.#url = new URL(url);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    addEventListener("online", () => this.#connectNow());
    addEventListener("pageshow", () => this.#connectNow());
    // A page that nobody looks at has slow timers.
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#connectNow());
    this.#connect();
  }

  // Calls `callback` with `{ value }` or `{ error }` now and with each change; returns what ends that.
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
    this.#listen(socket);
  }

  // A connection that is waited for is made at once.
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
    if (this.#socket?.readyState !== WebSocket.OPEN) return; // Said when the connection is there.
    const baseVersion = this.#querySet++;
    this.#send({ type: "ModifyQuerySet", baseVersion, newVersion: this.#querySet, modifications });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(socket, text) {
    if (socket !== this.#socket) return;
    this.#listen(socket);
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
    this.#pause = FIRST_PAUSE_MS;
    this.#tell(true);
    for (const { type, queryId, value, errorMessage, journal } of modifications) {
      const query = this.#queries.get(queryId);
      if (!query) continue; // Unsubscribed meanwhile.
      query.journal = journal;
      if (type === "QueryUpdated") report(query, { value });
      if (type === "QueryFailed") report(query, { error: errorMessage });
    }
  }

  #tell(isConnected) {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.onstate(isConnected);
  }

  #lose(socket, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#watch);
    socket.close();
    this.#closeReason = reason;
    this.#tell(false);
    this.#timer = setTimeout(() => this.#connect(), this.#pause * (0.5 + Math.random()));
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
  }

  // Gives a connection up that has become silent.
  #listen(socket) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lose(socket, "InactiveServer"), SILENCE_MS);
  }
}

function add(queryId, { path, args, journal }) {
  return { type: "Add", queryId, udfPath: path, args: [args], journal };
}

// One that fails is said on the console, and keeps nobody else from the result.
function report({ callback }, result) {
  try {
    callback(result);
  } catch (error) {
    reportError(error);
  }
}

// Browsers keep `crypto.randomUUID` from pages that came over plain HTTP from another machine.
function randomUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
