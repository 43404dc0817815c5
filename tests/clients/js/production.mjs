// Without --dev, other errors have no details and application errors have their data.
import assert from "node:assert/strict";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { check, failure, finish, url } from "./cases.mjs";

const lines = [];
const log = (...line) => lines.push(line.join(" "));
const logger = { log, warn: log, error: log, logVerbose: () => {} };
const clients = { http: new ConvexHttpClient(url, { logger }), websocket: new ConvexClient(url, { logger }) };

for (const [name, client] of Object.entries(clients)) {
  for (const kind of ["query", "mutation", "action"]) {
    await check(`${name} ${kind}`, async () => {
      for (const way of ["plain", "panics"]) {
        const { message } = await failure(client[kind](api.fails[kind][way], {}));
        assert.match(message, /\[Request ID: [0-9a-f]{16}\] Server Error/);
        assert.doesNotMatch(message, /a plain failure|a panic/);
      }
      const error = await failure(client[kind](api.fails[kind].application, { data: { code: 1n } }));
      assert.ok(error instanceof ConvexError, `${error}`);
      assert.deepStrictEqual(error.data, { code: 1n });
    });
  }
}

await check("log lines stay on the server", async () => {
  assert.doesNotMatch(lines.join("\n"), /about to fail/);
});

finish();
