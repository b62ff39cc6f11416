"""`firsthand://job_…/file_….jpg`: a job's approved files as a file system for fsspec (extra `remote`).

    pandas.read_json("firsthand://job_01JP…/metadata.jsonl", lines=True)
    datasets.load_dataset("imagefolder", data_files="firsthand://job_01JP…/*.jpg", streaming=True)

Nothing is copied: bytes are downloaded when they are read.
"""

from __future__ import annotations

from firsthandapi.errors import ConfigurationError

try:
    from ._filesystem import FirstHandFile, FirstHandFileSystem
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] != "fsspec":
        raise
    message = "firsthandapi.filesystem needs an extra: pip install 'firsthandapi[remote]'"
    raise ConfigurationError(message) from None

__all__ = ["FirstHandFile", "FirstHandFileSystem"]
