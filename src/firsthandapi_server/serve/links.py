"""The link of a job, which leads people to its work page, and its QR code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
from functools import lru_cache

from firsthandapi_server.state.model import Job
from firsthandapi_server.state.state import State

PREFIX = "/w"
_JOB = "job_"


class Links:
    """A link contains the id of the job and a signature of 128 bits that nobody can guess, the same after a restart.

    People print links and send them around, so the form of the signature must never change.
    """

    def __init__(self, state: State, url: str, secret: bytes) -> None:
        self._state = state
        self._url = url
        self._secret = secret

    def path(self, job: Job) -> str:
        """The path of a job's page for workers."""
        return f"{PREFIX}/{job.id.removeprefix(_JOB)}{self._signature(job.id)}"

    def url(self, job: Job) -> str:
        """The link to give to workers."""
        return self._url + self.path(job)

    def job(self, name: str) -> Job | None:
        """The job whose path ends in `name`. The caller holds the lock of the state."""
        job_id, signature = _JOB + name[:26], name[26:]
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(job_id).encode()):
            return None
        return self._state.jobs.get(job_id)

    def _signature(self, job_id: str) -> str:
        digest = hmac.new(self._secret, job_id.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def draw_code(url: str) -> str:
    """The QR code of a URL as SVG for a page; always dark on light."""
    import segno

    code = segno.make(url, error="m", micro=False)
    picture = code.svg_inline(
        scale=4, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=""
    )
    words = 'role="img" aria-label="QR code of the link"'
    return picture.replace("<svg ", f"<svg {words} ", 1)


# Drawing one takes longer than the rest of its page. One with a secret is not kept.
qr_code = lru_cache(maxsize=256)(draw_code)


def terminal_code(url: str) -> str:
    """The QR code of a URL as text for a terminal that is light on dark."""
    import segno

    drawn = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(drawn, compact=True, border=2)
    return drawn.getvalue()
