"""`firsthandapi publish`: a folder, as others may have it."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer

from firsthandapi._base.counts import count_of

from .options import Folder, argument, option
from .output import Output, command, note
from .pages import group

app = group()


@command(app)
def publish(
    folder: Folder,
    dest: Annotated[str, argument("DEST", "Repository of the Hub, hf://owner/name, bucket URL, or folder.")],
    split: Annotated[
        list[str] | None, option("NAME=SHARE", "Publish splits, such as --split train=0.8 --split test=0.2.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who sees a repository of the Hub: you, or everybody.")
    ] = True,
    tag: Annotated[str | None, option("TAG", "New tag for this state, on the Hub.")] = None,
) -> Output:
    """Publish a dataset, or its next version, without the records of its folder.

    It writes files, rows, consents, card, metadata, and lock, and only what has
    changed. For the Hugging Face Hub, set HF_TOKEN.

    Example: firsthandapi publish signs hf://lab/signs --tag v1.0.0
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    splits = dataset.split(**_shares(split)) if split else None
    publication = dataset.publish(dest, splits=splits, private=private, tag=tag)
    data = {
        "url": publication.url,
        "version": publication.version.number,
        "files": publication.files,
        "altered": publication.altered,
    }
    if publication.altered:
        note(
            f"Rows were edited by hand, and the card says so. To accept them: firsthandapi accept-edits {quote(folder)}"
        )
    return Output(
        data, f"{publication.url}: version {publication.version}, {count_of(publication.files)} written"
    )


def _shares(split: list[str]) -> dict[str, Any]:
    shares: dict[str, Any] = {"train": 0.0, "test": 0.0}
    for part in split:
        name, _, share = part.partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            raise typer.BadParameter(f"{part!r} is not like train=0.8", param_hint="--split") from None
    if unusable := shares.keys() & {"near", "seed", "stratify"}:  # other arguments of `split`
        raise typer.BadParameter(f"a split cannot be called {min(unusable)}", param_hint="--split")
    return shares
