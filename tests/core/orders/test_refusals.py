"""What a person is told when a folder cannot have its job."""

from __future__ import annotations

import pytest

from firsthandapi._core.orders import refusals
from firsthandapi._core.orders.record import OrderRecord
from firsthandapi.errors import NotFoundError

JOB = {"id": "job_1", "status": "open", "files_approved": 1, "files_needed": 2}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (JOB, "job_1 (open, 1 of 2 files approved)"),
        ({**JOB, "files_needed": 1}, "job_1 (open, 1 of 1 file approved)"),
        ({"id": "job_1", "status": "open"}, "job_1 (open)"),
        ({**JOB, "files_approved": None}, "job_1 (open)"),
    ],
)
def test_a_job_is_described_as_far_as_it_is_known(job: dict[str, object], words: str) -> None:
    """Counts that the service does not give are left out."""
    assert refusals.described(job) == words


def test_one_field_differs_and_several_differ() -> None:
    """The message counts correctly, and names the argument."""
    assert "files_needed differs from" in str(refusals.other_request(JOB, ["files_needed"]))
    error = refusals.other_request(JOB, ["files_needed", "title"])
    assert "files_needed, title differ from" in str(error)
    assert error.field == "dest"


def test_a_response_without_a_usable_job_is_called_so() -> None:
    """No id of a stranger enters the message."""
    assert "with a job without a usable id" in str(refusals.of_another({"id": "../me"}, "k"))
    assert "with job_1," in str(refusals.of_another(JOB, "k"))


def test_a_job_that_is_gone_is_described() -> None:
    """Whether the list still shows it or not."""
    error = NotFoundError("no such job", status=404, type="not_found")
    record = OrderRecord("order", "k", {}, 0.0, JOB)
    words = "job_1 (open, 1 of 2 files approved)"
    assert f"shows {words}: run" in str(refusals.listed_only(error, record))
    assert f"{words} may not show yet" in str(refusals.gone(error, record, own_key=False))


def test_another_key_is_told_what_the_folder_waits_for() -> None:
    """Its job, if the service has shown it; else a response that was lost."""
    assert "of job_1 (open, 1 of 2 files approved), sent with" in str(refusals.other_key(JOB, "k"))
    assert "of a request whose response was lost, sent with" in str(refusals.other_key(None, "k"))


def test_rows_of_many_jobs_name_three() -> None:
    """A message stays short."""
    assert "job_1, job_2, job_3; " in str(refusals.rows_of_several(("job_1", "job_2", "job_3", "job_4")))
