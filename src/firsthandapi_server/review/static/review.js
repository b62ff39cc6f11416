// Looks at the files of a folder, in a grid and one by one, and sends what is decided. All text is set as text.
"use strict";

const $ = (id) => document.getElementById(id);
const grid = $("grid"), GAP = 8, LEAST = 144;
const WORDS = { accepted: "Kept", excluded: "Excluded", undecided: "", coming: "Saving…" };
let rows = [], byId = new Map(), labels = [], groupOf = new Map();
let shown = [], current = 0, single = false;

// --- asking the server -------------------------------------------------------------------------------------

// Decisions wait here, in order, until the server has written them down; only then are they shown. An accept cannot be
// taken back once it is written, so it is held for the next key. The first `sent` are on their way.
const queue = [], MOST_SENT = 200;
let undoable = [], held = null, timer = 0, sent = 0, sending = null;
// The server ends when the last tab is closed.
const tab = Math.random().toString(36).slice(2);

async function post(path, body) {
  const text = JSON.stringify(body);
  // A browser keeps only small requests alive when the page is closed, and refuses others.
  const response = await fetch(path, { method: "POST", keepalive: text.length < 20_000, headers: { "content-type": "application/json" }, body: text });
  if (response.ok) return;
  const { error } = await response.json();
  throw new Error(error.message);
}

const asked = (steps) => ({ decisions: steps.map(({ decision }) => decision) });

async function send() {
  for (let steps; (steps = queue.filter((step) => step !== held).slice(0, MOST_SENT)).length;) {
    sent = steps.length;
    try {
      await post("decisions", asked(steps));
      for (const { id, after } of steps) if (byId.has(id)) Object.assign(byId.get(id), after);
    } catch (error) {
      undoable = undoable.filter((step) => !steps.includes(step));
      say(`Not saved: ${error.message}`);
      await load().catch(() => say("Not saved: the server has ended. Start firsthandapi review again."));
    }
    queue.splice(0, sent);
    sent = 0;
    refresh();
  }
  sending = null;
}

function flush() {
  clearTimeout(timer);
  held = null;
  if (!sending && queue.length) sending = send();
  return sending;
}

// A row as it is once the server has written what is decided about it.
function ahead(row) { return queue.findLast((step) => step.id === row.id)?.after ?? { state: row.state, label: row.label, reason: row.reason }; }
function isComing(row) { return queue.some((step) => step.id === row.id); }

function say(words) {
  $("trouble").textContent = words;
  $("trouble").hidden = !words;
}

// --- deciding ----------------------------------------------------------------------------------------------

function stateAfter(row, action) {
  if (action === "exclude") return "excluded";
  return action !== "include" && row.state === "excluded" ? "excluded" : "accepted";
}

function decide(row, action, more = {}) {
  if (!row) return;
  say("");
  const before = ahead(row), after = { state: stateAfter(before, action), label: more.label ?? before.label, reason: more.reason };
  const step = { id: row.id, decision: { action, ids: [row.id], ...more }, before, after };
  undoable.push(step);
  add(step);
}

function add(step) {
  flush();
  queue.push(step);
  if (step.decision.action === "accept") {
    held = step;
    timer = setTimeout(flush, 3000);
  } else flush();
  refresh();
}

function undo() {
  const last = undoable.pop();
  if (!last) return say("Nothing to undo.");
  const { id, decision, before } = last, ids = [id];
  const inverse = { exclude: { action: "include", ids }, include: { action: "exclude", ids, reason: before.reason }, relabel: { action: "relabel", ids, label: before.label } }[decision.action];
  if (held === last) {
    clearTimeout(timer);
    held = null;
    queue.pop();
  } else if (inverse) {
    add({ id, decision: inverse, before, after: { ...before, state: before.state === "undecided" ? "accepted" : before.state } });
  } else say("That file is recorded as reviewed. Exclude it if it should go.");
  current = Math.max(0, shown.indexOf(byId.get(id)));
  refresh();
}

function isOut(row) { return Boolean(row) && ahead(row).state === "excluded"; }
function toggle(row, more) { decide(row, isOut(row) ? "include" : "exclude", more); }

function ask(title, name, value, list) {
  $("ask-title").textContent = title;
  $("ask-name").textContent = name;
  $("answer").value = value;
  if (list) $("answer").setAttribute("list", "labels"); else $("answer").removeAttribute("list");
  const dialog = $("ask");
  dialog.returnValue = "";
  dialog.showModal();
  $("answer").select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? $("answer").value.trim() : null), { once: true });
  });
}

async function relabel(row) {
  if (!row || !labels.length) return;
  const label = await ask("Give another label", "Label", ahead(row).label ?? "", true);
  if (label && label !== ahead(row).label) {
    if (!labels.includes(label)) { labels.push(label); fillLabels(); }
    decide(row, "relabel", { label });
    if (single) go(1);
  }
}

async function excludeWithReason(row) {
  if (!row || isOut(row)) return toggle(row);
  const reason = await ask("Exclude this file", "Reason", "", false);
  if (reason !== null) { toggle(row, reason ? { reason } : {}); if (single) go(1); }
}

// What buttons and keys do with the current row.
const acts = {
  accept: (row) => { decide(row, "accept"); go(1); },
  exclude: (row) => { const goes = !isOut(row); toggle(row); if (goes) go(1); },
  excludeWithReason,
  relabel,
  undo,
  previous: () => go(-1),
  next: () => go(1),
  up: () => { if (!single) go("up"); },
  down: () => { if (!single) go("down"); },
  first: () => go(-current),
  last: () => go(shown.length - 1 - current),
  grid: () => close(),
  play: () => { const player = $("stage").firstElementChild; if (player.paused) player.play().catch(() => {}); else player.pause(); },
  keys: () => $("keys").showModal(),
};
const KEYS = {
  a: "accept", x: "exclude", X: "excludeWithReason", l: "relabel", u: "undo", z: "undo", ArrowLeft: "previous", k: "previous",
  ArrowRight: "next", j: "next", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last", Escape: "grid", "?": "keys", " ": "play",
};

// --- the grid: only what is seen is in the page --------------------------------------------------------------

function layout() {
  const width = grid.clientWidth, columns = Math.max(2, Math.floor((width + GAP) / (LEAST + GAP)));
  const side = (width - GAP * (columns - 1)) / columns;
  return { columns, side, step: side + GAP };
}

const tiles = new Map();

function draw() {
  if (single) return;
  grid.classList.add("windowed");
  const { columns, side, step } = layout();
  grid.style.height = `${Math.max(0, Math.ceil(shown.length / columns) * step - GAP)}px`;
  const top = grid.getBoundingClientRect().top, above = Math.max(0, -top - step * 2), below = innerHeight - top + step * 2;
  const from = Math.max(0, Math.floor(above / step) * columns), to = Math.min(shown.length, Math.ceil(below / step) * columns);
  const wanted = new Set(shown.slice(from, to).map((row) => row.id));
  if (shown[current]) wanted.add(shown[current].id);
  for (const [id, item] of tiles) if (!wanted.has(id)) { item.remove(); tiles.delete(id); }
  const place = (at) => {
    const row = shown[at];
    let item = tiles.get(row.id);
    if (!item) { item = tile(row); tiles.set(row.id, item); grid.append(item); }
    item.style.transform = `translate(${(at % columns) * step}px, ${Math.floor(at / columns) * step}px)`;
    item.style.width = item.style.height = `${side}px`;
    item.setAttribute("aria-setsize", shown.length);
    item.setAttribute("aria-posinset", at + 1);
    dress(item, row, at);
  };
  for (let at = from; at < to; at += 1) place(at);
  if (shown[current] && (current < from || current >= to)) place(current);
}

function tile(row) {
  const item = document.createElement("li"), button = document.createElement("button");
  button.type = "button";
  button.className = "tile";
  button.dataset.id = row.id;
  button.append(picture(row));
  item.append(button);
  return item;
}

function picture(row) {
  if (row.kind !== "image") {
    const box = document.createDocumentFragment();
    box.append(text("span", row.kind ?? "file", "sort"), text("span", row.name, "file"));
    return box;
  }
  const image = document.createElement("img");
  image.alt = row.name;
  image.decoding = "async";
  image.src = `thumbnails/${encodeURIComponent(row.id)}`;
  image.addEventListener("error", () => image.replaceWith(text("span", row.name, "file")), { once: true });
  return image;
}

function text(name, words, kind) {
  const element = document.createElement(name);
  element.textContent = words;
  if (kind) element.className = kind;
  return element;
}

function dress(item, row, at) {
  const button = item.firstElementChild;
  const state = isComing(row) ? "coming" : row.state;
  button.className = `tile ${row.state}`;
  button.tabIndex = at === current ? 0 : -1;
  for (const each of button.querySelectorAll(".mark, .name")) each.remove();
  if (WORDS[state]) button.append(text("span", WORDS[state], "mark"));
  if (row.label) button.append(text("span", row.label, "name"));
}

function scrollToCurrent() {
  const { columns, step } = layout(), top = grid.getBoundingClientRect().top + scrollY;
  const bar = document.querySelector(".top").offsetHeight + GAP, y = top + Math.floor(current / columns) * step;
  if (y - bar < scrollY) scrollTo(0, y - bar);
  else if (y + step > scrollY + innerHeight) scrollTo(0, y + step - innerHeight);
}

function go(by) {
  const { columns } = layout();
  const next = current + (by === "up" ? -columns : by === "down" ? columns : by);
  if (next < 0 || next >= shown.length) return refresh();
  current = next;
  if (!single) scrollToCurrent();
  refresh();
  if (!single) tiles.get(shown[current].id)?.firstElementChild.focus({ preventScroll: true });
}

// --- one file ----------------------------------------------------------------------------------------------

let open = null;

function media(row) {
  const name = { image: "img", video: "video", audio: "audio" }[row.kind];
  if (!name) return text("p", "This file cannot be shown here.");
  const element = document.createElement(name);
  if (name === "img") element.alt = row.name; else { element.controls = true; element.preload = "metadata"; element.setAttribute("aria-label", row.name); }
  element.src = `files/${encodeURIComponent(row.id)}`;
  return element;
}

function look(at) {
  if (!shown[at]) return;
  current = at;
  single = true;
  grid.hidden = true;
  $("one").hidden = false;
  refresh();
  scrollTo(0, 0);
  $("stage").tabIndex = -1;
  $("main").focus({ preventScroll: true });
}

function close() {
  if (!single) return;
  single = false;
  open = null;
  $("stage").replaceChildren();
  $("one").hidden = true;
  grid.hidden = false;
  scrollToCurrent();
  refresh();
  tiles.get(shown[current]?.id)?.firstElementChild.focus({ preventScroll: true });
}

function showOne() {
  const row = shown[current];
  if (!row) return close();
  if (open !== row) {
    open = row;
    $("stage").replaceChildren(media(row));
    showTranscript(row);
    for (const by of [1, -1]) if (shown[current + by]?.kind === "image") new Image().src = `files/${encodeURIComponent(shown[current + by].id)}`;
  }
  $("state").textContent = `${current + 1} of ${shown.length}: ${{ accepted: "reviewed and kept", excluded: "excluded", undecided: "not reviewed" }[row.state]}${isComing(row) ? ", saving…" : ""}`;
  document.querySelector("[data-act=exclude]").firstChild.data = isOut(row) ? "Include " : "Exclude ";
  const facts = [["File", row.name], ["Label", row.label], ["Stars", row.stars && `${row.stars} of 5`], ["Type", row.type],
    ["Size", row.width ? `${row.width} × ${row.height} px, ${size(row.bytes)}` : size(row.bytes)], ["Length", row.seconds && `${row.seconds.toFixed(1)} s`],
    ["Captured", row.captured], ["Job", row.job], ["Reason", row.reason], ["Decided by", row.by]];
  $("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) => [text("dt", name), text("dd", value)]));
  const twins = (groupOf.get(row.id) ?? []).filter((id) => id !== row.id).map((id) => byId.get(id));
  $("twins").hidden = !twins.length;
  $("twin-list").replaceChildren(...twins.map((twin) => { const item = tile(twin); dress(item, twin, -1); item.firstElementChild.tabIndex = 0; return item.firstElementChild; }));
}

async function showTranscript(row) {
  const has = row.kind === "audio" || row.kind === "video";
  const known = has ? await fetch(`transcripts/${encodeURIComponent(row.id)}`).then((response) => response.json()).catch(() => ({})) : {};
  if (open !== row) return;
  $("transcript").hidden = !known.text;
  $("words").textContent = known.text ?? "";
}

function size(bytes) { return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`; }

// --- together ----------------------------------------------------------------------------------------------

function choose() {
  const filter = $("filter").value, label = $("label").value, kept = shown[current];
  shown = rows.filter((row) => (filter === "all" || (filter === "duplicates" ? groupOf.has(row.id) : row.state === filter)) && (!label || row.label === label));
  if (filter === "duplicates") shown.sort((a, b) => groupOf.get(a.id)[0].localeCompare(groupOf.get(b.id)[0]));
  current = Math.max(0, shown.indexOf(kept));
  refresh();
}

function refresh() {
  const count = (state) => rows.filter((row) => row.state === state).length;
  $("count").textContent = `${rows.length.toLocaleString("en-US")} files: ${count("accepted")} kept, ${count("excluded")} excluded, ${count("undecided")} to review`;
  $("none").hidden = shown.length > 0;
  if (single) showOne(); else draw();
}

function fillLabels() {
  labels.sort();
  const chosen = $("label").value;
  $("label").replaceChildren(new Option("all", ""), ...labels.map((each) => new Option(each, each)));
  $("label").value = chosen;
  $("labels").replaceChildren(...labels.map((each) => new Option(each)));
  $("label-choice").hidden = $("relabel-button").hidden = !labels.length;
}

async function load() {
  const [known, groups] = await Promise.all([fetch(`rows?tab=${tab}`), fetch("duplicates")].map((each) => each.then((response) => response.json())));
  rows = known.rows.map((row) => ({ label: null, ...row }));
  byId = new Map(rows.map((row) => [row.id, row]));
  groupOf = new Map(groups.flatMap((group) => group.map((id) => [id, group])));
  labels = known.labels;
  fillLabels();
  for (const item of tiles.values()) item.remove();
  tiles.clear();
  grid.replaceChildren();
  open = null;
  choose();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea, audio:focus-visible, video:focus-visible")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const name = KEYS[key === "x" && event.shiftKey ? "X" : key];
  // A button takes its own space; without sound, it scrolls, as the arrows do with one file.
  if (name === "play" && (!single || event.target.closest("button, a") || !$("stage").querySelector("audio, video"))) return;
  if (single && (name === "up" || name === "down")) return;
  const act = acts[name];
  if (act) act(shown[current]);
  else if (key === "Enter" && !single && !event.target.closest("button:not(.tile), a")) look(current);
  else return;
  event.preventDefault();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".tile"), name = event.target.closest("[data-act]")?.dataset.act;
  if (name) {
    // A button that a mouse has clicked gives the focus back, or the next space would press it again.
    if (event.detail) $("main").focus({ preventScroll: true });
    acts[name](shown[current]);
  } else if (button && byId.has(button.dataset.id)) {
    event.preventDefault();
    const at = shown.indexOf(byId.get(button.dataset.id));
    if (at >= 0) look(at);
  }
});
grid.addEventListener("focusin", (event) => {
  const at = shown.indexOf(byId.get(event.target.closest(".tile")?.dataset.id));
  if (at >= 0 && at !== current) { current = at; refresh(); }
});
// A player with the focus keeps all keys to itself: one that was clicked gives it back, one that was tabbed to does not.
$("stage").addEventListener("focusin", (event) => {
  if (event.target.matches("audio, video") && !event.target.matches(":focus-visible")) $("main").focus({ preventScroll: true });
});
$("filter").addEventListener("change", choose);
$("label").addEventListener("change", choose);
$("keys-button").addEventListener("click", acts.keys);
$("done").addEventListener("click", async () => {
  await flush();
  if (!$("trouble").hidden) return;
  // First what asks the server for pictures goes: it ends when it has answered.
  document.body.replaceChildren(Object.assign(text("main", "", "wrap"), { id: "main" }));
  $("main").append(text("h1", "Done"), text("p", "Every decision is saved in .firsthandapi/decisions.jsonl. You can close this tab."));
  await post("done", {}).catch(() => {});
});
let frame = 0;
const later = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(draw); };
addEventListener("scroll", later, { passive: true });
addEventListener("resize", later);
addEventListener("pagehide", () => {
  if (!$("grid")) return;
  const rest = queue.splice(sent);
  held = null;
  while (rest.length) navigator.sendBeacon("decisions", new Blob([JSON.stringify(asked(rest.splice(0, MOST_SENT)))], { type: "application/json" }));
  navigator.sendBeacon(`left?tab=${tab}`);
});
// A browser sends about 64 kB for a page that is closed. With more than that, it asks whether to stay.
addEventListener("beforeunload", (event) => { if (JSON.stringify(asked(queue)).length > 40_000) event.preventDefault(); });
addEventListener("pageshow", (event) => { if (event.persisted) load().catch(() => {}); });
load().catch(() => say("The files could not be listed: reload the page."));
