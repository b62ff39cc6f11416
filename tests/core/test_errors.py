"""Every exception of the package."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

import firsthandapi
from firsthandapi import errors
from firsthandapi._core.calls.lost_answers import advise
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.types import Job

RESPONSE = ApiResponse(429, ((b"Retry-After", b"5"),), attempts=2)
JOB = Job.model_validate({"id": "job_1", "status": "open"})
API = {
    "status": 429,
    "type": "some_type",
    "request_id": "req_1",
    "details": [{"field": "a", "message": "b"}],
    "response": RESPONSE,
    "attempts": 2,
}
# What each class takes besides its message.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "InvalidArgumentError": {"field": "location.radius_km"},
    "FirstHandConnectionError": {"attempts": 3, "request_sent": False},
    "FirstHandTimeoutError": {"attempts": 3, "request_sent": False},
    "DeadlineExceededError": {"deadline": 5.0, "attempts": 2},
    "UnexpectedResponseError": {
        "status": 200,
        "content_type": "text/html",
        "length": 5,
        "fields": ("a.b",),
        "request_id": "req_1",
    },
    "WaitTimeoutError": {"job": JOB},
    "IncompleteJobError": {"job": JOB, "dataset": ["x"]},
    "SpendLimitError": {"cost_cents": 10, "limit_cents": 5},
    "DownloadError": {"failures": (("file_1", "gone"),)},
    "IntegrityError": {"failures": (("file_1", "gone"),)},
}
TREE = {
    "FirstHandError": "Exception",
    "ConfigurationError": "FirstHandError",
    "InvalidArgumentError": "FirstHandError",
    "FirstHandConnectionError": "FirstHandError",
    "FirstHandTimeoutError": "FirstHandConnectionError",
    "DeadlineExceededError": "FirstHandError",
    "FirstHandApiError": "FirstHandError",
    "InvalidRequestError": "FirstHandApiError",
    "AuthenticationError": "FirstHandApiError",
    "InsufficientCreditsError": "FirstHandApiError",
    "PermissionDeniedError": "FirstHandApiError",
    "NotFoundError": "FirstHandApiError",
    "ConflictError": "FirstHandApiError",
    "IdempotencyError": "ConflictError",
    "GoneError": "FirstHandApiError",
    "RateLimitError": "FirstHandApiError",
    "ServerError": "FirstHandApiError",
    "UnexpectedResponseError": "FirstHandError",
    "PaginationError": "FirstHandError",
    "WaitTimeoutError": "FirstHandError",
    "IncompleteJobError": "FirstHandError",
    "SpendLimitError": "FirstHandError",
    "DownloadError": "FirstHandError",
    "IntegrityError": "DownloadError",
    "AnnotationError": "FirstHandError",
    "WebhookSignatureError": "FirstHandError",
}


def make(name: str, message: str = "what happened", **changes: Any) -> Any:
    error_class = getattr(errors, name)
    arguments = (
        {**API, **changes} if issubclass(error_class, errors.FirstHandApiError) else ARGUMENTS.get(name, {})
    )
    return error_class(message, **arguments)


def test_the_tree() -> None:
    """The tree is the one in the docs: every class, its parent, and nothing besides."""
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert {name: value.__bases__[0].__name__ for name, value in classes.items()} == TREE
    assert sorted(errors.__all__) == sorted(TREE)
    for name in TREE:
        assert f"{name} " in f"{errors.__doc__} ".replace("\n", " ")


def test_an_argument_error_is_a_value_error_too() -> None:
    """Who catches ValueError catches a bad argument."""
    assert issubclass(errors.InvalidArgumentError, ValueError)


def test_the_package_has_each() -> None:
    """Each class can be imported from the package itself, whose names are loaded when first used."""
    assert {name for name, home in firsthandapi._HOMES.items() if home == "errors"} == {*errors.__all__}
    assert firsthandapi.errors is errors
    assert firsthandapi.__getattr__("errors") is errors


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("name", errors.__all__)
def test_pickling(name: str, protocol: int) -> None:
    """Every error survives a pickle with all it knows: it may cross a process on its way to the user."""
    error = make(name)
    error.idempotency_key = "k"
    advise(error, "; more")
    if isinstance(error, errors.InsufficientCreditsError):
        error.shortfall_cents = 5
    if isinstance(error, errors.RateLimitError):
        error.retry_after = 5.0
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert repr(twin) == repr(error)
        assert twin.args == error.args
        assert set(vars(twin)) == set(vars(error))
        for attribute, value in vars(error).items():
            if isinstance(value, ApiResponse):
                assert vars(twin)[attribute].headers == value.headers
            else:
                assert vars(twin)[attribute] == value


@pytest.mark.parametrize("name", errors.__all__)
def test_attributes(name: str) -> None:
    """What an error was made with is what its attributes say."""
    error = make(name)
    assert error.message == "what happened"
    assert str(error).startswith("what happened")
    arguments = API if isinstance(error, errors.FirstHandApiError) else ARGUMENTS.get(name, {})
    for attribute, value in arguments.items():
        assert getattr(error, attribute) == value


@pytest.mark.parametrize("name", errors.__all__)
def test_documentation(name: str) -> None:
    """Each class says what it means, and documents every attribute it takes."""
    error_class = getattr(errors, name)
    documented = "".join(inspect.getdoc(base) or "" for base in error_class.__mro__[:-2])
    for attribute in ARGUMENTS.get(name, {}):
        assert f"{attribute}:" in documented


def test_a_subclass_of_the_caller_s_pickles() -> None:
    """An error class that a user derives pickles too."""
    twin = pickle.loads(pickle.dumps(Derived("x", status=500)))
    assert type(twin) is Derived
    assert twin.status == 500


class Derived(errors.ServerError):
    """One of the user's own."""


def test_the_text_of_an_api_error() -> None:
    """The text of an API error ends in what support asks for."""
    assert str(errors.ServerError("Boom.", status=500)) == "Boom. (HTTP 500 unknown)"
    text = str(errors.ServerError("Boom.", status=500, type="internal_error", request_id="req_1", attempts=4))
    assert text == "Boom. (HTTP 500 internal_error, req_1, after 4 attempts)"


EVIL = "no\x1b]0;pwned\x07\x1b[2J\r\n2026-11-26 ERROR root: payment approved \u202egnp.exe\u2028x"


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_one_printable_line(name: str) -> None:
    """Whatever a service writes, no text of an error breaks a line or controls a terminal; nor does its copy's."""
    error = make(name, EVIL, type=EVIL, request_id=EVIL)
    for text in (str(error), repr(error), error.message, str(pickle.loads(pickle.dumps(error)))):
        assert text.isprintable(), ascii(text)
        assert "payment approved" in text
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_every_error_can_be_printed() -> None:
    """Half of an emoji in a message, which no terminal and no file takes, is written as an escape."""
    error = errors.InvalidArgumentError("no argument \ud83d: did you mean \U0001f600?", field="x")
    assert str(error) == error.message == "no argument \\ud83d: did you mean \U0001f600?"
    str(error).encode()
