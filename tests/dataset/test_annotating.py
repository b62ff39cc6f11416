"""`Dataset.annotate` and `correct`: nothing is asked twice, no cap is passed, and a person's word stays."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dataset.support import folder_of, wait_until
from firsthandapi import AnnotationError, ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._core.rows.opinions import OPINIONS
from firsthandapi.ai import Model, Opinion, Work
from firsthandapi.datasets import AnnotationReport
from firsthandapi.testing import FakeModels
from processes import unmeasured
from review.test_app import picture

MODEL = "anthropic:claude-haiku-5-5"
COLORS = ("red", "green", "blue", "white", "black", "gray")


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return folder_of(
        tmp_path / "signs", [picture(color) for color in COLORS], width=[320] * 6, height=[240] * 6
    )


class Says:
    """An annotator that says the same of every file."""

    name = "says-1"

    def __init__(self, opinion: object = None) -> None:
        self.opinion = opinion
        self.works: list[Work] = []

    def look(self, work: Work) -> Any:
        self.works.append(work)
        if isinstance(self.opinion, Exception):
            raise self.opinion
        return self.opinion


def texts(dataset: Dataset) -> list[str | None]:
    return [(row.annotations or {}).get("text_extraction") for row in dataset]


def test_annotate(dataset: Dataset) -> None:
    """Rows have the answers, in both columns; a second call, and a second process, ask nothing."""
    seen: list[AnnotationReport] = []
    with FakeModels() as models:
        report = dataset.annotate(MODEL, base_url=models.url, on_progress=seen.append)
        assert (report.files, report.known, report.asked, report.failed, report.stopped) == (
            6,
            0,
            6,
            (),
            False,
        )
        assert report.cents == pytest.approx(6 * 0.0275)
        assert seen[-1] == report
        rerun = Dataset.open(dataset.path).annotate(MODEL, base_url=models.url)
        assert (rerun.asked, len(models.requests)) == (0, 6)
    assert texts(Dataset.open(dataset.path)) == ["STOP"] * 6
    assert json.loads(dataset[0].annotations_json or "")["annotation_model"] == MODEL
    assert dataset.verify()


def test_a_dry_run_sends_nothing(dataset: Dataset) -> None:
    """And needs no key."""
    report = dataset.annotate(MODEL, dry_run=True)
    assert (report.asked, report.known, report.cents) == (0, 0, 0)
    assert report.about_cents is not None
    assert 0 < report.about_cents < 6
    assert not (dataset.path / OPINIONS).exists()
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        dataset.annotate(MODEL)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_no_cap_is_passed(dataset: Dataset, concurrency: int) -> None:
    """Not by threads either: what is under way counts at its worst."""
    model = Model(MODEL)
    most = model.price(
        Work(path=Path(), content_type="image/jpeg", sha256="", width=320, height=240), most=True
    )
    assert most is not None
    cents = 0.0275 * 3 + most
    with FakeModels(seconds=0.02) as models:
        report = dataset.annotate(MODEL, base_url=models.url, max_cents=cents, concurrency=concurrency)
        assert report.stopped
        assert report.cents is not None
        assert (report.asked, report.cents <= cents) == (4, True)
        rest = dataset.annotate(MODEL, base_url=models.url)
        assert (rest.known, rest.asked, rest.stopped, len(models.requests)) == (0, 2, False, 6)


def test_a_cap_below_the_first_price(dataset: Dataset) -> None:
    """It asks nothing, and needs no key."""
    with FakeModels() as models:
        report = dataset.annotate(MODEL, base_url=models.url, max_cents=0.001)
        assert (report.asked, report.stopped, models.requests) == (0, True, [])
    assert dataset.annotate(MODEL, max_cents=0).stopped


def test_unknown_prices(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback they are 0; elsewhere no cap can be kept, which is said before anything is sent."""
    with FakeModels() as models:
        report = dataset.annotate("openai:qwen2.5vl", base_url=models.url, max_cents=0)
        assert (report.asked, report.cents, report.stopped) == (6, 0, False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(ConfigurationError, match="unknown"):
        dataset.annotate("openai:other", base_url="http://192.0.2.1/v1", max_cents=100, replace=True)


def test_failures_are_named_and_asked_again(dataset: Dataset) -> None:
    with FakeModels() as models:
        models.fail("misshapen")
        report = dataset.annotate(MODEL, base_url=models.url, concurrency=1)
        ((file_id, error),) = report.failed
        assert (file_id, type(error), report.asked) == (dataset[0].file_id, AnnotationError, 6)
        assert texts(dataset) == [None, *["STOP"] * 5]
        assert dataset.annotate(MODEL, base_url=models.url).asked == 1
    assert texts(dataset) == ["STOP"] * 6


def test_annotations_of_the_service_stay(tmp_path: Path) -> None:
    """Unless asked for; and what is known is written again without a question."""
    annotations: list[Any] = [{"type": "image", "text_extraction": "service"}, None]
    dataset = folder_of(
        tmp_path / "a",
        [picture("red"), picture("blue")],
        annotations=annotations,
        annotations_json=[entry and json.dumps(entry) for entry in annotations],
    )
    with FakeModels() as models:
        assert dataset.annotate(MODEL, base_url=models.url).asked == 1
        assert texts(dataset) == ["service", "STOP"]
        report = dataset.annotate(MODEL, base_url=models.url, replace=True)
        assert (report.known, report.asked) == (1, 1)
        assert texts(dataset) == ["STOP", "STOP"]


def test_a_person_has_the_last_word(dataset: Dataset) -> None:
    """Over a model that comes later, over one that replaces, and in copies."""
    dataset.correct(dataset[0], {"text_extraction": "YIELD"}, by="ana")
    with FakeModels({"stars": 4, "text_extraction": "STOP", "composition": "centered"}) as models:
        assert dataset.annotate(MODEL, base_url=models.url).asked == 6
        assert (dataset[0].annotations or {})["composition"] == "centered"
        dataset.annotate("openai:other", base_url=models.url, replace=True)
    dataset.correct(dataset[1].file_id, {"text_extraction": None})
    assert texts(Dataset.open(dataset.path)) == ["YIELD", None, *["STOP"] * 4]
    assert json.loads(dataset[0].annotations_json or "")["corrected"] == ["text_extraction"]
    assert texts(dataset.copy_to(dataset.path.parent / "copy")) == texts(dataset)
    assert '"by":"ana"' in (dataset.path / OPINIONS).read_text()
    assert "ana" not in (dataset.path / "metadata.jsonl").read_text()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"topics": ["a"]}, "'topics' is no annotation of image/jpeg"),
        ({"text_extraction": 4}, "text_extraction must be a str"),
        ({"objects": "sign"}, "objects must be a list"),
        ({"scene": {"indoor": "no"}}, "scene must be a dict"),
        ({"annotation_model": "me"}, "no annotation"),
        ({}, "must be a dict"),
    ],
)
def test_what_no_correction_is(dataset: Dataset, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        dataset.correct(dataset[0], fields)
    with pytest.raises(InvalidArgumentError, match="no file of"):
        dataset.correct("file_other", {"text_extraction": "a"})
    assert dataset[0].annotations is None
    assert not (dataset.path / OPINIONS).exists()


def test_a_word_that_fits_no_row_takes_none_away(dataset: Dataset) -> None:
    dataset.correct(dataset[0], {"text_extraction": "STOP"})
    with pytest.raises(InvalidArgumentError, match="would be longer than 4 MiB"):
        dataset.correct(dataset[0], {"text_extraction": "a" * 4_200_000})
    assert (dataset[0].annotations or {})["text_extraction"] == "STOP"


def test_corrections_of_every_shape(dataset: Dataset) -> None:
    fields = {
        "objects": ["sign", {"label": "car", "confidence": 0.5}],
        "scene": {"indoor": False, "setting": None},
    }
    dataset.correct(dataset[0], fields)
    annotations = dataset[0].annotations or {}
    assert [entry["label"] for entry in annotations["objects"]] == ["sign", "car"]
    assert annotations["scene"] == {"setting": None, "indoor": False}


def test_a_copy_asks_nothing_twice(dataset: Dataset) -> None:
    """Nor does a split of it, nor a merge; and a withdrawal erases a file's lines."""
    with FakeModels() as models:
        dataset.annotate(MODEL, base_url=models.url)
        copy = dataset.copy_to(dataset.path.parent / "copy")
        parts = dataset.split(0.5, 0.5).copy_to(dataset.path.parent / "parts")
        for twin in (copy, *(Dataset.open(part) for part in dataset.path.parent.glob("parts/*"))):
            assert twin.annotate(MODEL, base_url=models.url, replace=True).asked == 0
        assert len(models.requests) == 6
    assert parts


def test_a_view(dataset: Dataset) -> None:
    with FakeModels() as models:
        some = dataset.filter(lambda row: row.file_id == dataset[2].file_id)
        assert some.annotate(MODEL, base_url=models.url).files == 1
    assert texts(dataset) == [None, None, "STOP", None, None, None]


def test_the_same_bytes_are_asked_about_once(tmp_path: Path) -> None:
    dataset = folder_of(tmp_path / "a", [picture("red")] * 3)
    with FakeModels() as models:
        assert dataset.annotate(MODEL, base_url=models.url).asked == 1
    assert texts(dataset) == ["STOP"] * 3


def test_the_same_bytes_fail_together(tmp_path: Path) -> None:
    dataset = folder_of(tmp_path / "a", [b"1", b"1", b"2"])
    report = dataset.annotate(Says(ValueError("no")))
    assert report.asked == 2
    assert [id for id, _ in report.failed] == [row.file_id for row in dataset]


def test_only_a_person_corrects(dataset: Dataset) -> None:
    """An answer that says so of itself does not become a person's word."""
    dataset.annotate(Says(Opinion(annotations={"text_extraction": "GO", "corrected": ["text_extraction"]})))
    with FakeModels() as models:
        dataset.annotate(MODEL, base_url=models.url, replace=True)
    assert texts(dataset) == ["STOP"] * 6


def test_an_annotator_of_ones_own(dataset: Dataset) -> None:
    says = Says(Opinion(annotations={"text_extraction": "own"}, flags=("stock",), cents=2.0))
    report = dataset.annotate(says, max_cents=7.0)
    assert (report.asked, report.cents, report.stopped) == (3, 6.0, True)
    assert dataset.annotate(says).known == 0
    assert texts(dataset) == ["own"] * 6
    assert dataset[0].flags == ["stock"]
    assert says.works[0].sha256 == dataset[0].sha256


def test_abstention_is_no_failure(dataset: Dataset) -> None:
    says = Says()
    report = dataset.annotate(says)
    assert (report.asked, report.failed) == (6, ())
    assert (dataset.annotate(says).known, len(says.works)) == (6, 6)


@pytest.mark.parametrize(
    ("opinion", "words"),
    [
        (ValueError("broken"), "ValueError: broken"),
        ({"stars": 3}, "returned dict"),
        (Opinion(annotations={"a": object()}), "no JSON"),
        (Opinion(annotations={"text_extraction": "a" * 1_100_000}), "more than 1,048,576 characters"),
    ],
)
def test_what_an_annotator_may_do(dataset: Dataset, opinion: object, words: str) -> None:
    report = dataset.annotate(Says(opinion))
    assert len(report.failed) == 6
    assert words in str(report.failed[0][1])


def test_damaged_files_are_not_asked_about(dataset: Dataset) -> None:
    dataset.path_of(dataset[0]).write_bytes(picture("pink"))
    dataset.path_of(dataset[1]).unlink()
    report = dataset.annotate(Says(Opinion()))
    assert [id for id, _ in report.failed] == [dataset[0].file_id, dataset[1].file_id]
    assert "run repair" in str(report.failed[0][1])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"model": 3}, "model"),
        ({"model": "gpt-5"}, "model"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 65}, "concurrency"),
        ({"max_cents": -1}, "max_cents"),
        ({"max_cents": True}, "max_cents"),
        ({"speech": "openai:whisper-1", "model": Says()}, "speech"),
        ({"base_url": "http://a", "model": Says()}, "base_url"),
    ],
)
def test_arguments(dataset: Dataset, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        dataset.annotate(**{"model": MODEL, **arguments})
    assert refusal.value.field == field


def test_sounds_take_a_model_for_speech(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = folder_of(tmp_path / "a", [b"1"], content_type=["audio/wav"])
    with FakeModels() as models:
        assert dataset.annotate(MODEL, base_url=models.url).asked == 0
    assert "speech=" in caplog.text


def test_the_async_half(dataset: Dataset) -> None:
    """It reports on the event loop; cancelled, it asks nothing more."""
    reports: list[AnnotationReport] = []

    async def note(report: AnnotationReport) -> None:
        assert threading.current_thread() is threading.main_thread()
        reports.append(report)

    async def run() -> None:
        with FakeModels() as models:
            report = await dataset.aannotate(MODEL, base_url=models.url, on_progress=note, concurrency=1)
            assert (report.asked, len(reports)) == (6, 6)

    async def stop() -> None:
        with FakeModels() as models:
            task = asyncio.create_task(
                dataset.aannotate("openai:a", base_url=models.url, replace=True, concurrency=1)
            )
            while not models.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(models.requests) < 6

    asyncio.run(run())
    asyncio.run(stop())


_KILLED = """
import sys
from firsthandapi import Dataset
Dataset.open(sys.argv[1]).annotate("anthropic:claude-haiku-5-5", base_url=sys.argv[2], concurrency=1)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kill_asks_nothing_twice(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    with FakeModels(seconds=0.05) as models:
        program = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(dataset.path), models.url],
            env=unmeasured(TMPDIR=str(tmp_path / "temporary")),
        )
        wait_until(lambda: len(models.requests) >= 3)
        program.send_signal(signal.SIGKILL)
        program.wait()
        asked = len(models.requests)
        report = dataset.annotate(MODEL, base_url=models.url)
    assert [*(tmp_path / "temporary").iterdir()] == []
    assert report.known >= asked - 1
    assert report.known + report.asked == 6
    assert texts(dataset) == ["STOP"] * 6
