"""`firsthandapi webhooks events`, and an event in a few words."""

from __future__ import annotations

import json

from cli.support import Cli
from firsthandapi.testing import MockServer

from .test_listen import JOB_DONE


def test_events_are_listed_and_replayed(cli: Cli, fresh_server: MockServer) -> None:
    """What each is about stands in its line; a signed URL in its data is left out."""
    done = fresh_server.emit("job.completed", JOB_DONE)
    approved = {
        "submission_id": "sub_01JD",
        "job_id": "job_01JD",
        "ai_star_rating": 4,
        "content_type": "image/png",
        "files": [{"id": "file_1", "download_url": "https://s3.example/a?X-Amz-Signature=abc"}],
    }
    fresh_server.emit("submission.approved", approved)
    fresh_server.emit("credits.low_balance", {"balance_cents": 250})
    fresh_server.emit("job.praised", {"job_id": "job_01JD"})
    listed = cli("webhooks", "events", "list").out
    for part in (
        "job_01JD  completed  3 of 3 files",
        "sub_01JD  image/png  ★★★★",
        "balance $2.50",
        "job.praised",
    ):
        assert part in listed
    everything = cli("webhooks", "events", "list", "--json").out
    assert len(json.loads(everything)) == 4
    assert "X-Amz" not in everything
    assert len(json.loads(cli("webhooks", "events", "list", "--type", "job.completed", "--json").out)) == 1
    assert "3 of 3 files" in cli("webhooks", "events", "replay", done).out
    assert json.loads(cli("webhooks", "events", "replay", done, "--json").out)["id"] == done
