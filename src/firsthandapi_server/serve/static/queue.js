// What waits in this browser to be sent, files and all: in IndexedDB, and in memory where the browser keeps nothing. On a
// phone that people share it is of one person alone.
"use strict";

const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

// A text in the language of the page; the English one is its key.
function say(english, values = {}) {
  return (words[english] ?? english).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const queue = (() => {
  const DAYS = 30;
  const memory = new Map();
  const opened = new Promise((resolve) => {
    try {
      const asked = indexedDB.open("firsthand", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("uploads", { keyPath: "id" });
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = asked.onblocked = () => resolve(null);
    } catch { resolve(null); }
  });

  async function run(mode, act) {
    const base = await opened;
    if (!base) throw new Error("this browser keeps nothing");
    return new Promise((resolve, reject) => {
      // Strict: a phone whose battery dies keeps it, too.
      const transaction = base.transaction("uploads", mode, { durability: "strict" });
      const asked = act(transaction.objectStore("uploads"));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  }

  async function all() {
    let kept = [];
    try { kept = await run("readonly", (store) => store.getAll()); } catch { /* only what is in memory */ }
    return [...kept.filter((each) => !memory.has(each.id)), ...memory.values()];
  }

  return {
    // What one person has here, the oldest first. What anybody has left for a month goes.
    async of(person) {
      const items = await all();
      for (const old of items.filter((each) => each.at < Date.now() - DAYS * 86400000)) this.remove(old.id);
      return items.filter((each) => each.person === person).sort((a, b) => a.at - b.at);
    },
    // Forget what is of others; of everybody, without a person.
    async keepOnly(person) {
      for (const each of await all()) if (each.person !== person) await this.remove(each.id);
    },
    async put(item) {
      navigator.storage?.persist?.();
      try {
        await run("readwrite", (store) => store.put(item));
        memory.delete(item.id);
      } catch { memory.set(item.id, item); }
    },
    async remove(id) {
      memory.delete(id);
      try {
        await run("readwrite", (store) => store.delete(id));
        localStorage.removeItem(`upload ${id}`); // where its files go: work.js
      } catch { /* it was in memory */ }
    },
    // Whether all of it outlives this page.
    isKept() { return memory.size === 0; },
  };
})();

// --- one person's phone ----------------------------------------------------------------------------------

// What is sent here is this person's, and the page opens without a network from now on. A page that takes no files loads
// what sends only when some wait.
const here = document.getElementById("queue");
if (here) {
  const { script, person } = here.dataset;
  queue.keepOnly(person);
  navigator.serviceWorker?.register("/offline.js").catch(() => {}); // some browsers have none in private windows
  const look = () => askAgain().catch(() => {}); // of console.js
  addEventListener("online", look);
  if (!document.getElementById("offline").hidden && navigator.onLine) look(); // the server may only be slow
  if (script) queue.of(person).then((all) => {
    if (all.some((each) => !each.isDraft)) document.head.append(made("script", "", { src: script }));
  });
}

function made(name, textContent, values) { return Object.assign(document.createElement(name), { textContent, ...values }); }

// Where somebody else is about to sign in.
const unsent = document.getElementById("unsent");
if (unsent) queue.of(unsent.dataset.of).then((all) => { unsent.hidden = !all.length; });

// Signing out, and deleting one's data, empties the phone: the server has the browser forget what it keeps, and where that
// is not encrypted, only we can. Files that are not sent would be lost, so the first click says so.
const left = "BroadcastChannel" in window ? new BroadcastChannel("left") : null;
left?.addEventListener("message", () => location.reload());

async function leave(event) {
  const form = event.target;
  const button = form.querySelector("button");
  event.preventDefault();
  const waiting = (await queue.of(here?.dataset.person ?? unsent?.dataset.of)).reduce((count, each) => count + each.files.length, 0);
  if (waiting && form.matches("[action='/sign-out']") && !form.dataset.isWarned) {
    form.dataset.isWarned = "yes";
    warn(form, say("Files that are not sent yet: {count}. They are deleted from this phone if you sign out. To sign out, press the button again.", { count: waiting }));
    return;
  }
  let response;
  button.disabled = true;
  try {
    response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  } catch {
    warn(form, say("No connection. Try again when you are back online."));
    button.disabled = false;
    return;
  }
  if (!response.ok) { form.submit(); return; } // the page says why
  await queue.keepOnly();
  left?.postMessage("");
  location.assign(response.url);
}

function warn(form, text) {
  document.getElementById("warned")?.remove();
  const warned = made("p", text, { id: "warned", className: "fault", role: "alert" });
  if (form.closest("main")) form.before(warned);
  else document.getElementById("main").prepend(warned); // below the bar
}

for (const form of document.querySelectorAll("[action='/sign-out'], [action='/me/delete']")) form.addEventListener("submit", leave);
