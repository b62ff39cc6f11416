// Sends files with tus-js-client, as test_tus_clients.py asks, and prints each response. After the first piece it waits
// for a line, if it is told to.
import { createReadStream, statSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline/promises";

const { home, endpoint, cookie, files, storage, waits } = JSON.parse(process.argv[2]);
const tus = createRequire(`${home}/`)("tus-js-client");
const lines = createInterface({ input: process.stdin });
let waiting = waits;

async function send({ path, metadata }) {
  await new Promise((resolve, reject) => {
    const upload = new tus.Upload(createReadStream(path), {
      endpoint,
      metadata,
      uploadSize: statSync(path).size,
      chunkSize: 1000,
      headers: { cookie },
      retryDelays: Array(40).fill(250),
      storeFingerprintForResuming: Boolean(storage),
      ...(storage && { urlStorage: new tus.FileUrlStorage(storage) }),
      async onAfterResponse(request, response) {
        console.log(JSON.stringify([request.getMethod(), response.getStatus()]));
        if (waiting && request.getMethod() === "PATCH") {
          waiting = false;
          await new Promise((go) => { lines.once("line", go); });
        }
      },
      onSuccess: resolve,
      onError: reject,
    });
    (storage ? upload.findPreviousUploads() : Promise.resolve([])).then((previous) => {
      if (previous.length) upload.resumeFromPreviousUpload(previous[0]);
      upload.start();
    });
  });
}

for (const file of files) await send(file);
lines.close();
