"""What a run and a check of a dataset report."""

from __future__ import annotations

from firsthandapi._core.reports import Verification


def test_a_verification_is_true_if_all_is_well() -> None:
    """So that `assert dataset.verify()` says it."""
    assert Verification(True, (), (), ("data/x",))
    assert not Verification(False, (), ("data/x",), ())
