"""What a run and a check of a dataset report."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.orders.reports import Tally, Verification


def test_a_verification_is_true_if_all_is_well() -> None:
    """So that `assert dataset.verify()` says it."""
    assert Verification(True, (), (), ("data/x",))
    assert not Verification(False, (), ("data/x",), ())


@given(st.lists(st.none() | st.integers(1, 5)))
def test_a_tally_counts_files_and_their_ratings(ratings: list[int | None]) -> None:
    """One by one, and several tallies together; a file without a rating does not lower the average."""
    tally = Tally()
    for stars in ratings:
        tally = tally.plus(stars)
    rated = [stars for stars in ratings if stars is not None]
    assert tally == Tally(len(ratings), len(rated), sum(rated))
    assert tally.average_stars == (pytest.approx(fmean(rated)) if rated else None)
    both = Tally.of(iter((tally, Tally(2, 1, 3))))
    assert both == Tally(len(ratings) + 2, len(rated) + 1, sum(rated) + 3)
