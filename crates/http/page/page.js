// The gallery at `/`, and a build's progress at `/build/<jobId>`. All that comes from the server is shown as text.
import { Live } from "./live.js";

const PAGE_SIZE = 24;
const STAGES = ["classifying", "generating", "deploying", "screenshot", "publishing", "done"];

const $ = (id) => document.getElementById(id);
const live = new Live(new URL("/api/sync", location.href));

live.onstate = (isConnected) => {
  const connection = $("connection");
  const text = isConnected ? "live" : "connection lost, trying again…";
  if (connection.textContent === text) return;
  connection.textContent = text;
  connection.className = isConnected ? "live" : "lost";
};

if (location.pathname.startsWith("/build/")) showBuild(decoded(location.pathname.slice("/build/".length)));
else showGallery();

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Not percent-encoded, then.
  }
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A link, where the text is the URL of a page; of anything else, no link.
function link(url, ...children) {
  const isPage = /^https?:\/\//i.test(url) && URL.canParse(url);
  return isPage ? element("a", { href: url, rel: "noopener noreferrer" }, ...children) : element("span", {}, ...children);
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function showError(target, error) {
  target.hidden = error === undefined;
  setText(target, error === undefined ? "" : `This could not be read: ${error}`);
}

function when(ms) {
  const date = new Date(ms);
  const isDate = !Number.isNaN(date.getTime());
  const text = isDate ? date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "some time";
  return element("time", { dateTime: isDate ? date.toISOString() : "" }, text);
}

function showGallery() {
  const pages = []; // Each is live, and stays between its cursors.
  const cards = new Map(); // Kept as they are while their app is, so that the focus stays where it is.
  document.title = "Apps · clonk";
  $("gallery").hidden = false;
  $("more").onclick = () => addPage(pages.at(-1).continueCursor);
  addPage(null);

  function addPage(cursor) {
    const at = pages.push({ page: [], isDone: true }) - 1;
    $("more").hidden = true;
    live.subscribe("apps:list", { paginationOpts: { numItems: PAGE_SIZE, cursor } }, ({ value, error }) => {
      showError($("gallery-error"), error);
      if (error === undefined) pages[at] = value;
      render();
    });
  }

  function render() {
    const apps = pages.flatMap(({ page }) => page);
    const shown = new Set(apps.map(({ _id }) => _id));
    for (const [id, card] of cards) {
      if (shown.has(id)) continue;
      card.remove();
      cards.delete(id);
    }
    let next = $("apps").firstElementChild;
    for (const app of apps) {
      const card = cards.get(app._id) ?? appCard(app);
      cards.set(app._id, card);
      if (card === next) next = next.nextElementSibling;
      else $("apps").insertBefore(card, next);
    }
    $("more").hidden = pages.at(-1).isDone;
    $("empty").hidden = apps.length > 0 || !$("gallery-error").hidden;
    setText($("publish"), `curl -X POST -H "Authorization: Bearer $(cat data/api-key)" \\
  '${location.origin}/api/publish?appName=My+Clock&description=It+tells+the+time&vercelUrl=https://example.com&githubUrl=https://example.com&username=me'`);
  }
}

function appCard({ appName, description, vercelUrl, githubUrl, username, template, createdAt, screenshotUrl }) {
  const picture = screenshotUrl
    ? element("img", { src: screenshotUrl, alt: `Screenshot of ${appName}`, loading: "lazy", decoding: "async" })
    : element("span", { ariaHidden: "true" }, [...appName][0] ?? "·");
  return element(
    "li",
    { className: "card" },
    element("div", { className: "shot" }, picture),
    element(
      "div",
      { className: "text" },
      element("h2", {}, link(vercelUrl, appName)),
      element("p", { className: "what" }, description),
      element("p", { className: "who" }, `${template} · by ${username} · `, when(createdAt), " · ", link(githubUrl, "source")),
    ),
  );
}

function showBuild(jobId) {
  $("build").hidden = false;
  document.title = "Build · clonk";
  if (jobId === "") {
    $("find").hidden = false;
    $("find").onsubmit = (event) => {
      event.preventDefault();
      location.assign(`/build/${encodeURIComponent($("find-id").value)}`);
    };
    return;
  }
  setText($("build-id"), jobId);
  live.subscribe("jobs:progress", { jobId }, ({ value: job, error }) => {
    showError($("build-error"), error);
    if (error !== undefined) return;
    $("job").hidden = job === null;
    $("no-job").hidden = job !== null;
    if (job !== null) showJob(job);
  });
}

function showJob({ status, stage, result, createdAt }) {
  document.title = `${status}: ${stage} · clonk`;
  setText($("status"), status);
  $("status").className = `badge ${status === "error" ? "error" : ""}`;
  $("since").replaceChildren("begun ", when(createdAt));
  setText($("announcement"), status === stage ? status : `${status}: ${stage}`);
  // A stage that is not one of ours stands between what is past and what comes; which that is nobody knows.
  const known = STAGES.indexOf(stage);
  const stages = known < 0 ? [stage] : STAGES;
  const now = Math.max(known, 0);
  const mark = (at) => {
    if (at < now || (at === now && status === "done")) return "past";
    if (at > now) return "";
    return status === "error" ? "failed" : "now";
  };
  $("stages").replaceChildren(
    ...stages.map((name, at) => {
      const item = element("li", { className: mark(at) }, name);
      if (at === now) item.setAttribute("aria-current", "step");
      return item;
    }),
  );
  $("result").hidden = result === undefined;
  $("result-text").replaceChildren(...linked(result ?? ""));
}

// Text, with its URLs as links.
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}])/i).map((part, at) => (at % 2 ? link(part, part) : part));
}
