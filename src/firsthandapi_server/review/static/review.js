// Looks at the files of a folder, in a grid and one by one, and sends what is decided. All text is set as text.
"use strict";

const $ = (id) => document.getElementById(id);
const grid = $("grid"), GAP = 8, LEAST = 144, NONE = "\u0000", MOST_OPTIONS = 500;
const BLIND = "blind" in document.body.dataset;
const WORDS = { accepted: "Kept", excluded: "Excluded", undecided: "", coming: "Saving…" };
let rows = [], byId = new Map(), labels = [], groupOf = new Map(), agreement = null;
let shown = [], current = 0, single = false;
// The ids of files to decide about together.
const chosen = new Set();

// --- asking the server -------------------------------------------------------------------------------------

// Decisions wait here, in order, until the server has written them down; only then are they shown. An accept cannot be
// taken back once it is written, so it is held for the next key. The first `sent` are on their way. A batch is what was
// decided at once: steps with a decision each, about some files.
const queue = [], MOST_SENT = 200, MOST_IDS = 1000;
// By id, the newest step in the queue, and its row as it will be.
const coming = new Map();
let undoable = [], held = null, timer = 0, sent = 0, sending = null;
// The server ends when the last tab is closed.
const tab = Math.random().toString(36).slice(2);

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

async function post(path, body) {
  const text = JSON.stringify(body);
  // A browser keeps only small requests alive when the page is closed, and refuses others.
  const response = await fetch(path, { method: "POST", keepalive: text.length < 20_000, headers: { "content-type": "application/json" }, body: text });
  if (response.ok) return;
  const { error } = await response.json();
  throw new Error(error.message);
}

const asked = (steps) => ({ decisions: steps.map(({ decision }) => decision) });

// The next steps to send, of which the server accepts only so many ids at once.
function nextSteps() {
  const steps = [];
  let ids = 0;
  for (const step of queue) {
    if (held?.includes(step) || steps.length === MOST_SENT || (steps.length && ids + step.rows.length > 5 * MOST_IDS)) break;
    steps.push(step);
    ids += step.rows.length;
  }
  return steps;
}

async function send() {
  for (let steps; (steps = nextSteps()).length;) {
    sent = steps.length;
    try {
      await post("decisions", asked(steps));
      for (const { rows, after } of steps) rows.forEach((row, n) => { Object.assign(byId.get(row.id) ?? {}, after[n]); facts.delete(row.id); });
    } catch (error) {
      undoable = undoable.filter((batch) => !batch.some((step) => steps.includes(step)));
      say(`Not saved: ${error.message}`);
      await load().catch(() => say("Not saved: the server has ended. Start firsthandapi review again."));
    }
    forget(queue.splice(0, sent));
    sent = 0;
    refresh();
  }
  sending = null;
}

function forget(steps) {
  for (const step of steps) for (const { id } of step.rows) if (coming.get(id)?.step === step) coming.delete(id);
}

function flush() {
  clearTimeout(timer);
  held = null;
  if (!sending && queue.length) sending = send();
  return sending;
}

// A row as it is once the server has written what is decided about it.
function ahead(row) { return coming.get(row.id)?.after ?? { state: row.state, label: row.label, reason: row.reason }; }

function say(words) {
  $("trouble").textContent = words;
  $("trouble").hidden = !words;
}

// --- deciding ----------------------------------------------------------------------------------------------

function afterwards(before, { action, label, reason }) {
  const isOut = action === "exclude" || (action !== "include" && !BLIND && before.state === "excluded");
  return { state: isOut ? "excluded" : "accepted", label: label ?? before.label, reason: action === "exclude" ? reason ?? null : before.reason, mine: true };
}

// `wanted` says for each row what is decided: an action, and a label or a reason.
function decide(list, wanted, isUndo = false) {
  if (!list.length) return;
  say("");
  flush();
  const groups = new Map(), batch = [];
  for (const row of list) {
    const key = JSON.stringify(wanted(row)), group = groups.get(key);
    if (group) group.push(row); else groups.set(key, [row]);
  }
  for (const [key, group] of groups) for (let at = 0; at < group.length; at += MOST_IDS) {
    const some = group.slice(at, at + MOST_IDS), decision = { ...JSON.parse(key), ids: some.map((row) => row.id) };
    const before = some.map(ahead), after = before.map((each) => afterwards(each, decision));
    const step = { decision, rows: some, before, after };
    some.forEach((row, n) => coming.set(row.id, { step, after: after[n] }));
    queue.push(step);
    batch.push(step);
  }
  if (!isUndo) undoable.push(batch);
  if (!isUndo && batch.every(({ decision }) => decision.action === "accept")) {
    held = batch;
    timer = setTimeout(flush, 3000);
  } else flush();
  refresh();
}

function undo() {
  const batch = undoable.pop();
  if (!batch) return say("Nothing to undo.");
  const list = batch.flatMap((step) => step.rows);
  if (held === batch) {
    clearTimeout(timer);
    held = null;
    forget(queue.splice(queue.length - batch.length));
    for (const step of queue) step.rows.forEach((row, n) => coming.set(row.id, { step, after: step.after[n] }));
  } else {
    const inverse = new Map();
    for (const { decision: { action }, rows, before } of batch) rows.forEach(({ id }, n) => {
      const { label, reason } = before[n], row = byId.get(id);
      if (action === "exclude") inverse.set(row, { action: "include" });
      if (action === "include") inverse.set(row, { action: "exclude", reason });
      if (action === "relabel" && label) inverse.set(row, { action: "relabel", label });
    });
    if (inverse.size) decide([...inverse.keys()], (row) => inverse.get(row), true);
    else say(list.length > 1 ? "Those files are recorded as reviewed. Exclude them if they should go." : "That file is recorded as reviewed. Exclude it if it should go.");
  }
  current = Math.max(0, shown.indexOf(byId.get(list[0].id)));
  refresh();
}

const isOut = (row) => ahead(row).state === "excluded";

// What the next key decides about: the selected files, or else the current one.
function targets() {
  if (!single && chosen.size) return shown.filter((row) => chosen.has(row.id));
  return shown[current] ? [shown[current]] : [];
}

function decideAll(wanted, list = targets()) {
  const several = !single && chosen.size > 0;
  chosen.clear();
  decide(list, wanted);
  if (!several) go(1);
}

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

const these = (list) => (list.length > 1 ? `these ${list.length.toLocaleString("en-US")} files` : "this file");

// One field of one file, written at once: what a person says of it stays.
function correct() {
  const row = single && shown[current], fields = row && facts.get(row.id)?.value?.correctable;
  if (!fields?.length) return;
  const field = $("correct-field"), words = $("correct-text"), dialog = $("correct");
  field.replaceChildren(...fields.map(([name, title]) => { const option = text("option", title); option.value = name; return option; }));
  field.onchange = () => { words.value = fields[field.selectedIndex][2]; };
  field.onchange();
  dialog.returnValue = "";
  dialog.showModal();
  words.select();
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "yes" || words.value.trim() === fields[field.selectedIndex][2]) return;
    try {
      await post("corrections", { id: row.id, field: field.value, text: words.value });
    } catch (error) { say(`Not saved: ${error.message}`); }
    facts.delete(row.id);
    if (open === row) describe(row);
  }, { once: true });
}

async function relabel() {
  const list = targets();
  if (!list.length || !labels.length) return;
  const label = await ask(`Give ${these(list)} another label`, "Label", ahead(list[0]).label ?? "", true);
  const others = list.filter((row) => ahead(row).label !== label);
  if (!label || !others.length) return;
  if (!labels.includes(label)) { labels.push(label); fillLabels(); }
  decideAll(() => ({ action: "relabel", label }), others);
}

// Exclude what is not excluded yet; only where all is, include it again.
function exclude(reason) {
  const list = targets(), rest = list.filter((row) => !isOut(row));
  if (rest.length) return decideAll(() => ({ action: "exclude", ...(reason ? { reason } : {}) }), rest);
  chosen.clear();
  decide(list, () => ({ action: "include" }));
}

async function excludeWithReason() {
  const list = targets();
  if (!list.length || list.every(isOut)) return exclude();
  const reason = await ask(`Exclude ${these(list)}`, "Reason", "", false);
  if (reason !== null) exclude(reason);
}

const player = () => $("stage").querySelector("audio, video");

// What buttons and keys do.
const acts = {
  // Blind, to accept is to keep: it takes back what the same person has excluded.
  accept: () => decideAll((row) => ({ action: BLIND && isOut(row) ? "include" : "accept" })),
  exclude: () => exclude(),
  excludeWithReason,
  relabel,
  correct,
  undo,
  previous: () => go(-1),
  next: () => go(1),
  up: () => go("up"),
  down: () => go("down"),
  first: () => go(-current),
  last: () => go(shown.length - 1 - current),
  nextUndecided: () => {
    const isOpen = (row) => ahead(row).state === "undecided", later = shown.findIndex((row, at) => at > current && isOpen(row));
    const at = later < 0 ? shown.findIndex(isOpen) : later;
    if (at < 0) say("No file here is undecided."); else go(at - current);
  },
  grid: () => { if (single) close(); else { chosen.clear(); refresh(); } },
  zoom: () => $("stage").classList.toggle("zoomed", Boolean($("stage").querySelector("img")) && !$("stage").matches(".zoomed")),
  play: () => { if (player().paused) player().play().catch(() => {}); else player().pause(); },
  choose: () => { const { id } = shown[current] ?? {}; if (id && !chosen.delete(id)) chosen.add(id); refresh(); },
  filters: () => $("filter").focus(),
  keys: () => $("keys").showModal(),
};
const KEYS = {
  a: "accept", x: "exclude", X: "excludeWithReason", l: "relabel", c: "correct", u: "undo", z: "undo", ArrowLeft: "previous", k: "previous",
  ArrowRight: "next", j: "next", ArrowUp: "up", ArrowDown: "down", Home: "first", End: "last", Escape: "grid", "?": "keys", n: "nextUndecided", f: "filters",
};

// --- the grid: only what is seen is in the page --------------------------------------------------------------

function layout() {
  const width = grid.clientWidth, columns = Math.max(2, Math.floor((width + GAP) / (LEAST + GAP)));
  const side = (width - GAP * (columns - 1)) / columns;
  return { columns, side, step: side + GAP };
}

const tiles = new Map();
// Pictures that the page came with, until their tiles take them over.
const early = new Map([...grid.querySelectorAll("a.tile img")].map((image) => [image.closest("a").dataset.id, image]));

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
    box.append(text("span", row.kind ?? "file", "sort"), text("span", row.id, "file"));
    return box;
  }
  const image = early.get(row.id) ?? Object.assign(new Image(), { alt: row.id, decoding: "async", src: `thumbnails/${encodeURIComponent(row.id)}` });
  early.delete(row.id);
  image.loading = "eager";
  const failed = () => image.replaceWith(text("span", row.id, "file"));
  image.addEventListener("error", failed, { once: true });
  if (image.complete && !image.naturalWidth) image.decode().catch(failed);
  return image;
}

function text(name, words, kind) {
  const element = document.createElement(name);
  element.textContent = words;
  if (kind) element.className = kind;
  return element;
}

function dress(item, row, at) {
  const button = item.firstElementChild, state = coming.has(row.id) ? "coming" : row.state;
  button.className = `tile ${row.state}${chosen.has(row.id) ? " chosen" : ""}`;
  button.tabIndex = at === current ? 0 : -1;
  for (const each of button.querySelectorAll(".mark, .name, .rated, .check")) each.remove();
  if (WORDS[state]) button.append(text("span", WORDS[state], "mark"));
  if (row.label) button.append(text("span", row.label, "name"));
  if (row.stars) button.append(text("span", `${row.stars} ★${row.flags?.length ? " ⚑" : ""}`, "rated"));
  if (chosen.has(row.id)) button.append(text("span", "Selected", "check"));
}

function scrollToCurrent() {
  const { columns, step } = layout(), top = grid.getBoundingClientRect().top + scrollY;
  const bar = document.querySelector(".top").offsetHeight + GAP, y = top + Math.floor(current / columns) * step;
  const foot = chosen.size ? $("batch").offsetHeight + GAP : 0;
  if (y - bar < scrollY) scrollTo(0, y - bar);
  else if (y + step + foot > scrollY + innerHeight) scrollTo(0, y + step + foot - innerHeight);
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

// Select from where somebody was to where they are now.
function choosing(at) {
  for (let n = Math.min(current, at); n <= Math.max(current, at); n += 1) chosen.add(shown[n].id);
}

// --- one file ----------------------------------------------------------------------------------------------

let open = null, described = null;
// By id, what the server says of a file: a promise, with its `value` once it is there.
const facts = new Map();

function factsOf(row) {
  let known = facts.get(row.id);
  if (!known) {
    known = get(`rows/${encodeURIComponent(row.id)}`);
    known.then((value) => { known.value = value; if (open === row) describe(row); }).catch(() => facts.delete(row.id));
    facts.set(row.id, known);
    if (facts.size > 100) facts.delete(facts.keys().next().value);
  }
  return known.value;
}

function media(row) {
  const name = { image: "img", video: "video", audio: "audio" }[row.kind];
  if (!name) return text("p", "This file cannot be shown here.");
  const element = document.createElement(name);
  if (name === "img") element.alt = row.id; else {
    element.controls = true;
    element.preload = "metadata";
    element.setAttribute("aria-label", row.id);
    element.addEventListener("timeupdate", follow);
  }
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
  $("main").focus({ preventScroll: true });
}

function close() {
  single = false;
  open = null;
  $("stage").replaceChildren();
  $("one").hidden = true;
  grid.hidden = false;
  draw();
  scrollToCurrent();
  refresh();
  tiles.get(shown[current]?.id)?.firstElementChild.focus({ preventScroll: true });
}

function showOne() {
  const row = shown[current];
  if (!row) return close();
  if (open !== row) {
    open = row;
    $("stage").className = `stage ${row.kind ?? "other"}`;
    $("stage").replaceChildren(media(row));
    for (const next of [shown[current - 1], shown[current + 1]]) if (next) {
      factsOf(next);
      if (next.kind === "image") new Image().src = `files/${encodeURIComponent(next.id)}`;
    }
  }
  $("state").textContent = `${current + 1} of ${shown.length}: ${{ accepted: "kept", excluded: "excluded", undecided: "undecided" }[row.state]}${coming.has(row.id) ? ", saving…" : ""}`;
  describe(row);
  const twins = (groupOf.get(row.id) ?? []).filter((id) => id !== row.id).map((id) => byId.get(id));
  $("twins").hidden = !twins.length;
  $("twin-list").replaceChildren(...twins.map((twin) => { const item = tile(twin); dress(item, twin, -1); item.firstElementChild.tabIndex = 0; return item.firstElementChild; }));
}

const terms = (pairs) => pairs.flatMap(([name, value, filter]) => {
  const said = text("dd", "");
  if (filter && !$(filter).parentElement.hidden) {
    const button = text("button", value, "link");
    button.type = "button";
    button.title = `Show all files of this ${filter}`;
    button.addEventListener("click", () => only(filter, filter === "flag" ? value : open[filter]));
    said.append(button);
  } else said.textContent = value;
  return [text("dt", name), said];
});

// What the server says of the file. Until it does, the last one's facts keep their place, so that nothing jumps.
function describe(row) {
  const value = factsOf(row);
  const known = value ?? (described?.row === row ? described.value : null);
  $("side").classList.toggle("waiting", !known);
  $("correct-button").disabled = !known?.correctable.length;
  if (!value || described?.value === value) return;
  described = { row, value };
  $("facts").replaceChildren(...value.sections.flatMap(([title, pairs]) => {
    const box = text("dl", "", "facts");
    box.append(...terms(pairs));
    return [text("h2", title), box];
  }));
  $("annotations").hidden = !value.annotations.length;
  $("annotations").querySelector("dl").replaceChildren(...terms(value.annotations));
  $("decisions").hidden = !value.decisions.length;
  $("decisions").querySelector("ol").replaceChildren(...value.decisions.map(({ by, action, label, reason, at }) => {
    const item = text("li", `${by ?? "somebody"}: ${action}${label ? ` to ${label}` : ""}${reason ? `, “${reason}”` : ""}`);
    item.append(text("span", at, "meta"));
    return item;
  }));
  $("transcript").hidden = !value.transcript.length;
  $("words").replaceChildren(...value.transcript.map(({ start, speaker, text: words }) => {
    const said = text("span", words, "said");
    if (start !== null) said.dataset.start = start;
    said.dataset.at = [start === null ? "" : `${Math.floor(start / 60)}:${String(Math.floor(start % 60)).padStart(2, "0")}`, speaker].filter(Boolean).join(" ");
    return said;
  }));
}

// Marks what is being said, and keeps it in sight.
function follow() {
  const words = $("words"), now = [...words.children].findLast((each) => Number(each.dataset.start) <= player()?.currentTime);
  if (now?.matches(".speaking")) return;
  words.querySelector(".speaking")?.classList.remove("speaking");
  if (!now) return;
  now.classList.add("speaking");
  const above = now.offsetTop;
  if (above < words.scrollTop || above + now.offsetHeight > words.scrollTop + words.clientHeight) words.scrollTop = above;
}

// --- together ----------------------------------------------------------------------------------------------

const VALUES = { label: (row) => [row.label], stars: (row) => [row.stars], worker: (row) => [row.worker], job: (row) => [row.job], flag: (row) => row.flags };
const SHOWN = {
  all: () => true,
  duplicates: (row) => groupOf.has(row.id),
  mine: (row) => !row.mine,
  once: (row) => row.people === 1,
  disputed: (row) => row.disputed,
};
const keyOf = (value) => (value === null ? NONE : String(value));

function choose() {
  const filter = $("filter").value, kept = shown[current], is = SHOWN[filter] ?? ((row) => row.state === filter);
  const active = Object.entries(VALUES).map(([name, of]) => [of, $(name).value]).filter(([, value]) => value);
  shown = rows.filter((row) => is(row) && active.every(([of, value]) => of(row).some((each) => keyOf(each) === value)));
  if (filter === "duplicates") shown.sort((a, b) => groupOf.get(a.id)[0].localeCompare(groupOf.get(b.id)[0]));
  current = Math.max(0, shown.indexOf(kept));
  chosen.clear();
  $("clear").hidden = filter === "all" && !active.length;
  refresh();
}

// Show only files of which the same is said.
function only(name, value) {
  $("filters").reset();
  const key = keyOf(value);
  if (![...$(name).options].some((each) => each.value === key)) $(name).append(new Option(key, key));
  $(name).value = key;
  choose();
  if (single) close();
}

function refresh() {
  const counts = { accepted: 0, excluded: 0, undecided: 0 };
  for (const row of rows) counts[row.state] += 1;
  const [kept, out, open] = [counts.accepted, counts.excluded, counts.undecided].map((each) => each.toLocaleString("en-US"));
  $("count").textContent = `${rows.length.toLocaleString("en-US")} files: ${kept} kept, ${out} excluded, ${open} undecided${agreement === null ? "" : `; agreement ${agreement.toFixed(2).replace("-", "−")}`}`;
  $("none").hidden = shown.length > 0;
  $("batch").hidden = single || !chosen.size;
  $("batch-count").textContent = `${chosen.size.toLocaleString("en-US")} selected`;
  const list = targets(), word = list.length && list.every(isOut) ? "Include " : "Exclude ";
  for (const each of document.querySelectorAll("[data-act=exclude]")) each.firstChild.data = word;
  if (single) showOne(); else draw();
}

function fill(name) {
  const counts = new Map(), select = $(name), value = select.value;
  for (const row of rows) for (const each of VALUES[name](row)) counts.set(each, (counts.get(each) ?? 0) + 1);
  const unit = name === "stars" ? " ★" : "";
  const options = [...counts].sort(name === "stars" ? ([a], [b]) => b - a : name === "label" ? ([a], [b]) => String(a).localeCompare(b) : ([, a], [, b]) => b - a);
  select.replaceChildren(new Option("all", ""), ...options.slice(0, MOST_OPTIONS).map(([each, count]) => new Option(`${each === null ? "none" : each + unit} (${count.toLocaleString("en-US")})`, keyOf(each))));
  select.value = value || "";
  select.parentElement.hidden = name === "flag" ? !counts.size : counts.size < 2;
}

function fillLabels() {
  labels.sort();
  $("labels").replaceChildren(...labels.map((each) => new Option(each)));
  for (const each of document.querySelectorAll("[data-act=relabel]")) each.hidden = !labels.length;
}

// Each column has its different values once, and for each row the place of its own.
function unpack({ ids, columns }) {
  const unpacked = ids.map((id) => ({ id, stars: null, flags: [], people: 0, disputed: false }));
  for (const [name, { values, places }] of Object.entries(columns)) unpacked.forEach((row, n) => { row[name] = values[places[n] ?? 0]; });
  return unpacked;
}

async function load() {
  const [known, groups] = await Promise.all([get(`rows?tab=${tab}`), get("duplicates")]);
  rows = unpack(known);
  byId = new Map(rows.map((row) => [row.id, row]));
  groupOf = new Map(groups.flatMap((group) => group.map((id) => [id, group])));
  ({ labels, agreement } = known);
  for (const [value, words, is] of [["mine", "undecided by me", !BLIND && rows.some((row) => row.state !== "undecided" && !row.mine)], ["once", "decided by one person", rows.some((row) => row.people > 1)], ["disputed", "people disagree", rows.some((row) => row.disputed)]]) {
    const option = $("filter").querySelector(`[value=${value}]`);
    if (is && !option) $("filter").append(new Option(words, value)); else if (!is) option?.remove();
  }
  fillLabels();
  for (const name of Object.keys(VALUES)) fill(name);
  facts.clear();
  for (const item of tiles.values()) item.remove();
  tiles.clear();
  grid.replaceChildren();
  open = null;
  choose();
}

addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey || document.querySelector("dialog[open]")) return;
  const { target } = event, isTyping = target.closest("input, select, textarea, audio:focus-visible, video:focus-visible");
  if (event.key === "Escape" && target.closest(".filters")) return $("main").focus({ preventScroll: true });
  if (isTyping) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, isButton = target.closest("button:not(.tile), a");
  let name = KEYS[key === "x" && event.shiftKey ? "X" : key];
  if (event.ctrlKey || event.metaKey) {
    if (key !== "a" || single) return;
    for (const row of shown) chosen.add(row.id);
    name = "";
    refresh();
  } else if (key === " ") {
    // A button takes its own space; without sound, it scrolls.
    if (isButton || (single && !player())) return;
    name = single ? "play" : "choose";
  } else if (key === "Enter" && !isButton) {
    if (single) name = "zoom"; else { name = ""; look(current); }
  } else if (event.shiftKey && key.startsWith("Arrow")) {
    if (single) {
      if (!player() || (name !== "previous" && name !== "next")) return;
      player().currentTime += name === "next" ? 5 : -5;
      name = "";
    } else {
      const before = current;
      acts[name]();
      const after = current;
      current = before;
      choosing(after);
      current = after;
      name = "";
      refresh();
    }
  } else if (!name || (single && (name === "up" || name === "down"))) return;
  if (name) acts[name]();
  event.preventDefault();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".tile"), name = event.target.closest("[data-act]")?.dataset.act, said = event.target.closest(".said");
  if (name) {
    // A button that a mouse has clicked gives the focus back, or the next space would press it again.
    if (event.detail) $("main").focus({ preventScroll: true });
    acts[name]();
  } else if (said?.dataset.start && player()) {
    player().currentTime = Number(said.dataset.start);
  } else if (event.target.closest("#stage img")) acts.zoom();
  else if (button && byId.has(button.dataset.id)) {
    event.preventDefault();
    const at = shown.indexOf(byId.get(button.dataset.id));
    if (at < 0) return;
    if (single || !(event.shiftKey || event.ctrlKey || event.metaKey)) return look(at);
    if (event.shiftKey) choosing(at);
    else if (!chosen.delete(button.dataset.id)) chosen.add(button.dataset.id);
    current = at;
    refresh();
  }
});
// With Shift, the click says from where: the focus must not move there before it.
grid.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); });
grid.addEventListener("focusin", (event) => {
  const at = shown.indexOf(byId.get(event.target.closest(".tile")?.dataset.id));
  if (at >= 0 && at !== current) { current = at; refresh(); }
});
// A player with the focus keeps all keys to itself: one that was clicked gives it back, one that was tabbed to does not.
$("stage").addEventListener("focusin", (event) => {
  if (event.target.matches("audio, video") && !event.target.matches(":focus-visible")) $("main").focus({ preventScroll: true });
});
$("filters").addEventListener("change", choose);
$("filters").addEventListener("reset", () => setTimeout(choose));
$("filters").addEventListener("submit", (event) => event.preventDefault());
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
