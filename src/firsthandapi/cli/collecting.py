"""`firsthandapi collect` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import AsJson, client, note, print_json, print_line
from .progress import progress
from .spec import job_fields

if TYPE_CHECKING:
    from firsthandapi import Dataset

Dest = Annotated[
    str,
    typer.Option(
        metavar="DIR", help="The folder, made if it is not there; or a bucket, as in s3://bucket/folder."
    ),
]
Spec = Annotated[
    Path, typer.Option(help="The job: a YAML, JSON or TOML file with the arguments of jobs.create.")
]


def collect(
    spec: Spec,
    dest: Dest,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds for the whole run.")] = 86_400,
    max_spend_cents: Annotated[
        int | None, typer.Option(min=0, help="Refuse a job that costs more, in US cents.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Continue the same job from an empty disk, within 24 hours.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Connections at once.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Post a job, wait for it, fetch its files: a folder that loaders read as it is.

    Run again after whatever stopped it, it continues: nothing is bought twice.
    Exits with 3 if the time is over, with 4 if the credits do not suffice.

    Example: firsthandapi collect --spec job.yaml --dest signs
    """
    fields = job_fields(spec, idempotency_key=idempotency_key, max_spend_cents=max_spend_cents)
    price = fields.get("price_per_file_cents")
    with (
        client() as api,
        progress(dest, price if isinstance(price, int) else None, quiet=as_json) as on_progress,
    ):
        dataset = api.jobs.collect(
            dest, timeout=timeout, concurrency=concurrency, on_progress=on_progress, **fields
        )
    tell(dataset, as_json=as_json)


def verify(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A folder that collect or files download made, or its URL in a bucket."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Read every file of a folder and hold it against the manifest.

    Exits with 1 if a file is missing or differs, or if the job has more approved files than the manifest.

    Example: firsthandapi verify signs
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    state = dataset.verify()
    if as_json:
        print_json(
            {
                "ok": state.ok,
                "files": len(dataset),
                "mismatched": state.mismatched,
                "missing": state.missing,
                "extra": state.extra,
                "short": state.short,
            }
        )
    else:
        for what, names in (
            ("mismatched", state.mismatched),
            ("missing", state.missing),
            ("extra", state.extra),
        ):
            for name in names:
                print_line((f"{what:<10}", name))
        typer.echo(f"{len(dataset)} files: {'all as they were' if state.ok else 'not all as they were'}")
    job = dataset.job
    if state.short and job is not None:
        note(
            f"The job has {job.files_approved:,} approved files. Run the same call again to download the rest."
        )
    if not state.ok:
        raise typer.Exit(1)


def tell(dataset: Dataset, *, as_json: bool) -> None:
    """What came of it."""
    if as_json:
        print_json(
            {
                "path": str(dataset.path),
                "job_id": dataset.job.id if dataset.job else None,
                "status": dataset.job.status if dataset.job else None,
                "files": len(dataset),
            }
        )
    else:
        print_line((f"{len(dataset)} files in {dataset.path}, each verified",))
