"""`python -m firsthandapi` is the command `firsthandapi`, where no folder of commands is on PATH."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
