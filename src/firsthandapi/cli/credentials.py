"""`firsthandapi content-credentials`: what the Content Credentials of a folder's files say, written into its rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible
from firsthandapi.errors import ConfigurationError

from .options import Folder, option
from .output import Output, command, joined
from .pages import group

_LARGEST_LIST = 4 * 1024 * 1024
# Of a file in a bucket, which is read into memory.
_LARGEST_FILE = 256 * 1024 * 1024


app = group()


@command(app)
def content_credentials(
    folder: Folder,
    trust: Annotated[
        Path | None, option("FILE", "PEM file with the certificates to trust; none are built in.")
    ] = None,
) -> Output:
    """Read the Content Credentials (C2PA) of each file into its row.

    The columns are c2pa_state (none, invalid, valid, or trusted), c2pa_signer,
    and digital_source_type. Few cameras sign files, so "none" proves nothing. Rows
    that your own server has filled in are unchanged. It works offline.

    Example: firsthandapi content-credentials signs --trust C2PA-TRUST-LIST.pem
    """
    from firsthandapi import Dataset
    from firsthandapi._core.rows.witness import is_of_model
    from firsthandapi_server.media import credentials

    if not credentials.is_installed():
        raise ConfigurationError(
            "content-credentials needs an extra: pip install 'firsthandapi[content-credentials]'"
        )
    anchors = None if trust is None else _read_list(trust)
    dataset = Dataset.open(folder)
    columns: dict[str, dict[str, Any]] = {}
    states: Counter[str] = Counter()
    for record in dataset:
        if record.original_sha256 is not None:  # its server has read them before it removed them
            states[record.c2pa_state or "unknown"] += 1
            continue
        path = dataset.path_of(record)
        verdict: Any = None
        if type(path) is type(Path()):
            verdict = credentials.verdict_of(str(path.absolute()), record.content_type, anchors)
        elif record.size_bytes <= _LARGEST_FILE:
            verdict = credentials.verdict_of(path.read_bytes(), record.content_type, anchors)
        states["unknown" if verdict is None else verdict["state"]] += 1
        columns[record.file_id] = {
            "c2pa_state": verdict and verdict["state"],
            "c2pa_signer": verdict and verdict["signer"] and visible(verdict["signer"]),
            "digital_source_type": verdict and verdict["digital_source_type"],
        }
    dataset._set_columns(columns)  # pyright: ignore[reportPrivateUsage] # of one house
    lines = [joined(f"{state:<7}", count_of(number)) for state, number in sorted(states.items())]
    models = sum(map(is_of_model, dataset))
    if models:
        lines.append(f"{count_of(models)} of them made by a model, as they say")
    summary = {"files": len(dataset), "states": dict(states), "made_by_models": models}
    return Output(summary, "\n".join(lines) or "0 files")


def _read_list(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_LIST + 1).decode("ascii", "replace")
    except OSError:
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text or len(text) > _LARGEST_LIST:
        raise ConfigurationError(f"{path} contains no certificates; pass a PEM file")
    return text
