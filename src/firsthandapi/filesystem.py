"""`firsthand://job_…/file_….jpg`: a job's approved files as a file system for fsspec (extra `remote`)."""

from __future__ import annotations

from .engines.filesystem import FirstHandFile, FirstHandFileSystem

__all__ = ["FirstHandFile", "FirstHandFileSystem"]
