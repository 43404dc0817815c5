// Helpers of every script: cases with a deadline, and waiting with a description.
import { createInterface } from "node:readline";

export const url = process.argv[2];
export const adminKey = process.env.LENTIL_ADMIN_KEY;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let failures = 0;

process.on("unhandledRejection", (error) => {
  console.log("FAILED: a rejection that nobody handles:", error);
  failures += 1;
});

// Runs one case. A failure is printed and does not stop the next case.
export async function check(name, run, seconds = 15) {
  const started = Date.now();
  try {
    await within(seconds, `the case "${name}"`, run());
    console.log(`ok: ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED: ${name} (${Date.now() - started} ms)\n`, error);
  }
}

// Ends the script, with success if every case succeeded.
export function finish() {
  console.log(failures === 0 ? "all well" : `${failures} cases failed`);
  process.exit(failures === 0 ? 0 : 1);
}

export async function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Waits for a condition. `state` describes the state after a timeout.
export async function until(what, isSo, state = () => "", seconds = 10) {
  const deadline = Date.now() + seconds * 1000;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`this never came to be: ${what}; instead: ${inspect(state())}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

// Returns the error of a promise.
export async function failure(promise) {
  const value = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  if ("error" in value) return value.error;
  throw new Error(`it did not fail, but gave ${inspect(value.value)}`);
}

// Asks the test to "kill", "stop", "start" or "restart" the server.
export async function ask(what) {
  console.log(`@${what}`);
  await answers.next();
}

export function inspect(value) {
  const text = JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner)) ?? "undefined";
  return text.length > 2000 ? `${text.slice(0, 2000)}…` : text;
}

// The values of callbacks in their order.
export function follow(client, query, args) {
  const seen = [];
  const errors = [];
  const push = (to) => (value) => to.push(value);
  const unsubscribe = client.onUpdate(query, args, push(seen), push(errors));
  const last = () => seen.at(-1);
  const first = () => until("the first result", () => seen.length + errors.length > 0);
  return { seen, errors, unsubscribe, last, first, current: unsubscribe.getCurrentValue };
}
