// The gallery at `/`, and a build's progress at `/build/<jobId>`. All that comes from the server is shown as text.
import { Live } from "./live.js";

const PAGE_SIZE = 24;
const STAGES = ["classifying", "generating", "deploying", "screenshot", "publishing", "done"];

const $ = (id) => document.getElementById(id);
const live = new Live(new URL("/api/sync", location.href));

live.onstate = (isConnected) => {
  const connection = $("connection");
  connection.textContent = isConnected ? "live" : "connection lost, reconnecting…";
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
  const cards = new Map(); // id → { card, text }: kept while their app is as it is, so that the focus stays.
  document.title = "Apps · clonk";
  $("to-apps").setAttribute("aria-current", "page");
  $("gallery").hidden = false;
  $("more").onclick = () => addPage(pages.at(-1).continueCursor);
  addPage(null);

  function addPage(cursor) {
    const at = pages.push({ page: [], isDone: true }) - 1;
    let isAwaited = document.activeElement === $("more"); // The focus goes from the button to what it brings.
    $("more").hidden = true;
    live.subscribe("apps:list", { paginationOpts: { numItems: PAGE_SIZE, cursor } }, ({ value, error }) => {
      showError($("gallery-error"), error);
      if (error === undefined) pages[at] = value;
      render();
      if (isAwaited) cards.get(pages[at].page[0]?._id)?.card.focus();
      isAwaited = false;
    });
  }

  function cardOf(app) {
    const shown = cards.get(app._id);
    const text = JSON.stringify(app);
    if (shown?.text === text) return shown.card;
    const card = appCard(app);
    shown?.card.replaceWith(card);
    cards.set(app._id, { card, text });
    return card;
  }

  function render() {
    const apps = pages.flatMap(({ page }) => page);
    const shown = new Set(apps.map(({ _id }) => _id));
    for (const [id, { card }] of cards) {
      if (shown.has(id)) continue;
      card.remove();
      cards.delete(id);
    }
    const wanted = apps.map(cardOf);
    let next = $("apps").firstElementChild;
    for (const card of wanted) {
      if (card === next) next = next.nextElementSibling;
      else $("apps").insertBefore(card, next);
    }
    $("more").hidden = pages.at(-1).isDone;
    $("empty").hidden = apps.length > 0 || !$("gallery-error").hidden;
    setText($("publish"), `curl -X POST -H "Authorization: Bearer $(cat data/api-key)" \\
  '${location.origin}/api/publish?appName=My+Clock&description=It+tells+the+time&vercelUrl=https://example.com&githubUrl=https://example.com&username=me'`);
  }
}

function appCard({ appName, slug, description, vercelUrl, githubUrl, username, template, createdAt, screenshotUrl }) {
  const name = appName.trim() || slug;
  const picture = screenshotUrl
    ? element("img", { src: screenshotUrl, alt: `Screenshot of ${name}`, loading: "lazy", decoding: "async" })
    : element("span", { ariaHidden: "true" }, [...name][0]);
  // Each in a <bdi>, out of which no writing direction reaches its neighbours.
  const who = element("span", {}, element("bdi", {}, template), " by ", element("bdi", {}, username));
  const source = link(githubUrl, "source", element("span", { className: "unseen" }, " of ", element("bdi", {}, name)));
  return element(
    "li",
    { className: "card", tabIndex: -1 },
    element("div", { className: "shot" }, picture),
    element(
      "div",
      { className: "text" },
      element("h2", {}, link(vercelUrl, name)),
      element("p", { className: "what" }, description),
      element("p", { className: "who" }, who, when(createdAt), source),
    ),
  );
}

function showBuild(jobId) {
  $("build").hidden = false;
  document.title = "Build · clonk";
  if (jobId === "") {
    $("to-builds").setAttribute("aria-current", "page");
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
  const progress = status === stage ? status : `${status}: ${stage}`;
  document.title = `${progress} · clonk`;
  setText($("status"), status);
  $("status").className = `badge ${status === "error" ? "error" : ""}`;
  $("since").replaceChildren("begun ", when(createdAt));
  setText($("announcement"), progress);
  // A stage that is not one of ours stands alone: nobody knows what comes before it, and what after.
  const known = STAGES.indexOf(stage);
  const stages = known < 0 ? [stage] : STAGES;
  const now = Math.max(known, 0);
  const mark = (at) => {
    if (at < now || status === "done") return "past";
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
  // Links that stay keep the focus.
  if ($("result-text").textContent !== (result ?? "")) $("result-text").replaceChildren(...linked(result ?? ""));
}

// Text, with its URLs as links.
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}])/i).map((part, at) => (at % 2 ? link(part, part) : part));
}
