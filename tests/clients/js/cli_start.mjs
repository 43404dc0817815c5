// Runs `npx convex` in an empty project, against the server.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminKey, url } from "./cases.mjs";

const modules = join(import.meta.dirname, "node_modules");
const { version } = JSON.parse(readFileSync(join(modules, "convex/package.json"), "utf8"));
const node = process.argv[3];

// It must read neither files of this project nor settings of this user.
export const folder = mkdtempSync(join(tmpdir(), "convex-cli-"));
writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies: { convex: version } }));
symlinkSync(modules, join(folder, "node_modules"));

const env = {
  ...process.env,
  HOME: folder,
  CONVEX_SELF_HOSTED_URL: url,
  CONVEX_SELF_HOSTED_ADMIN_KEY: adminKey,
  NO_COLOR: "1",
  CI: "1",
};

// They are killed when a case fails, too.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export function start(args, { stdin = "ignore", more = {} } = {}) {
  const cli = join(modules, "convex/bin/main.js");
  const child = spawn(node, [cli, ...args], { cwd: folder, env: { ...env, ...more }, stdio: [stdin, "pipe", "pipe"] });
  running.add(child);
  child.on("close", () => running.delete(child));
  const said = { out: "", err: "" };
  child.stdout.on("data", (text) => (said.out += text));
  child.stderr.on("data", (text) => (said.err += text));
  const ended = new Promise((resolve) => child.on("close", (code) => resolve({ code, ...said })));
  return { child, said, ended };
}

export const convex = (...args) => start(args).ended;
