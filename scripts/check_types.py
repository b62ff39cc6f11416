"""Verify that the types of at least 97 % of the public names are known to every type checker.

Run by `make check`. The rest stands on what ships no types itself: fsspec, Airflow, Ray.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROMISED = 0.97
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    command = ["pyright", "--verifytypes", "firsthandapi", "--ignoreexternal", "--outputjson"]
    # pyright looks for the package where the first `python` on the path does, which does not see an editable one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    completeness = json.loads(process.stdout)["typeCompleteness"]
    score = completeness["completenessScore"]
    print(f"public types known: {score:.1%} (promised {PROMISED:.0%})")
    if score >= PROMISED:
        return 0
    for symbol in completeness["symbols"]:
        problems = [problem["message"] for problem in symbol["diagnostics"] if problem["severity"] == "error"]
        if symbol["isExported"] and problems:
            print(f"  {symbol['name']}: {problems[0]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
