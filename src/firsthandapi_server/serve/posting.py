"""The form with which an operator posts a job, paid from the organization's credits as by the API."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.console.face import PREFIX, Form, Page
from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.http.reading import validate
from firsthandapi_server.media.sniffing import NAMES
from firsthandapi_server.state.limits import StoredResponse
from firsthandapi_server.state.state import DAY

from .reception import Reception

PATH = "/jobs/new"
_NUMBERS = (
    "files_needed",
    "price_per_file_cents",
    "min_star_rating",
    "files_per_submission",
    "min_width",
    "min_height",
    "max_workers",
)
_TEXTS = ("title", "description", "worker_guidelines", "scoring_criteria", "deadline")


class Posting:
    """The page `/console/jobs/new`."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._world = reception.world
        self.pages: dict[str, Page] = {PATH: self._show}
        self.forms: dict[str, Form] = {PATH: self._post}

    def _show(
        self, request: Request, values: dict[str, str] | None = None, faults: dict[str, str] | None = None
    ) -> Response:
        return self._reception.page(
            request,
            "post.html",
            status=422 if faults else 200,
            section=PREFIX,
            live=None,
            given=values or {"accepted_image/jpeg": "yes"},
            faults=faults or {},
            once=(values or {}).get("once") or secrets.token_hex(16),
            formats=NAMES,
        )

    def _post(self, request: Request, fields: dict[str, str]) -> Response | str:
        world, at = self._world, self._world.clock.now()
        # What was changed after a step back is another job.
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode("utf-8", "replace")).hexdigest()
        slot = "console", "POST", PATH, digest
        with world.lock:
            done = world.state.replies.get(slot, at)  # the form was sent twice
            if done is not None:
                return done.body.decode()
            try:
                body, who = validate(JobBody, _body(fields)).model_dump(), self._reception.who(request)
                job = world.jobs.create(world.state.own, body, who, at, self._reception.url)
            except ApiError as error:
                details: Any = error.details if isinstance(error.details, list) else []
                faults = {str(entry["field"]).partition(".")[0]: str(entry["message"]) for entry in details}
                if error.status == 402:
                    message = (
                        "The budget does not cover this job: add to it under Money, or order fewer files."
                    )
                else:
                    message = error.message
                return self._show(request, fields, faults or {"": message})
            where = f"{PREFIX}/jobs/{job.id}?done=posted"
            world.state.replies.put(slot, StoredResponse("", 303, where.encode(), at + DAY), at)
        return where


def _body(fields: dict[str, str]) -> dict[str, Any]:
    """The body of the API's call: a number that is none stays text, and is refused by its name."""
    body: dict[str, Any] = {"type": "data_collection"}
    body["accepted_formats"] = [name for name in NAMES if f"accepted_{name}" in fields]
    for name in _NUMBERS:
        if name in fields:
            text = fields[name]
            body[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    body |= {name: fields[name] for name in _TEXTS if name in fields}
    if "deadline" in body:
        # Browsers send minutes without an offset, and their scripts what these are in UTC.
        deadline = fields.get("deadline_utc") or fields["deadline"]
        body["deadline"] = deadline if "Z" in deadline else f"{deadline}Z"
    return body
