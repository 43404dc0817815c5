// The page's own module for the sync protocol in a real browser. This script controls the messages of the server,
// including those that a correct server never sends.
import assert from "node:assert/strict";
import { launch } from "./browser.mjs";
import { check, finish, until, url } from "./cases.mjs";

const browser = await launch();

// Encodes a timestamp for the wire.
function at(time) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(time));
  return bytes.toString("base64");
}

// A page whose sockets connect to this script. Each socket is kept with its messages.
async function open(path, prepare = () => {}) {
  const page = await (await browser.newContext()).newPage();
  await prepare(page);
  const sockets = [];
  const errors = [];
  page.on("pageerror", (error) => errors.push(`${error}`));
  await page.routeWebSocket(/\/api\/sync$/, (socket) => {
    const said = [];
    socket.onMessage((text) => said.push(JSON.parse(text)));
    sockets.push({ said, version: { querySet: 0, identity: 0, ts: at(0) }, send: (text) => socket.send(text), close: (code) => socket.close({ code }) });
  });
  await page.goto(`${url}${path}`);
  return { page, sockets, errors };
}

// Waits for the latest connection to subscribe.
async function asked({ sockets }, count) {
  await until(`connection ${count} to ask`, () => sockets.length === count && sockets.at(-1).said.length >= 2, () => sockets.map(({ said }) => said));
  return sockets.at(-1);
}

function move(socket, time, ...modifications) {
  const endVersion = { querySet: socket.said.at(-1).newVersion, identity: 0, ts: at(time) };
  socket.send(JSON.stringify({ type: "Transition", startVersion: socket.version, endVersion, modifications }));
  socket.version = endVersion;
}

const updated = (value, journal = null) => ({ type: "QueryUpdated", queryId: 0, value, logLines: [], journal });
const failed = (errorMessage) => ({ type: "QueryFailed", queryId: 0, errorMessage, logLines: [], journal: null });
const job = (stage) => updated({ status: "processing", stage, createdAt: 0 });
const stage = (page, name) => page.waitForFunction((name) => document.querySelector("[aria-current=step]")?.innerText === name, name, { timeout: 5000 });

await check("it connects, subscribes, and resumes with its state", async () => {
  const opened = await open("/");
  const first = await asked(opened, 1);
  const [connect, ask] = first.said;
  assert.deepStrictEqual([connect.type, connect.connectionCount, connect.lastCloseReason, connect.maxObservedTimestamp], ["Connect", 0, "InitialConnect", undefined]);
  assert.match(connect.sessionId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const query = { type: "Add", queryId: 0, udfPath: "apps:list", args: [{ paginationOpts: { numItems: 24, cursor: null } }] };
  assert.deepStrictEqual(ask, { type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [query] });
  move(first, 7, updated({ page: [], isDone: true, continueCursor: "c" }, "a journal"));
  await opened.page.waitForSelector("#connection.live");
  first.close(1011);
  await opened.page.waitForSelector("#connection.lost");
  const [again, askedAgain] = (await asked(opened, 2)).said;
  assert.deepStrictEqual([again.sessionId, again.connectionCount, again.maxObservedTimestamp], [connect.sessionId, 1, at(7)]);
  assert.deepStrictEqual(askedAgain, { ...ask, modifications: [{ ...query, journal: "a journal" }] });
  await opened.page.context().close();
});

await check("a gap between versions ends the connection and is not shown", async () => {
  const opened = await open("/build/j");
  const first = await asked(opened, 1);
  move(first, 1, job("generating"));
  await stage(opened.page, "generating");
  first.version = { ...first.version, ts: at(2) };
  move(first, 3, job("deploying"));
  const second = await asked(opened, 2);
  assert.equal(second.said[0].lastCloseReason, "StartVersionMismatch");
  assert.equal(await opened.page.innerText("[aria-current=step]"), "generating", "the last result stands");
  move(second, 4, job("screenshot"));
  await stage(opened.page, "screenshot");
  await opened.page.context().close();
});

await check("an invalid message and a fatal error end the connection", async () => {
  const opened = await open("/build/j");
  move(await asked(opened, 1), 1, job("generating"));
  opened.sockets[0].send("{");
  move(await asked(opened, 2), 2, job("deploying"));
  opened.sockets[1].send(JSON.stringify({ type: "FatalError", error: "so it is" }));
  const third = await asked(opened, 3);
  assert.equal(third.said[0].lastCloseReason, "so it is");
  move(third, 3, job("publishing"));
  await stage(opened.page, "publishing");
  assert.deepStrictEqual(opened.errors, []);
  await opened.page.context().close();
});

await check("unknown messages are ignored", async () => {
  const opened = await open("/build/j");
  const socket = await asked(opened, 1);
  for (const type of ["Ping", "SomethingNew"]) socket.send(JSON.stringify({ type }));
  move(socket, 1, { type: "QueryRemoved", queryId: 0 }, { ...job("done"), queryId: 99 }, job("deploying"));
  await stage(opened.page, "deploying");
  assert.deepStrictEqual([opened.sockets.length, opened.errors], [1, []]);
  await opened.page.context().close();
});

await check("a silent connection is closed after a minute, an active one is not", async () => {
  const opened = await open("/build/j", (page) => page.clock.install());
  const { page, sockets } = opened;
  move(await asked(opened, 1), 1, job("generating"));
  await stage(page, "generating");
  await page.clock.runFor(50_000);
  move(sockets[0], 2, job("deploying"));
  await stage(page, "deploying");
  await page.clock.runFor(50_000);
  assert.equal(sockets.length, 1);
  await page.clock.runFor(11_000);
  assert.equal((await asked(opened, 2)).said[0].lastCloseReason, "InactiveServer");
  await page.context().close();
});

await check("an unsubscribed callback is not called again, and a failing one does not affect others", async () => {
  const opened = await open("/build/");
  await asked(opened, 1);
  await opened.page.evaluate(async () => {
    const { Live } = await import("/page/live.js");
    const live = new Live(new URL("/api/sync", location.href));
    window.told = [[], []];
    window.ends = window.told.map((told, at) =>
      live.subscribe("a:b", { at }, ({ value }) => {
        told.push(value);
        if (at === 0) throw new Error("told on purpose");
      }),
    );
  });
  const socket = await asked(opened, 2);
  const both = (value) => [updated(value), { ...updated(value), queryId: 1 }];
  const told = () => opened.page.evaluate(() => JSON.stringify(window.told));
  move(socket, 1, ...both("x"));
  await opened.page.waitForFunction(() => window.told[1].length === 1, null, { timeout: 5000 });
  await opened.page.evaluate(() => window.ends[0]());
  await until("the end to be said", () => socket.said.length === 3);
  assert.deepStrictEqual(socket.said[2], { type: "ModifyQuerySet", baseVersion: 1, newVersion: 2, modifications: [{ type: "Remove", queryId: 0 }] });
  move(socket, 2, ...both("y"));
  await opened.page.waitForFunction(() => window.told[1].length === 2, null, { timeout: 5000 });
  assert.equal(await told(), '[["x"],["x","y"]]');
  assert.deepStrictEqual(opened.errors, ["Error: told on purpose"]);
  await opened.page.context().close();
});

await check("the error of a failed query is shown until it succeeds", async () => {
  for (const [path, error, well] of [["/", "#gallery-error", { page: [], isDone: true, continueCursor: "c" }], ["/build/j", "#build-error", null]]) {
    const opened = await open(path);
    const socket = await asked(opened, 1);
    move(socket, 1, failed("<b>Server Error</b>"));
    await opened.page.waitForSelector(error);
    assert.match(await opened.page.innerText(error), /<b>Server Error<\/b>/);
    move(socket, 2, updated(well));
    await opened.page.waitForSelector(error, { state: "hidden" });
    await opened.page.context().close();
  }
});

await check("a changed app is shown in its new state", async () => {
  const opened = await open("/");
  const socket = await asked(opened, 1);
  const app = (id, appName) => ({ _id: id, appName, slug: id, description: "d", username: "u", template: "react", vercelUrl: "https://v.example", githubUrl: "https://g.example", createdAt: 0, screenshotUrl: null });
  const list = (...page) => updated({ page, isDone: true, continueCursor: "c" });
  const names = () => opened.page.locator(".card h2").allInnerTexts();
  move(socket, 1, list(app("a", "One"), app("b", "Two"), app("c", "Three")));
  await opened.page.waitForSelector(".card");
  await opened.page.evaluate(() => (document.querySelectorAll(".card")[1].mark = "kept"));
  move(socket, 2, list(app("b", "Two"), app("a", "One and a half"), app("d", " ")));
  await opened.page.waitForFunction(() => document.querySelector("main").innerText.includes("One and a half"), null, { timeout: 5000 });
  assert.deepStrictEqual(await names(), ["Two", "One and a half", "d"]);
  assert.equal(await opened.page.evaluate(() => document.querySelector(".card").mark), "kept", "what did not change is not made anew");
  await opened.page.context().close();
});

await check("a completed job shows all its stages as complete", async () => {
  const opened = await open("/build/j");
  move(await asked(opened, 1), 1, updated({ status: "done", stage: "publishing", createdAt: 0 }));
  await opened.page.waitForSelector(".stages li");
  assert.equal(await opened.page.locator(".stages .past").count(), 6);
  await opened.page.context().close();
});

await browser.close();
finish();
