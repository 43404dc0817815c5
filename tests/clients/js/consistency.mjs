// ConvexClient: the results of several queries have one timestamp, and an optimistic update does not flicker.
import assert from "node:assert/strict";
import { BaseConvexClient, ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import WebSocket from "ws";
import { check, finish, until, url } from "./cases.mjs";

const writer = new ConvexClient(url, { logger: false });

await check("two queries always have one timestamp", async () => {
  const channel = "moments";
  const differing = [];
  let last = 0;
  const client = new BaseConvexClient(
    url,
    () => {
      const messages = client.localQueryResult("messages:list", { channel });
      const count = client.localQueryResult("messages:count", { channel });
      if (messages && count !== undefined && messages.length !== count) differing.push([messages.length, count]);
      last = count;
    },
    { logger: false, unsavedChangesWarning: false, webSocketConstructor: WebSocket },
  );
  client.subscribe("messages:list", { channel });
  client.subscribe("messages:count", { channel });
  const send = () => writer.mutation(api.messages.send, { channel, body: "" });
  await Promise.all(Array.from({ length: 150 }, send));
  await until("all messages", () => last === 150, () => last);
  assert.deepStrictEqual(differing, []);
  await client.close();
});

await check("an optimistic update does not flicker", async () => {
  const args = { channel: "optimistic" };
  const lengths = [];
  const { unsubscribe } = writer.onUpdate(api.messages.list, args, (messages) => lengths.push(messages.length));
  await until("the first result", () => lengths.length > 0);
  const optimisticUpdate = (local, { channel, body }) => {
    const messages = local.getQuery(api.messages.list, { channel });
    const message = { _id: `local ${messages.length}`, _creationTime: 0, channel, body, n: messages.length };
    local.setQuery(api.messages.list, { channel }, [...messages, message]);
  };
  for (let round = 0; round < 20; round++) {
    const sent = Array.from({ length: 5 }, () =>
      writer.mutation(api.messages.send, { ...args, body: "" }, { optimisticUpdate }),
    );
    await Promise.all(sent);
  }
  unsubscribe();
  assert.equal(lengths.at(-1), 100);
  const steps = lengths.slice(1).map((length, at) => length - lengths[at]);
  assert.ok(steps.every((step) => step >= 0), `${lengths}`);
});

await check("concurrent clients see the same final state", async () => {
  const name = "race";
  const clients = Array.from({ length: 8 }, () => new ConvexClient(url, { logger: false }));
  const lasts = clients.map(() => undefined);
  clients.forEach((client, at) => client.onUpdate(api.counters.get, { name }, (value) => (lasts[at] = value)));
  const add = (client) => client.mutation(api.counters.add, { name, by: 1n });
  const added = await Promise.all(clients.flatMap((client) => Array.from({ length: 25 }, () => add(client))));
  assert.equal(new Set(added).size, 200, "each addition saw another value");
  await until("the end", () => lasts.every((value) => value === 200n), () => lasts);
  await Promise.all(clients.map((client) => client.close()));
});

finish();
