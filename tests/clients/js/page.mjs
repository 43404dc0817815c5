// The page of clonk in a real browser: the gallery and the progress of a build, both live. If the variable SHOTS names a
// folder, the script writes screenshots there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { launch } from "./browser.mjs";
import { ask, check, finish, until, url } from "./cases.mjs";

const [key, file] = process.argv.slice(3);
const authorization = `Bearer ${key}`;
const browser = await launch();
const errors = [];

async function open(path, options = {}) {
  const page = await (await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options })).newPage();
  page.on("pageerror", (error) => errors.push(`${error}`));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await serveApps(page);
  await page.goto(`${url}${path}`);
  return page;
}

// The slug of the app that it publishes.
async function publish(app, png) {
  const query = new URLSearchParams({ description: "d", vercelUrl: "https://a.example", githubUrl: "https://g.example", username: "ada", ...app });
  const headers = { authorization, ...(png && { "content-type": "image/png" }) };
  const response = await fetch(`${url}/api/publish?${query}`, { method: "POST", headers, body: png });
  const answer = await response.text();
  assert.equal(response.status, 200, answer);
  return JSON.parse(answer).slug;
}

// An app of another origin. It shows whether it has this origin within the frame too.
async function serveApps(page) {
  await page.route("https://*.example/**", (route) => {
    const script = "document.querySelector('p').textContent = 'it runs as ' + self.origin";
    route.fulfill({ contentType: "text/html", body: `<p></p><button onclick="top.location = 'https://elsewhere.example/'">Leave</button><script>${script}</script>` });
  });
}

async function report(job) {
  const response = await fetch(`${url}/api/job`, { method: "POST", headers: { authorization }, body: JSON.stringify(job) });
  assert.equal(response.status, 200, await response.text());
}

// Waits until the accessible text of the page's main part contains this.
async function shows(page, text) {
  const isSo = (text) => document.querySelector("main").innerText.includes(text);
  await page.waitForFunction(isSo, text, { timeout: 10_000, polling: 20 }).catch(async () => {
    throw new Error(`the page does not show ${text}, but ${await page.innerText("main")}`);
  });
}

const names = (page) => page.locator(".card h2").allInnerTexts();
const current = (page) => page.locator("[aria-current=step]").allInnerTexts();

// On a phone the page must not be wider than the screen.
async function fitsPhone(path, selector) {
  const page = await open(path, { viewport: { width: 340, height: 700 } });
  await page.waitForSelector(selector);
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= screen, `${path}: ${content} px on ${screen}`);
  const tallest = await page.evaluate(() => Math.max(0, ...[...document.querySelectorAll(".card")].map((card) => card.offsetHeight)));
  assert.ok(tallest < 600, `${path}: a card of ${tallest} px`);
  await page.context().close();
}

// Returns the least contrast of text and background on the page, and its place.
const leastContrast = (page) => page.evaluate(() => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (element) => {
    const color = channels(getComputedStyle(element).backgroundColor);
    return color.length === 4 && color[3] === 0 ? behind(element.parentElement) : color;
  };
  const contrasts = [...document.body.querySelectorAll("*")].flatMap((element) => {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || element.getClientRects().length === 0) return [];
    const [dark, light] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))].sort((a, b) => a - b);
    return [{ contrast: (light + 0.05) / (dark + 0.05), text: element.textContent }];
  });
  return contrasts.sort((one, other) => one.contrast - other.contrast)[0];
});

async function shot(name, path, options) {
  if (!process.env.SHOTS) return;
  const page = await open(path, options);
  await page.waitForSelector(path === "/" ? ".card img" : path.startsWith("/app/") ? "#app :is(#shown, #no-app):not([hidden])" : ".stages li");
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
  await page.context().close();
}

const gallery = await open("/");
const build = await open("/build/job%2F1");

await check("an empty gallery says so", async () => {
  await shows(gallery, "No app has been published yet");
  await shows(build, "There is no such build yet");
  assert.equal(await build.innerText("#build-id"), "job/1");
  await fitsPhone("/", "#empty");
}, 30);

await check("the shown command publishes an app", async () => {
  const command = (await gallery.innerText("#publish")).replace("$(cat data/api-key)", key);
  execFileSync("sh", ["-c", command.replace("curl", "curl --silent --show-error --fail")]);
  await shows(gallery, "My Clock");
  await gallery.waitForSelector("#empty", { state: "hidden" });
});

await check("a published app appears without a reload", async () => {
  await gallery.evaluate(() => (window.mark = "the same page"));
  await publish({ appName: "My Map", description: "It shows the way." }, readFileSync(file));
  await shows(gallery, "My Map");
  await gallery.waitForFunction(() => document.querySelector(".card img")?.naturalWidth > 0);
  assert.equal(await gallery.getAttribute(".card img", "alt"), "Screenshot of My Map");
  await publish({ appName: "Cubes", template: "threejs" });
  await gallery.waitForFunction(() => document.querySelectorAll(".card").length === 3);
  assert.deepStrictEqual(await names(gallery), ["Cubes", "My Map", "My Clock"]);
  assert.equal(await gallery.evaluate(() => window.mark), "the same page");
});

await check("the progress of a build appears without a reload", async () => {
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
  assert.equal(await build.title(), "done · clonk");
  const all = await build.content();
  assert.ok(!all.includes("secret idea") && !all.includes("somebody"));
});

await check("hostile text is shown as text", async () => {
  const hostile = "<img src=x onerror=\"document.title='caught'\">";
  await publish({ appName: hostile, description: "<script>document.title='caught'</script>", vercelUrl: "javascript:alert(1)", githubUrl: "data:text/html,x" });
  await shows(gallery, hostile);
  const hrefs = (page, selector) => page.locator(`${selector} a`).evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  const links = await hrefs(gallery, ".card:first-child");
  assert.deepStrictEqual(links.map((link) => link.split("/")[1]), ["app", "app"], "paths that name no page are not links");
  const app = await open(links[0]);
  await shows(app, hostile);
  assert.equal(await app.title(), `${hostile} · clonk`);
  assert.deepStrictEqual([await hrefs(app, "#app"), await app.locator("iframe").count()], [[], 0]);
  await app.context().close();
  await report({ jobId: "hostile", status: hostile, stage: hostile, result: `javascript:alert(1) ${hostile}` });
  const page = await open("/build/hostile");
  await shows(page, hostile);
  assert.equal(await page.locator("#result-text a").count(), 0);
  assert.ok(!(await page.title()).startsWith("caught") && !(await gallery.title()).startsWith("caught"));
  await page.context().close();
});

await check("a name with another writing direction changes only its own direction", async () => {
  await publish({ appName: "\u202Eturned", username: "\u202Eeve", template: "\u202Eodd" });
  await shows(gallery, "eve");
  const turned = await gallery.locator(".card").first().evaluate((card) => {
    const ours = [...card.querySelectorAll(".who > *")].flatMap((element) => [...element.childNodes]).filter((node) => /by|, /.test(node.data));
    const left = (node, at) => {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      return range.getBoundingClientRect().left;
    };
    return ours.map((node) => [node.data, left(node, 1) >= left(node, 2)]);
  });
  assert.deepStrictEqual(turned.map(([, isTurned]) => isTurned), [false, false], JSON.stringify(turned));
});

await check("more apps are shown on demand and stay live", async () => {
  for (let n = 0; n < 30; n++) await publish({ appName: `App ${n}` });
  const page = await open("/");
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 24);
  await page.focus("#more");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 35);
  assert.equal(await page.isVisible("#more"), false);
  const focused = await page.evaluate(() => [...document.querySelectorAll(".card")].indexOf(document.activeElement));
  assert.equal(focused, 24, "the focus is at the first of what came");
  await publish({ appName: "The newest" });
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 36);
  assert.deepStrictEqual((await names(page)).slice(0, 2), ["The newest", "App 29"]);
  await page.context().close();
}, 30);

await check("the page reconnects when the server is back", async () => {
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

await check("an app has a page with all its data, reachable from the gallery by keyboard", async () => {
  await publish({ appName: "My Town", description: "It shows\nthe town.", vercelUrl: "https://town.example/?a=b", githubUrl: "https://git.example/town" }, readFileSync(file));
  const page = await open("/");
  await page.locator(".card h2 a", { hasText: "My Town" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/app\/my-town$/);
  await shows(page, "It shows\nthe town.");
  assert.deepStrictEqual([await page.title(), await page.innerText("h1:visible")], ["My Town · clonk", "My Town"]);
  assert.match(await page.innerText("#app-who"), /^react by ada\s*\w/);
  assert.equal(await page.getByText("Open the app").getAttribute("href"), "https://town.example/?a=b");
  assert.equal(await page.getByText("Source code").getAttribute("href"), "https://git.example/town");
  await page.waitForFunction(() => document.querySelector("#app-shot img")?.naturalWidth > 0);
  const frame = page.locator("iframe");
  await frame.scrollIntoViewIfNeeded();
  await frame.contentFrame().getByText("it runs as https://town.example").waitFor();
  const attributes = await frame.evaluate(({ sandbox, referrerPolicy, loading, title }) => [`${sandbox}`, referrerPolicy, loading, title]);
  assert.deepStrictEqual(attributes, ["allow-scripts allow-forms allow-popups allow-same-origin", "no-referrer", "lazy", "My Town, live"]);
  await frame.contentFrame().getByText("Leave").click();
  // The browser reports twice that the app may not navigate the page.
  const isRefusal = (error) => /permission to navigate|Unsafe attempt to initiate navigation/.test(error);
  await until("the refusal", () => errors.some(isRefusal));
  assert.match(page.url(), /\/app\/my-town$/);
  errors.splice(0, errors.length, ...errors.filter((error) => !isRefusal(error)));
  await page.context().close();
});

await check("an app of the same origin or without HTTPS is not framed", async () => {
  const own = new URL(url);
  const urls = ["http://plain.example/", `${url}/`, "https:town.example", "//town.example", "HTTPS://[", " https://town.example"];
  for (const vercelUrl of [...urls, "javascript:alert(1)", "data:text/html,x", "blob:https://a.example/1", `file://${own.host}/`]) {
    const page = await open(`/app/${await publish({ appName: "Odd", vercelUrl })}`);
    await shows(page, "Odd");
    assert.deepStrictEqual([await page.locator("iframe").count(), await page.isVisible("#app-live")], [0, false], vercelUrl);
    await page.context().close();
  }
}, 60);

await check("the page of an app is live, also before the app exists", async () => {
  const page = await open("/app/not-yet");
  await shows(page, "There is no such app");
  assert.equal(await page.title(), "No such app · clonk");
  await page.evaluate(() => (window.mark = "the same page"));
  await publish({ appName: "Not yet", description: "now it is" });
  await shows(page, "now it is");
  assert.deepStrictEqual([await page.title(), await page.isVisible("#no-app"), await page.evaluate(() => window.mark)], ["Not yet · clonk", false, "the same page"]);
  await page.context().close();
  const statuses = ["/app/not-yet", "/app/never", "/app/%e0%a4%a", `/app/${"x".repeat(9_000)}`].map(async (path) => (await fetch(url + path)).status);
  assert.deepStrictEqual(await Promise.all(statuses), [200, 404, 404, 404]);
});

await check("nothing is wider than a phone", async () => {
  const long = "long".repeat(60);
  await publish({ appName: long, description: long, username: long, template: long });
  await report({ jobId: long, status: long, stage: long, result: `https://${long}.example/${long}` });
  for (const path of ["/build/job%2F1", `/build/${long}`]) await fitsPhone(path, ".stages li");
  await fitsPhone("/", ".card");
  await fitsPhone(`/app/${"long".repeat(15)}`, "#shown");
  await fitsPhone("/build/", "#find");
});

await check("text has enough contrast in light and in dark mode", async () => {
  await report({ jobId: "contrast", status: "processing", stage: "generating" });
  const paths = [["/", ".card"], ["/build/contrast", ".stages li"], ["/build/job%2F1", ".badge.error"], ["/build/", "#find"], ["/app/my-town", "#app-links a"], ["/app/never", "#no-app"]];
  for (const colorScheme of ["light", "dark"]) {
    for (const [path, selector] of paths) {
      const page = await open(path, { colorScheme });
      await page.waitForSelector(selector);
      const { contrast, text } = await leastContrast(page);
      assert.ok(contrast >= 4.5, `${colorScheme} ${path}: ${text} has ${contrast}`);
      await page.context().close();
    }
  }
}, 30);

await check("nothing moves if the user prefers reduced motion", async () => {
  for (const [reducedMotion, moving] of [["no-preference", 1], ["reduce", 0]]) {
    const page = await open("/build/contrast", { reducedMotion });
    await page.waitForSelector(".now");
    assert.equal(await page.evaluate(() => document.getAnimations().length), moving);
    await page.context().close();
  }
});

// Lost connections are reported on the console too.
await check("the pages have no other errors", async () => {
  assert.deepStrictEqual(errors.filter((error) => !/WebSocket connection|ERR_CONNECTION|ERR_NAME_NOT_RESOLVED|status of 404/.test(error)), []);
});

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 };
await report({ jobId: "running", status: "processing", stage: "deploying" });
await publish({ appName: "Clock", description: "A calm clock that shows the time in every city you have ever called home." }, readFileSync(file));
await shot("light", "/");
await shot("dark", "/", { colorScheme: "dark" });
await shot("phone", "/", phone);
await shot("app", "/app/my-town", { viewport: { width: 1280, height: 1600 } });
await shot("app-dark", "/app/my-town", { colorScheme: "dark", viewport: { width: 360, height: 1400 } });
await shot("app-none", "/app/never", phone);
await shot("build", "/build/running");
await shot("build-dark", "/build/running", { colorScheme: "dark", ...phone });
await shot("build-done", "/build/job%2F1");
await browser.close();
finish();
