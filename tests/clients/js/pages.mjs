// ConvexClient: pages grow and shrink, and join without a gap.
import assert from "node:assert/strict";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ask, check, finish, follow, until, url } from "./cases.mjs";

const client = new ConvexClient(url, { logger: false });
const other = new ConvexClient(url, { logger: false });
const sendMany = (channel, count) => other.mutation(api.messages.sendMany, { channel, count });
const numbers = (messages) => messages?.map((message) => message.n);
const upTo = (count) => Array.from({ length: count }, (_, n) => n);

await check("an open page grows with documents after it", async () => {
  const channel = "open";
  await sendMany(channel, 2);
  const page = follow(client, api.messages.page, { channel, paginationOpts: { numItems: 3, cursor: null } });
  await page.first();
  assert.equal(page.last().isDone, true);
  await sendMany(channel, 4);
  await until("the page to grow", () => page.last().page.length === 6, () => page.last());
  assert.equal(page.last().isDone, true);
  await other.mutation(api.messages.clear, { channel });
  await until("the page to shrink", () => page.last().page.length === 0, () => page.last());
  page.unsubscribe();
});

await check("a full page does not change when documents are added after it", async () => {
  const channel = "full";
  await sendMany(channel, 10);
  const first = follow(client, api.messages.page, { channel, paginationOpts: { numItems: 4, cursor: null } });
  await first.first();
  const cursor = first.last().continueCursor;
  const second = follow(client, api.messages.page, { channel, paginationOpts: { numItems: 4, cursor } });
  await second.first();
  await sendMany(channel, 1);
  const count = follow(client, api.messages.count, { channel });
  await until("the new message", () => count.last() === 11);
  assert.deepStrictEqual([numbers(first.last().page), numbers(second.last().page)], [[0, 1, 2, 3], [4, 5, 6, 7]]);
  assert.deepStrictEqual([first.seen.length, second.seen.length], [1, 1]);
});

await check("more pages are loaded and stay live", async () => {
  const channel = "loaded";
  await sendMany(channel, 12);
  let result;
  const take = (now) => (result = now);
  const args = { channel };
  const { unsubscribe } = client.onPaginatedUpdate_experimental(api.messages.page, args, { initialNumItems: 5 }, take);
  await until("the first page", () => result?.status === "CanLoadMore", () => result);
  assert.deepStrictEqual(numbers(result.results), upTo(5));
  result.loadMore(5);
  await until("the second page", () => result.results.length === 10, () => result);
  assert.deepStrictEqual(numbers(result.results), upTo(10));
  result.loadMore(5);
  await until("the third page", () => result.results.length === 12, () => result);
  await until("the end", () => result.status === "Exhausted", () => result);
  await sendMany(channel, 3);
  await until("the rows written since", () => result.results.length === 15, () => result);
  assert.deepStrictEqual(numbers(result.results), upTo(15));
  unsubscribe();
});

await check("pages of a filter are full and stay live", async () => {
  const channel = "filtered";
  await sendMany(channel, 75);
  let result;
  const take = (now) => (result = now);
  const args = { channel };
  const { unsubscribe } = client.onPaginatedUpdate_experimental(api.messages.tenths, args, { initialNumItems: 3 }, take);
  await until("the first page", () => result?.status === "CanLoadMore", () => result);
  assert.deepStrictEqual(numbers(result.results), [0, 10, 20]);
  result.loadMore(3);
  await until("the second page", () => result.results.length === 6, () => result);
  assert.deepStrictEqual(numbers(result.results), [0, 10, 20, 30, 40, 50]);
  result.loadMore(3);
  await until("the end", () => result.status === "Exhausted", () => result);
  await sendMany(channel, 20);
  await until("the rows written since", () => result.results.length === 10, () => result);
  assert.deepStrictEqual(numbers(result.results), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
  await other.mutation(api.messages.clear, { channel });
  await until("the pages to shrink", () => result.results.length === 0, () => result);
  unsubscribe();
});

await check("a page keeps its end over a reconnection", async () => {
  const channel = "kept";
  await sendMany(channel, 2);
  const page = follow(client, api.messages.page, { channel, paginationOpts: { numItems: 3, cursor: null } });
  await page.first();
  await sendMany(channel, 4);
  await until("the page to grow", () => page.last().page.length === 6, () => page.last());
  await ask("restart");
  await sendMany(channel, 1);
  // A new request of the page would return three.
  await until("the page to grow again", () => page.last().page.length === 7, () => page.last());
  assert.equal(page.last().isDone, true);
}, 25);

finish();
