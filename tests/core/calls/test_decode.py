"""A body becomes a model in one step, or an UnexpectedResponseError that names what does not fit."""

from __future__ import annotations

import codecs
import copy
import json
import pickle
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import STRICT_JSON
from firsthandapi import types
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls import decode as decoding
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.errors import UnexpectedResponseError
from firsthandapi.types import _base as base
from firsthandapi.types._base import fitting
from firsthandapi_server.contract.operations import OPERATIONS

RESPONSE = ApiResponse(200, ((b"Content-Type", b"application/json"), (b"X-Request-Id", b"req_1")))
JOB = {"object": "job", "id": "job_1", "status": "open", "files_needed": 10}
SECRET = "whsec_0123456789abcdef"

CONTRACT = (Path(__file__).parents[3] / "docs" / "contract.md").read_text(encoding="utf-8")
# What the contract says is always there; `object` is never checked, and §6 has the events.
ALWAYS = {
    name: set(re.findall(r"\*\*`(\w+)`\*\*", fields)) - {"object"}
    for name, fields in re.findall(r"^\| (\w+) \| (.*) \|$", CONTRACT, re.MULTILINE)
} | {"WebhookEvent": {"id", "type"}}
MODELS = [
    getattr(types, name)
    for name in sorted({route.answer.__name__.removeprefix("New") for route in OPERATIONS if route.answer})
]


def decode(model: Any, content: bytes, response: ApiResponse | None) -> Any:
    return decoding.decode(model, Secret(content), response)


def decode_page(model: Any, content: bytes, response: ApiResponse) -> Any:
    return decoding.decode_page(model, Secret(content), response)


def refused(model: Any, content: bytes, response: ApiResponse | None = RESPONSE) -> UnexpectedResponseError:
    with pytest.raises(UnexpectedResponseError) as caught:
        decode(model, content, response)
    # A pydantic error quotes the input; none may hang on ours.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def outcome(function: Any, model: Any, content: bytes) -> Any:
    try:
        return function(model, content, RESPONSE)
    except UnexpectedResponseError as error:
        return error


def test_a_model_knows_its_response() -> None:
    """What is decoded holds the fields, unknown ones included, and the response it came with."""
    job = decode(types.Job, json.dumps({**JOB, "priority": {"level": 1}}).encode(), RESPONSE)
    assert (job.id, job.status, job.files_needed) == ("job_1", "open", 10)
    assert job.model_extra == {"priority": {"level": 1}}
    assert job.response is RESPONSE


def test_a_page_shares_its_response() -> None:
    """The items of a page share the page's response, and the cursor says where to go on."""
    content = json.dumps({"data": [JOB, JOB], "has_more": True, "next_cursor": "c1", "total": 2}).encode()
    page = decode_page(types.Job, content, RESPONSE)
    assert [job.id for job in page.data] == ["job_1", "job_1"]
    assert page.data[0].response is page.data[1].response is RESPONSE
    assert (page.has_more, page.next_cursor) == (True, "c1")


@pytest.mark.parametrize(
    ("envelope", "has_more", "next_cursor"),
    [
        ({"data": []}, False, None),
        ({"data": [], "next_cursor": "c"}, True, "c"),
        ({"data": [], "has_more": None, "next_cursor": None}, False, None),
        ({"data": [], "has_more": False, "next_cursor": "c"}, False, "c"),
        ({"object": 5, "data": [], "has_more": True}, True, None),
        ({"data": [], "has_more": "true", "next_cursor": "c"}, True, "c"),
        ({"data": [], "has_more": 1}, False, None),
    ],
)
def test_half_an_envelope(envelope: dict[str, Any], has_more: bool, next_cursor: str | None) -> None:
    """Only `data` is required of a page; what it says of the rest is handed on as it is."""
    page = decode_page(types.Job, json.dumps(envelope).encode(), RESPONSE)
    assert (page.data, page.has_more, page.next_cursor) == ([], has_more, next_cursor)


@given(st.text(st.characters(categories=["Cs"]) | st.sampled_from('\\"u😀d8'), max_size=8))
def test_half_a_character_costs_nothing_else(text: str) -> None:
    """Half of an emoji, where text was cut, reads as U+FFFD; all around it is as it was sent."""
    content = json.dumps({"data": [{**JOB, "title": text}, JOB]}).encode()
    first, second = decode_page(types.Job, content, RESPONSE).data
    # As UTF-16 a pair of halves is a whole.
    assert first.title == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert second.id == "job_1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"<html>Bad gateway</html>",
        b'{"id":',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=["empty", "space", "html", "cut", "not-utf8", "deep-list", "deep-dict"],
)
def test_not_json(content: bytes) -> None:
    """What is not JSON, or nested without end, is told by its length and first bytes."""
    error = refused(types.Job, content)
    assert error.status == 200
    assert error.length == len(content)
    assert error.content_type == "application/json"
    assert error.request_id == "req_1"
    assert error.fields == ()
    assert f"{len(content)} bytes" in str(error)
    with pytest.raises(UnexpectedResponseError):
        decode_page(types.Job, content, RESPONSE)


@pytest.mark.parametrize("content", [b"null", b"[]", b"5", b'"job"', b"true", b"[{}]"])
@pytest.mark.parametrize("model", MODELS)
def test_json_of_another_shape(model: Any, content: bytes) -> None:
    """JSON that is not an object is no model and no page."""
    error = refused(model, content)
    assert model.__name__ in str(error)
    with pytest.raises(UnexpectedResponseError):
        decode_page(model, content, RESPONSE)


def test_wrong_types_are_named() -> None:
    """What an object cannot do without is named by its path if it is of another type, and its value is not shown."""
    content = json.dumps({"id": {SECRET: 1}, "status": [SECRET], "files_needed": SECRET}).encode()
    error = refused(types.Job, content)
    assert error.fields == ("id", "status")
    assert error.status == 200
    assert error.length == len(content)
    assert error.content_type == "application/json"
    assert error.request_id == "req_1"
    text = "".join(traceback.format_exception(error))
    assert "0123456789abcdef" not in text
    assert "different type: id, status; upgrade firsthandapi" in text
    assert "req_1" in text


def test_a_bad_item_is_named() -> None:
    """The path leads to the item of the page; a page without `data` names `data`."""
    bad_item = json.dumps({"data": [JOB, {"id": "job_2"}]}).encode()
    for content, fields in ((bad_item, ("data.1.status",)), (b"{}", ("data",))):
        with pytest.raises(UnexpectedResponseError) as caught:
            decode_page(types.Job, content, ApiResponse(200))
        assert caught.value.fields == fields
        assert "time of the request" in str(caught.value)


@pytest.mark.parametrize("value", ["5", True, 5.5, 2.0**53 + 2, [5], {}])
def test_numbers_are_strict(value: Any) -> None:
    """What is no int is not made one: a wrong one in its place would be money. It stays as received."""
    job = decode(types.Job, json.dumps({**JOB, "total_cost_cents": value}).encode(), RESPONSE)
    assert (type(job.total_cost_cents), job.total_cost_cents) == (type(value), value)


@pytest.mark.parametrize("number", [20, 0, -3, 2**53])
def test_a_whole_float_is_an_int(number: int) -> None:
    """In every object, at any depth: 20.0 is how JavaScript, Lua, PHP, and SQL may write 20."""
    job = decode(types.Job, json.dumps({**JOB, "total_cost_cents": float(number)}).encode(), RESPONSE)
    assert (type(job.total_cost_cents), job.total_cost_cents) == (int, number)
    summary = decode(types.SubmissionSummary, b'{"by_status": {"approved": 3.0}}', RESPONSE)
    assert str(summary.by_status) == "{'approved': 3}"
    audio = decode(
        types.File, b'{"id": "f", "annotations": {"type": "audio", "speaker_count": 2.0}}', RESPONSE
    )
    assert (type(audio.annotations), str(audio.annotations.speaker_count)) == (types.AudioAnnotations, "2")
    event = decode(
        types.WebhookEvent, b'{"id": "e", "type": "job.completed", "data": {"files_needed": 2.0}}', None
    )
    assert (type(event), str(event.data.files_needed)) == (types.JobEvent, "2")


OPTIONAL = [
    (model, name)
    for model in [*MODELS, types.DeviceInfo, types.Dimensions]
    for name, field in model.model_fields.items()
    if not field.is_required()
    and type(None) in getattr(field.annotation, "__args__", ())
    and name != "annotations"  # they have a plain form
]
# What no field of ours documents: a value of each type of JSON, and lists and dicts of them.
ODD: list[Any] = [5.5, "", "odd", True, [None], {"odd": [1]}, [[]], "2026-11-28T24:00:00Z"]


@pytest.mark.parametrize(("model", "name"), OPTIONAL, ids=lambda value: getattr(value, "__name__", value))
def test_an_optional_field_keeps_what_does_not_fit(model: Any, name: str) -> None:
    """It fails no response, in a page neither; and such a model pickles, dumps, copies, compares, hashes, and shows.
    To code of ours, which reads what fits, the value is None."""
    least = {key: "x" for key, field in model.model_fields.items() if field.is_required()}
    misfits = 0
    for odd in ODD:
        content = json.dumps({**least, name: odd}).encode()
        instance = decode(model, content, RESPONSE)
        round_trip = decode(model, instance.model_dump_json().encode(), RESPONSE)
        assert instance == round_trip == pickle.loads(pickle.dumps(instance)) == copy.deepcopy(instance)
        assert hash(instance) == hash(round_trip)
        assert type(instance).__name__ in repr(instance)
        assert instance.model_dump().keys() >= {name}
        assert decode_page(model, b'{"data": [%b]}' % content, RESPONSE).data == [instance]
        value = getattr(instance, name)
        if type(value) is type(odd) and value == odd:
            fitted = getattr(fitting(instance), name)
            assert fitted is None or fitted == odd
            misfits += fitted is None
    assert misfits, "no odd value was odd to it"


def test_what_fits_is_read() -> None:
    """The rest of the model stays as it was: other fields, unknown ones, the response, what is nested."""
    content = {"id": "f", "size_bytes": "many", "width": 3, "x": [1], "annotations": {"type": "image"}}
    file = decode(types.File, json.dumps({**content, "device_info": {"device_os": 5}}).encode(), RESPONSE)
    read = fitting(file)
    assert (file.size_bytes, read.size_bytes, read.width, read.model_extra) == ("many", None, 3, {"x": [1]})
    assert read.response is RESPONSE
    assert (type(read.annotations), read.device_info) == (types.ImageAnnotations, file.device_info)
    credit = fitting(decode(types.CreditBalance, b'{"available_cents": 5}', RESPONSE))
    assert (credit.balance_cents, credit.available_cents) == (5, 5)


def test_one_warning_per_field(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field that keeps a value is logged once per process, by its name, without the value."""
    monkeypatch.setattr(base, "_warned", set())
    for _ in range(3):
        decode(types.Job, json.dumps({**JOB, "title": [SECRET], "max_workers": SECRET}).encode(), RESPONSE)
    fitting(decode(types.Job, json.dumps({**JOB, "max_workers": SECRET}).encode(), RESPONSE))
    warnings = [(record.name, record.levelname) for record in caplog.records]
    assert warnings == [("firsthandapi", "WARNING")] * 2
    assert "Job.title is not as the contract documents it, but a value of type list" in caplog.text
    assert "Job.max_workers" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28T05:00:00Z", "2026-11-28T05:00:00+00:00"),
        ("2026-11-28 05:00:00", "2026-11-28T05:00:00+00:00"),
        ("2026-11-28T05:00:00", "2026-11-28T05:00:00+00:00"),
        ("2026-11-28T05:00:00+0000", "2026-11-28T05:00:00+00:00"),
        ("2026-11-28T07:00:00+02:00", "2026-11-28T07:00:00+02:00"),
        ("2026-11-28T05:00:00.1234567Z", "2026-11-28T05:00:00.123456+00:00"),
        ("2026-11-28T05:00:00.123456789", "2026-11-28T05:00:00.123456+00:00"),
        ("2026-11-28", "2026-11-28T00:00:00+00:00"),
        (1795845600, "2026-11-28T06:00:00+00:00"),
        (1795845600000, "2026-11-28T06:00:00+00:00"),
        (1795845600.5, "2026-11-28T06:00:00.500000+00:00"),
    ],
)
def test_times_are_read(text: Any, moment: str) -> None:
    """Every form of a time that means one moment is read, and is aware."""
    job = decode(types.Job, json.dumps({**JOB, "created_at": text}).encode(), RESPONSE)
    assert job.created_at.isoformat() == moment


def test_a_byte_order_mark_is_skipped() -> None:
    """Before an object, a page, an item that does not fit, and half a character."""
    marked = codecs.BOM_UTF8 + json.dumps({**JOB, "title": "\ud83d"}).encode()
    assert decode(types.Job, marked, RESPONSE).title == "\ufffd"
    page = codecs.BOM_UTF8 + json.dumps({"data": [JOB, {"id": 5}]}).encode()
    items, unusable = decoding.decode_items(types.Job, Secret(page), RESPONSE)
    assert ([job.id for job in items.data], set(unusable)) == (["job_1"], {"5"})
    assert refused(types.Job, codecs.BOM_UTF8 + b"{}").fields == ("id", "status")
    assert len(decoding.raw_items(Secret(page))) == 2


def test_a_list_of_misfits_names_its_first() -> None:
    """So its error stays short, however long the list is."""
    page = json.dumps({"data": [1] * 20_000}).encode()
    with pytest.raises(UnexpectedResponseError) as caught:
        decode_page(types.Job, page, RESPONSE)
    assert caught.value.fields == ("data.0",)
    assert len(str(caught.value)) < 500


def test_object_is_not_checked() -> None:
    """`object` may be anything or missing: it is never checked."""
    for value in (None, 5, "jobs", ["job"], {}):
        assert decode(types.Job, json.dumps({**JOB, "object": value}).encode(), RESPONSE).object == value
    assert decode(types.Job, b'{"id":"job_1","status":"open"}', RESPONSE).object is None


@pytest.mark.parametrize("model", MODELS)
def test_only_always_is_required(model: Any) -> None:
    """A model needs the contract's always-fields and nothing else, and each of them."""
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    advice = "a field is required in a model of types/ if §3 of docs/contract.md has it in bold"
    assert required == ALWAYS.get(model.__name__, set()), advice
    least = dict.fromkeys(required, "x")
    decoded = decode(model, json.dumps(least).encode(), RESPONSE)
    nulls = dict.fromkeys(set(model.model_fields) - required) | least
    assert decode(model, json.dumps(nulls).encode(), RESPONSE).response is RESPONSE
    for name in required:
        assert getattr(decoded, name) == "x"
        without = {key: value for key, value in least.items() if key != name}
        assert refused(model, json.dumps(without).encode()).fields == (name,)


def test_events_come_typed() -> None:
    """A WebhookEvent is decoded as the class that fits, in a page too; a subclass is just itself."""
    event = {"id": "evt_1", "type": "submission.approved", "data": {"submission_id": "sub_1"}}
    page = decode_page(
        types.WebhookEvent, json.dumps({"data": [event, {**event, "type": "x.y"}]}).encode(), RESPONSE
    )
    assert [type(item) for item in page.data] == [types.SubmissionEvent, types.WebhookEvent]
    assert page.data[0].response is RESPONSE
    assert refused(types.JobEvent, json.dumps(event).encode()).fields == ("type",)
    with pytest.raises(UnexpectedResponseError) as caught:
        decode_page(types.WebhookEvent, json.dumps({"data": [event, {**event, "id": 5}]}).encode(), RESPONSE)
    assert caught.value.fields == ("data.1.id",)


def test_webhook_delivery() -> None:
    """Without a response it is a webhook delivery: status 0, no base_url to doubt, no request id to quote."""
    event = decode(types.WebhookEvent, b'{"id":"evt_1","type":"job.completed"}', None)
    assert isinstance(event, types.JobEvent)
    with pytest.raises(AttributeError, match="no response"):
        _ = event.response
    for content, fields in ((b"junk", ()), (b"[]", ()), (b'{"id":"evt_1"}', ("type",))):
        error = refused(types.WebhookEvent, content, None)
        assert (error.status, error.length, error.fields) == (0, len(content), fields)
        assert "webhook delivery" in str(error)
        assert "base_url" not in str(error)


field_names = st.sampled_from(sorted({name for model in MODELS for name in model.model_fields}))


@given(st.sampled_from(MODELS), st.binary() | STRICT_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(model: Any, content: bytes) -> None:
    """Whatever the bytes: a model, or an UnexpectedResponseError."""
    for function in (decode, decode_page):
        result = outcome(function, model, content)
        if isinstance(result, UnexpectedResponseError):
            assert result.length == len(content)
        else:
            assert isinstance(json.loads(content), dict)


@given(st.sampled_from(MODELS), st.dictionaries(field_names, STRICT_JSON))
def test_any_values_in_known_fields(model: Any, fields: dict[str, Any]) -> None:
    """Whatever stands in known fields: a model, or an error that names some of them."""
    result = outcome(decode, model, json.dumps(fields).encode())
    if isinstance(result, UnexpectedResponseError):
        assert result.fields
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        assert {path.split(".")[0] for path in result.fields} <= set(fields) | required
    else:
        assert isinstance(result, model)
        assert result.response is RESPONSE


@given(st.sampled_from(MODELS), st.dictionaries(st.text().map("x_".__add__), STRICT_JSON))
def test_unknown_fields_round_trip(model: Any, fields: dict[str, Any]) -> None:
    """Unknown fields come out as they went in."""
    always = {"id": "a", "status": "b", "type": "c"}
    decoded = decode(model, json.dumps({**always, **fields}).encode(), RESPONSE)
    dumped = json.loads(decoded.model_dump_json())
    assert {name: dumped[name] for name in fields} == fields


@pytest.mark.parametrize("digits", [700, 5_000])
def test_a_huge_number_costs_no_other_item(digits: int) -> None:
    """Python reads no int of so many digits; the page's other items come, and this one is told of or kept as text."""
    rows = '[{"id": "file_1"}, {"id": "file_2", "annotations": {"type": "image", "n": %s}}]' % ("9" * digits)
    page, unusable = decoding.decode_items(
        types.File, Secret(f'{{"data": {rows}}}'.encode()), ApiResponse(200)
    )
    assert {file.id for file in page.data} | {*unusable} == {"file_1", "file_2"}
    assert "file_1" in {file.id for file in page.data}


def decode_items(value: Any) -> tuple[Any, dict[str, Any]]:
    return decoding.decode_items(types.Job, Secret(json.dumps(value).encode()), RESPONSE)


def test_a_bad_item_costs_no_other() -> None:
    """The page is read item by item; the error of each bad one stands under its id, and the cursor stays."""
    page, unusable = decode_items({"data": [JOB, {"id": "job_2"}, 5], "has_more": True, "next_cursor": "c"})
    assert [job.id for job in page.data] == ["job_1"]
    assert (page.has_more, page.next_cursor) == (True, "c")
    assert set(unusable) == {"job_2", "None"}
    page, unusable = decode_items({"data": [JOB, {"id": "../me", "status": "open"}, {"id": "job_2"}]})
    assert (page.has_more, page.next_cursor, set(unusable)) == (False, None, {"../me", "job_2"})
    for bad in ({**JOB, "id": "x" * 200}, {"id": "x" * 200}):
        _, unusable = decode_items({"data": [JOB, bad]})
        assert set(unusable) == {"x" * 128}


@pytest.mark.parametrize(
    "value",
    [
        {"data": [{"id": "job_2"}]},
        {"data": {}},
        {"data": [JOB, 5], "next_cursor": 7},
        [JOB],
        {"data": [5, 6]},
    ],
)
def test_a_page_of_bad_items_alone_is_no_page(value: Any) -> None:
    """The service sent something else: the error is that of the page."""
    with pytest.raises(UnexpectedResponseError, match="page of Job objects"):
        decode_items(value)


def test_the_items_of_a_page_as_they_came() -> None:
    """Bad ones too; of what is no page, none."""
    assert decoding.raw_items(Secret(b'{"data": [{"id": 5}, 7]}')) == [{"id": 5}]
    assert decoding.raw_items(Secret(b'{"data": 5}')) == decoding.raw_items(Secret(b"<html>")) == []


def test_a_number_of_640_digits_is_read() -> None:
    """Python may be told to read no more: a longer one stays text."""
    raw = json.dumps({"data": [{"id": int("9" * 640)}, {"id": int("9" * 641)}]})
    assert decoding.raw_items(Secret(raw.encode())) == [{"id": int("9" * 640)}, {"id": "9" * 641}]
