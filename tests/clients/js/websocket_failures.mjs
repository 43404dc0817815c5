// ConvexClient: the errors that it throws when a function fails.
import assert from "node:assert/strict";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { check, failure, finish, follow, until, url } from "./cases.mjs";
import { values } from "./values.mjs";

const client = new ConvexClient(url, { logger: false });
const kinds = ["query", "mutation", "action"];
const letters = { query: "Q", mutation: "M", action: "A" };

for (const kind of kinds) {
  const call = (name, args = {}) => failure(client[kind](api.fails[kind][name], args));
  const prefix = (name) => `[CONVEX ${letters[kind]}(fails/${kind}:${name})] [Request ID: `;

  await check(`an application error of a ${kind} has its data`, async () => {
    for (const data of [{ code: 7n, why: "because" }, "text", null, ...values.slice(0, 20)]) {
      const error = await call("application", { data });
      assert.ok(error instanceof ConvexError, `${error}`);
      assert.deepStrictEqual(error.data, data);
    }
  });

  await check(`a plain error of a ${kind} has an id and no data`, async () => {
    const error = await call("plain");
    assert.ok(!(error instanceof ConvexError), `${error}`);
    assert.ok(error.message.startsWith(prefix("plain")), error.message);
    assert.match(error.message, /\[Request ID: [0-9a-f]{16}\] Server Error\n(.|\n)*a plain failure/);
  });

  await check(`a panic of a ${kind} is an error like others`, async () => {
    const error = await call("panics");
    assert.ok(!(error instanceof ConvexError), `${error}`);
    assert.match(error.message, /\[Request ID: [0-9a-f]{16}\] Server Error/);
  });

  await check(`unknown and internal ${kind} calls are refused`, async () => {
    const unknown = await failure(client[kind](api.nowhere.nothing, {}));
    assert.match(unknown.message, /Could not find public function for 'nowhere:nothing'/);
    const internal = await failure(client[kind](api.internal.secret.get, {}));
    assert.match(internal.message, /Could not find public function for 'internal\/secret:get'/);
    const odd = await failure(client[kind](api.echo[kind].any, { value: 1, odd: 2 }));
    assert.match(odd.message, /ArgumentValidationError: .*`odd`/);
    for (const as of kinds.filter((other) => other !== kind)) {
      const error = await failure(client[as](api.echo[kind].any, { value: null }));
      assert.match(error.message, /Server Error/, `${kind} as ${as}`);
    }
  });
}

await check("a failed mutation writes nothing", async () => {
  assert.equal(await client.query(api.counters.get, { name: "failed" }), null);
});

await check("a failure does not delay later mutations", async () => {
  const add = (by) => client.mutation(api.counters.add, { name: "behind", by });
  const fail = (name, args) => failure(client.mutation(api.fails.mutation[name], args));
  const failures = () => [fail("plain", {}), fail("application", { data: 1 }), fail("panics", {})];
  const all = [add(1n), ...failures(), add(1n), ...failures(), add(1n), add(1n)];
  assert.deepStrictEqual((await Promise.all(all)).filter((value) => typeof value === "bigint"), [1n, 2n, 3n, 4n]);
});

await check("a failed query is live and can succeed later", async () => {
  const name = "wavering";
  const value = follow(client, api.counters.notNegative, { name });
  const add = (by) => client.mutation(api.counters.add, { name, by });
  await value.first();
  await add(-2n);
  assert.throws(() => value.current(), (error) => error instanceof ConvexError && error.data === -2n);
  await add(1n);
  assert.throws(() => value.current(), (error) => error instanceof ConvexError && error.data === -1n);
  await add(1n);
  assert.equal(value.current(), 0n);
  assert.deepStrictEqual(value.errors.map((error) => error.data), [-2n, -1n]);
  assert.deepStrictEqual(value.seen, [0n, 0n]);
});

await check("a failed query does not affect the others of its transition", async () => {
  const queries = Array.from({ length: 20 }, (_, n) => (n % 2 ? api.fails.query.plain : api.messages.count));
  const all = queries.map((query, n) => follow(client, query, n % 2 ? {} : { channel: `beside ${n}` }));
  await until("all of them", () => all.every((each) => each.seen.length + each.errors.length === 1));
  assert.deepStrictEqual(all.map((each) => each.errors.length), queries.map((_, n) => n % 2));
});

finish();
