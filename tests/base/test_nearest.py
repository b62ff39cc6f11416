"""The name that somebody meant who wrote another."""

from __future__ import annotations

import pytest

from firsthandapi._base.nearest import nearest

FIELDS = ("description", "files_needed", "accepted_formats", "price_per_file_cents", "min_star_rating")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("files_neded", "files_needed"),
        ("Description", "description"),
        ("price", "price_per_file_cents"),
        ("price_cents", "price_per_file_cents"),
        ("files", "files_needed"),
        ("format", "accepted_formats"),
        ("stars", "min_star_rating"),
        ("zzz", None),
        ("___", None),
        ("x" * 10_000_000, None),
        ("prise_per_file_cents", "price_per_file_cents"),
    ],
)
def test_a_name_is_known_by_its_letters_or_by_its_words(written: str, meant: str | None) -> None:
    """Letters first: they are what people mistype. Of an endless one only the beginning counts."""
    assert nearest(written, FIELDS) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(
            (name, "max_spend_cents")
            for name in ("budget_cents", "budget", "max_cents", "spend_limit", "total_cents")
        ),
        *(
            (name, "price_per_file_cents")
            for name in ("price", "reward_cents", "pay_per_file", "per_file_cents")
        ),
        *(
            (name, "price_per_file_cents or max_spend_cents")
            for name in ("max_price", "cost", "spend_per_file")
        ),
        *((name, None) for name in ("cents", "ceiling_cents", "allowance_usd", "top_up", "amount")),
        ("total_files", "files_needed"),
    ],
)
def test_money_is_suggested_for_the_same_use_only(written: str, meant: str | None) -> None:
    """Followed, "did you mean price_per_file_cents?" would turn a budget of $30 into $30 per file."""
    assert nearest(written, (*FIELDS, "max_workers", "max_spend_cents")) == meant
    assert nearest(written, (*FIELDS[3:4], "timeout")) == (FIELDS[3] if meant == FIELDS[3] else None)
    assert nearest(written, ("max_spend_cents",)) == (
        "max_spend_cents" if meant and "spend" in meant else None
    )


def test_no_other_automatism_means_the_top_up() -> None:
    """`auto_approve=True` would charge the card."""
    settings = ("timezone", "auto_top_up_enabled", "auto_top_up_amount_cents")
    assert nearest("auto_approve", settings) is None
    assert nearest("auto_topup", settings) == " or ".join(settings[1:])


def test_a_word_comes_before_similar_letters() -> None:
    """Three letters of "url" are in "journal"."""
    assert nearest("url", ("api_key", "journal", "base_url")) == "base_url"


def test_of_nothing_nothing_is_meant() -> None:
    """No name is known."""
    assert nearest("files", ()) is None
