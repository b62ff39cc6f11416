"""The link of a job, by which people work on it, and the same as a QR code."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache

from firsthandapi.server.state.model import Job
from firsthandapi.server.state.state import State

PREFIX = "/w"
_JOB = "job_"


class Links:
    """A link is the id of the job and a signature of it: 128 bits that nobody can guess, the same after a restart.

    Links are printed and sent around: a library that signs in another form would break those that people have.
    """

    def __init__(self, state: State, url: str, secret: bytes) -> None:
        self._state = state
        self._url = url
        self._secret = secret

    def path(self, job: Job) -> str:
        """The path of a job's page for workers."""
        return f"{PREFIX}/{job.id.removeprefix(_JOB)}{self._signature(job.id)}"

    def url(self, job: Job) -> str:
        """The link to hand out."""
        return self._url + self.path(job)

    def job(self, name: str) -> Job | None:
        """The job whose path ends in `name`. Whoever calls in holds the lock of the state."""
        job_id, signature = _JOB + name[:26], name[26:]
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(job_id).encode()):
            return None
        return self._state.jobs.get(job_id)

    def _signature(self, job_id: str) -> str:
        digest = hmac.new(self._secret, job_id.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


@lru_cache(maxsize=256)  # to draw one takes longer than the page around it
def qr_code(url: str) -> str:
    """A URL as an SVG picture to put into a page; dark on light, whatever the page is."""
    import segno

    made = segno.make(url, error="m", micro=False)
    picture = made.svg_inline(
        scale=4, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=""
    )
    words = 'role="img" aria-label="QR code of the link"'
    return picture.replace("<svg ", f"<svg {words} ", 1)
