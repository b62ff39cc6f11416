"""A manifest and its files as a dataset of Hugging Face's `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from firsthandapi._core.files.annotations import has_speech
from firsthandapi._core.files.kinds import Kind
from firsthandapi._core.rows.manifest import MANIFEST, Record
from firsthandapi.errors import ConfigurationError

from . import _disk
from ._parquet import own_columns, own_values, schema_of


def rows_with_media(kind: Kind, files: Iterable[tuple[Record, Path]], labels: Sequence[str] = ()) -> Any:
    """A `datasets.Dataset`: a column of media, and those of the manifest; of `labels`, if any, a ClassLabel.
    Raises ConfigurationError: the library is not installed, a file is missing, or a row fits no table.
    """
    hf, pa = _libraries()
    media = {"image": "Image", "audio": "Audio", "video": "Video"}[kind]
    types: dict[str, Any] = {**hf.Features.from_arrow_schema(schema_of([kind]))}
    del types["path"]
    files = [*files]
    own_types, mixed = own_columns([record for record, _ in files], {kind, "path", *types})
    types |= hf.Features.from_arrow_schema(pa.schema([*own_types.items()]))
    if labels:
        types["label"] = hf.ClassLabel(names=labels)
    numbers = {label: number for number, label in enumerate(labels)}
    features = hf.Features({kind: getattr(hf, media)(), **types})
    rows = [
        {
            **own_values(record, mixed),  # first: none of them replaces one of ours
            kind: {"bytes": None, "path": _location(path)},
            **vars(record),
            **({"text": record.text} if has_speech(kind) else {}),
            "label": None if record.label is None else numbers[record.label],
        }
        for record, path in files
    ]
    try:
        # Not by `from_list`, which decodes audio to find its type.
        return hf.Dataset(pa.Table.from_pylist(rows, schema=features.arrow_schema))
    except Exception as error:  # both libraries have many of their own
        raise ConfigurationError(
            f"{MANIFEST} contains values whose types contradict each other ({type(error).__name__}); restore it from "
            "a backup"
        ) from None


def _libraries() -> tuple[Any, Any]:
    try:
        import datasets  # pyright: ignore[reportMissingTypeStubs] # it ships no types
        import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs] # nor does this

        # A folder of that name beside the script imports as an empty module; versions before 3.1 know no videos.
        datasets.Video  # noqa: B018 # it raises
    except (ImportError, AttributeError):
        raise ConfigurationError(
            "to_huggingface needs an extra: pip install 'firsthandapi[huggingface]'"
        ) from None
    return datasets, pa


def _location(path: Path) -> str:
    """Where a file is, for a reader that may run in another directory."""
    # A link may lead to any file of this machine, which would then be uploaded with the rest. A bucket has no
    # links, and is not asked about each file: the library reads from it by its URL.
    if isinstance(path, Path) and _disk.size_of(path) is None:
        raise ConfigurationError(f"{path} is missing or is a link; dataset.repair(client) downloads it again")
    return str(path.absolute())
