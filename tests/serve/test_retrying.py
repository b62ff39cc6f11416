"""Giving up a second attempt."""

from __future__ import annotations

import re
from collections.abc import Callable

from firsthandapi import FirstHandClient
from firsthandapi.server.pages.serve.service import Service
from firsthandapi.server.rules.jobs import Verdict

from .conftest import JOB, Visitor, submit


def test_a_worker_gives_up(service: Service, buyer: FirstHandClient, visit: Callable[..., Visitor]) -> None:
    """By a button below the submission, which also says until when; the slot is free at once, and only once."""
    job_id = buyer.jobs.create(**{**JOB, "files_needed": 1}).id
    visitor = visit("worker")
    (token,) = [each for each in service.access.tokens() if each.role == "worker"]
    submission = submit(service, job_id, worker=token.id)
    with service.world.lock:
        found, now = service.world.state.submissions[submission], service.world.clock.now()
        service.world.jobs.score(found, now, Verdict([2]))
        path = service.site.links.path(found.job)
    page = visitor.get(path).text
    assert "You can try once more until:" in page
    assert re.search(rf'action="/me/give-up">.*value="{submission}"', page)
    assert visit("worker").send("/me/give-up", path, submission=submission).status_code == 404
    assert visitor.send("/me/give-up", path, submission=submission).headers["location"] == path
    seen = buyer.submissions.get(submission)
    assert (seen.status, seen.ai_reasoning) == (
        "rejected",
        "Two stars, and no second attempt.",
    )
    assert buyer.jobs.get(job_id).status == "open"
    reply = visitor.send("/me/give-up", path, submission=submission, home="1")
    assert (reply.status_code, "can no longer be tried again" in reply.text) == (409, True)
