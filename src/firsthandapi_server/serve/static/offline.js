// The service worker of people who work: it opens their pages without a network, as they were last seen. The server
// writes VERSION, ASSETS, and PATIENCE before this. It keeps pages of one person at a time, none of reviewers or
// operators, and no media.
"use strict";

const HANDLED = /^\/(me|join|sign-in|w\/[\w-]+)?$/;
const KEPT = /^\/(me|w\/[\w-]+)?$/;
const LISTS = ["/me", "/"]; // of open jobs
const MOST_JOBS = 10; // whose pages are kept before anybody has opened them
const SECRET = 'id="passport"'; // is shown once
const GONE = [502, 503, 504]; // a proxy without a server, or a server that can keep nothing
let era = 0; // a page that was asked for in an earlier one may be of somebody who has left
let isLost = false;
let isAwaited = false; // a form was sent: only the server knows the page that answers it

function addressOf(url) {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

async function forget(isGone) {
  for (const name of await caches.keys()) if (isGone(name)) await caches.delete(name);
}

addEventListener("install", (event) => event.waitUntil((async () => {
  skipWaiting();
  await caches.open(`assets ${VERSION}`).then((cache) => cache.addAll(ASSETS));
  // What is open came without this worker, or by an older one.
  for (const { url } of await clients.matchAll({ includeUncontrolled: true })) {
    if (KEPT.test(new URL(url).pathname)) await fetch(url).then((response) => keep(url, response, era)).catch(() => {});
  }
})()));

addEventListener("activate", (event) => event.waitUntil((async () => {
  await forget((name) => !name.includes(VERSION));
  await clients.claim();
})()));

addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" && mode === "navigate") isAwaited = true;
  if (method !== "GET" || origin !== location.origin) return;
  if (mode === "navigate" && HANDLED.test(pathname)) event.respondWith(visit(event));
  else if (ASSETS.includes(pathname)) event.respondWith(load(event.request));
});

async function load(request) {
  const copy = await caches.match(request, { ignoreVary: true });
  return isLost && copy ? copy : fetch(request).catch(() => copy ?? Response.error());
}

// The page of the server; where that does not come, the one that is kept, or the person's own.
async function visit(event) {
  const { url } = event.request;
  const began = era;
  // By its address: a link of another site may lead here, but what it asks for through us looks like no link any more.
  const fresh = fetch(url, { redirect: "manual" });
  event.waitUntil(fresh.then((response) => keep(url, response.clone(), began)).catch(() => {}));
  const copy = await caches.match(addressOf(url), { ignoreVary: true });
  const isPatient = !copy || isAwaited;
  isAwaited = false;
  const late = new Promise((resolve) => { if (!isPatient) setTimeout(resolve, PATIENCE); });
  const response = await Promise.race([fresh, late]).catch(() => null);
  isLost = !response || GONE.includes(response.status);
  if (!isLost) return response;
  if (copy) return copy;
  for (const list of LISTS) if (await caches.match(list, { ignoreVary: true })) return Response.redirect(list);
  return response ?? Response.error();
}

// Keep a page, and with a list of jobs those of the jobs. Where nobody is signed in, no page is kept.
async function keep(url, response, began) {
  if (response.type === "opaqueredirect") return; // the page that it leads to says more
  let text = await response.text();
  if (text.includes(SECRET)) text = await fetch(url).then((again) => again.text());
  if (!response.ok || era !== began) return;
  const person = /data-person="(\w+)"/.exec(text)?.[1];
  const name = `pages ${VERSION} ${person}`;
  if (!person) era += 1;
  await forget((each) => each.startsWith("pages ") && each !== name);
  if (!person || !KEPT.test(new URL(url).pathname)) return;
  const cache = await caches.open(name);
  if (!text.includes(SECRET)) await cache.put(addressOf(url), copyOf(response, text));
  if (!LISTS.includes(addressOf(url))) return;
  const links = [...text.matchAll(/href="(\/w\/[^"#]+)/g)].map((found) => found[1]);
  const known = (await cache.keys()).map((each) => addressOf(each.url));
  for (const each of known) if (![...LISTS, ...links].includes(each)) await cache.delete(each);
  for (const link of new Set(links.slice(0, MOST_JOBS))) {
    if (known.includes(link)) continue;
    if (isAwaited) return; // a page that shows a secret once shows it to whoever asks first
    const page = await fetch(link);
    const words = await page.text();
    if (page.ok && words.includes(`data-person="${person}"`) && !words.includes(SECRET)) await cache.put(link, copyOf(page, words));
  }
}

// A page that says that it is one of before.
function copyOf(response, text) {
  const headers = new Headers(response.headers);
  for (const name of ["content-encoding", "content-length"]) headers.delete(name); // of a proxy that packs it
  return new Response(text.replace('id="offline" hidden', 'id="offline"'), { headers });
}
