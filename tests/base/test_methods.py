"""Public methods as callers meet them: what they show, what they answer a misspelt argument, what a traceback has."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jedi
import pytest
from generate_fields import attribute_docs

from client.support import JOB, public_methods
from firsthandapi import AsyncFirstHandClient, FirstHandClient, FirstHandError
from firsthandapi._base.methods import public
from firsthandapi.errors import InvalidArgumentError, ServerError
from firsthandapi.types import JobArguments, JobCreateParams, JobFields
from firsthandapi_server.contract.answers import Job as JobAnswer
from firsthandapi_server.contract.bodies import JobBody


@pytest.fixture(params=[FirstHandClient, AsyncFirstHandClient])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of each kind that never connects."""
    client = request.param("fh_test_x", "http://127.0.0.1:9", max_retries=0)
    yield client
    client._shared.closed = True


def methods_of(client: Any) -> dict[str, Any]:
    """Those that take arguments."""
    return {name: method for name, method in public_methods(client).items() if name != "close"}


def run(result: Any) -> Any:
    """The result of a call of either client."""
    return asyncio.run(awaited(result)) if inspect.isawaitable(result) else result


async def awaited(result: Any) -> Any:
    return await result


def first_step(result: Any) -> None:
    """Start a coroutine, which needs no loop for that."""
    if inspect.iscoroutine(result):
        result.send(None)


def entries(doc: str) -> dict[str, str]:
    """The arguments that a docstring explains, and how."""
    section = re.search(r"^Args:\n((?: +.*\n)+)", doc, re.MULTILINE)
    matches = re.findall(r"^    ([\w*]+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE)
    named = {name: " ".join(text.split()) for name, text in matches}
    options = named.pop("**options", "").partition(";")[0]
    return named | dict.fromkeys(re.findall(r"`(\w+)`", options), "")


@pytest.mark.parametrize("name", ["collect", "create_and_wait"])
def test_every_argument_of_the_main_calls_shows(name: str, client: Any) -> None:
    """`help()`, a notebook's `?` and Tab name each argument of `create`, the required first, as `create` has it."""
    create = inspect.signature(client.jobs.create).parameters
    parameters = inspect.signature(getattr(client.jobs, name)).parameters
    named = [argument for argument, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
    assert named[:4] == ["description", "files_needed", "accepted_formats", "price_per_file_cents"]
    assert set(create) - set(parameters) == set()
    for argument, parameter in create.items():
        if argument != "timeout":
            assert str(parameters[argument]) == str(parameter)
    described = entries(inspect.getdoc(client.jobs.create) or "")
    for argument, text in entries(inspect.getdoc(getattr(client.jobs, name)) or "").items():
        assert argument not in described or argument == "timeout" or text == described[argument]
    assert set(entries(inspect.getdoc(getattr(client.jobs, name)) or "")) == set(parameters)


@pytest.mark.slow
def test_an_editor_that_runs_nothing_sees_every_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jedi, which knows no `Unpack`, names each argument of the main calls with its type, and nothing of the inside."""
    monkeypatch.setattr(jedi.settings, "cache_directory", str(tmp_path))  # processes do not share one well
    lines = ["from firsthandapi import FirstHandClient", "client = FirstHandClient()"]
    calls = ("create", "create_and_wait", "collect")
    script = jedi.Script("\n".join([*lines, *(f"client.jobs.{call}()" for call in calls)]))
    for number, call in enumerate(calls, len(lines) + 1):
        (seen,) = script.get_signatures(number, len(f"client.jobs.{call}("))
        with FirstHandClient("fh_test_x") as client:
            parameters = inspect.signature(getattr(client.jobs, call)).parameters
        assert [param.name for param in seen.params] == list(parameters)
        for name, annotation in JobArguments.__annotations__.items():
            (parameter,) = (param for param in seen.params if param.name == name)
            assert parameter.description.startswith(f"param {name}: {annotation.__forward_arg__}")
        assert set(entries(seen.docstring())) == set(parameters)


@pytest.mark.slow
def test_an_editor_that_runs_nothing_sees_what_a_program_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jedi offers each method, and each argument of each with its options, and nothing of the inside."""
    monkeypatch.setattr(jedi.settings, "cache_directory", str(tmp_path))
    with FirstHandClient("fh_test_x") as client:
        methods = methods_of(client)
    lines = ["from firsthandapi import FirstHandClient", "client = FirstHandClient()"]
    lines += [f"client.{name}()" for name in methods]
    script = jedi.Script("\n".join(lines))
    for number, (name, method) in enumerate(methods.items(), 3):
        (seen,) = script.get_signatures(number, len(lines[number - 1]) - 1)
        assert {param.name for param in seen.params} == set(inspect.signature(method).parameters), name
    resources = {name.rpartition(".")[0] for name in methods} - {""}
    for resource in resources - {"webhooks"}:  # which has events besides
        number = next(n for n, line in enumerate(lines, 1) if line.startswith(f"client.{resource}."))
        offered = {completion.name for completion in script.complete(number, len(f"client.{resource}."))}
        public = {member for member in offered if not member.startswith("_")}
        assert public == {name.rpartition(".")[2] for name in methods if name.rpartition(".")[0] == resource}


def test_the_fields_of_a_job_are_explained_alike() -> None:
    """An editor shows below a key of `JobFields` what `help(client.jobs.create)` says of the argument."""
    with FirstHandClient("fh_test_x") as client:
        described = entries(inspect.getdoc(client.jobs.create) or "")
    texts = attribute_docs("job_arguments")
    assert list(texts) == list(JobFields.__annotations__)
    assert {name: " ".join(text.split()) for name, text in texts.items()} == {
        name: described[name] for name in texts
    }
    assert JobFields.__required_keys__ == set(list(JobFields.__annotations__)[:4])


def test_the_fields_of_a_job_are_those_that_are_checked() -> None:
    """`JobCreateParams` checks each of `JobFields`, and the text of a field has the bounds that are checked."""
    texts = attribute_docs("job_arguments")
    checked = JobCreateParams.model_fields
    assert {*checked, "max_spend_cents"} == set(texts)
    assert set(checked) == set(JobBody.model_fields), (
        "each needs a line in firsthandapi_server/contract/bodies.py"
    )
    assert set(checked) <= set(JobAnswer.model_fields), (
        "each needs a line in firsthandapi_server/contract/answers.py"
    )
    for name, field in checked.items():
        assert field.is_required() == (name in JobFields.__required_keys__), name
        bounds = re.findall(r"(?:ge|le|min_length|max_length)=(\d+)", repr(field.metadata))
        numbers = re.findall(r"\d+|\bone\b", texts[name].replace(",", ""))
        assert {*bounds} <= {number.replace("one", "1") for number in numbers}, name


def test_every_option_shows(client: Any) -> None:
    """Each method's signature and text have each option."""
    for name, method in methods_of(client).items():
        parameters = inspect.signature(method).parameters
        assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values()), name
        assert name == "with_options" or set(entries(inspect.getdoc(method) or "")) == set(parameters), name
        assert method.__doc__ == method.__wrapped__.__doc__, name
    assert set(JobArguments.__annotations__) <= set(inspect.signature(client.jobs.collect).parameters)


def test_a_misspelt_argument_is_answered_by_every_method(client: Any) -> None:
    """An argument that a method does not take names the nearest of all that it takes, also a required one."""
    for name, method in methods_of(client).items():
        for argument in inspect.signature(method).parameters:
            misspelt = argument[:-1] + "x" + argument[-1:]
            with pytest.raises(InvalidArgumentError, match=f"did you mean {argument}\\?") as caught:
                first_step(method(**{misspelt: 1}))
            assert caught.value.field == misspelt, name
            assert isinstance(caught.value, ValueError)


def test_a_misspelt_argument_of_the_client() -> None:
    """The client itself answers likewise, and lists what it takes if nothing is near."""
    for kind in (FirstHandClient, AsyncFirstHandClient):
        with pytest.raises(
            InvalidArgumentError, match=rf"{kind.__name__}\(\) takes .* did you mean timeout\?"
        ):
            kind("fh_test_x", timout=3)  # type: ignore[call-arg]
        with pytest.raises(InvalidArgumentError, match="zzz: it takes api_key, base_url, timeout, deadline"):
            kind("fh_test_x", zzz=3)  # type: ignore[call-arg]
    assert "max_spend_cents" in inspect.signature(FirstHandClient).parameters


def test_a_name_that_is_a_secret_is_not_quoted(client: Any) -> None:
    """Whatever is passed as a name, no message contains a key."""
    with pytest.raises(InvalidArgumentError) as caught:
        run(client.jobs.get("job_1", fh_live_abcdefgh=1))
    assert "abcdefgh" not in str(caught.value) + caught.value.field


def test_arguments_by_position_stay_type_errors(client: Any) -> None:
    """What Python itself refuses stays its TypeError: too many, too few, twice the same."""
    for call in (
        lambda: client.jobs.get(),
        lambda: client.jobs.get("job_1", "job_2"),
        lambda: client.jobs.get("job_1", job_id="job_2"),
        lambda: client.jobs.create("Photos of street signs"),
    ):
        with pytest.raises(TypeError):
            run(call())


@pytest.mark.parametrize("method", ["create", "create_and_wait", "collect"])
def test_an_argument_that_is_lacking_is_named(method: str, client: Any) -> None:
    """The first one, by an error of ours that is also Python's for this; it pickles."""
    arguments = {**JOB, "dest": "signs"} if method == "collect" else {**JOB}
    del arguments["price_per_file_cents"]
    with pytest.raises(InvalidArgumentError, match="price_per_file_cents is required: call") as caught:
        run(getattr(client.jobs, method)(**arguments))
    assert isinstance(caught.value, TypeError)
    text = "".join(traceback.format_exception_only(caught.value))
    assert text == f"firsthandapi.errors.InvalidArgumentError: {caught.value}\n"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.field) == (type(caught.value), "price_per_file_cents")


def test_a_traceback_keeps_every_frame() -> None:
    """An error of ours shows the line that called, the callback of the caller, and where it was raised."""
    answers = iter([200, 200, 503])

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(next(answers, 503), json={"id": "job_1", "status": "open", "error": {}})

    def on_update(_: Any) -> None:
        client.jobs.get("job_2")
        client.jobs.get("job_3")

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = FirstHandClient("fh_test_x", http_client=http, max_retries=1)
    with http, client, pytest.raises(ServerError) as caught:
        client.jobs.wait("job_1", on_update=on_update)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[0] == "test_a_traceback_keeps_every_frame"
    assert {"wait", "on_update", "get", "_attempt"} <= {*frames}


def test_a_traceback_leads_to_where_the_network_failed(client: Any) -> None:
    """Its last frame is the one of the package that saw the failure."""
    with pytest.raises(FirstHandError) as caught:
        run(client.jobs.get("job_1"))
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert Path(frames[-1].filename).parts[-3:-1] in {("firsthandapi", "_sync"), ("firsthandapi", "_async")}


def test_an_error_of_another_kind_keeps_its_frames() -> None:
    """A bug, ours or of a callback, is told with every frame there is."""

    @public
    def method(self: Any) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError) as caught:
        method(None)
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "method"
