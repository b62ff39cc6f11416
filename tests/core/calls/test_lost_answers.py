"""What an error says after a POST whose outcome is unknown."""

from __future__ import annotations

import pytest

from firsthandapi._core.calls.lost_answers import (
    confirming,
    continues,
    how_to_repeat,
    may_have_arrived,
    naming,
    several,
    with_other_advice,
)
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    NotFoundError,
    UnexpectedResponseError,
    WaitTimeoutError,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FirstHandConnectionError("broke", request_sent=True), True),
        (FirstHandConnectionError("refused", request_sent=False), False),
        (UnexpectedResponseError("no JSON"), True),
        (ConfigurationError("closed"), False),
        *((FirstHandApiError("x", status=status), False) for status in (400, 401, 402, 404, 409, 422, 429)),
        *((FirstHandApiError("x", status=status), True) for status in (302, 408, 500, 502, 503, 504)),
    ],
    ids=lambda value: str(getattr(value, "status", type(value).__name__)),
)
def test_which_failures_leave_it_open(error: FirstHandError, expected: bool) -> None:
    """A 4xx is a refusal; every other failure on an established connection may hide a success."""
    assert may_have_arrived(error) is expected


def test_the_key_is_shown_as_python_writes_it() -> None:
    """The words can be copied into the call, and no API key is shown in them."""
    assert how_to_repeat('a "b"', recorded=False) == (
        "; it may have been done: to repeat this call safely, send the same key within 23 hours: "
        'idempotency_key="a \\"b\\""'
    )
    assert "S3CRET" not in how_to_repeat("fh_live_S3CRET", recorded=False)


def test_who_has_a_record_runs_the_same_call_again() -> None:
    """`collect`, campaigns, and the journal find the key by themselves."""
    assert how_to_repeat("k", recorded=True) == (
        '; it may have been done: run the same call again: it sends the same key (idempotency_key="k"), which does '
        "nothing twice"
    )


@pytest.mark.parametrize("recorded", [True, False])
def test_a_refusal_is_repeated_with_the_same_key(recorded: bool) -> None:
    """The service may have done what it refuses; only the suspicion is not said."""
    lost, refused = (how_to_repeat("k", recorded=recorded, may_be_done=doubt) for doubt in (True, False))
    assert "the same key" in refused
    assert refused == lost.replace("it may have been done: ", "")


@pytest.mark.parametrize("recorded", [True, False])
def test_other_advice_takes_its_place(recorded: bool) -> None:
    """In a shell, or for a model, where no argument takes a key."""
    for may_be_done, expected in ((True, "no; it may have been done: look"), (False, "no; fix it")):
        text = "no" + how_to_repeat("k", recorded=recorded, may_be_done=may_be_done)
        assert with_other_advice(text, "k", lost="look", refused="fix it") == expected
        assert with_other_advice(text, "k") == "no"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "confirmed the job; nothing was sent: run the same call again"),
        ("k", 'confirmed the job; nothing was sent (idempotency_key="k"): run the same call again'),
    ],
)
def test_a_timeout_before_anything_was_sent_says_so(key: str | None, text: str) -> None:
    """It is the error of the wait, and another deadline stays its own."""
    error = DeadlineExceededError("late", deadline=4.99)
    error.idempotency_key, error.request_sent = key, False
    with pytest.raises(WaitTimeoutError) as caught, confirming(5, deadline=None, recorded=False):
        raise error
    assert str(caught.value).endswith(text)
    assert (caught.value.idempotency_key, caught.value.request_sent) == (key, False)
    for seconds in (6, None):
        with pytest.raises(DeadlineExceededError), confirming(seconds, deadline=5, recorded=False):
            raise error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), FirstHandConnectionError("x"), NotFoundError("x", status=404)]
)
@pytest.mark.parametrize("exists", [True, False])
def test_whatever_stops_a_wait_names_its_job(error: BaseException, exists: bool) -> None:
    """Ctrl-C too; only a 404 may mean that there is none."""
    expected = ["The job job_1 continues: run it again"]
    if isinstance(error, NotFoundError) and not exists:
        expected = []
    caught = type(error)(*error.args, **({"status": 404} if isinstance(error, NotFoundError) else {}))
    with pytest.raises(type(error)), naming("job_1", "run it again", exists=exists):
        raise caught
    assert getattr(caught, "__notes__", []) == expected


def test_several_jobs() -> None:
    """As a campaign has them."""
    assert continues(several(["job_1", "job_2"]), "again") == "The jobs job_1, job_2 continue: again"
    assert several([str(number) for number in range(7)]) == "0, 1, 2, 3, 4, and 2 more"
