"""`firsthandapi annotate`: have a model describe the files of a folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible

from .options import Folder, option
from .output import Output, command, note
from .pages import group
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi.datasets import AnnotationReport

app = group()

_SHOWN_FAILURES = 20
# Seconds between two lines.
_LINE_EVERY = 10.0


@command(app)
def annotate(
    folder: Folder,
    model: Annotated[str, option("MODEL", "Model to ask, anthropic:… or openai:….")],
    speech: Annotated[
        str | None, option("MODEL", "Model that transcribes, such as openai:gpt-4o-transcribe.")
    ] = None,
    base_url: Annotated[str | None, option("URL", "Address of the model, if it is your own.")] = None,
    max_cents: Annotated[float | None, option("CENTS", "Maximum cost, in US cents.", min=0)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the number of files and cost.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the service's annotations.")] = False,
    concurrency: Annotated[int, option("N", "Questions at the same time.", min=1, max=64)] = 8,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> Output:
    """Have a model describe the files, in the column annotations.

    Pictures are sent reduced and without metadata. Answers are kept, so a second run
    asks nothing twice. Exit code 1: some files have no answer.

    Example: firsthandapi annotate signs --model anthropic:claude-haiku-5-5 --dry-run
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    with stoppable():
        report = dataset.annotate(
            model,
            speech=speech,
            base_url=base_url,
            max_cents=max_cents,
            dry_run=dry_run,
            replace=replace,
            concurrency=concurrency,
            on_progress=None if quiet else _Reports(),
        )
    failed = [{"file_id": file_id, "error": error.message} for file_id, error in report.failed]
    data = {**vars(report), "failed": failed}
    return Output(data, "\n".join(_lines(report)), code=1 if failed else 0)


def _lines(report: AnnotationReport) -> list[str]:
    costs = "at an unknown price" if report.about_cents is None else f"about {report.about_cents:,.2f} cents"
    lines = [f"{count_of(report.files)}, {report.known:,} with a known answer"]
    if not report.asked and not report.stopped:
        return [*lines, f"the others cost {costs}"] if report.about_cents != 0 else lines
    spent = "an unknown amount" if report.cents is None else f"{report.cents:,.2f} cents"
    lines.append(f"{report.asked:,} asked, for {spent}")
    if report.stopped:
        lines.append("--max-cents left the others unasked; run the command again with more")
    for file_id, error in report.failed[:_SHOWN_FAILURES]:
        lines.append(visible(f"{file_id}: {error}"))
    if (more := len(report.failed) - _SHOWN_FAILURES) > 0:
        lines.append(f"and {more:,} more without an answer; run the command again")
    return lines


class _Reports:
    """Says now and then how far it is."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, report: AnnotationReport) -> None:
        if time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            spent = "" if report.cents is None else f" for {report.cents:,.2f} cents"
            note(f"{report.known + report.asked:,} of {count_of(report.files)}{spent}")
