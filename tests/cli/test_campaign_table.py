"""The table of a campaign on a terminal."""

from __future__ import annotations

import re
from typing import Any

from firsthandapi import CampaignProgress, LabelProgress
from firsthandapi.cli.campaign_table import Forecast, table_of


def progress(*labels: LabelProgress, **changed: Any) -> CampaignProgress:
    done, total = sum(label.files_done for label in labels), sum(label.files_total for label in labels)
    values = {"labels": labels, "spent_cents": 50, "budget_cents": 100, **changed}
    return CampaignProgress(done, total, 0, 0, **values)


def drawn(now: CampaignProgress, pace: str = "", width: int = 100) -> str:
    from rich.console import Console

    console = Console(width=width, file=None, color_system=None)
    with console.capture() as captured:
        console.print(table_of(now, pace, width))
    return captured.get()


def test_the_table_has_what_a_buyer_asks_first() -> None:
    """How far, how good, how expensive; of many labels, those that lack files."""
    stop = LabelProgress("stop", 1, 2, 4.5, 30)
    table = drawn(progress(stop, LabelProgress("give [way]", 0, 3, None, 20), files_failed=1), "a pace")
    assert re.search(r"stop +━+.* +1/2 +4\.5 ★ +\$0\.30", table)
    assert re.search(r"give \[way\] +.* +0/3 +\$0\.20", table)
    assert "1 of 5 files  $0.50 of $1.00 spent  1 failed  a pace" in table
    assert "━" not in drawn(progress(stop), width=60)
    many = [LabelProgress(f"done{n}", 1, 1, 4.0, 10) for n in range(40)]
    table = drawn(progress(*many, stop))
    assert "done0" not in table
    assert "stop" in table
    assert "40 more labels" in table
    short = LabelProgress("short", 0, 1, None, 0)
    assert re.search(r"\b1 more label\b(?!s)", drawn(progress(*[short] * 30, stop)))


def test_the_pace_is_that_of_the_last_minutes() -> None:
    """A night without workers says little about the morning."""
    pace = Forecast()
    assert pace.words(0.0, 0, 100) == ""
    assert pace.words(60.0, 10, 100) == "10 files per minute, 0:09:00 left"
    assert pace.words(5_000.0, 10, 100) == ""
    assert pace.words(5_060.0, 40, 100) == "30 files per minute, 0:02:00 left"
    assert pace.words(5_070.0, 100, 100) == ""
