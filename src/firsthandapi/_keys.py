"""Idempotency keys for calls that were given none."""

from __future__ import annotations

import uuid


def new_key() -> str:
    """A key for one call, kept across its attempts."""
    return str(uuid.uuid4())
