"""The state of a service in SQLite, with the files beside it."""

from .damage import is_damage, not_kept
from .opening import (
    DATABASE,
    FILES,
    check_pages,
    checkpoint,
    create_for_owner,
    erase_for_good,
    explained,
    flush_for_good,
    open_world,
    reading,
)

__all__ = [
    "DATABASE",
    "FILES",
    "check_pages",
    "checkpoint",
    "create_for_owner",
    "erase_for_good",
    "explained",
    "flush_for_good",
    "is_damage",
    "not_kept",
    "open_world",
    "reading",
]
