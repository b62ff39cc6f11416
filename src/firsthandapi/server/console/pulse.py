"""Notices that a page would look different now. Nothing reports changes: counting takes a millisecond."""

from __future__ import annotations

import time

from firsthandapi.server.world import World

from .tools import Tools


def pulse(world: World, requests: int, tools: Tools | None) -> tuple[object, ...]:
    """A value that changes when anything does that a page shows."""
    with world.lock:
        counts = world.state.changes()
        # Time that flows changes nothing; time that jumped does.
        jumped = round(world.clock.now() - time.time() * world.clock.speed)
    faults = () if tools is None else tuple((fault.id, fault.times) for fault in tools.faults.active())
    return (*counts, requests, jumped if not world.clock.speed else jumped // 5, faults)
