// The React hooks in two tabs of a real browser.
import assert from "node:assert/strict";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { launch, serve, shows } from "./browser.mjs";
import { ask, check, finish, url } from "./cases.mjs";

const site = await serve("app.jsx");
const browser = await launch();
const channel = "react";
const writer = new ConvexHttpClient(url, { logger: false });
const upTo = (count) => JSON.stringify(Array.from({ length: count }, (_, n) => n));
const errors = [];

// Each tab has its own profile, so that they share nothing.
async function open(name) {
  const page = await (await browser.newContext()).newPage();
  page.on("pageerror", (error) => errors.push(`${error}`));
  const parameters = new URLSearchParams({ url, channel, name });
  await page.goto(`${site}?${parameters}`);
  return page;
}

const one = await open("one");
const two = await open("two");

await check("both pages connect and show an empty list", async () => {
  for (const page of [one, two]) {
    await shows(page, "connected", "true");
    await shows(page, "messages", "[]");
    await shows(page, "counter", "");
  }
}, 30);

await check("each sees the messages of the other", async () => {
  await one.click("#send");
  await Promise.all([one, two].map((page) => shows(page, "messages", '["0 from one"]')));
  await two.click("#send");
  await Promise.all([one, two].map((page) => shows(page, "messages", '["0 from one","1 from two"]')));
  for (let n = 0; n < 10; n++) await (n % 2 ? one : two).click("#send", { noWaitAfter: true });
  for (const page of [one, two]) {
    await page.waitForFunction(() => JSON.parse(document.getElementById("messages").textContent).length === 12);
    await shows(page, "pending", "0");
    await shows(page, "differed", "false");
  }
}, 30);

await check("pages are loaded one by one, and grow", async () => {
  await shows(one, "status", "Exhausted");
  await writer.mutation(api.messages.sendMany, { channel: "react pages", count: 3 });
  await shows(one, "pages", upTo(3));
  await writer.mutation(api.messages.sendMany, { channel: "react pages", count: 9 });
  await shows(one, "pages", upTo(12));
  const late = await open("late");
  await shows(late, "pages", upTo(5));
  await shows(late, "status", "CanLoadMore");
  await late.click("#more");
  await shows(late, "pages", upTo(10));
  await late.click("#more");
  await shows(late, "pages", upTo(12));
  await shows(late, "status", "Exhausted");
  await writer.mutation(api.messages.sendMany, { channel: "react pages", count: 1 });
  await Promise.all([one, late].map((page) => shows(page, "pages", upTo(13))));
  await late.close();
}, 30);

await check("a skipped query is not sent, and an action returns", async () => {
  await one.click("#act");
  await shows(one, "returned", '"2n"');
  await shows(one, "counter", "");
  await one.click("#want");
  await shows(one, "counter", '"2n"');
  await two.click("#act");
  await shows(one, "counter", '"4n"');
  await one.click("#want");
  await shows(one, "counter", "");
});

await check("a failed query throws its data at the boundary", async () => {
  await shows(one, "failed", '{"code":"7n"}');
});

await check("a page of another origin may read results and errors", async () => {
  await one.click("#ask");
  await shows(one, "value", '["1n",0]');
  const text = (id) => one.evaluate((id) => document.getElementById(id).textContent, id);
  assert.match(await text("malformed"), /BadConvexFunctionIdentifier/);
  assert.match(await text("unauthorized"), /"code/);
});

await check("both reconnect after kill -9", async () => {
  const before = await one.evaluate(() => document.getElementById("messages").textContent);
  await ask("restart");
  await one.click("#send");
  const after = before.replace("]", ',"12 from one"]');
  for (const page of [one, two]) await shows(page, "messages", after);
  await two.click("#send");
  for (const page of [one, two]) await shows(page, "messages", after.replace("]", ',"13 from two"]'));
  await shows(one, "pages", upTo(13));
}, 45);

await check("the pages have no other errors", async () => {
  assert.deepStrictEqual(errors, []);
});

await browser.close();
finish();
