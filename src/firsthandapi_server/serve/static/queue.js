// What waits in this browser to be sent, files and all: in IndexedDB, and in memory where the browser keeps nothing.
"use strict";

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
      const transaction = base.transaction("uploads", mode);
      const asked = act(transaction.objectStore("uploads"));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  }

  return {
    // What one person has here, the oldest first. What anybody has left for a month goes.
    async of(person) {
      let all = [];
      try { all = await run("readonly", (store) => store.getAll()); } catch { /* only what is in memory */ }
      for (const old of all.filter((each) => each.at < Date.now() - DAYS * 86400000)) this.remove(old.id);
      const known = all.filter((each) => !memory.has(each.id));
      return [...known, ...memory.values()].filter((each) => each.person === person).sort((a, b) => a.at - b.at);
    },
    async put(item) {
      try {
        await run("readwrite", (store) => store.put(item));
        memory.delete(item.id);
      } catch { memory.set(item.id, item); }
    },
    async remove(id) {
      memory.delete(id);
      try { await run("readwrite", (store) => store.delete(id)); } catch { /* it was in memory */ }
    },
    // Whether all of it outlives this page.
    isKept() { return memory.size === 0; },
  };
})();

// A page that takes no files sends them too. It loads what does so only when some wait.
{
  const { script, person } = document.getElementById("queue").dataset;
  if (script) queue.of(person).then((all) => {
    if (all.some((each) => !each.isDraft)) document.head.append(Object.assign(document.createElement("script"), { src: script }));
  });
}
