"""Idempotency keys for calls that were given none."""

from __future__ import annotations

import uuid

from firsthandapi._base.keys import new_key
from firsthandapi._core.calls.idempotency import check_key


def test_new_keys_are_random_uuids() -> None:
    """Each call gets a UUIDv4 of its own, which can be sent."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(uuid.UUID(check_key(key)).version == 4 for key in keys)
