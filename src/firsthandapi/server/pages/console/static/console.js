// Keeps an open page up to date, and copies commands. Without it, every page and form works all the same.
"use strict";


let source = null;
let loading = false;
let again = false;

// Replace the parts of the page that changed, but never what someone is using.
async function refresh() {
  if (loading) { again = true; return; }
  loading = true;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.ok) {
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const part of document.querySelectorAll("[data-part]")) {
        const other = fresh.getElementById(part.id);
        if (other) update(part, other);
      }
    }
  } catch { /* the server is gone; the stream reports it */ }
  loading = false;
  if (again) { again = false; refresh(); }
}

function update(part, other) {
  if (part.innerHTML === other.innerHTML || inUse(part)) return;
  const list = part.querySelector(":scope > [data-list]");
  const fresh = other.querySelector(":scope > [data-list]");
  if (!list || !fresh) { replace(part, other); return; }
  // A list item by item, so that a clip that plays goes on.
  const known = new Map([...list.children].map((item) => [item.id, item]));
  const items = [...fresh.children].map((item) => {
    const old = item.id && known.get(item.id);
    if (old && (old.innerHTML === item.innerHTML || inUse(old) || plays(old))) return old;
    if (!old) item.classList.add("is-new");
    return item;
  });
  if (items.some((item, index) => list.children[index] !== item) || items.length !== list.children.length) {
    list.replaceChildren(...items);
  }
  for (const element of [...part.children]) if (element !== list) element.remove();
  for (const element of [...other.children]) if (element !== fresh) part.append(element);
}

function replace(part, other) {
  const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
  part.replaceChildren(...other.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (part.id === "now") mark();
}

function inUse(element) { return element.contains(document.activeElement) && document.activeElement !== document.body; }
function plays(element) { return [...element.querySelectorAll("audio, video")].some((clip) => !clip.paused); }

function mark() {
  const live = source !== null && source.readyState === EventSource.OPEN;
  document.body.classList.toggle("is-live", live);
  const shown = document.getElementById("dot");
  if (shown) shown.title = live ? "This page updates itself" : "Not connected";
}

function connect() {
  if (document.hidden) {
    source?.close();
    source = null;
  } else if (source === null) {
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("open", () => { mark(); refresh(); });
    source.addEventListener("error", mark);
    source.addEventListener("change", refresh);
  }
  mark();
}


if (document.body.dataset.live) {
  document.addEventListener("visibilitychange", connect);
  connect();
}

// By delegation: lists are replaced while the page is open.
document.documentElement.classList.toggle("can-copy", Boolean(navigator.clipboard));
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).innerText);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
