// Keys for reviewers, and a look now and then at what waits. Without it, the page works by mouse, touch, and Tab.
"use strict";

const review = document.getElementById("review");
const reason = document.getElementById("reason");

function groups() { return [...document.querySelectorAll(".rate")]; }
function isRated(group) { return group.querySelector("input:checked") !== null; }
function isWriting(element) { return element === reason; }

function rate(stars) {
  const focused = document.activeElement?.closest?.(".review-file")?.querySelector(".rate");
  const group = focused ?? groups().find((each) => !isRated(each)) ?? groups().at(-1);
  const chosen = group?.querySelector(`input[value="${stars}"]`);
  if (!chosen) return;
  chosen.checked = true;
  const left = groups().find((each) => !isRated(each));
  if (left) left.querySelector("input").focus(); else document.getElementById("send").focus();
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.metaKey || event.isComposing || !review) return;
  if (isWriting(event.target)) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && event.ctrlKey) { event.preventDefault(); review.requestSubmit(); }
    return;
  }
  if (event.ctrlKey) return;
  if (/^[1-5]$/.test(event.key)) { event.preventDefault(); rate(event.key); }
  else if (event.key === "Enter" && !event.target.closest("a, button, summary, audio, video")) {
    event.preventDefault();
    review.requestSubmit();
  } else if (event.key === "r") { event.preventDefault(); reason.focus(); }
  else if (event.key === "j") document.querySelector("a[rel=next]")?.click();
  else if (event.key === "k") document.querySelector("a[rel=prev]")?.click();
});

// A double click must not rate twice.
review?.addEventListener("submit", () => { document.getElementById("send").disabled = true; });
addEventListener("pageshow", () => { const send = document.getElementById("send"); if (send) send.disabled = false; });

const shown = document.getElementById("waiting");
const title = document.title;
async function look(response) {
  const { waiting } = await response.json();
  document.title = waiting ? `(${waiting}) ${title}` : title;
  if (!review && waiting) location.reload();
  return true;
}
if (shown) watch(asker("/review/waiting", null, look)); // of console.js
