"""How many may do something at once."""

from __future__ import annotations

from firsthandapi._core.calls.places import Places


def test_a_place_is_taken_as_long_as_somebody_has_it() -> None:
    """No more than there are; one that is dropped is free again, and nobody has to give it back."""
    places = Places(2)
    first, second = places.take(), places.take()
    assert first is not None
    assert second is not None
    assert places.take() is None
    assert places.take() is None
    del first
    third = places.take()
    assert third is not None
    assert places.take() is None
