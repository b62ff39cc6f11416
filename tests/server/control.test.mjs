// How a test suite in another language drives the bundled server. Start it first:
//
//   firsthandapi mock-server --port 8080 --speed 0 --no-workers
//   FIRSTHAND_BASE_URL=http://127.0.0.1:8080 node --test control.test.mjs
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { beforeEach, test } from "node:test";

const base = process.env.FIRSTHAND_BASE_URL;
let key;

async function call(method, path, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  if (method === "POST") headers["idempotency-key"] = crypto.randomUUID();
  const response = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, json: response.status === 204 ? null : await response.json() };
}

async function postJob() {
  const created = await call("POST", "/v1/jobs", {
    type: "data_collection",
    description: "Photos of street signs in daylight",
    files_needed: 1,
    accepted_formats: ["image/jpeg"],
    price_per_file_cents: 50,
  });
  assert.equal(created.status, 201);
  return created.json.id;
}

beforeEach(async () => {
  key = (await call("POST", "/_control/reset", {})).json.api_key;
});

test("a bad photo is rejected, a good one completes the job", async () => {
  const job = await postJob();
  await call("POST", "/_control/submit", { job_id: job, rating: 1 });
  await call("POST", "/_control/advance", { seconds: 15 });
  assert.equal((await call("GET", `/v1/jobs/${job}`)).json.status, "open");
  const photo = Buffer.from("not really a photo");
  const given = { job_id: job, rating: 5, content_base64: photo.toString("base64") };
  await call("POST", "/_control/submit", given);
  await call("POST", "/_control/advance", { seconds: 15 });
  assert.equal((await call("GET", `/v1/jobs/${job}`)).json.status, "completed");
  const [file] = (await call("GET", `/v1/jobs/${job}/files`)).json.data;
  const bytes = await (await fetch(file.download_url)).arrayBuffer();
  assert.deepEqual(Buffer.from(bytes), photo);
});

test("a fault strikes once, and the next test starts without it", async () => {
  await call("POST", "/_control/faults", { path: "/v1/me", status: 503 });
  assert.equal((await call("GET", "/v1/me")).status, 503);
  assert.equal((await call("GET", "/v1/me")).status, 200);
  const { data } = (await call("GET", "/_control/requests")).json;
  assert.deepEqual(data.map((request) => request.status), [503, 200]);
});

test("a webhook that fails comes again a minute later", async (context) => {
  const answers = [500, 204];
  const events = [];
  const receiver = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      events.push(JSON.parse(body).type);
      response.writeHead(answers.shift()).end();
    });
  });
  await new Promise((ready) => receiver.listen(0, "127.0.0.1", ready));
  context.after(() => receiver.close());
  await call("POST", "/v1/webhook_endpoints", { url: `http://127.0.0.1:${receiver.address().port}/` });
  await call("POST", "/_control/emit", { type: "job.flagged", data: { job_id: "job_1" } });
  await call("POST", "/_control/advance", { minutes: 1 });
  assert.deepEqual(events, ["job.flagged", "job.flagged"]);
});
