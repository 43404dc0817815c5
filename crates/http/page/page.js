// The gallery at `/`, an app at `/app/<slug>`, a build's progress at `/build/<jobId>`. Everything from the server is inserted as text.
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
    return text; // It is not percent-encoded.
  }
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A link if the text is an HTTP URL, otherwise plain text.
function link(url, ...children) {
  const isPage = /^https?:\/\//i.test(url) && URL.canParse(url);
  return isPage ? element("a", { href: url, rel: "noopener noreferrer" }, ...children) : element("span", {}, ...children);
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function showError(target, error) {
  target.hidden = error === undefined;
  setText(target, error === undefined ? "" : `Loading failed: ${error}`);
}

function when(ms) {
  const date = new Date(ms);
  const isDate = !Number.isNaN(date.getTime());
  const text = isDate ? date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "unknown date";
  return element("time", { dateTime: isDate ? date.toISOString() : "" }, text);
}

function showGallery() {
  const pages = []; // Each is a live query between two cursors.
  const cards = new Map(); // id → { card, text }: the card of an unchanged app stays, and keeps the focus.
  document.title = "Apps · clonk";
  $("to-apps").setAttribute("aria-current", "page");
  $("gallery").hidden = false;
  $("more").onclick = () => addPage(pages.at(-1).continueCursor);
  addPage(null);

  function addPage(cursor) {
    const at = pages.push({ page: [], isDone: true }) - 1;
    let isAwaited = document.activeElement === $("more"); // Then the focus moves from the button to the new page.
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

// A <bdi> isolates the writing direction of each text.
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
  let frameUrl; // The URL in the frame. The frame is not reloaded when the rest of the page changes.
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

// Replaces the children unless they are equal, so that they keep the focus.
function replaceIfOther(parent, children) {
  const wanted = children.map(({ outerHTML }) => outerHTML).join("");
  if (parent.innerHTML !== wanted) parent.replaceChildren(...children);
}

// Whether an app may run inside this page: over HTTPS, from another origin.
function canBeFramed(url) {
  if (!/^https:\/\//i.test(url) || !URL.canParse(url)) return false;
  return new URL(url).origin !== location.origin;
}

// `allow-same-origin` lets the app keep its own origin, which it needs for storage and sign-in. A framed page of our own
// origin could escape its sandbox. `canBeFramed` excludes our origin, and `frame-ancestors 'none'` keeps our pages out of
// frames. Stored files have a sandbox of their own, even after a redirect. The app cannot navigate this page, open
// dialogs over it or start downloads.
function frameOf(url, name) {
  const frame = element("iframe", { title: `${name}, live`, loading: "lazy", referrerPolicy: "no-referrer" });
  frame.sandbox.add("allow-scripts", "allow-forms", "allow-popups", "allow-same-origin");
  frame.src = url; // Set last: the `sandbox` attribute applies only to later loads.
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
  $("since").replaceChildren("started ", when(createdAt));
  setText($("announcement"), progress);
  // An unknown stage is shown alone, since its position is unknown.
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
  // Unchanged links keep the focus.
  if ($("result-text").textContent !== (result ?? "")) $("result-text").replaceChildren(...linked(result ?? ""));
}

// Splits a text into plain text and links.
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}])/i).map((part, at) => (at % 2 ? link(part, part) : part));
}
