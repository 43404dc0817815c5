// The page that clonk serves, in a real browser: the gallery, a build's progress, and both live. With the variable
// SHOTS set it leaves pictures of the page in that folder.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { launch } from "./browser.mjs";
import { ask, check, finish, url } from "./cases.mjs";

const [key, file] = process.argv.slice(3);
const authorization = `Bearer ${key}`;
const browser = await launch();
const errors = [];

async function open(path, options = {}) {
  const page = await (await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options })).newPage();
  page.on("pageerror", (error) => errors.push(`${error}`));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(`${url}${path}`);
  return page;
}

async function publish(app, png) {
  const query = new URLSearchParams({ description: "d", vercelUrl: "https://a.example", githubUrl: "https://g.example", username: "ada", ...app });
  const headers = { authorization, ...(png && { "content-type": "image/png" }) };
  const response = await fetch(`${url}/api/publish?${query}`, { method: "POST", headers, body: png });
  assert.equal(response.status, 200, await response.text());
}

async function report(job) {
  const response = await fetch(`${url}/api/job`, { method: "POST", headers: { authorization }, body: JSON.stringify(job) });
  assert.equal(response.status, 200, await response.text());
}

// Waits until the page's main part, as it is read out, has this text.
async function shows(page, text) {
  const isSo = (text) => document.querySelector("main").innerText.includes(text);
  await page.waitForFunction(isSo, text, { timeout: 10_000, polling: 20 }).catch(async () => {
    throw new Error(`the page does not show ${text}, but ${await page.innerText("main")}`);
  });
}

const names = (page) => page.locator(".card h2").allInnerTexts();
const current = (page) => page.locator("[aria-current=step]").allInnerTexts();

async function shot(name, path, options) {
  if (!process.env.SHOTS) return;
  const page = await open(path, options);
  await page.waitForSelector(path === "/" ? ".card img" : ".stages li");
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
  await page.context().close();
}

const gallery = await open("/");
const build = await open("/build/job%2F1");

await check("what is not there yet is said", async () => {
  await shows(gallery, "No app has been published yet");
  await shows(build, "There is no such build yet");
  assert.equal(await build.innerText("#build-id"), "job/1");
}, 30);

await check("a published app appears without a reload", async () => {
  await gallery.evaluate(() => (window.mark = "the same page"));
  await publish({ appName: "My Clock", description: "It tells the time." }, readFileSync(file));
  await shows(gallery, "My Clock");
  await gallery.waitForFunction(() => document.querySelector(".card img")?.naturalWidth > 0);
  assert.equal(await gallery.getAttribute(".card img", "alt"), "Screenshot of My Clock");
  await publish({ appName: "Cubes", template: "threejs" });
  await gallery.waitForFunction(() => document.querySelectorAll(".card").length === 2);
  assert.deepStrictEqual(await names(gallery), ["Cubes", "My Clock"]);
  assert.equal(await gallery.evaluate(() => window.mark), "the same page");
});

await check("a build moves on without a reload", async () => {
  const job = { jobId: "job/1", idea: "a secret idea", username: "somebody" };
  await report({ ...job, status: "queued", stage: "classifying" });
  await shows(build, "queued");
  assert.deepStrictEqual(await current(build), ["classifying"]);
  await report({ ...job, status: "processing", stage: "deploying" });
  await build.waitForFunction(() => document.querySelector("[aria-current=step]").innerText === "deploying");
  assert.equal(await build.locator(".past").count(), 2);
  await report({ ...job, status: "processing", stage: "polishing" });
  await build.waitForFunction(() => document.querySelector("[aria-current=step]").innerText === "polishing");
  await report({ ...job, status: "done", stage: "done", result: "See https://clock.example/a?b=c, it runs." });
  await shows(build, "it runs.");
  assert.equal(await build.getAttribute("#result-text a", "href"), "https://clock.example/a?b=c");
  assert.equal(await build.locator(".past").count(), 6);
  assert.equal(await build.title(), "done: done · clonk");
  const all = await build.content();
  assert.ok(!all.includes("secret idea") && !all.includes("somebody"));
});

await check("what is hostile is shown as text", async () => {
  const hostile = "<img src=x onerror=\"document.title='caught'\">";
  await publish({ appName: hostile, description: "<script>document.title='caught'</script>", vercelUrl: "javascript:alert(1)", githubUrl: "data:text/html,x" });
  await shows(gallery, hostile);
  assert.equal(await gallery.locator(".card").first().locator("a").count(), 0, "what is no page is no link");
  await report({ jobId: "hostile", status: hostile, stage: hostile, result: `javascript:alert(1) ${hostile}` });
  const page = await open("/build/hostile");
  await shows(page, hostile);
  assert.equal(await page.locator("#result-text a").count(), 0);
  assert.ok(!(await page.title()).startsWith("caught") && !(await gallery.title()).startsWith("caught"));
  await page.context().close();
});

await check("more are shown on demand, and stay live", async () => {
  for (let n = 0; n < 30; n++) await publish({ appName: `App ${n}` });
  const page = await open("/");
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 24);
  await page.click("#more");
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 33);
  assert.equal(await page.isVisible("#more"), false);
  await publish({ appName: "The newest" });
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 34);
  assert.deepStrictEqual((await names(page)).slice(0, 2), ["The newest", "App 29"]);
  await page.context().close();
}, 30);

await check("the page comes back when the server does", async () => {
  await ask("kill");
  for (const page of [gallery, build]) await page.waitForSelector("#connection.lost");
  await ask("start");
  for (const page of [gallery, build]) await page.waitForSelector("#connection.live");
  await publish({ appName: "After the crash" });
  await shows(gallery, "After the crash");
  await report({ jobId: "job/1", status: "error", stage: "deploying" });
  await build.waitForSelector(".badge.error");
  await build.waitForSelector(".failed");
}, 60);

await check("a build is found by its id", async () => {
  const page = await open("/build/");
  await page.getByLabel("Which build?").fill("job/1");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".badge.error");
  await page.context().close();
});

await check("nothing is wider than a phone", async () => {
  for (const path of ["/", "/build/job%2F1", "/build/"]) {
    const page = await open(path, { viewport: { width: 340, height: 700 } });
    await page.waitForSelector("#connection.live", { state: "attached" });
    const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= screen, `${path}: ${content} px on ${screen}`);
    await page.context().close();
  }
});

// Lost connections are errors on the console too.
await check("nothing else went wrong on the pages", async () => {
  assert.deepStrictEqual(errors.filter((error) => !/WebSocket connection|ERR_CONNECTION/.test(error)), []);
});

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 };
await report({ jobId: "running", status: "processing", stage: "deploying" });
await publish({ appName: "Clock", description: "A calm clock that shows the time in every city you have ever called home." }, readFileSync(file));
await shot("light", "/");
await shot("dark", "/", { colorScheme: "dark" });
await shot("phone", "/", phone);
await shot("build", "/build/running");
await shot("build-dark", "/build/running", { colorScheme: "dark", ...phone });
await shot("build-done", "/build/job%2F1");
await browser.close();
finish();
