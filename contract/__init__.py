"""The wire contract as a program: which of its promises a server keeps.

`check` is what `firsthandapi conformance URL` runs.
"""

from __future__ import annotations

from ._check import check
from ._report import Report, Result

__all__ = ["Report", "Result", "check"]
