"""Idempotency keys for calls that were given none."""

from __future__ import annotations


def new_key() -> str:
    """A key for one call, kept across its attempts."""
    import uuid  # it loads much that a program which only reads does not need

    return str(uuid.uuid4())
