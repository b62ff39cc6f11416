"""`firsthandapi repair`, `split`, `merge`, `duplicates`, `reconcile`, and `card`: what is done with whole folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi._base.counts import count_of

from .collecting import collected, described
from .options import Concurrency, Dest, Folder, argument, option
from .output import AsJson, Output, client, command, joined, printable
from .pages import group
from .progress import progress
from .taking_away import taken_away

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient

app = group()

Near = Annotated[
    bool, typer.Option("--near", help="Also count crops, other sizes, and recompressions of an image.")
]
Text = str | None


@command(app)
def repair(folder: Folder, concurrency: Concurrency = 32, as_json: AsJson = False) -> Output:
    """Download only files that are missing, mismatched, or without a row.

    Exits with 1 if the folder does not match its manifest afterwards.

    Example: firsthandapi repair signs
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    with client() as api, progress(folder, quiet=as_json) as report:
        state = dataset.repair(api, concurrency=concurrency, on_progress=report)
    lines, data = described(dataset, state)
    return Output(data, "\n".join(lines), code=0 if state else 1)


@command(app)
def split(
    folder: Folder,
    dest: Dest,
    train: Annotated[float, option("SHARE", "Share of the training split.", min=0, max=1)] = 0.8,
    test: Annotated[float, option("SHARE", "Share of the test split.", min=0, max=1)] = 0.2,
    validation: Annotated[
        float | None, option("SHARE", "Share of the validation split.", min=0, max=1)
    ] = None,
    seed: Annotated[int, option("N", "A different seed gives different splits.")] = 0,
    near: Near = False,
    no_stratify: Annotated[
        bool, typer.Option("--no-stratify", help="Do not keep the proportions of labels.")
    ] = False,
) -> Output:
    """Split a folder without leaks, and copy each split into a folder of its own.

    No worker and no duplicate is in two splits, and each label keeps its
    proportion. The folder remembers the splits, so that later files never move
    earlier ones.

    Example: firsthandapi split signs --dest signs-split --train 0.7 --test 0.3
    """
    from firsthandapi import Dataset

    more = {} if validation is None else {"validation": validation}
    parts = Dataset.open(folder).split(train, test, seed, near=near or None, stratify=not no_stratify, **more)
    with taken_away(dest):
        root = parts.copy_to(dest)
    files = {name: len(part) for name, part in parts.items()}
    lines = [joined(f"{name:<10}", count_of(number), root / name) for name, number in files.items()]
    return Output({"path": str(root), "files": files}, "\n".join(lines))


@command(app)
def merge(
    folders: Annotated[list[str], argument("DIR...", "Folders or bucket URLs, created by collect.")],
    dest: Dest,
    labels: Annotated[
        list[str] | None, option("LABEL", "Label of each folder, in their order.", "--label")
    ] = None,
) -> Output:
    """Copy several folders into one, each file verified.

    Run it again, even with more folders, to copy missing files. Without --label,
    each file keeps its label.

    Example: firsthandapi merge stop yield --dest signs --label stop --label yield
    """
    from firsthandapi import Dataset

    if labels and len(labels) != len(folders):
        raise typer.BadParameter(
            f"--label occurs {len(labels)} times for {count_of(len(folders), 'folder')}; pass it once for each"
        )
    with taken_away(dest):
        merged = Dataset.merge(dict(zip(labels, folders, strict=True)) if labels else folders, dest)
    return collected(merged, dest)


@command(app)
def duplicates(
    folder: Folder,
    near: Near = False,
    against: Annotated[
        str | None, option("DIR", "Find what the folder shares with this one, such as a test split.")
    ] = None,
) -> Output:
    """Print each group of files with the same content on a line.

    With --against, the files of the other folder follow after "=".

    Example: firsthandapi duplicates signs-split/train --against signs-split/test
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    groups: list[Any]
    if against is None:
        groups = [[row.file_name for row in group] for group in dataset.duplicates(near=near or None)]
        lines = [joined(*group) for group in groups]
    else:
        pairs = dataset.duplicates(near=near or None, against=Dataset.open(against))
        groups = [[[row.file_name for row in side] for side in sides] for sides in pairs]
        lines = [joined(*own_names, "=", *other_names) for own_names, other_names in groups]
    lines.append(f"{count_of(len(groups), 'group')} of duplicates")
    return Output({"groups": groups}, "\n".join(lines))


@command(app)
def reconcile(api: FirstHandClient, folder: Folder) -> Output:
    """Remove the files that the service has withdrawn, from copies as well.

    Exits with 1 if a copy still contains such a file or could not be reached, or
    if a list of the service is not up to date yet: run it again later.

    Example: firsthandapi reconcile signs
    """
    from firsthandapi import Dataset

    result = Dataset.open(folder).reconcile(api)
    state = {True: "gone from", False: "still in", None: "not reached"}
    lines = [joined("removed    ", name) for name in result.removed]
    lines += [joined(f"{state[copy.gone]:<11}", copy.url) for copy in result.copies]
    lines += [joined("unsure     ", job_id) for job_id in result.unsure]
    lines.append(f"{count_of(len(result.removed))} removed")
    is_clean = not result.unsure and all(copy.gone for copy in result.copies)
    data = {**vars(result), "copies": [vars(copy) for copy in result.copies]}
    return Output(data, "\n".join(lines), code=0 if is_clean else 1)


@command(app)
def card(
    folder: Folder,
    license: Annotated[Text, option("SPDX", "License of the files, such as CC-BY-4.0.")] = None,
    creator: Annotated[Text, option("NAME", "Organization that created the dataset.")] = None,
    url: Annotated[Text, option("URL", "Page of the dataset.")] = None,
    name: Annotated[Text, option("NAME", "Name of the dataset; by default, that of the folder.")] = None,
    data_limitations: Annotated[Text, option("WORDS", "Uses that the data is unsuitable for.")] = None,
    data_biases: Annotated[Text, option("WORDS", "Known biases.")] = None,
    personal_sensitive_information: Annotated[
        Text, option("WORDS", "Personal attributes that the files show.")
    ] = None,
    data_use_cases: Annotated[Text, option("WORDS", "Intended uses of the data.")] = None,
    data_social_impact: Annotated[Text, option("WORDS", "How its use may affect people.")] = None,
    data_release_maintenance_plan: Annotated[
        Text, option("WORDS", "Who updates the dataset, and how.")
    ] = None,
    has_synthetic_data: Annotated[
        bool | None,
        typer.Option(
            "--has-synthetic-data/--no-synthetic-data", help="Say whether a machine made any of the data."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a README.md or croissant.json that was edited.")
    ] = False,
) -> Output:
    """Write README.md, for Hugging Face, and croissant.json.

    They say only what the rows prove, and what you state is marked as yours. The
    folder remembers your statements, so pass each only once.

    Example: firsthandapi card signs --license CC-BY-4.0 --creator "Example Lab"
    """
    from firsthandapi import Dataset
    from firsthandapi._core.rows.statements import NEEDED

    stated = dict(locals())
    for local in ("folder", "Dataset", "NEEDED"):
        del stated[local]
    written = Dataset.open(folder).write_card(**stated)
    options = {term: f"--{argument.replace('_', '-')}" for argument, term in NEEDED.items()}
    lines = [printable(written.path), printable(written.croissant)]
    if written.missing:
        lines.append(f"missing: {', '.join(options.get(term, term) for term in written.missing)}")
    data = {"path": str(written.path), "croissant": str(written.croissant), "missing": written.missing}
    return Output(data, "\n".join(lines))
