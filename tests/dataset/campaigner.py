"""A program that runs a campaign, for tests in a process of its own: `python campaigner.py <options as JSON>`.

It can be told to die, as by `kill -9`, when it begins a step for the n-th time: whatever is written or sent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from firsthandapi import Campaign, FirstHandClient
from firsthandapi._sync.transport import Transport
from firsthandapi.datasets._download.part import Part
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._ledger import LedgerFolder

STEPS: list[tuple[Any, str]] = [
    (LedgerFolder, "write"),
    (LedgerFolder, "put"),
    (Transport, "exchange"),
    (Folder, "add"),
    (Folder, "note_submissions"),
    (Folder, "write_rows"),
    (Part, "put"),
]


class Death(BaseException):
    """The process is gone: nothing is written or sent any more."""


def die() -> None:
    """For a test that plays a death in its own process."""
    raise Death


def make_mortal(
    steps: list[tuple[Any, str]],
    half_steps: int | None,
    patch: Callable[..., object],
    end: Callable[[], object],
) -> None:
    """Patch `steps` so that `end` is called before or after one of them, when so many halves are done."""
    steps_left = [half_steps or 1_000_000]

    def step() -> None:
        steps_left[0] -= 1
        if steps_left[0] <= 0:
            end()

    def mortal(method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            result = method(*args, **kwargs)
            step()
            return result

        return call

    for owner, name in steps:
        call = mortal(getattr(owner, name))
        is_static = isinstance(vars(owner)[name], staticmethod)
        patch(owner, name, staticmethod(call) if is_static else call)


def main() -> None:
    options = json.loads(sys.argv[1])
    if "die_at" in options:
        make_mortal(STEPS, options["die_at"], setattr, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with FirstHandClient(api_key=options["api_key"], base_url=options["base_url"]) as client:
        dataset = client.campaigns.run(Campaign(**options["campaign"]))
    sys.stdout.write(f"{len(dataset)}\n")


if __name__ == "__main__":
    main()
