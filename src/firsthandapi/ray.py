"""The files of jobs as a Ray dataset, and a Ray dataset as a folder (extra `ray`)."""

# Ray is an extra, so type checkers may not find its types.
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from .engines.ray import read_files, write_dataset

__all__ = ["read_files", "write_dataset"]
