"""The command `firsthandapi`."""

from __future__ import annotations

import sys

# The extra is looked for here, before anything of it is imported.
_NEEDED = ("typer", "rich", "yaml")


def main() -> None:
    """Run the command line, or say how to install it."""
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in _NEEDED):
        print("the command line needs an extra: pip install 'firsthandapi[cli]'", file=sys.stderr)  # noqa: T201 # typer, which prints elsewhere, may be what is missing
        sys.exit(2)
    try:
        from .app import run

        run()
    except KeyboardInterrupt:  # before Typer, or after it
        sys.exit(130)
