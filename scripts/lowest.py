"""Print the lowest versions that pyproject.toml declares for some extras, as constraints for pip.

    python scripts/lowest.py testing remote > constraints-lowest.txt

`make test-lowest` installs them, so that what is declared is what was tested.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def lowest(extras: list[str]) -> list[str]:
    """A constraint for each dependency of the package and of the extras."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    declared = project["dependencies"] + [
        line for extra in extras for line in project["optional-dependencies"][extra]
    ]
    matches = [re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", line) for line in declared]
    return [f"{match[1]}=={match[2]}" for match in matches if match]


if __name__ == "__main__":
    print("\n".join(lowest(sys.argv[1:])))
