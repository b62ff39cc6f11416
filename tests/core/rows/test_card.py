"""The papers of a dataset."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.rows.test_manifest import row_of
from firsthandapi._core.rows.card import (
    Facts,
    card_of,
    hash_of_prices,
    hash_of_rows,
    is_unchanged,
    read_marker,
    size_category,
)
from firsthandapi.types.job import Job

JOB = Job(
    id="job_1",
    status="completed",
    title="Stop | signs",
    price_per_file_cents=50,
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)
ROWS = [
    replace(
        row_of(id=f"file_{n}"),
        job_id="job_1",
        file_name=f"data/stop/file_{n}.jpg",
        label="stop",
        content_type="image/jpeg",
        worker_id=f"wkr_{n % 2}",
        ai_star_rating=4 + n % 2,
        created_at=f"2026-01-0{n + 3}T00:00:00Z",
    )
    for n in range(3)
]


def facts(**changes: Any) -> Facts:
    return replace(
        Facts(
            name="signs",
            said={"license": "cc-by-4.0"},
            subfolders={"": ROWS},
            jobs=[(JOB, "stop")],
            manifests={"": "0" * 64},
        ),
        **changes,
    )


def card(**changes: Any) -> str:
    return card_of(facts(**changes), b"{}").decode()


def test_a_card_tells_what_is_there() -> None:
    """Files, workers as a number, ratings, jobs with their dates and prices, and the license; no worker by name."""
    text = card()
    assert (
        "3 files by 2 workers from 2026-01-03 to 2026-01-05, from 1 job on `https://api.firsthandapi.com`"
        in text
    )
    assert "People made 3 files." in text
    assert "for $1.50" in text
    assert "| stop | 3 | 2 |" in text
    assert "| 5 | 1 |\n| 4 | 2 |" in text.replace("| 4 | 2 |\n| 5 | 1 |", "| 5 | 1 |\n| 4 | 2 |")
    assert r"| job_1 | stop | Stop \| signs | 2026-01-02 | completed | 3 | $0.50 |" in text
    assert 'license: "cc-by-4.0"' in text
    assert "wkr_" not in text
    assert card() == text
    assert " on 2026-01-03, from 1 job on" in card(subfolders={"": ROWS[:1]})


def test_a_card_of_what_is_unknown() -> None:
    """Nothing is made up: no license, no rating, no date, no price, no job, no row."""
    bare = replace(
        ROWS[0],
        **dict.fromkeys(("label", "worker_id", "ai_star_rating", "created_at", "content_type")),
        environment=None,
        server=None,
    )
    text = card(subfolders={"": [bare]}, jobs=[(Job(id="job_2", status="open"), None)], said={})
    assert "1 file, from 1 job. Version" in text, "nor is it known who made it, and on which service"
    assert "| none | 1 | unknown |" in text
    assert "| unrated | 1 |" in text
    assert "| job_2 |  |  |  | open | 0 |  |" in text
    assert "No license is named." in text
    assert "license:" not in text
    assert "## Files" not in card(subfolders={}, jobs=[])


def test_a_price_may_be_any_number() -> None:
    """No float holds what a service may send."""
    dear = JOB.model_copy(update={"price_per_file_cents": 10**320})
    assert f"${10**318:,}.00 |" in card(jobs=[(dear, None)])


def test_volunteers_cost_nothing() -> None:
    """Their jobs have a price, which is a unit of budget, also where a campaign has spent it."""
    unpaid = JOB.model_copy(update={"pay": "none"})
    for campaign in ({}, {"spent_cents": 150, "ordered": frozenset({"job_1"})}):
        text = card(jobs=[(unpaid, None)], **campaign)
        assert "Nobody was paid for 3 files." in text
        assert "$" not in text
    second_job = JOB.model_copy(update={"id": "job_2"})
    both = [*ROWS, replace(ROWS[0], file_id="file_9", job_id="job_2")]
    assert "for $0.50. Nobody was paid for 3 files." in card(
        jobs=[(unpaid, None), (second_job, None)], subfolders={"": both}
    )


def test_a_cost_is_in_its_currency() -> None:
    """One amount for each; what is no code of a currency does not stand in a card."""
    euros = JOB.model_copy(update={"currency": "EUR"})
    text = card(jobs=[(euros, None)])
    assert "for 1.50 EUR" in text
    assert "| 0.50 EUR |" in text
    assert "for 1.50 EUR" in card(jobs=[(euros, None)], spent_cents=150, ordered=frozenset({"job_1"}))
    odd_job = JOB.model_copy(update={"id": "job_2", "currency": "<b>"})
    both = [*ROWS, replace(ROWS[0], file_id="file_9", job_id="job_2")]
    assert "for 1.50 EUR and $0.50" in card(jobs=[(euros, None), (odd_job, None)], subfolders={"": both})


def test_a_license_of_another_name_is_other() -> None:
    """As Hugging Face has it."""
    text = card(said={"license": "Our own, 2026"})
    assert 'license: "other"\nlicense_name: "Our own, 2026"' in text
    assert card(said={"license": "MIT"}).count('license: "mit"') == 1


@pytest.mark.parametrize(
    ("files", "size"),
    [
        (0, "n<1K"),
        (1_000, "1K<n<10K"),
        (10_000, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (999_999, "100K<n<1M"),
        (10**6, "n>1M"),
    ],
)
def test_a_size_is_a_category(files: int, size: str) -> None:
    """As Hugging Face has them."""
    assert size_category(files) == size
    assert 'size_categories: ["n<1K"]' in card()


def test_many_jobs_are_counted() -> None:
    """A card stays readable: behind the first 500 stands their number."""
    jobs = [(JOB.model_copy(update={"id": f"job_{n}"}), None) for n in range(502)]
    assert "And 2 more jobs." in card(jobs=jobs)
    assert "more job" not in card(jobs=jobs[:500])


def test_a_card_says_which_media_it_is_of() -> None:
    """As tags, and in the line that loads them; a folder without rows is loaded as images."""
    audio = [replace(ROWS[0], content_type="audio/wav")]
    text = card(subfolders={"image": ROWS, "audio": audio, "empty": []})
    assert 'tags: ["firsthandapi", "croissant", "image", "audio"]' in text
    assert 'load_dataset("imagefolder", data_dir="image")' in text
    assert 'load_dataset("audiofolder", data_dir="audio")' in text
    assert 'load_dataset("imagefolder", data_dir="empty")' in text


def test_labels_are_in_order_and_files_without_one_come_last() -> None:
    """Whatever the order of the rows."""
    rows = [replace(row, label=label) for row, label in zip(ROWS, (None, "yield", "stop"), strict=True)]
    text = card(subfolders={"": rows})
    assert text.index("| stop | 1 |") < text.index("| yield | 1 |") < text.index("| none | 1 |")


def test_a_long_text_is_cut_at_500_characters() -> None:
    """The last of them says so."""
    for title, cell in (("x" * 500, "x" * 500), ("x" * 501, "x" * 499 + "…")):
        assert f"| {cell} |" in card(jobs=[(JOB.model_copy(update={"title": title}), None)])


def test_what_strangers_wrote_is_plain_text() -> None:
    """A title makes no link, no HTML, no column, and hides nothing."""
    job = JOB.model_copy(update={"title": "<img src=x> [a](b) `c` | \u202e " + "x" * 900})
    text = card(jobs=[(job, "stop")])
    assert "<img" not in text
    assert r"&lt;img src=x\> \[a\](b) \`c\` \| \u202e".replace("\\u", "\\\\u") in text
    assert "…" in text


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example",
        "HTTP://a.example/?a=b&c",
        "www.a.example",
        "mailto:a",
        "xmpp:a@b",
        "ana@a.example",
        "@ana",
    ],
)
def test_addresses_are_code_and_no_links(address: str) -> None:
    """Readers of Markdown link them, even where a backslash or an entity is in between."""
    for title in (address, f"see: {address} now"):
        text = card(jobs=[(JOB.model_copy(update={"title": title}), None)])
        assert f"| {title.replace(address, f'`{address}`')} |" in text
    broken = card(jobs=[(JOB.model_copy(update={"title": f"`{address}|`"}), None)])
    assert f"| \\``{address}`\\|\\` |" in broken


def test_a_name_cannot_break_the_header() -> None:
    """Whatever it contains, the YAML has one line for it."""
    header = card(name='a": b\n--- # é').split("\n")
    assert header[1] == 'pretty_name: "a\\": b\\n--- # \\u00e9"'


def test_any_change_of_a_row_or_a_price_changes_a_hash() -> None:
    """Their order does not."""
    assert hash_of_rows({"": ROWS[::-1]}) == hash_of_rows({"": ROWS})
    changed = {
        hash_of_rows({"": [replace(ROWS[0], **{column: value}), *ROWS[1:]]})
        for column, value in (
            ("sha256", "1" * 64),
            ("ai_star_rating", 1),
            ("label", None),
            ("worker_id", "wkr_9"),
        )
    }
    assert (
        len(changed | {hash_of_rows({"": ROWS}), hash_of_rows({"image": ROWS}), hash_of_rows({"": ROWS[1:]})})
        == 7
    )
    assert hash_of_prices([JOB]) != hash_of_prices([JOB.model_copy(update={"price_per_file_cents": 51})])
    assert hash_of_prices([JOB]) == hash_of_prices([JOB.model_copy(update={"status": "open"})])


def test_a_card_knows_whether_it_was_edited() -> None:
    """Its marker tells the hashes; a card of another has none."""
    text = card().encode()
    marker = read_marker(text)
    assert marker is not None
    assert (marker.rows, marker.prices) == (hash_of_rows({"": ROWS}), hash_of_prices([JOB]))
    assert is_unchanged(text)
    assert not is_unchanged(text + b"mine")
    line = next(line for line in text.splitlines() if read_marker(line))
    assert not is_unchanged(text + line)
    assert not is_unchanged(b"# Mine")
    assert read_marker(b"# Mine") is None


def test_a_license_of_the_spdx_list_has_the_name_of_the_hub() -> None:
    """Whichever of the two was given, in letters of any case."""
    assert 'license: "odbl"\n' in card(said={"license": "ODbL-1.0"})
    assert 'license: "cc-by-4.0"\n' in card(said={"license": "CC-BY-4.0"})


def test_a_card_tells_what_a_person_said() -> None:
    """Each under its own heading, whole, as plain text; of what nobody said, there is none."""
    statements = {
        "creator": {"type": "Person", "name": "Ada <b>", "url": "https://example.org"},
        "data_limitations": ["Only " + "day" * 300, "One city."],
        "has_synthetic_data": False,
    }
    text = card(said=statements)
    assert "## Creator\n\nStated by the publisher: Ada &lt;b\\> `https://example.org`\n" in text
    assert f"## Data limitations\n\nStated by the publisher: Only {'day' * 300} One city.\n" in text
    assert "## Has synthetic data\n\nStated by the publisher: no\n" in text
    assert "## Data biases" not in text
