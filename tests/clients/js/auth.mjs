// Users: tokens over HTTP and over the WebSocket. `auth_key.json` is a key for this test, which `auth_config.json` trusts.
import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { check, failure, finish, follow, until, url } from "./cases.mjs";

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
const key = createPrivateKey({ key: read("auth_key.json"), format: "jwk" });
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(sub, seconds = 3600, signer = key) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: "https://issuer.test", sub, name: sub.toUpperCase(), iat: now, exp: now + seconds };
  const message = `${base64({ alg: "ES256", typ: "JWT", kid: "test" })}.${base64(claims)}`;
  const signature = sign("sha256", Buffer.from(message), { key: signer, dsaEncoding: "ieee-p1363" });
  return `${message}.${signature.toString("base64url")}`;
}

await check("over HTTP a valid token identifies its user and an invalid one fails the request", async () => {
  const http = new ConvexHttpClient(url, { logger: false });
  assert.equal(await http.query(api.me.name, {}), null);
  http.setAuth(token("ada"));
  assert.equal(await http.query(api.me.name, {}), "ada");
  for (const bad of [token("ada", -60), token("ada", 3600, stranger), "no.token.atall"]) {
    http.setAuth(bad);
    assert.match((await failure(http.query(api.me.name, {}))).message, /InvalidAuthHeader/);
  }
});

await check("over the WebSocket a user signs in, changes, and signs out", async () => {
  const client = new ConvexClient(url, { logger: false });
  const me = follow(client, api.me.name, {});
  await me.first();
  const changes = [];
  client.setAuth(async () => token("ada"), (isSignedIn) => changes.push(isSignedIn));
  await until("ada", () => me.last() === "ada", () => me.seen);
  await until("the change of the authentication", () => changes.at(-1) === true, () => changes);
  client.setAuth(async () => token("bob"), (isSignedIn) => changes.push(isSignedIn));
  await until("bob", () => me.last() === "bob", () => me.seen);
  assert.equal(await client.query(api.me.name, {}), "bob");
  client.client.clearAuth();
  await until("nobody", () => me.last() === null, () => me.seen);
  await client.close();
});

await check("a rejected token is fetched again", async () => {
  const client = new ConvexClient(url, { logger: false });
  const me = follow(client, api.me.name, {});
  const asked = [];
  client.setAuth(async ({ forceRefreshToken }) => {
    asked.push(forceRefreshToken);
    return forceRefreshToken ? token("cy") : token("cy", 3600, stranger);
  });
  await until("cy", () => me.last() === "cy", () => [me.seen, asked]);
  assert.deepStrictEqual(asked.slice(0, 2), [false, true]);
  await client.close();
});

await check("without a valid token the client continues unauthenticated", async () => {
  const client = new ConvexClient(url, { logger: false });
  const changes = [];
  client.setAuth(async () => token("eve", 3600, stranger), (isSignedIn) => changes.push(isSignedIn));
  const me = follow(client, api.me.name, {});
  await until("nobody", () => me.seen.length > 0 && changes.includes(false), () => [me.seen, changes]);
  assert.ok(me.seen.every((name) => name === null) && !changes.includes(true));
  await client.close();
});

finish();
