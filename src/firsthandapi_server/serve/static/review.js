// Keys for reviewers, full size, and a look now and then at what waits. Without it, the pages work by mouse, touch, and Tab.
"use strict";

const review = document.getElementById("review");
const reason = document.getElementById("reason");
const undo = document.getElementById("undo");
const keys = document.getElementById("keys");
const zoom = document.getElementById("zoom");

function groups() { return [...document.querySelectorAll(".rate")]; }
function isRated(group) { return group.querySelector("input:checked") !== null; }

function rate(stars) {
  const focused = document.activeElement?.closest?.(".review-file")?.querySelector(".rate");
  const group = focused ?? groups().find((each) => !isRated(each)) ?? groups().at(-1);
  const chosen = group?.querySelector(`input[value="${stars}"]`);
  if (!chosen) return;
  chosen.checked = true;
  const left = groups().find((each) => !isRated(each));
  if (left) left.querySelector("input").focus(); else document.getElementById("send").focus({ preventScroll: true });
}

function showFull(link) {
  if (!link) return;
  const picture = document.createElement("img");
  picture.src = link.href;
  picture.alt = link.querySelector("img").alt;
  zoom.replaceChildren(picture);
  zoom.showModal();
  zoom.focus();
}

const acts = {
  r: () => reason?.focus(),
  j: () => document.querySelector("a[rel=next]")?.click(),
  k: () => document.querySelector("a[rel=prev]")?.click(),
  g: () => document.getElementById("grid-link").click(),
  z: () => undo?.requestSubmit(),
  f: () => showFull((document.activeElement?.closest?.(".review-file") ?? document).querySelector("a.zoomed")),
  "?": () => keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.metaKey || event.isComposing) return;
  if (zoom.open || keys.open) {
    if ((zoom.open && event.key === "f") || (keys.open && event.key === "?")) { event.preventDefault(); zoom.close(); keys.close(); }
    return;
  }
  if (event.target === reason) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); review.requestSubmit(); }
    return;
  }
  if (event.ctrlKey || event.target.closest("select")) return;
  if (review && /^[1-5]$/.test(event.key)) { event.preventDefault(); rate(event.key); }
  else if (review && event.key === "Enter" && !event.target.closest("a, button, summary, audio, video")) {
    event.preventDefault();
    review.requestSubmit();
  } else if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.zoomed");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); showFull(link); }
});
zoom.addEventListener("click", () => zoom.close());
const button = document.getElementById("keys-button");
button.hidden = false;
button.addEventListener("click", acts["?"]);

// A double click must not rate twice.
review?.addEventListener("submit", () => { document.getElementById("send").disabled = true; });
addEventListener("pageshow", () => { const send = document.getElementById("send"); if (send) send.disabled = false; });
if (undo) setTimeout(() => undo.remove(), 1000 * undo.dataset.seconds);

const shown = document.getElementById("waiting");
const title = document.title;
// Each look also holds what is shown for two more minutes.
async function look(response) {
  const { waiting, held } = await response.json();
  document.title = waiting ? `(${waiting}) ${title}` : title;
  if (review) document.getElementById("lost").hidden = held;
  else if (waiting && shown.dataset.waiting === "0") location.reload();
  return true;
}
const query = new URLSearchParams(location.search);
if (review) query.set("at", review.elements.submission.value);
if (shown) watch(asker(`/review/waiting?${query}`, null, look)); // of console.js
