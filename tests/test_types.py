"""Models: open on read, frozen, with their response; and never a secret in a repr."""

from __future__ import annotations

import ast
import copy
import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from generate_fields import attribute_docs
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.strategies import STRICT_JSON
from firsthandapi import types
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.attempt import call_name
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi_server.contract import answers
from firsthandapi_server.contract.operations import OPERATIONS

TESTS = Path(__file__).parent
RESPONSE = ApiResponse(200, ((b"x-request-id", b"req_1"),))
URL = "https://s3.amazonaws.com/bucket/key.jpg?X-Amz-Signature=0123456789abcdef"


def read(model: Any, **fields: Any) -> Any:
    return decode(model, Secret(json.dumps(fields).encode()), RESPONSE)


def event(type: str, data: Any) -> Any:
    return read(types.WebhookEvent, id="evt_1", type=type, data=data)


# --- the package


def test_names_load_when_used() -> None:
    """Submodules are attributes of the package; the types load no model and no pydantic, and one that is used loads its
    module and no other resource's."""
    code = (
        "import sys, firsthandapi\n"
        "t = firsthandapi.types\n"
        "firsthandapi.errors.NotFoundError, firsthandapi.webhooks.unwrap\n"
        "assert 'pydantic' not in sys.modules\n"
        "t.Job\n"
        "assert 'firsthandapi.types.job' in sys.modules\n"
        "assert 'firsthandapi.types.file' not in sys.modules\n"
        "assert 'Job' in vars(t)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    """The table of lazy names, the imports that checkers read and `dir` agree, and each name loads."""
    tree = ast.parse(Path(types.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert imported == set(types.__all__)
    assert imported <= set(dir(types))
    for name in imported:
        assert getattr(types, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        _ = types.Nope


def test_every_model_is_documented() -> None:
    """Each field of a response has a line in its class's docstring, each argument a description."""
    for name in types.__all__:
        model = getattr(types, name)
        if not isinstance(model, type) or model in (types.Model, types.Params):
            continue
        assert model.__doc__
        if issubclass(model, dict):  # a TypedDict, whose keys have their text below them
            assert set(model.__annotations__) <= {
                *attribute_docs("job_arguments"),
                *attribute_docs("options"),
            }
            continue
        if issubclass(model, types.Model):
            due = set(model.__annotations__) - set(types.WebhookEvent.model_fields)
            due |= set(model.__annotations__) if types.WebhookEvent not in model.__bases__ else set()
            documented = set(re.findall(r"^ {4}(\w+): ", inspect.cleandoc(model.__doc__), re.MULTILINE))
            assert due <= documented, f"each field of {name} needs a line under Attributes: in its docstring"
        elif issubclass(model, types.Params):
            undescribed = [key for key, field in model.model_fields.items() if not field.description]
            assert undescribed == [], f"each field of {name} needs Field(description=…)"


# What a response of the contract contains, and the client leaves among the unknown fields.
LEFT = {"WebhookEvent": {"deliveries"}, "OrganizationSettings": {"id"}}
CONTRACT = {
    name: kind for name, kind in vars(answers).items() if isinstance(kind, type) and name in types.__all__
}


@pytest.mark.parametrize("name", CONTRACT)
def test_the_client_and_the_contract_know_the_same_fields(name: str) -> None:
    """Whoever adds a field to a response adds it to both; of an event's data, the client reads what handlers need."""
    fields = set(getattr(types, name).model_fields)
    ours = {*CONTRACT[name].model_fields, *getattr(answers, f"New{name}", CONTRACT[name]).model_fields}
    assert fields - {"object"} <= ours, (
        f"firsthandapi_server/contract/answers.py: {name} lacks fields of types.{name}"
    )
    if not name.endswith("EventData"):
        assert ours - LEFT.get(name, set()) <= fields, (
            f"types.{name} lacks fields of firsthandapi_server/contract/answers.py"
        )


def test_each_new_field_and_endpoint_is_in_the_changelog() -> None:
    """`fields.txt` lists those that were there before this was asked for."""
    lines = (TESTS / "fields.txt").read_text(encoding="utf-8").splitlines()
    old = {f"{name}.{field}" for name, *fields in map(str.split, lines) for field in fields}
    changes = (TESTS.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    names = {f"{name}.{field}" for name in CONTRACT for field in getattr(types, name).model_fields}
    names |= {call_name(f"{route.method} {route.path.replace('{id}', ':id')}") for route in OPERATIONS}
    missing = [name for name in sorted(names - old) if "." in name and f"`{name}`" not in changes]
    assert missing == [], (
        "CHANGELOG.md has no line for these new fields of responses, or methods of endpoints"
    )


# --- the response


def test_response_of_a_model_built_by_hand() -> None:
    """A model that came with no response says so, also when the service sent a field of that name."""
    job = types.Job(id="job_1", status="open")
    with pytest.raises(AttributeError, match=r"this Job has no response: .* built by hand"):
        _ = job.response
    assert not hasattr(job, "response")
    job = types.Job.model_validate(
        {"id": "job_1", "status": "open", "response": "field", "_response": "field"}
    )
    with pytest.raises(AttributeError, match="no response"):
        _ = job.response
    assert job.model_extra == {"response": "field", "_response": "field"}


def test_unknown_attribute() -> None:
    """An attribute that is neither field nor extra is an AttributeError that names it; an extra is there."""
    job = read(types.Job, id="job_1", status="open", priority=5)
    assert job.priority == 5
    with pytest.raises(AttributeError, match="'Job' object has no attribute 'colour'"):
        _ = job.colour


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda model: model.model_copy(),
        lambda model: model.model_copy(deep=True),
        lambda model: pickle.loads(pickle.dumps(model)),
    ],
    ids=["copy", "deepcopy", "model_copy", "model_copy-deep", "pickle"],
)
def test_copies_keep_everything(copied: Any) -> None:
    """A copy or pickle has the fields, the extras, the secrets whole, and the response if there was one."""
    endpoint = read(types.WebhookEndpoint, id="we_1", secret="whsec_abc", extra=[1], created_at="2026-01-01")
    twin = copied(endpoint)
    assert twin == endpoint
    assert hash(twin) == hash(endpoint)
    assert twin.secret == "whsec_abc"
    assert twin.extra == [1]
    assert twin.response.request_id == "req_1"
    assert not hasattr(copied(types.Job(id="job_1", status="open")), "response")


def test_response_is_no_part_of_the_value() -> None:
    """Equality, dumps and reprs leave the response out."""
    job, by_hand = read(types.Job, id="job_1", status="open"), types.Job(id="job_1", status="open")
    assert job == by_hand
    assert "response" not in job.model_dump()
    assert repr(job) == repr(by_hand) == "Job(id='job_1', status='open')"


# --- the value


def test_equality() -> None:
    """Equal are models of one type with equal fields and extras."""
    job = read(types.Job, id="job_1", status="open", x=1)
    assert job == read(types.Job, id="job_1", status="open", x=1)
    assert job != read(types.Job, id="job_1", status="open", x=2)
    assert job != read(types.Job, id="job_1", status="filled", x=1)
    assert job != read(types.Submission, id="job_1", status="open", x=1)


def test_hash() -> None:
    """A model hashes by type and id, so that its state may change; one without id by its plain fields."""
    jobs = {
        read(types.Job, id="job_1", status="open", metadata={"a": [1]}),
        read(types.Job, id="job_1", status="x"),
    }
    assert len({hash(job) for job in jobs}) == 1
    assert len(jobs) == 2
    assert hash(read(types.Job, id="a", status="b")) != hash(read(types.Submission, id="a", status="b"))
    balance = read(types.CreditBalance, balance_cents=5, x=[1])
    assert hash(balance) == hash(read(types.CreditBalance, balance_cents=5, x=[1]))
    assert hash(balance) != hash(read(types.CreditBalance, balance_cents=6, x=[1]))


def test_frozen() -> None:
    """Nothing that was answered can be changed."""
    job = read(types.Job, id="job_1", status="open")
    with pytest.raises(ValidationError, match="frozen"):
        job.status = "completed"


def test_open_words() -> None:
    """A word the service adds later is simply a string; all others are too."""
    job = read(types.Job, id="job_1", status="paused", type="survey", accepted_formats=["image/avif"])
    assert (job.status, job.type, job.accepted_formats) == ("paused", "survey", ["image/avif"])


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("open", False),
        ("filled", False),
        ("in_progress", False),
        ("completed", True),
        ("cancelled", True),
        ("paused", False),
    ],
)
def test_is_terminal(status: str, terminal: bool) -> None:
    """Completed and cancelled jobs are over; an unknown status is not."""
    assert types.Job(id="job_1", status=status).is_terminal is terminal


def test_balance_under_either_name() -> None:
    """A balance is read from `balance_cents` or `available_cents`, and shown under both."""
    for sent in ({"balance_cents": 5}, {"available_cents": 5}):
        balance = read(types.CreditBalance, **sent)
        assert (balance.balance_cents, balance.available_cents) == (5, 5)
    balance = read(types.CreditBalance, balance_cents=5, available_cents=6)
    assert (balance.balance_cents, balance.available_cents, balance.model_extra) == (5, 6, {})


def test_top_up_under_either_name() -> None:
    """`auto_topup_*` is read as `auto_top_up_*`."""
    for name in ("auto_top_up", "auto_topup"):
        settings = read(
            types.OrganizationSettings,
            **{f"{name}_enabled": True, f"{name}_threshold_cents": 500, f"{name}_amount_cents": 2500},
        )
        assert settings.auto_top_up_enabled is True
        assert settings.auto_top_up_threshold_cents == 500
        assert settings.auto_top_up_amount_cents == 2500
        assert settings.model_extra == {}


def test_closed_words_are_the_contracts() -> None:
    """The closed sets hold the contract's words; the open ones take any string besides."""
    assert set(get_args(types.JobStatus)) == {"open", "filled", "in_progress", "completed", "cancelled"}
    assert len(get_args(types.MediaFormat)) == 9
    assert len(get_args(types.Scope)) == 8
    assert len(get_args(types.EventType)) == 11
    assert str in get_args(get_args(types.OpenEventType)[0])


# --- annotations

IMAGE = {
    "type": "image",
    "objects": ["mailbox", {"label": "house", "confidence": 0.9, "box": [1, 2]}],
    "scene": {"setting": "outdoor residential", "indoor": False},
    "text_extraction": "1234",
    "color_palette": ["#8B4513"],
    "dominant_objects": [{"label": "mailbox", "position": "center", "approximate_coverage": "25%"}],
    "composition": "centered subject",
    "annotation_model": "m-1",
    "mood": "calm",
}
AUDIO = {
    "type": "audio",
    "speaker_count": 2,
    "language": "en",
    "topics": ["trains"],
    "keywords": ["track"],
    "noise_level": "low",
    "transcript_segments": [{"start": 0, "end": 1.5, "text": "Hello", "speaker": "A", "tone": "warm"}],
}
VIDEO = {
    "type": "video",
    "scenes": [{"start": 0, "end": 1.5, "description": "A dog"}],
    "actions": ["run"],
    "tracked_objects": [{"label": "dog", "scenes": [0]}],
    "keyframes": [{"timestamp": 0.5, "description": "A dog"}],
    "transcript_segments": [{"start": 0, "end": 1, "text": "Woof"}],
}


@pytest.mark.parametrize(
    ("annotations", "kind"),
    [(IMAGE, types.ImageAnnotations), (AUDIO, types.AudioAnnotations), (VIDEO, types.VideoAnnotations)],
    ids=["image", "audio", "video"],
)
def test_typed_annotations(annotations: dict[str, Any], kind: type) -> None:
    """Annotations come as the class of their `type`, with fields the contract does not know kept."""
    file = read(types.File, id="file_1", annotations=annotations)
    assert type(file.annotations) is kind
    assert file.model_dump(exclude_unset=True)["annotations"] == annotations


def test_typed_parts_of_annotations() -> None:
    """The parts of annotations are typed; objects are labels or, in newer versions, objects."""
    image = read(types.File, id="file_1", annotations=IMAGE).annotations
    assert image.objects == ["mailbox", types.DetectedObject.model_validate(IMAGE["objects"][1])]
    assert image.objects[1].confidence == 0.9
    assert image.scene.indoor is False
    assert image.dominant_objects[0].position == "center"
    video = read(types.File, id="file_1", annotations=VIDEO).annotations
    assert isinstance(video.scenes[0], types.VideoScene)
    assert isinstance(video.tracked_objects[0], types.TrackedObject)
    assert isinstance(video.keyframes[0], types.Keyframe)
    assert isinstance(video.transcript_segments[0], types.TranscriptSegment)


@pytest.mark.parametrize(
    "annotations",
    [
        {"type": "hologram", "depth": 3},
        {"type": 5},
        {"type": ["image"]},
        {"objects": ["a"]},
        {},
        {**IMAGE, "objects": "mailbox"},
        {**IMAGE, "scene": {"indoor": "no"}},
        {**AUDIO, "speaker_count": True},
        {**VIDEO, "annotation_model": {"name": "m", "version": 1}},
    ],
)
def test_odd_annotations_are_kept_raw(annotations: dict[str, Any]) -> None:
    """An unknown type, and a known one with a field of another type, is kept as it came."""
    file = read(types.File, id="file_1", annotations=annotations)
    assert type(file.annotations) is types.UnknownAnnotations
    assert file.model_dump(exclude_unset=True)["annotations"] == annotations
    assert json.loads(file.model_dump_json(exclude_unset=True))["annotations"] == annotations


@pytest.mark.parametrize("annotations", [[1], "image", 5, True])
def test_annotations_that_are_no_object(annotations: Any) -> None:
    """Annotations that are no JSON object stand in `raw`."""
    assert read(types.File, id="file_1", annotations=annotations).annotations.raw == annotations


def test_no_annotations() -> None:
    """Null annotations are None: a policy violation, a stock photo, an error."""
    assert read(types.File, id="file_1", annotations=None).annotations is None


@pytest.mark.parametrize(
    ("sent", "read_as"), [("", None), (" ", None), (None, None), (" AB12\n", "ab12"), ("ab12", "ab12")]
)
def test_hash_has_one_spelling(sent: str | None, read_as: str | None) -> None:
    """A hash is compared in several places: it is lower-case, and an empty one is none."""
    assert read(types.File, id="file_1", content_hash=sent).content_hash == read_as


@pytest.mark.parametrize("annotations", [IMAGE, AUDIO, VIDEO, {"type": "hologram"}, [1], None])
def test_dumped_file_reads_back(annotations: Any) -> None:
    """A file's dump, in Python or JSON, gives the same file again."""
    file = read(types.File, id="file_1", annotations=annotations, created_at="2026-01-01T00:00:00Z")
    assert types.File.model_validate(file.model_dump()) == file
    assert types.File.model_validate_json(file.model_dump_json()) == file
    assert types.File(id="file_1", annotations=file.annotations, created_at=file.created_at) == file


annotation_fields = st.dictionaries(
    st.sampled_from(sorted({*IMAGE, *AUDIO, *VIDEO, "x"})),
    STRICT_JSON
    | st.lists(st.dictionaries(st.sampled_from(["label", "start", "confidence"]), STRICT_JSON), max_size=2),
    max_size=4,
)


@given(
    STRICT_JSON
    | annotation_fields
    | st.tuples(annotation_fields, st.sampled_from(["image", "audio", "video"])).map(
        lambda pair: {**pair[0], "type": pair[1]}
    )
)
def test_any_annotations(annotations: Any) -> None:
    """No annotations, whatever they are, break a file; a repr shows it and a dump keeps them."""
    file = read(types.File, id="file_1", annotations=annotations)
    assert repr(file).startswith("File(id='file_1'")
    dumped = file.model_dump(exclude_unset=True)["annotations"]
    assert dumped == annotations or dumped == {"raw": annotations}


# --- events


def test_submission_event() -> None:
    """A submission event names its submission under `submission_id`, whichever way it came."""
    for name in ("submission_id", "id"):
        approved = event(
            "submission.approved",
            {
                name: "sub_1",
                "job_id": "job_1",
                "status": "approved",
                "ai_star_rating": 4,
                "ai_reasoning": "Sharp",
                "content_type": "image/jpeg",
            },
        )
        assert type(approved) is types.SubmissionEvent
        data = approved.data
        assert (data.submission_id, data.job_id, data.ai_star_rating) == ("sub_1", "job_1", 4)
        assert (data.status, data.ai_reasoning, data.content_type) == ("approved", "Sharp", "image/jpeg")
    assert event("submission.scored", {"submission_id": "sub_1", "id": "sub_2"}).data.submission_id == "sub_1"


@pytest.mark.parametrize("type_", get_args(types.EventType))
def test_every_known_event_is_typed(type_: str) -> None:
    """Each event type of the contract has its class."""
    kinds = {"submission": types.SubmissionEvent, "job": types.JobEvent, "credits": types.CreditsEvent}
    kind = kinds[type_.split(".")[0]]
    assert type(event(type_, {})) is kind
    assert type(read(types.WebhookEvent, id="evt_1", type=type_)) is kind


def test_job_event() -> None:
    """A job event names its job under `job_id`, whichever way it came."""
    for name in ("job_id", "id"):
        assert event("job.completed", {name: "job_1"}).data.job_id == "job_1"


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("submission.paused", {"id": "sub_1"}),
        ("submission.approved", {"ai_star_rating": "four"}),
        ("job.completed", [1]),
        ("credits.low_balance", {"balance_cents": "5"}),
        ("x", None),
    ],
)
def test_odd_events_are_kept_plain(type_: str, data: Any) -> None:
    """An unknown event type, and a known one with odd data, comes as a plain event with the data as it came."""
    plain = event(type_, data)
    assert type(plain) is types.WebhookEvent
    assert (plain.type, plain.data) == (type_, data)


# --- reprs

SECRETS = ["0123456789abcdef", "cs_test_a1"]


@pytest.mark.parametrize(
    ("model", "fields", "mask"),
    [
        (types.WebhookEndpoint, {"id": "we_1", "secret": "whsec_0123456789abcdef"}, "secret='whsec_…'"),
        (types.ApiKey, {"id": "key_1", "secret": "fh_live_0123456789abcdef"}, "secret='fh_live_…'"),
        (types.ApiKey, {"id": "key_1", "secret": "0123456789abcdef"}, "secret='…'"),
        (types.Signup, {"api_key": "fh_live_0123456789abcdef"}, "api_key='fh_live_…'"),
        (types.File, {"id": "f", "download_url": URL}, "download_url='https://s3.amazonaws.com/…'"),
        (types.DownloadUrl, {"download_url": "0123456789abcdef"}, "download_url='…'"),
        (
            types.DownloadUrl,
            {"download_url": "https://0123456789abcdef@h.example:80/a"},
            "'https://h.example:80/…'",
        ),
        (
            types.Submission,
            {"id": "s", "status": "x", "file_url": URL},
            "file_url='https://s3.amazonaws.com/…'",
        ),
        (types.Checkout, {"checkout_url": "https://pay.example/c/cs_test_a1#x"}, "'https://pay.example/…'"),
        (types.Job, {"id": "j", "status": "x", "description": f"see {URL}"}, "key.jpg?…"),
        (
            types.Job,
            {"id": "j", "status": "x", "metadata": {"my_secret": "0123456789abcdef"}},
            "'my_secret': '…'",
        ),
        (types.Job, {"id": "j", "status": "x", "metadata": {"a": [{"b": URL}]}}, "key.jpg?…"),
        (types.Job, {"id": "j", "status": "x", "thumbnail": URL}, "key.jpg?…"),
        (types.Job, {"id": "j", "status": "x", "access_token": ["0123456789abcdef"]}, "access_token=['…']"),
        (types.Job, {"id": "j", "status": "x", "whsec_0123456789abcdef": 1}, "whsec_…=1"),
        (types.Job, {"id": "j", "status": "x", "metadata": {"whsec_0123456789abcdef": 1}}, "{'whsec_…': 1}"),
        (types.File, {"id": "f", "annotations": {"type": "image", "objects": [URL]}}, "key.jpg?…"),
        (types.WebhookEvent, {"id": "e", "type": "x", "data": {"download_url": URL}}, "amazonaws.com/…'"),
        (
            types.WebhookEvent,
            {"id": "e", "type": "job.flagged", "data": {"file_url": URL}},
            "amazonaws.com/…'",
        ),
    ],
)
def test_secrets_are_masked(model: Any, fields: dict[str, Any], mask: str) -> None:
    """`repr` and `str` show no secret and no signed URL, wherever it stands; the value itself is whole."""
    result = read(model, **fields)
    for text in (repr(result), str(result), f"{result}", repr([result])):
        assert mask in text
        assert not any(secret in text for secret in SECRETS)
    dumped = result.model_dump(mode="json", exclude_unset=True)
    assert {name: dumped[name] for name in fields} == fields


def test_repr_is_short() -> None:
    """A repr leaves out what is None and cuts what is long or deep; a time is as the service writes it."""
    job = read(
        types.Job,
        id="job_1",
        status="open",
        title=None,
        description="x" * 5000,
        accepted_formats=["image/png"] * 6,
        created_at="2026-01-01T00:00:00Z",
        metadata={"a": {"b": {"c": {"d": 1}}}},
    )
    assert repr(job) == (
        f"Job(id='job_1', status='open', description='{'x' * 79}…', "
        "accepted_formats=['image/png', 'image/png', 'image/png', 'image/png', 'image/png', …], "
        "metadata={'a': {'b': {'c': …}}}, created_at=2026-01-01T00:00:00Z)"
    )


def test_a_cut_reveals_nothing() -> None:
    """A long text is masked before it is cut, so that no cut takes away what gives a secret away."""
    job = read(types.Job, id="j", status="x", description="y" * 70 + " whsec_0123456789abcdef" + "z" * 50)
    assert "whsec_…" in repr(job)
    assert "0123" not in repr(job)
