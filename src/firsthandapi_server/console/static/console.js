// Keeps an open page up to date, and copies commands. Without it, every page and form works all the same.
"use strict";


let source = null;
let loading = false;
let again = false;

// Ask for an address, and hand over the response if it is not what was there before: else a few bytes say so. Whoever
// takes it says whether all of it was taken.
function asker(address, etag, take) {
  return async () => {
    const response = await fetch(address, { headers: etag ? { "if-none-match": etag } : {} });
    document.getElementById("offline")?.remove(); // it has come from there
    if (!response.ok || response.redirected) {
      await response.text(); // read to its end, else developer tools call it failed
      return false;
    }
    etag = (await take(response)) ? response.headers.get("etag") : null;
    return true;
  };
}

// Replace the parts of the page that changed, but never what someone is using.
async function renew(response) { return renewFrom(new DOMParser().parseFromString(await response.text(), "text/html")); }
function renewFrom(fresh) {
  const parts = [...document.querySelectorAll("[data-part]")].map((part) => [part, fresh.getElementById(part.id)]);
  return parts.map(([part, other]) => !other || update(part, other)).every(Boolean);
}
const askAgain = asker(location.href, document.body.dataset.etag, renew);

async function refresh() {
  if (loading) { again = true; return; }
  loading = true;
  try { await askAgain(); } catch { /* the server is gone; the stream reports it */ }
  // Where much happens, it is shown in one go.
  await new Promise((resolve) => { setTimeout(resolve, 1000); });
  loading = false;
  if (again) { again = false; refresh(); }
}

// Ask often for two minutes after something has changed, or somebody came back to the page, and then once a minute.
function watch(ask, isBusy = () => false) {
  let still = 0;
  let timer = null;
  async function look() {
    clearTimeout(timer);
    if (!document.hidden && !isBusy()) {
      try { still = (await ask()) ? 0 : still + 1; } catch { /* offline: the next look may succeed */ }
    }
    timer = setTimeout(look, still < 24 ? 5000 : 60000);
  }
  document.addEventListener("visibilitychange", () => { still = 0; look(); });
  timer = setTimeout(look, 5000);
}

// Say when in the words and in the time of whoever reads.
const spoken = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
function speak(part) {
  for (const each of part.querySelectorAll("time.local bdi")) {
    each.textContent = spoken.format(new Date(each.parentElement.dateTime));
  }
}
speak(document);

// So are the times that are asked for. Without scripts, all of these are UTC.
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
for (const place of document.querySelectorAll("[data-zoned]")) place.textContent = place.textContent.replace("UTC", timeZone);
for (const input of document.querySelectorAll("input[type=datetime-local]")) {
  input.form.addEventListener("formdata", ({ formData }) => {
    if (input.value) formData.set(`${input.name}_utc`, new Date(input.value).toISOString());
  });
}

// Whether the part shows now what the other one does.
function update(part, other) {
  speak(other);
  if (part.innerHTML === other.innerHTML) return true;
  if (inUse(part) || (!part.querySelector(":scope > [data-list]") && plays(part))) return false;
  const list = part.querySelector(":scope > [data-list]");
  const fresh = other.querySelector(":scope > [data-list]");
  if (!list || !fresh) { replace(part, other); return true; }
  let all = true;
  // A list item by item, so that a clip that plays goes on.
  const known = new Map([...list.children].map((item) => [item.id, item]));
  const items = [...fresh.children].map((item) => {
    const old = item.id && known.get(item.id);
    if (old?.innerHTML === item.innerHTML) return old;
    if (old && (inUse(old) || plays(old))) { all = false; return old; }
    if (!old) item.classList.add("is-new");
    return item;
  });
  if (items.some((item, index) => list.children[index] !== item) || items.length !== list.children.length) {
    list.replaceChildren(...items);
  }
  for (const element of [...part.children]) if (element !== list) element.remove();
  for (const element of [...other.children]) if (element !== fresh) part.append(element);
  return all;
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
