"""What a notebook shows: whatever anybody wrote stays text, and nothing but media stands in a `src`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi import CampaignPlan, LabelPlan, PlannedOrder
from firsthandapi._core.files.annotations import unified
from firsthandapi._core.rows.manifest import Record
from firsthandapi._notebook import cards, html
from firsthandapi.types import File, Job
from markup import Outline, check_harmless

SIGNED = "https://s3.example.com/b/k.jpg?X-Amz-Signature=0123456789abcdef&X-Amz-Expires=604800"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "<!-- ",
    "]]>",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "photo\u202egpj.exe",
    "\x00\x1b[31mred\x07",
    "\ud800",
    "$\\href{javascript:alert(1)}{x}$",
]


ANNOTATIONS: dict[str, dict[str, Any]] = {
    "image": {"objects": ["tree"], "text_extraction": "STOP"},
    "audio": {"topics": ["travel"], "keywords": ["train"], "transcript_segments": [{"text": "good morning"}]},
    "video": {"actions": ["walking"], "tracked_objects": [{"label": "dog"}], "transcript_segments": []},
}


def record(content_type: str | None = "image/jpeg", **changes: Any) -> Record:
    kind = (content_type or "").partition("/")[0]
    row = Record(
        file_name="data/file_1.jpg",
        file_id="file_1",
        job_id="job_1",
        submission_id=None,
        content_type=content_type,
        size_bytes=1234,
        sha256="0" * 64,
        ai_star_rating=4,
        original_filename="IMG_1.jpg",
        width=640,
        height=480,
        duration_seconds=None,
        captured_at=None,
        worker_region="JP-13",
        created_at=None,
        annotations=unified(ANNOTATIONS.get(kind), cards.kind_of(content_type)),
        annotations_json=None,
    )
    return replace(row, **changes)


def file(**fields: Any) -> File:
    return File.model_validate({"id": "file_1", "content_type": "image/jpeg", **fields})


# ── Hostile words ────────────────────────────────────────────────────────────────────────────────────────


def everything(word: str, media: cards.Media) -> str:
    """Cards, a job, a table and headings that hold `word` wherever others choose the words."""
    annotations: dict[str, dict[str, Any]] = {
        "image": {"objects": [word], "text_extraction": word},
        "audio": {"topics": [word], "keywords": [word], "transcript_segments": [{"text": word}]},
        "video": {"actions": [word], "tracked_objects": [{"label": word}]},
    }
    cells = [
        cards.card(
            record(
                f"{kind}/x{word}",
                file_id=word,
                original_filename=word,
                worker_region=word,
                annotations=unified(annotations[kind], cards.kind_of(kind)),
            ),
            media,
        )
        for kind in ("image", "audio", "video")
    ]
    job = Job.model_construct(
        id=word, status=word, type=word, title=word, description=word, accepted_formats=[word]
    )
    return html.cell(
        *cells,
        cards.job_cell(job),
        cards.dataset_heading(job, word, []),
        cards.file_cell(record(original_filename=word), word),
        html.table([{"a": word, "b": [word], "c": None}]),
        html.note(word),
    )


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("media", [cards.Embedded("video/mp4", b"x"), "none"], ids=["media", "none"])
def test_hostile_words_are_text(word: str, media: cards.Media) -> None:
    """Markup, quotes, controls and marks of direction do nothing, in text and in attributes."""
    outline = check_harmless(everything(word, media))
    assert outline.tags == Outline(everything("x", media)).tags


@given(st.text(min_size=1, max_size=300))
def test_no_word_changes_the_page(word: str) -> None:
    """Whatever the words, tags and attributes are those of harmless ones."""
    outline = check_harmless(everything(word, cards.Embedded("image/png", b"x")))
    assert outline.tags == Outline(everything("x", cards.Embedded("image/png", b"x"))).tags


@pytest.mark.parametrize("lead", ["", "y" * 150, "y" * 1_590])
def test_secrets_in_words_are_masked(lead: str) -> None:
    """A worker, or the service, may put a key or a signed URL anywhere, at the place of a cut too."""
    for secret in (SIGNED, "fh_live_5ecretPart", "Bearer 5ecretPart"):
        page = everything(f"{lead} {secret}", "none")
        assert "5ecret" not in page
        assert "0123456789abcdef" not in page


# ── Media ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content_type", ["image/svg+xml", "text/html", 'image/png" onload="x', "", "image/*"]
)
def test_nothing_but_known_media_is_embedded(content_type: str) -> None:
    """A data URI carries a type of the closed list, or is not made."""
    assert cards.media_type(content_type) is None
    with pytest.raises(ValueError, match="known media"):
        cards.Embedded(content_type, b"x")


def test_types_are_read_as_the_names_on_disk_read_them() -> None:
    """Parameters and capitals do not hide a known type."""
    assert cards.media_type("Image/JPEG; q=1") == "image/jpeg"
    assert cards.media_type(None) is None


@pytest.mark.parametrize("content_type", cards.EXTENSIONS)
def test_each_known_type_has_a_beginning(content_type: str) -> None:
    """What does not begin as its type does is not embedded."""
    assert not cards.begins_like(b"<svg xmlns='http://www.w3.org/2000/svg'>", content_type)
    assert not cards.begins_like(b"<!doctype html><script>", content_type)
    assert not cards.begins_like(b"", content_type)


@pytest.mark.parametrize(
    ("content_type", "tag"), [("image/gif", "img"), ("audio/wav", "audio"), ("video/quicktime", "video")]
)
def test_media_have_players_and_words_for_who_does_not_see_them(content_type: str, tag: str) -> None:
    """An image has an `alt`, a player controls and a label; each says what was recognized."""
    page = cards.card(record(content_type), cards.Embedded(content_type, b"x"))
    player = re.search(rf"<{tag} [^>]*>", page)
    assert player is not None
    label = ANNOTATIONS[content_type.partition("/")[0]]
    first = next(iter(label.values()))[0]
    assert f"{first}" in player[0]
    assert ("alt=" if tag == "img" else "aria-label=") in player[0]
    assert "controls" in player[0] or tag == "img"
    check_harmless(page)


# ── Cards ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rating", "words"),
    [(4, "4 of 5 stars"), (0, "0 of 5 stars"), (-3, "0 of 5 stars"), (10**30, "5 of 5 stars")],
)
def test_stars_are_said_as_well_as_drawn(rating: int, words: str) -> None:
    """A screen reader says how many; any number fits."""
    page = cards.card(record(ai_star_rating=rating), "")
    assert f'role="img" aria-label="{words}"' in page
    assert page.count("★") == int(words[0])
    assert page.count("★") + page.count("☆") == 5


def test_what_is_not_known_is_left_out() -> None:
    """A file of which only the id is known is a card too."""
    bare = cards.card(File.model_validate({"id": "file_1"}), "x")
    assert "not rated" in bare
    assert "None" not in bare
    assert "“" not in bare
    check_harmless(bare)


def test_a_file_and_its_row_look_alike() -> None:
    """Annotations of a page's file are shown as those of a row."""
    fields = {"annotations": {"type": "image", "objects": [{"label": "tree"}, "STOP", None]}}
    page = cards.card(file(**fields, duration_seconds=float("nan"), size_bytes=5), "x")
    assert '<span dir="auto">tree</span><span class="fh-and">, </span><span dir="auto">STOP</span>' in page
    assert "nan" not in page
    odd = cards.card(file(annotations={"type": "new", "objects": 5}), "x")
    assert "fh-labels" not in odd
    unknown = cards.card(file(content_type="model/gltf", annotations={"type": "new"}), "x")
    assert "model/gltf" in unknown


def test_a_card_reads_well_without_styles() -> None:
    """As on a page that strips them: each label is a word of its own, and each fact has a line."""
    page = cards.card(record(annotations=unified({"objects": ["stop sign", "street"]}, "image")), "x")
    lines = re.sub(r"<[^>]+>", "", re.sub(r"</?(div|figcaption|figure)[^>]*>", "\n", page)).split("\n")
    assert "stop sign, street" in lines


def test_many_labels_are_counted() -> None:
    """A card stays a card: the first few, and how many more; one that comes twice is one."""
    labels = [f"label {number}" for number in range(20)]
    page = cards.card(record(annotations=unified({"objects": [*labels, *labels]}, "image")), "x")
    assert page.count('<span dir="auto">') == 8
    assert "+12" in page


@pytest.mark.parametrize(
    ("seconds", "words"), [(1.04, "1.0 s"), (59.9, "59.9 s"), (60, "1:00"), (3725.5, "62:05")]
)
def test_durations_are_said_as_players_say_them(seconds: float, words: str) -> None:
    """Seconds, then minutes."""
    assert words in cards.card(record("audio/wav", duration_seconds=seconds), "")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_500, "2 KB"),
        (2_340_000, "2.3 MB"),
        (5 * 10**12, "5,000,000.0 MB"),
        (10**400, "10,000"),
    ],
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    """In decimal units, as file managers do."""
    assert words in cards.card(record(size_bytes=size), "")


# ── Jobs, headings, tables ───────────────────────────────────────────────────────────────────────────────


def job(**fields: Any) -> Job:
    return Job.model_validate({"id": "job_1", "status": "in_progress", **fields})


def test_a_job_shows_how_far_it_is_and_what_it_costs() -> None:
    """The numbers one looks for, in words as well as in a bar."""
    page = job(
        title="Street signs",
        files_needed=10,
        files_approved=4,
        price_per_file_cents=50,
        total_cost_cents=500,
        min_star_rating=1,
        created_at=datetime(2026, 3, 27, 10, 30, tzinfo=UTC),
        location={"city": "Tokyo"},
        metadata={"secret": "fh_live_5ecretPart"},
    )._repr_html_()
    assert page is not None
    words = " ".join(check_harmless(page).words)
    for phrase in (
        "Street signs",
        "job_1",
        "in_progress",
        "4 of 10 files approved",
        "$0.50",
        "$5.00",
        "1 star",
    ):
        assert phrase in words
    assert "2026-03-27 10:30 UTC" in words
    assert 'value="4" max="10"' in page
    assert "5ecret" not in page


def test_a_bare_job_is_shown() -> None:
    """Only id and status always come."""
    page = job()._repr_html_()
    assert page is not None
    assert "<progress" not in page
    assert "<strong" in page
    assert "0 of 1 file approved" in (job(files_needed=1)._repr_html_() or "")
    assert "<progress" not in (job(files_needed=0)._repr_html_() or "")


def test_a_dataset_is_called_by_its_job_or_its_folder() -> None:
    """Whatever tells it from others."""
    assert "signs" in cards.dataset_heading(job(title="signs", description="x"), "folder", [record()])
    assert "a description" in cards.dataset_heading(job(description="a description"), "folder", [])
    assert "folder" in cards.dataset_heading(None, "folder", [record(), record()])
    assert "Dataset" in cards.dataset_heading(None, "", [])


def test_a_gallery_says_what_it_does_not_show() -> None:
    """The line below is there only if something is left out."""
    assert "7 more" in cards.galleries("", [(None, [(record(), "x")])], "7 more")
    assert "<p" not in cards.galleries("", [(None, [])], None)


def test_a_plan_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each label and a total, which long plans keep too; and what it does to the budget."""
    labels = tuple(LabelPlan(f"label{n}", 2, 1, 0, 1, 50) for n in range(3))
    orders = tuple(PlannedOrder(label.label, 1, 50) for label in labels)
    plan = CampaignPlan(orders, labels, 150, 1_000)
    table = str(plan._repr_html_())
    for word in (
        "label0",
        "label2",
        "total",
        "$1.50",
        "3 orders",
        "$1.50 of $10.00 spent; $3.00 after this plan",
    ):
        assert word in table
    check_harmless(table)
    assert "changed" not in table
    changed = CampaignPlan((PlannedOrder("label0", 1, 50, ("title", "location")),), labels, 150, 1_000)
    assert "title, location" in str(changed._repr_html_())
    monkeypatch.setattr(cards, "MOST_ROWS", 3)
    short = str(plan._repr_html_())
    assert "label2" not in short
    assert "total" in short
    assert "1 more label not shown" in short
