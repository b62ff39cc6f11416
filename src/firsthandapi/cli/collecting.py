"""`firsthandapi collect` and `verify`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi._base.counts import count_of
from firsthandapi._base.names import ROOM
from firsthandapi._core.calls.integers import int_or_none

from .options import Concurrency, Dest, Folder, Label, MaxSpend, Spec, Timeout, option
from .output import AsJson, Output, client, command, joined, note, printable
from .pages import group
from .progress import progress
from .spec import job_fields
from .taking_away import taken_away

if TYPE_CHECKING:
    from firsthandapi import Dataset
    from firsthandapi._core.orders.reports import Verification

app: typer.Typer = group()


@command(app)
def collect(
    spec: Spec,
    dest: Dest,
    timeout: Timeout = 86_400,
    max_spend_cents: MaxSpend = None,
    idempotency_key: Annotated[
        str | None, option("KEY", "Continue the job of this key, even from an empty folder.")
    ] = None,
    name: Annotated[
        str | None, option("NAME", "Continue the job of this name and spec, even from an empty folder.")
    ] = None,
    label: Label = None,
    concurrency: Concurrency = 32,
    as_json: AsJson = False,
) -> Output:
    """Post a job, wait for it, and download its files into a folder that loaders can read.

    If it stops, run it again: it continues the same job, and you never pay twice.

    Exits with 3 on timeout, and with 4 if the balance is too low.

    Example: firsthandapi collect --spec job.yaml --dest signs
    """
    fields = job_fields(spec, idempotency_key=idempotency_key, max_spend_cents=max_spend_cents, name=name)
    with taken_away(dest), client() as api, progress(dest, quiet=as_json, posting=True) as report:
        return collected(
            api.jobs.collect(
                dest, timeout=timeout, concurrency=concurrency, on_progress=report, label=label, **fields
            ),
            dest,
        )


@command(app)
def verify(
    folder: Folder,
    min_files: Annotated[int | None, option("N", "Fail if the folder has fewer files.", min=0)] = None,
    min_mean_stars: Annotated[
        float | None, option("STARS", "Fail if the average rating is lower.", min=1, max=5)
    ] = None,
    no_duplicates: Annotated[
        bool, typer.Option("--no-duplicates", help="Fail if two files have the same bytes.")
    ] = False,
    all_reviewed: Annotated[
        bool,
        typer.Option("--all-reviewed", help="Fail if a file has no decision, such as accept or exclude."),
    ] = False,
    locked: Annotated[
        bool,
        typer.Option("--locked", help="Fail if rows differ from dataset.lock, or without one."),
    ] = False,
) -> Output:
    """Verify every file in a folder against the manifest.

    Exits with 1 if a file is mismatched or missing, if an approved file has no
    row in the manifest, or if the folder differs from its card. Also says whether
    .firsthandapi/ is missing, as in a copy without hidden files.

    In CI, the options below add rules. It prints a line for each rule that fails,
    and exits with 1.

    Example: firsthandapi verify signs --min-files 100 --all-reviewed
    """
    from firsthandapi import Dataset
    from firsthandapi._core.rows.gate import failed_rules
    from firsthandapi.datasets._versions import differs_from_lock

    dataset = Dataset.open(folder)
    state = dataset.verify()
    failed = failed_rules(
        dataset.records,
        state.duplicates,
        {decision.file_id for decision in dataset.decisions},
        min_files=min_files,
        min_mean_stars=min_mean_stars,
        no_duplicates=no_duplicates,
        all_reviewed=all_reviewed,
    )
    if locked and (difference := differs_from_lock(dataset)) is not None:
        failed.append(f"--locked: {difference}")
    job = dataset.job
    if state.short and job is not None:
        note(
            f"The job has {count_of(int_or_none(job.files_approved) or 0, 'approved file')}. "
            "Run the same call again to download the rest."
        )
    if state.mismatched or state.missing:
        note(f"To repair the folder: firsthandapi repair {shlex.quote(folder)}")
    if not state.diary:
        note(
            f"{ROOM}/ is missing, or records no job: copy the folder with its hidden files, or run the call that "
            "filled it again."
        )
    lines, data = described(dataset, state)
    gate = {"excluded": len(dataset.excluded), "failed": failed}
    return Output({**data, **gate}, "\n".join([*lines, *failed]), code=0 if state.ok and not failed else 1)


def described(dataset: Dataset, state: Verification) -> tuple[list[str], dict[str, Any]]:
    """The result of a verification: its lines for people, and the same for programs."""
    problems = {name: getattr(state, name) for name in ("mismatched", "missing", "extra")}
    rest = {name: getattr(state, name) for name in ("short", "duplicates", "altered", "diary")}
    lines = [
        joined(f"{heading:<10}", name)
        for heading, names in {**problems, "altered": state.altered}.items()
        for name in names
    ]
    diary = "" if state.diary else f", no record of their jobs in {ROOM}/"
    lines.append(f"{count_of(len(dataset))}: {'all verified' if state.ok else 'verification failed'}{diary}")
    return lines, {"ok": state.ok, "files": len(dataset), **problems, **rest}


def collected(dataset: Dataset, dest: str | None = None) -> Output:
    """The output of a run. `dest`: the folder, if it was written in the command."""
    done = f"{count_of(len(dataset))} in {dest or dataset.path}, all verified"
    data = {
        "path": str(dataset.path),
        "job_id": dataset.job.id if dataset.job else None,
        "status": dataset.job.status if dataset.job else None,
        "files": len(dataset),
    }
    return Output(data, printable(done), done=done)
