// ConvexHttpClient: the errors that it throws when a function fails.
import assert from "node:assert/strict";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { check, failure, finish, url } from "./cases.mjs";
import { values } from "./values.mjs";

const client = new ConvexHttpClient(url, { logger: false });
const kinds = ["query", "mutation", "action"];

for (const kind of kinds) {
  const call = (name, args = {}) => failure(client[kind](api.fails[kind][name], args));

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
    assert.match(error.message, /^\[Request ID: [0-9a-f]{16}\] Server Error\n(.|\n)*a plain failure/);
  });

  await check(`a panic of a ${kind} is an error like others`, async () => {
    const error = await call("panics");
    assert.ok(!(error instanceof ConvexError), `${error}`);
    assert.match(error.message, /^\[Request ID: [0-9a-f]{16}\] Server Error/);
  });

  await check(`unknown, internal and bad ${kind} calls are refused`, async () => {
    const unknown = await failure(client[kind](api.nowhere.nothing, {}));
    assert.match(unknown.message, /Could not find public function for 'nowhere:nothing'/);
    const internal = await failure(client[kind](api.internal.secret.get, {}));
    assert.match(internal.message, /Could not find public function for 'internal\/secret:get'/);
    const malformed = await failure(client[kind]("no-path:f", {}));
    assert.match(malformed.message, /"BadConvexFunctionIdentifier"/);
    const odd = await failure(client[kind](api.echo[kind].any, { value: 1, odd: 2 }));
    assert.match(odd.message, /ArgumentValidationError: .*`odd`/);
    const missing = await failure(client[kind](api.echo[kind].any, {}));
    assert.match(missing.message, /ArgumentValidationError: .*`value`/);
  });

  await check(`a ${kind} is not called as another kind`, async () => {
    for (const as of kinds.filter((other) => other !== kind)) {
      const error = await failure(client[as](api.echo[kind].any, { value: null }));
      assert.match(error.message, /Server Error(.|\n)*(as|As)/, `${kind} as ${as}`);
    }
  });
}

await check("a number is not an integer, and an integer is not a number", async () => {
  const float = await failure(client.mutation(api.counters.add, { name: "n", by: 5 }));
  assert.match(float.message, /ArgumentValidationError/);
  const integer = await failure(client.action(api.counters.slow, { ms: 5n }));
  assert.match(integer.message, /ArgumentValidationError/);
});

await check("a failed mutation writes nothing", async () => {
  assert.equal(await client.query(api.counters.get, { name: "failed" }), null);
});

await check("a query may fail with data and then succeed", async () => {
  const name = "wavering";
  await client.mutation(api.counters.add, { name, by: -3n });
  assert.equal((await failure(client.query(api.counters.notNegative, { name }))).data, -3n);
  await client.mutation(api.counters.add, { name, by: 3n });
  assert.equal(await client.query(api.counters.notNegative, { name }), 0n);
});

await check("a cursor of another query restarts pagination", async () => {
  const page = (channel, cursor) =>
    client.query(api.messages.page, { channel, paginationOpts: { numItems: 1, cursor } });
  await client.mutation(api.messages.sendMany, { channel: "a", count: 3 });
  const { continueCursor } = await page("a", null);
  const error = await failure(page("b", continueCursor));
  assert.ok(error instanceof ConvexError, `${error}`);
  assert.deepStrictEqual(error.data, { isConvexSystemError: true, paginationError: "InvalidCursor" });
  assert.match((await failure(page("a", "nonsense"))).message, /InvalidCursor/);
});

finish();
