// The original front end of `@convex-dev/auth` in a browser. Its tokens have no key id.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { launch, serve, shows } from "./browser.mjs";
import { adminKey, ask, check, finish, until, url } from "./cases.mjs";

async function setVariables(variables) {
  const changes = Object.entries(variables).map(([name, value]) => ({ name, value }));
  const headers = { authorization: `Convex ${adminKey}`, "content-type": "application/json" };
  const response = await fetch(`${url}/api/v1/update_environment_variables`, { method: "POST", headers, body: JSON.stringify({ changes }) });
  assert.equal(response.status, 200, await response.text());
}

// Keys as `npx @convex-dev/auth` makes them, without a key id.
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
await setVariables({
  JWT_PRIVATE_KEY: privateKey.export({ type: "pkcs8", format: "pem" }).trimEnd().replace(/\n/g, " "),
  JWKS: JSON.stringify({ keys: [{ use: "sig", ...publicKey.export({ format: "jwk" }) }] }),
  JWT_DURATION_S: "3600",
});

const site = await serve("auth_app.jsx");
const browser = await launch();
const errors = [];

async function open(context) {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${error}`));
  await page.goto(`${site}?${new URLSearchParams({ url })}`);
  return page;
}

async function submit(page, email, password, flow) {
  await page.fill("input[name=email]", email);
  await page.fill("input[name=password]", password);
  await page.click(flow);
}

async function isSignedIn(page, viewer) {
  await shows(page, "state", "signed in");
  await shows(page, "viewer", JSON.stringify(viewer));
}

async function isSignedOut(page) {
  await shows(page, "state", "signed out");
  await shows(page, "viewer", "null");
}

const token = (page) => page.evaluate(() => {
  const key = Object.keys(localStorage).find((key) => key.startsWith("__convexAuthJWT"));
  return localStorage[key] ?? null;
});

// Two windows of one profile, and one of another.
const profile = await browser.newContext();
const one = await open(profile);
const two = await open(profile);
const stranger = await open(await browser.newContext());

await check("a password that is too short creates no user", async () => {
  for (const page of [one, two, stranger]) await isSignedOut(page);
  await submit(one, "ada@example.com", "short", "#sign-up");
  await one.waitForFunction(() => document.getElementById("error").textContent.includes("invalid password"));
  await isSignedOut(one);
}, 30);

await check("a sign-up with a password signs in, in both windows", async () => {
  await submit(one, "ada@example.com", "a long password", "#sign-up");
  for (const page of [one, two]) await isSignedIn(page, "ada@example.com");
  const [header] = (await token(one)).split(".");
  assert.deepStrictEqual(JSON.parse(Buffer.from(header, "base64url")), { alg: "RS256" });
  await isSignedOut(stranger);
}, 30);

await check("a note is visible only to its owner", async () => {
  await one.click("#note");
  for (const page of [one, two]) await shows(page, "notes", '["a note"]');
  await shows(stranger, "notes", "[]");
  await stranger.click("#note");
  await stranger.waitForFunction(() => document.getElementById("error").textContent.includes("nobody is signed in"));
});

await check("a reload keeps the session", async () => {
  await one.reload();
  await isSignedIn(one, "ada@example.com");
  await shows(one, "notes", '["a note"]');
});

await check("a wrong password does not sign in", async () => {
  await submit(stranger, "ada@example.com", "another password", "#sign-in");
  await stranger.waitForFunction(() => document.getElementById("error").textContent.includes("InvalidSecret"));
  await isSignedOut(stranger);
  assert.equal(await token(stranger), null);
});

await check("an anonymous user keeps the identity", async () => {
  await stranger.click("#anonymous");
  await isSignedIn(stranger, "anonymous");
  await stranger.click("#note");
  await shows(stranger, "notes", '["a note"]');
  await stranger.reload();
  await isSignedIn(stranger, "anonymous");
  await shows(stranger, "notes", '["a note"]');
});

await check("signing out in one window signs out the other", async () => {
  await two.click("#sign-out");
  for (const page of [one, two]) await isSignedOut(page);
  assert.equal(await token(one), null);
  await one.reload();
  await isSignedOut(one);
  await isSignedIn(stranger, "anonymous");
});

await check("the right password signs in again", async () => {
  await submit(two, "ada@example.com", "a long password", "#sign-in");
  for (const page of [one, two]) {
    await isSignedIn(page, "ada@example.com");
    await shows(page, "notes", '["a note"]');
  }
});

await check("a session survives kill -9", async () => {
  await ask("restart");
  await one.click("#note");
  for (const page of [one, two]) await shows(page, "notes", '["a note","a note"]');
  await isSignedIn(two, "ada@example.com");
}, 45);

await check("tokens are refreshed before they expire, and users stay signed in", async () => {
  // The client refreshes a token ten seconds before its end.
  await setVariables({ JWT_DURATION_S: "12" });
  const page = await open(await browser.newContext());
  const refreshed = [];
  page.on("request", (request) => {
    if (request.url() === `${url}/api/action` && request.postData()?.includes("refreshToken")) refreshed.push(Date.now());
  });
  await page.click("#anonymous");
  await isSignedIn(page, "anonymous");
  await page.evaluate(() => {
    window.states = new Set();
    const look = () => ["state", "viewer"].forEach((id) => window.states.add(document.getElementById(id).textContent));
    new MutationObserver(look).observe(document.getElementById("root"), { subtree: true, childList: true, characterData: true });
  });
  const before = await token(page);
  await until("three refreshes", () => refreshed.length >= 3, () => refreshed, 20);
  await isSignedIn(page, "anonymous");
  assert.notEqual(await token(page), before);
  const states = await page.evaluate(() => [...window.states]);
  assert.ok(states.every((state) => ["signed in", '"anonymous"'].includes(state)), `${states}`);
  await setVariables({ JWT_DURATION_S: "3600" });
}, 60);

await check("the pages have no other errors", async () => {
  assert.deepStrictEqual(errors, []);
});

await browser.close();
finish();
