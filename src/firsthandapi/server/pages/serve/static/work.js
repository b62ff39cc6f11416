// Previews, recordings, and uploads that survive a bad connection. Without it, the form works all the same.
"use strict";

const form = document.getElementById("send");
const mine = document.getElementById("mine");
const PAUSES = [1000, 3000, 8000, 20000];

// --- words -----------------------------------------------------------------------------------------------

const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

// A text in the language of the page; the English one is its key.
function say(english, values = {}) {
  return (words[english] ?? english).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// --- what is sent ----------------------------------------------------------------------------------------

let files = [];
let recorder = null;
let busy = false;

function show(id, words) {
  const element = document.getElementById(id);
  element.hidden = !words;
  if (id === "fault") element.textContent = words ?? "";
  return element;
}

function kindOf(type) { return type.split("/")[0]; }

function accepts(type) { return form.dataset.formats.split(",").includes(type); }

function size(bytes) { return bytes < 1e6 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / (1 << 20)).toFixed(1)} MB`; }

function add(file) {
  const most = Number(form.dataset.most);
  const limit = Number(form.dataset[kindOf(file.type)] ?? Infinity);
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
  draw();
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
    const words = document.createElement("span");
    words.textContent = `${file.name}, ${size(file.size)}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = say("Remove");
    remove.setAttribute("aria-label", say("Remove {name}", { name: file.name }));
    remove.addEventListener("click", () => {
      files.splice(index, 1);
      draw();
      document.getElementById("submit").focus();
    });
    item.append(words, remove);
    return item;
  }));
  list.hidden = files.length === 0;
}

// --- the upload ------------------------------------------------------------------------------------------

// By tus 1.0.0, in pieces: after a lost connection an upload goes on from the last byte that the server has. So it does
// after a reload, once the same files are chosen again.
const PIECE = 4 << 20;
const LOST = [0, 408, 423, 502, 503, 504];

function ask(method, path, headers, body, sent = 0, total = 1) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    for (const [name, value] of Object.entries({ "tus-resumable": "1.0.0", ...headers })) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress((sent + event.loaded) / total));
    request.addEventListener("loadend", () => resolve({
      status: request.status,
      words: request.response?.words,
      at: request.getResponseHeader("upload-offset"),
      path: request.getResponseHeader("location"),
    }));
    request.send(body);
  });
}

function metadata(values) {
  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return Object.entries(values).filter(([, value]) => value).map(([name, value]) => `${name} ${base64(String(value))}`).join(",");
}

// What is known of the upload of these files, over a reload.
function remembered() {
  const key = ["upload", form.action, form.elements.retry?.value, ...files.map((file) => `${file.name} ${file.size} ${file.lastModified}`)].join(" ");
  let kept = { group: form.elements.upload.value, paths: [] };
  try { kept = JSON.parse(localStorage.getItem(key)) ?? kept; } catch { /* a browser that keeps nothing */ }
  const keep = (value) => { try { if (value) localStorage.setItem(key, JSON.stringify(value)); else localStorage.removeItem(key); } catch { /* the same */ } };
  return { kept, keep };
}

// Send what is missing of one file. The last response: 204 or 200 when the server has all of it.
async function attempt(file, index, { kept, keep }, sent, total) {
  let refused = null;
  for (;;) {
    let answer = kept.paths[index] ? await ask("HEAD", kept.paths[index]) : { status: 404 };
    if ([404, 410].includes(answer.status)) {
      if (refused) return refused; // the server has removed it, and said why
      const fields = Object.fromEntries(["retry", "utc_offset", "latitude", "longitude"].map((name) => [name, form.elements[name]?.value]));
      const group = files.length > 1 ? { group: kept.group, group_size: files.length } : {};
      const said = { filename: file.name.slice(-200), filetype: file.type, job_id: form.dataset.job, ...fields, ...group };
      answer = await ask("POST", "/uploads", { "upload-length": file.size, "upload-metadata": metadata(said) });
      if (answer.status !== 201) return answer;
      kept.paths[index] = answer.path;
      keep(kept);
      answer.at = 0;
    } else if (answer.status !== 200) return refused ?? answer;
    let at = Number(answer.at);
    if (at === file.size) return refused ?? answer;
    while (at < file.size) {
      const headers = { "upload-offset": at, "content-type": "application/offset+octet-stream" };
      answer = await ask("PATCH", kept.paths[index], headers, file.slice(at, at + PIECE), sent + at, total);
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

async function send(event) {
  event.preventDefault();
  if (busy) return;
  if (!files.length) {
    show("fault", say("Take a picture or choose a file first."));
    return;
  }
  show("fault", "");
  busy = true;
  const button = document.getElementById("submit");
  button.setAttribute("aria-disabled", "true");
  const memory = remembered();
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  for (let tries = 0, next = 0, sent = 0; ;) {
    progress(sent / total);
    const { status, words: why } = await attempt(files[next], next, memory, sent, total);
    if (status === 200 || status === 204) {
      sent += files[next].size;
      next += 1;
      tries = 0;
      if (next < files.length) continue;
      memory.keep(null);
      busy = false; // else the browser asks whether to leave
      location.assign(`${form.action}?sent=1`);
      return;
    }
    const lost = LOST.includes(status);
    if (!lost || tries === PAUSES.length) {
      show("fault", why ?? (lost ? say("No connection. Your files are still here: send them again when you are online.") : say("The server failed. Try again.")));
      break;
    }
    show("fault", say("The connection was lost. Trying again…"));
    await Promise.race([
      new Promise((resolve) => { setTimeout(resolve, PAUSES[tries]); }),
      new Promise((resolve) => { addEventListener("online", resolve, { once: true }); }),
    ]);
    tries += 1;
  }
  progress(null);
  busy = false;
  button.removeAttribute("aria-disabled");
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
  if (recorder || busy) return;
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
      : say("Nothing to record with was found. Choose a file instead."));
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
      show("fault", say("The place is not known: the browser did not allow it, or found none. You can send without it."));
    },
    { enableHighAccuracy: true, timeout: 20000, maximumAge: 60000 },
  );
}

// --- what became of it -----------------------------------------------------------------------------------

if (form) {
  form.classList.add("is-scripted");
  form.elements.utc_offset.value = String(-new Date().getTimezoneOffset());
  form.addEventListener("submit", send);
  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      for (const file of input.files) add(file);
      input.value = "";
    });
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
  addEventListener("beforeunload", (event) => { if (busy || recorder) event.preventDefault(); });
}
if (mine) watch(askAgain, () => busy || recorder !== null); // of console.js
