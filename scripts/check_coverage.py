"""Hold coverage against what the house promises: every branch where a mistake costs money, nearly all elsewhere.

Run by `make coverage`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

# First match wins.
PROMISED = [
    ("firsthandapi/_core/", 100.0),
    ("firsthandapi/_async/", 100.0),
    ("firsthandapi/_sync/", 100.0),
    ("firsthandapi/types/", 100.0),
    ("firsthandapi/errors.py", 100.0),
    ("firsthandapi/webhooks.py", 100.0),
    ("firsthandapi_server/", 95.0),
    ("firsthandapi/", 95.0),
]


def main() -> int:
    command = [sys.executable, "-m", "coverage", "json", "-o", "-", "--quiet"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    total: dict[str, int] = defaultdict(int)
    hit: dict[str, int] = defaultdict(int)
    missed: list[str] = []
    for path, file in report["files"].items():
        name = path.replace("\\", "/")
        group, promised = next((group, least) for group, least in PROMISED if group in name)
        summary = file["summary"]
        total[group] += summary["num_statements"] + summary["num_branches"]
        hit[group] += summary["covered_lines"] + summary["covered_branches"]
        if promised == 100.0 and (file["missing_lines"] or file["missing_branches"]):
            missed.append(f"  {name}: lines {file['missing_lines']}, branches {file['missing_branches']}")
    failed = False
    for group, promised in PROMISED:
        if not total[group]:
            continue
        reached = 100.0 * hit[group] / total[group]
        failed |= reached < promised
        print(f"{group:<28} {reached:6.2f} %  (promised {promised:g} %)")
    print("\n".join(missed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
