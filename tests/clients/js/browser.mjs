// Headless Chromium and its pages.
import { execSync } from "node:child_process";
import { createServer } from "node:http";
import { build } from "esbuild";
import { chromium } from "playwright-core";

export function launch() {
  return chromium.launch({
    executablePath: execSync("command -v chromium", { encoding: "utf8" }).trim(),
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
      ...["--disable-component-update", "--disable-sync"],
    ],
  });
}

// Bundles a program and serves a page that runs it. Returns the URL of the page.
export async function serve(program) {
  const define = { "process.env.NODE_ENV": '"development"' };
  const bundling = { bundle: true, write: false, jsx: "automatic", format: "esm", define };
  const bundle = await build({ entryPoints: [program], ...bundling });
  const files = {
    "/app.js": ["text/javascript; charset=utf-8", bundle.outputFiles[0].text],
    "/": ["text/html; charset=utf-8", '<div id="root"></div><script type="module" src="/app.js"></script>'],
  };
  const server = createServer((request, response) => {
    const [type, text] = files[request.url.split("?")[0]] ?? ["text/plain", ""];
    response.setHeader("content-type", type);
    response.end(text);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}/`;
}

// Waits until an element has this text.
export async function shows(page, id, text) {
  const isSo = ([id, text]) => document.getElementById(id)?.textContent === text;
  await page.waitForFunction(isSo, [id, text], { timeout: 15_000, polling: 20 }).catch(async () => {
    const found = await page.evaluate((id) => document.getElementById(id)?.textContent, id);
    throw new Error(`#${id} is ${found}, and not ${text}`);
  });
}
