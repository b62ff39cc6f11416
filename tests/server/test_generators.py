"""Strangers' generators read the OpenAPI document: types that fit, and a client that works.

`make generators` installs them and runs this. They stay out of `make test`, since they need node 20 and a network.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from firsthandapi.testing import MockServer

from .conftest import Caller

_HOME = os.environ.get("FIRSTHAND_GENERATORS")
pytestmark = pytest.mark.skipif(
    not _HOME, reason="install node 20 (https://nodejs.org), then run: make generators"
)
TOOLS = Path(_HOME or "")

# Every @ts-expect-error must be an error: it fails the compilation where the types are looser than they should be.
TYPESCRIPT = """
import type { components, operations, webhooks } from "./api";
type Schemas = components["schemas"];

// What has a default may be left out, what has none may not.
const least: Schemas["JobBody"] = {
  type: "data_collection", description: "Photos of street signs", files_needed: 1,
  accepted_formats: ["image/jpeg"], price_per_file_cents: 50,
};
// @ts-expect-error
const short: Schemas["JobBody"] = { type: "data_collection" };
// @ts-expect-error
const format: Schemas["Format"] = "jpg";
const patch: Schemas["SettingsPatch"] = { auto_top_up_enabled: true };
const query: operations["list_files"]["parameters"]["query"] = { limit: 100 };
// @ts-expect-error
const misspelled: Schemas["JobBody"] = { ...least, max_spend: 1 };

export function labels(file: Schemas["File"]): string[] {
  const stars: number = file.ai_star_rating;
  // @ts-expect-error
  file.ratings;
  if (file.annotations?.type === "image") {
    const indoor: boolean | null | undefined = file.annotations.scene?.indoor;
    // @ts-expect-error
    file.annotations.speaker_count;
    return (file.annotations.objects ?? []).map((each) => (typeof each === "string" ? each : each.label));
  }
  return file.annotations?.type === "audio" ? file.annotations.keywords ?? [] : [];
}
export function next(page: Schemas["JobList"]): string | null {
  return page.next_cursor;
}
type Answers = operations["create_job"]["responses"];
export function missing(body: Answers[402]["content"]["application/json"]): number {
  return body.error.shortfall_cents;
}
export function left(headers: Answers[201]["headers"]): number | undefined {
  return headers["x-ratelimit-remaining"];
}
type Delivered = webhooks["submission.approved"]["post"]["requestBody"]["content"]["application/json"];
export function approved(event: Delivered): string {
  const type: "submission.approved" = event.type;
  return event.data.submission_id;
}
export function refunded(event: Schemas["JobCancelledEvent"]): number {
  return event.data.refunded_cents;
}
"""

PYTHON = """
import sys
from generated import AuthenticatedClient
from generated.api.jobs import create_job, get_job, list_files
from generated.models import Format, ImageAnnotations, InsufficientCreditsError, Job, JobBody, JobType

url, key, poor = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
body = JobBody(JobType("data_collection"), "Photos of street signs", 3, [Format("image/jpeg")], 50)
job = create_job.sync(client=client, body=body, idempotency_key="k")
assert isinstance(job, Job), job
while get_job.sync(job.id, client=client, prefer="wait=10").status != "completed":
    pass
files = list_files.sync(job.id, client=client).data
assert len(files) == 3
assert all(isinstance(file.annotations, ImageAnnotations) and file.created_at.tzinfo for file in files)
assert {type(item).__name__ for file in files for item in file.annotations.objects} == {"str", "LabeledObject"}
refused = create_job.sync(client=AuthenticatedClient(base_url=url, token=poor), body=body, idempotency_key="k")
assert isinstance(refused, InsufficientCreditsError) and refused.error.shortfall_cents == 150, refused
"""


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document, in a file."""
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    with MockServer() as server:
        path.write_text(json.dumps(Caller(server, None).get("/openapi.json")))
    return path


def test_openapi_typescript(document: Path, tmp_path: Path) -> None:
    """openapi-typescript types bodies, files, errors, headers, and webhooks, as strictly as they are."""
    node = TOOLS / "node_modules" / ".bin"
    run(node / "openapi-typescript", document, "-o", tmp_path / "api.d.ts", cwd=tmp_path)
    (tmp_path / "use.ts").write_text(TYPESCRIPT)
    run(node / "tsc", "--noEmit", "--strict", "--target", "es2022", "use.ts", cwd=tmp_path)


def test_openapi_python_client(document: Path, tmp_path: Path) -> None:
    """A client by openapi-python-client, made without a warning, runs the main job against the server."""
    python = TOOLS / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    # Without its hooks: formatting what nobody reads takes ruff.
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    output = run(
        *(python, "-m", "openapi_python_client", "generate", "--config", "config.yaml", "--meta", "none"),
        *("--path", document, "--output-path", tmp_path / "generated", "--fail-on-warning"),
        cwd=tmp_path,
    )
    assert "warning" not in output.lower()
    (tmp_path / "use.py").write_text(PYTHON)
    with MockServer(speed=60) as server:
        poor = server.create_organization(cents=0).api_key
        run(python, "use.py", server.url, server.api_key, poor, cwd=tmp_path)
        server.check_books()
