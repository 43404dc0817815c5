// The gallery: apps are published by `fetch`, and a ConvexClient sees them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { check, finish, follow, until, url } from "./cases.mjs";

const [key, file] = process.argv.slice(3);
const png = readFileSync(file);
const client = new ConvexClient(url, { logger: false });
const http = new ConvexHttpClient(url, { logger: false });

const app = (appName, more = {}) => ({
  appName,
  description: "It tells the time, & more: 100 %.",
  vercelUrl: "https://clock.example/?a=b&c=d",
  githubUrl: "https://git.example/clock",
  username: "ada",
  ...more,
});

async function publish(query, body, headers = { authorization: `Bearer ${key}`, "content-type": "image/png" }) {
  const response = await fetch(`${url}/api/publish?${new URLSearchParams(query)}`, { method: "POST", headers, body });
  assert.equal(response.headers.get("content-type"), "application/json");
  return { status: response.status, body: await response.json() };
}

const slugs = (apps) => apps.map((app) => app.slug);

await check("an app is published with its screenshot and appears at once", async () => {
  const list = follow(client, api.apps.list, {});
  const clock = follow(client, api.apps.getBySlug, { slug: "my-clock" });
  await Promise.all([list.first(), clock.first()]);
  assert.deepStrictEqual([list.last(), clock.last()], [[], null]);
  const { status, body } = await publish(app("My Clock"), png);
  assert.deepStrictEqual({ status, body }, { status: 200, body: { slug: "my-clock", pageUrl: "https://clonk.ai/app/my-clock" } });
  await until("the app to be seen", () => list.last().length === 1 && clock.last() !== null);
  assert.deepStrictEqual(list.last(), [clock.last()]);
  const { _id, _creationTime, createdAt, screenshotId, screenshotUrl, ...rest } = clock.last();
  assert.deepStrictEqual(rest, { ...app("My Clock"), slug: "my-clock", template: "react" });
  assert.deepStrictEqual([_id, _creationTime, createdAt, screenshotId].map((value) => typeof value), ["string", "number", "number", "string"]);
  const screenshot = await fetch(screenshotUrl);
  assert.equal(screenshot.headers.get("content-type"), "image/png");
  assert.deepStrictEqual(Buffer.from(await screenshot.arrayBuffer()), png);
  list.unsubscribe();
  clock.unsubscribe();
});

await check("an app without a screenshot and with another template", async () => {
  const { status, body } = await publish(app("Cubes", { template: "threejs" }), undefined, { authorization: `Bearer ${key}` });
  assert.deepStrictEqual([status, body.slug], [200, "cubes"]);
  const { screenshotUrl, template } = await http.query(api.apps.getBySlug, { slug: "cubes" });
  assert.deepStrictEqual([screenshotUrl, template], [null, "threejs"]);
  assert.deepStrictEqual(slugs(await http.query(api.apps.list, { template: "threejs" })), ["cubes"]);
  assert.deepStrictEqual(slugs(await http.query(api.apps.list, { username: "ada", template: "react" })), ["my-clock"]);
});

await check("64 concurrent equal publishes get 64 slugs", async () => {
  const answers = await Promise.all(Array.from({ length: 64 }, () => publish(app("Todo!"), png)));
  assert.ok(answers.every(({ status }) => status === 200), JSON.stringify(answers));
  const unique = new Set(answers.map(({ body }) => body.slug));
  assert.equal(unique.size, 64);
  for (const slug of unique) assert.match(slug, /^todo(-[a-z0-9]{1,8})?$/);
  assert.ok(unique.has("todo"));
});

await check("the gallery is paginated, newest first, and stays live", async () => {
  let result;
  const take = (now) => (result = now);
  const { unsubscribe } = client.onPaginatedUpdate_experimental(api.apps.list, {}, { initialNumItems: 30 }, take);
  await until("the first page", () => result?.status === "CanLoadMore", () => result);
  result.loadMore(100);
  await until("all of it", () => result.status === "Exhausted" && result.results.length === 66, () => result);
  assert.deepStrictEqual(slugs(result.results).slice(-2), ["cubes", "my-clock"]);
  await publish(app("The newest"), png);
  await until("the newest", () => result.results.length === 67);
  assert.equal(result.results[0].slug, "the-newest");
  assert.deepStrictEqual(slugs(result.results), slugs(await http.query(api.apps.list, {})));
  unsubscribe();
});

await check("invalid input is explained and not stored", async () => {
  const count = async () => (await http.query(api.apps.list, {})).length;
  const before = await count();
  const { appName, ...nameless } = app("x");
  const refused = [
    [publish(nameless, png), 400, "Bad query parameters: appName (missing)"],
    [publish(app("x", { colour: "red" }), png), 400, "Bad query parameters: colour (unknown)"],
    [publish(app("x"), "no picture"), 400, "The body: expected a PNG image, got something else"],
    [publish(app("x"), png, { authorization: `Bearer ${key}`, "content-type": "text/html" }), 400, 'The body\'s Content-Type: expected image/png, got "text/html"'],
    [publish(app("x"), png, { authorization: "Bearer wrong" }), 401, "Unauthorized"],
    [publish(app("x"), png, {}), 401, "Unauthorized"],
  ];
  for (const [answer, status, error] of refused) assert.deepStrictEqual(await answer, { status, body: { error } });
  assert.equal(await count(), before);
});

finish();
