// A small build server: dozens of concurrent builds report their progress by `fetch` without waiting for responses, over
// several connections. Then it polls until every build is done. The test restarts the server meanwhile. A failed report
// is sent again.
import { readFileSync } from "node:fs";

const [addressFile, key, builds] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const stages = ["classifying", "generating", "deploying", "screenshot", "publishing", "done"];
const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
const url = () => `http://${readFileSync(addressFile, "utf8").trim()}/api/job`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// Node's fetch may never settle if the connection dies, so each request has a time limit.
const patience = () => AbortSignal.timeout(2000);
const awake = setInterval(() => {}, 1000);
let retries = 0;

// Sends until the server responds with 200. Any other status is a bug.
async function send(body) {
  for (;;) {
    try {
      const response = await fetch(url(), { method: "POST", headers, body: JSON.stringify(body), signal: patience() });
      const text = await response.text();
      if (response.status === 200 && text === '{"ok":true}') return;
      if (response.status !== 503) throw Object.assign(new Error(`${response.status} ${text}`), { fatal: true });
    } catch (error) {
      if (error.fatal) throw error;
      retries += 1;
    }
    await pause(20);
  }
}

async function build(jobId) {
  const reports = [];
  for (const stage of stages) {
    const done = stage === "done";
    const report = { jobId, idea: `idea of ${jobId}`, username: "ada", status: done ? "done" : "processing", stage };
    if (done) report.result = `https://example.test/${jobId}`;
    // Earlier stages are sent concurrently; the last one follows their responses.
    if (done) await Promise.all(reports);
    reports.push(send(report), send(report));
    await pause(Math.random() * 30);
  }
  await Promise.all(reports);
}

async function poll(jobId) {
  for (;;) {
    try {
      const response = await fetch(`${url()}?id=${jobId}`, { headers, signal: patience() });
      const job = await response.json();
      if (response.status !== 200) throw Object.assign(new Error(JSON.stringify(job)), { fatal: true });
      if (job.status === "done" && job.result === `https://example.test/${jobId}` && job.idea === `idea of ${jobId}`) return;
    } catch (error) {
      if (error.fatal) throw error;
      retries += 1;
    }
    await pause(20);
  }
}

const jobs = Array.from({ length: builds }, (_, at) => `build-${at}`);
await Promise.all(jobs.map(build));
console.log("reported");
await Promise.all(jobs.map(poll));
console.log(`done ${jobs.length}, ${retries} retries`);
clearInterval(awake);
