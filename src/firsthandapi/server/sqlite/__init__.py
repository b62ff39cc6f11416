"""The state of a service in SQLite, with the files beside it."""

from .opening import DATABASE, FILES, checkpoint, create_for_owner, explained, flush_for_good, open_world

__all__ = ["DATABASE", "FILES", "checkpoint", "create_for_owner", "explained", "flush_for_good", "open_world"]
