// The gallery at `/`, an app at `/app/<slug>`, a build's progress at `/build/<jobId>`. All that comes from the server is shown as text.
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

if (location.pathname.startsWith("/app/")) showApp(decoded(location.pathname.slice("/app/".length)));
else if (location.pathname.startsWith("/build/")) showBuild(decoded(location.pathname.slice("/build/".length)));
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

const nameOf = ({ appName, slug }) => appName.trim() || slug;

// Each in a <bdi>, out of which no writing direction reaches its neighbours.
const makerOf = ({ template, username }) => element("span", {}, element("bdi", {}, template), " by ", element("bdi", {}, username));

function pictureOf(app) {
  const name = nameOf(app);
  if (!app.screenshotUrl) return element("span", { ariaHidden: "true" }, [...name][0]);
  return element("img", { src: app.screenshotUrl, alt: `Screenshot of ${name}`, loading: "lazy", decoding: "async" });
}

function appCard(app) {
  const { slug, description, vercelUrl, githubUrl, createdAt } = app;
  const [name, href] = [nameOf(app), `/app/${encodeURIComponent(slug)}`];
  const ofIt = (verb) => element("span", { className: "unseen" }, verb, element("bdi", {}, name));
  // The name links to the same page, so keyboards and screen readers skip the picture's link.
  const picture = element("a", { className: "shot", href, tabIndex: -1, ariaHidden: "true" }, pictureOf(app));
  return element(
    "li",
    { className: "card", tabIndex: -1 },
    picture,
    element(
      "div",
      { className: "text" },
      element("h2", {}, element("a", { href }, name)),
      element("p", { className: "what" }, description),
      element(
        "p",
        { className: "who" },
        makerOf(app),
        when(createdAt),
        link(vercelUrl, "live", ofIt(": ")),
        link(githubUrl, "source", ofIt(" of ")),
      ),
    ),
  );
}

function showApp(slug) {
  let frameUrl; // The URL of the app in the frame, which keeps running while the rest of the page changes.
  $("app").hidden = false;
  live.subscribe("apps:getBySlug", { slug }, ({ value: app, error }) => {
    showError($("app-error"), error);
    if (error !== undefined) return;
    $("shown").hidden = app === null;
    $("no-app").hidden = app !== null;
    const name = app === null ? "No such app" : nameOf(app);
    document.title = `${name} · clonk`;
    setText($("app-title"), name);
    if (app !== null) show(app);
    if (app === null) showFrame(undefined);
  });

  function show(app) {
    setText($("app-what"), app.description);
    $("app-who").replaceChildren(makerOf(app), when(app.createdAt));
    const links = [link(app.vercelUrl, "Open the app"), link(app.githubUrl, "Source code")];
    replaceIfOther($("app-links"), links.filter(({ href }) => href));
    replaceIfOther($("app-shot"), [pictureOf(app)]);
    $("app-shot").hidden = !app.screenshotUrl;
    showFrame(app);
  }

  function showFrame(app) {
    const url = app && canBeFramed(app.vercelUrl) ? app.vercelUrl : undefined;
    $("app-live").hidden = url === undefined;
    if (url === frameUrl) return;
    frameUrl = url;
    $("app-frame").replaceChildren(...(url === undefined ? [] : [frameOf(url, nameOf(app))]));
  }
}

// Unchanged children stay, and keep the focus.
function replaceIfOther(parent, children) {
  const wanted = children.map(({ outerHTML }) => outerHTML).join("");
  if (parent.innerHTML !== wanted) parent.replaceChildren(...children);
}

// Whether an app may run inside this page: by HTTPS, and from an origin that is not ours.
function canBeFramed(url) {
  if (!/^https:\/\//i.test(url) || !URL.canParse(url)) return false;
  return new URL(url).origin !== location.origin;
}

// `allow-same-origin` lets the app keep its own origin, without which it has no storage and no sign-in. It would undo
// the sandbox for a page of our origin, which `canBeFramed` leaves out: `frame-ancestors 'none'` keeps our pages out of
// any frame, and stored files have a sandbox of their own, also where an app redirects to them. Nothing lets the app
// move this page elsewhere, open dialogs over it or start downloads.
function frameOf(url, name) {
  const frame = element("iframe", { title: `${name}, live`, loading: "lazy", referrerPolicy: "no-referrer" });
  frame.sandbox.add("allow-scripts", "allow-forms", "allow-popups", "allow-same-origin");
  frame.src = url; // Last: an iframe applies its `sandbox` attribute only to later loads.
  return frame;
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
