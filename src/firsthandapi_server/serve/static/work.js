// Previews, recordings, and uploads that survive a bad connection. Without it, the form works all the same.
"use strict";

let form = document.getElementById("send"); // null where no files are taken
const mine = document.getElementById("mine");
const PAUSES = [1000, 3000, 8000, 20000];

// --- what is chosen --------------------------------------------------------------------------------------

const waiting = document.getElementById("queue"); // what is not sent yet
const { person } = waiting.dataset;
let files = [];
let draft = newId(); // of the files that are chosen
let recorder = null;

function newId() { return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join(""); }

function show(id, words) {
  const element = document.getElementById(id);
  if (!element) return null;
  element.hidden = !words;
  if (id !== "recorder") element.textContent = words ?? "";
  return element;
}

function removal(name, onclick) {
  const button = made("button", say("Remove"), { type: "button", onclick });
  button.setAttribute("aria-label", say("Remove {name}", { name }));
  return button;
}

function kindOf(type) { return type.split("/")[0]; }

function accepts(type) { return form.dataset.formats.split(",").includes(type); }

// The row that the files of a form are made for; null where there are none.
function taskOf(one) {
  const { value: id } = one.elements.task_id ?? {};
  return id ? { id, text: document.getElementById("task-text").textContent } : null;
}

function size(bytes) { return bytes < 1e6 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / (1 << 20)).toFixed(1)} MB`; }

function bytesOf(all) { return all.reduce((sum, file) => sum + file.size, 0); }

// A picture of a phone that keeps HEIC as a JPEG, where this browser can read it, and the job takes one.
async function readable(file) {
  if (!/^image\/hei[cf]$/.test(file.type) && !/\.hei[cf]$/i.test(file.name)) return file;
  if (!accepts("image/jpeg") || accepts("image/heic")) return file;
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, Math.sqrt(16e6 / (picture.width * picture.height))); // as much as a phone can draw
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width * scale, height: picture.height * scale });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const jpeg = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.92); });
    return new File([jpeg], file.name.replace(/\.hei[cf]$/i, ".jpg"), { type: "image/jpeg", lastModified: file.lastModified });
  } catch {
    show("fault", say("This is a HEIC picture, which cannot be taken here. Take the picture with the button of this page, or on an iPhone choose Settings > Camera > Formats > Most Compatible."));
    return null;
  }
}

async function add(given, effect = choose) {
  const file = await readable(given);
  if (!file) return;
  const most = Number(form.dataset.most);
  const type = file.type.split(";")[0].toLowerCase();
  const limit = Number(form.dataset[kindOf(type)] ?? Infinity);
  // Without a type, its name and its first bytes tell the server.
  if (type && type !== "application/octet-stream" && !form.dataset.types.split(",").includes(type)) {
    show("fault", `${file.name}: ${say("This file cannot be taken here: this job takes {formats}.", { formats: form.dataset.names })}`);
    return;
  }
  if (file.size > limit) {
    show("fault", say("{name} has {size}, and at most {most} can be sent. Choose a lower resolution or a shorter recording.", { name: file.name, size: size(file.size), most: size(limit) }));
    return;
  }
  if (most === 1) files = [];
  if (files.length >= most) {
    show("fault", say("Send at most {count} files at a time. Remove one first.", { count: most }));
    return;
  }
  show("fault", "");
  files.push(file);
  effect();
}

// Files that are chosen are there again after a reload.
async function choose() {
  draw();
  const { value: retry } = form.elements.retry ?? {};
  if (files.length) await queue.put({ id: draft, person, job: form.dataset.job, retry, task: taskOf(form), files, isDraft: true, at: Date.now() });
  else await queue.remove(draft);
  if (unkept()) show("fault", unkept());
}

function unkept() {
  return queue.isKept() ? "" : say("This browser cannot keep your files, perhaps because the phone is full. Leave this page open until they are sent.");
}

// One address for each file, however often the list is drawn.
const addresses = new Map();

function address(file) {
  if (!addresses.has(file)) addresses.set(file, URL.createObjectURL(file));
  return addresses.get(file);
}

function draw() {
  const list = document.getElementById("chosen");
  list.replaceChildren(...files.map((file, index) => {
    const item = document.createElement("li");
    const kind = kindOf(file.type);
    if (["image", "audio", "video"].includes(kind)) {
      const media = document.createElement({ image: "img", audio: "audio", video: "video" }[kind]);
      media.src = address(file);
      if (kind === "image") media.alt = "";
      else { media.controls = true; media.setAttribute("aria-label", file.name); }
      item.append(media);
    }
    item.append(made("span", `${file.name}, ${size(file.size)}`), removal(file.name, () => {
      files.splice(index, 1);
      choose();
      document.getElementById("submit").focus();
    }));
    return item;
  }));
  list.hidden = files.length === 0;
}

// --- the upload ------------------------------------------------------------------------------------------

// By tus 1.0.0, in pieces: after a lost connection, a reload, or a closed tab an upload goes on from the last byte that
// the server has. What was sent without a network waits, and goes as soon as there is one.
const PIECE = 4 << 20;
const LOST = [0, 408, 423, 429, 502, 503, 504];
const LATER = 60000;
const SILENCE = 60000; // no byte for so long: the network has died without a word, which a browser may notice in a quarter of an hour
let sending = null; // what is on its way: its id, and its request
let later = null;

function ask(method, path, headers, body, sent = 0, total = 1) {
  if (sending.isRemoved) return { status: 0 };
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    for (const [name, value] of Object.entries({ "tus-resumable": "1.0.0", ...headers })) request.setRequestHeader(name, value);
    request.responseType = "json";
    let silent;
    const heard = () => {
      clearTimeout(silent);
      silent = setTimeout(() => request.abort(), SILENCE);
    };
    request.upload.addEventListener("progress", (event) => {
      heard();
      progress((sent + event.loaded) / total);
    });
    request.addEventListener("loadend", () => {
      clearTimeout(silent);
      resolve({
        status: request.status,
        words: request.response?.words,
        at: request.getResponseHeader("upload-offset"),
        path: request.getResponseHeader("location"),
      });
    });
    heard();
    sending.request = request;
    request.send(body);
  });
}

function metadata(values) {
  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return Object.entries(values).filter(([, value]) => value).map(([name, value]) => `${name} ${base64(String(value))}`).join(",");
}

// Where the files of an upload go, over a reload.
function paths(id, value) {
  try {
    if (value === undefined) return JSON.parse(localStorage.getItem(`upload ${id}`)) ?? [];
    localStorage.setItem(`upload ${id}`, JSON.stringify(value));
  } catch { /* a browser that keeps nothing */ }
  return value ?? [];
}

// Send what is missing of one file. The last response: 204 or 200 when the server has all of it.
async function attempt(item, index, known, sent, total) {
  const file = item.files[index];
  let refused = null;
  for (;;) {
    let answer = known[index] ? await ask("HEAD", known[index]) : { status: 404 };
    if ([404, 410].includes(answer.status)) {
      if (refused) return refused; // the server has removed it, and said why
      const group = item.files.length > 1 ? { group: item.id, group_size: item.files.length } : {};
      const said = { filename: file.name.slice(-200), filetype: file.type, job_id: item.job, worker_id: person, once: `${item.id} ${index}`, ...item.fields, ...group };
      answer = await ask("POST", "/uploads", { "upload-length": file.size, "upload-metadata": metadata(said) });
      if (answer.status !== 201) return answer;
      known[index] = answer.path;
      paths(item.id, known);
      answer.at = 0;
    } else if (answer.status !== 200) return refused ?? answer;
    let at = Number(answer.at);
    if (at === file.size) return refused ?? answer;
    while (at < file.size) {
      const headers = { "upload-offset": at, "content-type": "application/offset+octet-stream" };
      answer = await ask("PATCH", known[index], headers, file.slice(at, at + PIECE), sent + at, total);
      if (answer.status !== 204) break;
      at = Number(answer.at);
    }
    if (answer.status !== 409 || refused) return answer;
    refused = answer; // another place, or another reason: the server says where it is
  }
}

function progress(share) {
  const part = document.getElementById("progress");
  part.hidden = share === null;
  part.querySelector("progress").value = Math.round((share ?? 0) * 100);
  part.querySelector("span").textContent = share === null ? "" : share < 1 ? `${Math.round(share * 100)}%` : say("Checking…");
}

// Send one submission, patiently. The last response.
async function submit(item) {
  const known = paths(item.id);
  const total = bytesOf(item.files) || 1;
  for (let tries = 0, next = 0, sent = 0; ;) {
    progress(sent / total);
    const answer = await attempt(item, next, known, sent, total);
    if (answer.status === 200 || answer.status === 204) {
      sent += item.files[next].size;
      next += 1;
      tries = 0;
      if (next === item.files.length) return answer;
    } else {
      if (!LOST.includes(answer.status) || sending.isRemoved || !navigator.onLine || tries === PAUSES.length) return answer;
      show("queue-said", say("The connection was lost. Trying again…"));
      await Promise.race([
        new Promise((resolve) => { setTimeout(resolve, PAUSES[tries]); }),
        new Promise((resolve) => { addEventListener("online", resolve, { once: true }); }),
      ]);
      tries += 1;
    }
  }
}

// Send all that waits of this person, one after the other. `asked` is what they have just asked for.
async function sendAll(asked) {
  let done = 0;
  for (;;) {
    const item = (await queue.of(person)).find((each) => !each.isDraft && (!each.fault || each.id === asked));
    await list();
    if (!item) break;
    if (!navigator.onLine) {
      show("queue-said", say("No connection. These files wait here and are sent automatically when you are back online."));
      break;
    }
    show("queue-said", "");
    sending = { id: item.id };
    const { status, words: why } = await submit(item);
    progress(null);
    const { isRemoved } = sending;
    sending = {};
    if (isRemoved) continue;
    if (status === 200 || status === 204) {
      done += 1;
    } else if (LOST.includes(status)) {
      show("queue-said", say("No connection. These files wait here and are sent automatically when you are back online."));
      later = setTimeout(() => flush(), LATER);
      break;
    } else if (status === 401) {
      show("queue-said", why);
      break;
    } else if (status === 507) { // no space now: what others have on their way may leave some
      show("queue-said", why ?? say("The server failed. Try again."));
      later = setTimeout(() => flush(), LATER);
      break;
    } else if ((await queue.of(person)).every((each) => each.id !== item.id)) {
      continue; // another tab has sent it
    } else {
      const words = why ?? say("The server failed. Try again.");
      const isForm = item.id === asked && form && !files.length && item.job === form.dataset.job && item.retry === form.elements.retry?.value
        && item.fields.task_id === form.elements.task_id?.value;
      if (!isForm) {
        await queue.put({ ...item, fault: words });
        continue;
      }
      files = item.files; // to send others, or fewer
      await choose();
      show("fault", words);
    }
    await queue.remove(item.id);
  }
  return done;
}

async function flush(asked) {
  if (sending) return; // which takes up what has come in the meantime
  clearTimeout(later);
  sending = {};
  const all = () => sendAll(asked);
  // One tab at a time, where the browser can say so; else the server refuses the same bytes.
  const done = navigator.locks
    ? await navigator.locks.request("firsthand-uploads", { ifAvailable: true }, (lock) => (lock ? all() : null))
    : await all();
  sending = null;
  progress(null);
  await list();
  if (done === null) later = setTimeout(() => flush(), PAUSES[1]);
  if (done) arrived();
}

// Show what the server has now. The page stays: the network may be gone again.
async function arrived() {
  show("sent", say("Submitted. Its status is below."));
  try {
    const response = await fetch(waiting.dataset.link);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok || response.redirected) return;
    renewFrom(fresh); // of console.js
    renewForm(fresh.getElementById("send"));
    await list();
  } catch { /* offline: it is shown later */ }
}

// Another form, if it is for something else now: a retry is sent, or fewer files are wanted, or none.
function renewForm(fresh) {
  if (!form || files.length || recorder) return;
  const purpose = (one) => JSON.stringify([{ ...one.dataset }, one.elements.retry?.value, one.elements.task_id?.value]);
  if (fresh && purpose(fresh) === purpose(form)) return;
  const section = form.closest("section");
  if (form.elements.retry) history.replaceState(null, "", waiting.dataset.link);
  form = fresh;
  if (!fresh) { section.remove(); return; }
  section.replaceWith(fresh.closest("section"));
  prepare();
}

async function send(event) {
  event.preventDefault();
  if (!files.length) {
    if (!sending) show("fault", say("Take a picture or choose a file first."));
    return;
  }
  show("fault", "");
  show("sent", "");
  const fields = Object.fromEntries(["retry", "task_id", "utc_offset", "latitude", "longitude"].map((name) => [name, form.elements[name]?.value]));
  const title = document.querySelector("h1").textContent;
  const item = { id: draft, person, job: form.dataset.job, title, retry: fields.retry, files, fields, at: Date.now() };
  files = [];
  draft = newId();
  draw();
  await queue.put(item);
  await list();
  flush(item.id);
}

// What waits, of other jobs too: people see it, and can remove it.
async function list() {
  const items = (await queue.of(person)).filter((each) => !each.isDraft);
  waiting.hidden = !items.length;
  document.getElementById("count").textContent = items.length;
  show("unkept", unkept());
  document.getElementById("nothing")?.toggleAttribute("hidden", items.length > 0);
  document.getElementById("waiting").replaceChildren(...items.map((item) => {
    const entry = document.createElement("li");
    const names = item.files.map((file) => file.name).join(", ");
    entry.append(made("span", `${names}, ${size(bytesOf(item.files))}`));
    if (item.job !== waiting.dataset.job) entry.append(made("bdi", item.title, { className: "meta" }));
    if (item.fault) {
      entry.append(made("p", item.fault, { className: "fault" }), made("button", say("Try again"), {
        type: "button",
        async onclick() {
          await queue.put({ ...item, fault: undefined });
          flush();
        },
      }));
    }
    entry.append(removal(names, async () => {
      if (sending?.id === item.id) {
        sending.isRemoved = true;
        sending.request?.abort();
      }
      for (const path of paths(item.id)) if (path) fetch(path, { method: "DELETE", headers: { "tus-resumable": "1.0.0" } }).catch(() => {}); // else it goes by itself
      await queue.remove(item.id);
      list();
    }));
    return entry;
  }));
}

// --- recordings ------------------------------------------------------------------------------------------

const RECORDED = {
  audio: ["audio/mp4;codecs=mp4a.40.2", "audio/mp4", "audio/webm", "audio/ogg"],
  video: ["video/mp4;codecs=avc1.42E01E,mp4a.40.2", "video/mp4;codecs=avc1.42E01E,opus", "video/mp4;codecs=avc1", "video/mp4;codecs=vp9,opus", "video/mp4;codecs=vp9", "video/mp4"],
};

// What this browser records and this job takes. Sound that it records otherwise becomes WAV.
function recorded(kind) {
  if (!window.MediaRecorder || !navigator.mediaDevices) return null;
  return RECORDED[kind].find((type) => MediaRecorder.isTypeSupported(type)
    && (accepts(type.split(";")[0]) || (kind === "audio" && accepts("audio/wav")))) ?? null;
}

async function record(how) {
  if (recorder) return;
  const kind = how === "audio" ? "audio" : "video";
  const type = recorded(kind);
  let stream;
  try {
    stream = how === "screen"
      ? await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true })
      : await navigator.mediaDevices.getUserMedia({ audio: true, video: how === "video" && { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } } });
  } catch (error) {
    show("fault", error.name === "NotAllowedError"
      ? say("The browser did not allow it. Allow it in the settings of the browser for this page, or choose a file.")
      : say("No camera or microphone was found. Choose a file instead."));
    return;
  }
  show("fault", "");
  const live = document.getElementById("live");
  live.hidden = kind === "audio";
  if (kind === "video") { live.srcObject = stream; live.play(); }
  const parts = [];
  recorder = new MediaRecorder(stream, { mimeType: type });
  const started = Date.now();
  const elapsed = document.getElementById("elapsed");
  const clock = setInterval(() => {
    const seconds = Math.floor((Date.now() - started) / 1000);
    elapsed.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }, 250);
  recorder.addEventListener("dataavailable", (event) => { if (event.data.size) parts.push(event.data); });
  recorder.addEventListener("stop", async () => {
    clearInterval(clock);
    for (const track of stream.getTracks()) track.stop();
    live.srcObject = null;
    show("recorder", "");
    recorder = null;
    const plain = type.split(";")[0];
    const blob = new Blob(parts, { type: plain });
    try {
      if (accepts(plain)) add(new File([blob], `recording.${kind === "audio" ? "m4a" : "mp4"}`, { type: plain }));
      else add(new File([await wav(blob)], "recording.wav", { type: "audio/wav" }));
    } catch {
      show("fault", say("The recording cannot be read. Record it again, or choose a file."));
    }
  });
  stream.getVideoTracks()[0]?.addEventListener("ended", () => recorder?.stop());
  show("recorder", "yes");
  recorder.start(1000);
  document.getElementById("stop").focus();
}

async function wav(blob) {
  const context = new AudioContext();
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  context.close();
  const channels = Math.min(2, sound.numberOfChannels);
  const view = new DataView(new ArrayBuffer(44 + sound.length * channels * 2));
  const text = (at, words) => { for (let i = 0; i < words.length; i += 1) view.setUint8(at + i, words.charCodeAt(i)); };
  const bytes = view.byteLength - 44;
  text(0, "RIFF"); view.setUint32(4, 36 + bytes, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); view.setUint16(22, channels, true); view.setUint32(24, sound.sampleRate, true);
  view.setUint32(28, sound.sampleRate * channels * 2, true); view.setUint16(32, channels * 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, bytes, true);
  const data = Array.from({ length: channels }, (_, channel) => sound.getChannelData(channel));
  let at = 44;
  for (let i = 0; i < sound.length; i += 1) {
    for (const samples of data) {
      view.setInt16(at, Math.max(-1, Math.min(1, samples[i])) * 0x7fff, true);
      at += 2;
    }
  }
  return view.buffer;
}

// --- where -----------------------------------------------------------------------------------------------

function locate(box) {
  const [latitude, longitude] = [form.elements.latitude, form.elements.longitude];
  latitude.value = longitude.value = "";
  if (!box.checked) return;
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => { latitude.value = coords.latitude.toFixed(6); longitude.value = coords.longitude.toFixed(6); },
    () => {
      box.checked = false;
      show("fault", say("Your location is unknown: the browser did not allow it, or found none. You can send the files without it."));
    },
    { enableHighAccuracy: true, timeout: 20000, maximumAge: 60000 },
  );
}

// --- what became of it -----------------------------------------------------------------------------------

function prepare() {
  form.classList.add("is-scripted");
  form.elements.utc_offset.value = String(-new Date().getTimezoneOffset());
  form.addEventListener("submit", send);
  const early = [];
  for (const input of form.querySelectorAll("input[type=file]")) {
    const take = async (effect) => {
      const chosen = [...input.files];
      input.value = "";
      for (const file of chosen) await add(file, effect);
    };
    input.addEventListener("change", () => take());
    // What was chosen before this script came, over a slow network. It is not kept: the form itself may be sending it.
    early.push(take(draw));
  }
  for (const button of form.querySelectorAll("[data-record]")) {
    const how = button.dataset.record;
    button.hidden = !recorded(how === "audio" ? "audio" : "video") || (how === "screen" && !navigator.mediaDevices.getDisplayMedia);
    button.addEventListener("click", () => record(how));
  }
  document.getElementById("stop").addEventListener("click", () => recorder?.stop());
  const here = document.getElementById("here");
  if (here && navigator.geolocation && window.isSecureContext) {
    here.closest("label").hidden = false;
    here.addEventListener("change", () => locate(here));
  }
  return Promise.all(early);
}

if (form) {
  const early = prepare();
  addEventListener("beforeunload", (event) => { if (recorder || !queue.isKept()) event.preventDefault(); });
  Promise.all([queue.of(person), early]).then(([all]) => {
    const kept = all.findLast((each) => each.isDraft && each.job === form.dataset.job && each.retry === form.elements.retry?.value);
    if (!kept || files.length) return;
    [files, draft] = [kept.files, kept.id];
    if (kept.task) { // the task that they were made for, whichever the page has now
      form.elements.task_id.value = kept.task.id;
      document.getElementById("task-text").textContent = kept.task.text;
    }
    draw();
  });
}
flush();
addEventListener("online", () => flush());
document.addEventListener("visibilitychange", () => { if (!document.hidden) flush(); });
if (mine) watch(askAgain, () => sending !== null || recorder !== null); // of console.js
