"""Kinds of media, and the folders that a dataset has for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from firsthandapi.errors import ConfigurationError, InvalidArgumentError

Kind = Literal["image", "audio", "video"]
KINDS: tuple[Kind, ...] = ("image", "audio", "video")
# The folders that may contain a manifest: the dataset's own, or one for each kind of media.
PLACES = ("", *KINDS, "other")


def kind_of(content_type: str | None) -> Kind | None:
    """`image`, `audio` or `video`; None for any other type."""
    prefix = (content_type or "").partition("/")[0].strip().lower()
    return next((kind for kind in KINDS if kind == prefix), None)


def place_in(folder: str) -> str:
    """The one of `PLACES` that a folder is, wherever in a publication: `train/image` is `image`."""
    name = folder.rpartition("/")[2]
    return name if name in PLACES else ""


def within(folder: str, name: str) -> str:
    """The name of a file in a folder, relative to what the folder's is relative to."""
    return f"{folder}/{name}" if folder else name


def is_mixed(formats: Iterable[str] | None) -> bool:
    """Whether a job that accepts these formats gets a folder for each kind of media.

    Loaders take one kind a folder; a job of one kind needs no extra level.
    """
    return len({kind_of(name) for name in formats or ()} - {None}) > 1


def is_mixed_with(
    formats: Iterable[str] | None, kinds_by_folder: Mapping[str, Iterable[Kind | None]], folder: str
) -> bool:
    """Whether a job that accepts these formats gets a folder for each kind, in a `folder` that has files already.
    `kinds_by_folder`: the kinds of media by the folder that they are in, relative to the dataset's: ``, or that of a
    kind.
    Raises ConfigurationError: loaders could not read these formats beside those files.
    """
    kinds = {kind_of(name) for name in formats or ()}
    beside = set(kinds_by_folder.get("", ())) - {None}
    if any(kinds_by_folder.keys()) and not beside:
        return True
    if beside and kinds - {None, *beside}:
        new = " and ".join(str(name) for name in KINDS if name in kinds - beside)
        old = " and ".join(str(name) for name in KINDS if name in beside)
        raise ConfigurationError(
            f"{folder} contains {old} files, and the job takes {new} files: loaders could not read them together; use "
            "a different folder"
        )
    return not beside and is_mixed(formats)


def folder_of(content_type: str | None, *, mixed: bool) -> str:
    """The folder that a file of this type goes to, relative to the dataset's: `` or `image`, `audio`, `video`."""
    return (kind_of(content_type) or "other") if mixed else ""


def chosen_kind(kinds: Iterable[Kind | None], kind: Kind | None) -> Kind:
    """The kind of media that a table is to be made of: tables have a column of one kind.
    `kinds`: those that the dataset holds or may hold, None for files of no kind.
    `kind`: the one asked for, or None for the only one.
    Raises InvalidArgumentError: there is no such kind here, or not just one to take.
    """
    held_kinds = set(kinds)
    named: list[Kind] = [name for name in KINDS if name in held_kinds]
    if kind is None:
        if len(held_kinds) == 1 and named:
            return named[0]
        holds = f"may contain {' and '.join(named)} files" if named else "records no kind of media"
        if len(named) == 1:
            holds = f"also contains files that are not {named[0]} files"
        raise InvalidArgumentError(
            f"this dataset {holds}; choose one: kind={(named or KINDS)[0]!r}", field="kind"
        )
    allowed_kinds = named or KINDS
    if kind not in allowed_kinds:
        allowed = " or ".join(map(repr, allowed_kinds))
        raise InvalidArgumentError(f"kind must be {allowed} for this dataset, not {kind!r}", field="kind")
    return kind
