"""The command `firsthandapi`."""

from __future__ import annotations

import os
import sys
from typing import Any

from firsthandapi._base.progress import AGENTS as AGENTS
from firsthandapi._base.progress import is_for_an_agent as is_for_an_agent

# The extra is looked for here, before anything of it is imported.
_NEEDED = ("typer", "rich", "yaml")


def is_for_a_person(stream: Any) -> bool:
    """Whether `stream` is a terminal at which a person sits."""
    return bool(stream.isatty()) and not is_for_an_agent()


def main() -> None:
    """Run the command line, or say how to install it."""
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in _NEEDED):
        print("the command line needs an extra: pip install 'firsthandapi[cli]'", file=sys.stderr)  # noqa: T201 # typer, which prints elsewhere, may be what is missing
        sys.exit(2)
    if is_for_an_agent():
        os.environ.update(NO_COLOR="1", TYPER_USE_RICH="0")  # Typer reads it when it is imported
    try:
        from .app import run

        run()
    except KeyboardInterrupt:  # before Typer, or after it
        sys.exit(130)
