"""Ask an annotator about the files of a folder: nothing twice, and for no more than it may cost."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.files.kinds import Kind, kind_of
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.opinions import (
    LARGEST_OPINIONS,
    OPINIONS,
    AnnotationReport,
    Answer,
    columns_annotated,
    is_annotated,
    parse_answers,
)
from firsthandapi._core.rows.own import LARGEST_VALUE
from firsthandapi.ai._model import Model
from firsthandapi.ai._opinion import Annotator, Opinion, Work, check_cents
from firsthandapi.ai._question import key
from firsthandapi.errors import AnnotationError, ConfigurationError, FirstHandError, InvalidArgumentError

from ._copying import on_this_machine
from ._folder import Folder
from ._local import Local
from ._opinions import AnswerLog

if TYPE_CHECKING:
    from firsthandapi.types import Job

    from ._rows import Rows

_MOST_AT_ONCE = 64
_log = logging.getLogger("firsthandapi")


def annotate(
    rows: Rows,
    model: object,
    *,
    speech: str | None,
    base_url: str | None,
    max_cents: float | None,
    dry_run: bool,
    replace: bool,
    concurrency: int,
    on_progress: Callable[[AnnotationReport], object] | None,
    over: threading.Event,
) -> AnnotationReport:
    """`Dataset.annotate`, whose docstring says the rest. Once `over` is set, nothing more is asked."""
    annotator = _annotator(model, speech, base_url)
    if int_or_none(concurrency) is None or not 1 <= concurrency <= _MOST_AT_ONCE:
        raise InvalidArgumentError(f"concurrency must be 1 to {_MOST_AT_ONCE}", field="concurrency")
    check_cents(max_cents, "max_cents")
    dataset = rows._whole
    dataset._catch_up()
    if dry_run:
        return _Run(rows, annotator, max_cents, replace, None, over).report
    dataset._check_writable()
    folder = Folder(dataset.path)
    with folder.writing():
        run = _Run(rows, annotator, max_cents, replace, on_progress, over)
        run.check()
        try:
            run.ask(concurrency)
        finally:
            run.close()
            if isinstance(model, str):
                cast("Model", annotator).close()
            if columns := run.columns():
                folder.set_columns(columns)
    dataset._open_again()
    return run.report


async def aannotate(
    rows: Rows, model: object, on_progress: Callable[[AnnotationReport], object] | None, **options: Any
) -> AnnotationReport:
    """`annotate` in a thread. Cancelled, it asks nothing more."""
    token, over = anyio.lowlevel.current_token(), threading.Event()

    async def call(report: AnnotationReport) -> None:
        if on_progress is not None and inspect.isawaitable(awaited := on_progress(report)):
            await awaited

    def tell(report: AnnotationReport) -> None:
        anyio.from_thread.run(call, report, token=token)

    async def watch() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            over.set()

    run = partial(annotate, rows, model, on_progress=on_progress and tell, over=over, **options)
    report: AnnotationReport | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        report = await anyio.to_thread.run_sync(run)
        tasks.cancel_scope.cancel()
    assert report is not None  # noqa: S101 - only what raised leaves none
    return report


def _annotator(model: object, speech: str | None, base_url: str | None) -> Annotator:
    if isinstance(model, str):
        return Model(model, speech=speech, base_url=base_url)
    if not isinstance(model, Annotator) or not isinstance(cast("object", model.name), str):
        raise InvalidArgumentError(
            'model must name a provider and a model, as "anthropic:claude-haiku-5-5" or "openai:gpt-5-mini", or be an '
            "annotator: an object with a name and a method look",
            field="model",
        )
    for field, value in (("speech", speech), ("base_url", base_url)):
        if value is not None:
            raise InvalidArgumentError(
                f"{field} is for a model that is named, not for an annotator", field=field
            )
    return model


class _Run:
    """One call: what is known, what is asked, and what may be spent."""

    def __init__(
        self,
        rows: Rows,
        annotator: Annotator,
        max_cents: float | None,
        replace: bool,
        on_progress: Callable[[AnnotationReport], object] | None,
        over: threading.Event,
    ) -> None:
        self._over = over
        self._dataset = rows._whole
        self._annotator = annotator
        self._model = annotator if isinstance(annotator, Model) else None
        self._max_cents = max_cents
        self._tell = on_progress
        self._keys: dict[tuple[str | None, Kind | None], str] = {}
        self._jobs: dict[str, Job] = {job.id: job for job in self._dataset.jobs}
        store = self._dataset._store
        self._answers = parse_answers(store.read(store.root / OPINIONS, LARGEST_OPINIONS))
        self.journal = AnswerLog(store)
        self._rows = [row for row in rows.records if replace or not is_annotated(row)]
        self._questions = {row.file_id: self._question(row) for row in self._rows}
        answered_ids = {id for id, key in self._questions.items() if key in self._answers}
        # Files of the same bytes are asked about once.
        unknown = {self._questions[row.file_id]: row for row in self._rows if row.file_id not in answered_ids}
        self._unknown = [row for row in unknown.values() if self._takes(row)]
        if skipped := len(unknown) - len(self._unknown):
            _log.warning(
                "%s takes none of %d files; sounds take speech=, as in speech='openai:gpt-4o-transcribe'",
                annotator.name,
                skipped,
            )
        prices = [self._price(row, most=False) for row in self._unknown]
        about = None if None in prices else round(sum((price or 0.0 for price in prices), 0.0), 4)
        self.report = AnnotationReport(len(rows.records), len(answered_ids), about_cents=about)
        self._failed: dict[str, FirstHandError] = {}
        self._spent = self._held = 0.0
        self._all_prices_known = True
        self._asked = self._answered = 0
        self._dearest = 0.0
        self._stopped = False
        self._turn = threading.Condition()

    def check(self) -> None:
        """Raises ConfigurationError: the key or the extra is missing, or a cap cannot be kept as a price is unknown."""
        if not self._unknown or self._model is None:
            return
        if self._max_cents is not None and self.report.about_cents is None:
            raise ConfigurationError(
                f"the price of {self._annotator.name} is unknown, so max_cents cannot be kept; leave it out, or use a "
                "model with a known price"
            )
        if self._max_cents is None or self._may_spend(self._price(self._unknown[0], most=True)):
            self._model.prepare()

    def close(self) -> None:
        """Write what waits to be written, and name the failures in the order of the rows."""
        self.journal.close()
        # Files of the same bytes fail together.
        errors = {self._questions[id]: error for id, error in self._failed.items()}
        failed = ((row.file_id, errors.get(self._questions[row.file_id])) for row in self._rows)
        self.report = dataclasses.replace(
            self.report, failed=tuple((id, error) for id, error in failed if error)
        )

    def ask(self, concurrency: int) -> None:
        """Ask about everything that is not known.
        Raises ConfigurationError: no file would get an answer.
        """
        with ThreadPoolExecutor(concurrency, thread_name_prefix="firsthandapi-annotate") as pool:
            try:
                for future in [pool.submit(self._ask, row) for row in self._unknown]:
                    future.result()
            except BaseException:
                self._over.set()
                raise

    def columns(self) -> dict[str, dict[str, Any]]:
        """The columns that the answers change, by file id."""
        changes: dict[str, dict[str, Any]] = {}
        for row in self._rows:
            answer = self._answers.get(self._questions[row.file_id])
            if answer is not None:
                columns = columns_annotated(row, answer.annotations, answer.flags)
                if any(getattr(row, name) != value for name, value in columns.items()):
                    changes[row.file_id] = columns
        return changes

    # --- one file ---------------------------------------------------------------------------------------

    def _ask(self, row: Record) -> None:
        most = self._price(row, most=True)
        with self._turn:
            while not self._over.is_set() and not self._may_spend(most):
                if self._asked == self._answered:  # nothing is under way that may cost less
                    self._stopped = True
                    self._count()
                    return
                self._turn.wait(1.0)
            if self._over.is_set():
                return
            self._asked += 1
            self._held += most or 0.0
        answer: Answer | None = None
        cost: float | None = None
        try:
            opinion = self._look(row)
            cost = 0.0 if opinion is None else opinion.cents
            answer = self._answer_of(row, opinion)
            self.journal.add(answer.line())
        except AnnotationError as error:
            cost = error.cents
            self._failed[row.file_id] = error
        except BaseException:
            self._over.set()
            raise
        finally:
            with self._turn:
                self._held -= most or 0.0
                self._spent += (most or 0.0) if cost is None else cost
                self._all_prices_known &= cost is not None
                self._dearest = max(self._dearest, cost or 0.0)
                self._answered += 1
                if answer is not None:
                    self._answers[answer.sha256, answer.question] = answer
                self._count()
                self._turn.notify_all()

    def _may_spend(self, most: float | None) -> bool:
        if self._max_cents is None:
            return True
        if most is None:  # an annotator without prices: one at a time, and as the dearest so far
            return self._asked == self._answered and self._spent + self._dearest <= self._max_cents
        return self._spent + self._held + most <= self._max_cents

    def _look(self, row: Record) -> Opinion | None:
        """What the annotator says.
        Raises AnnotationError: it says nothing that fits, or the file cannot be read.
        """
        dataset = self._dataset
        # A kill leaves nothing behind of a folder on this machine, of which nothing is copied.
        is_here = isinstance(dataset._store, Local)
        with nullcontext("") if is_here else tempfile.TemporaryDirectory(prefix="firsthandapi-") as folder:
            try:
                path = on_this_machine(dataset._store, dataset.path_of(row), row, Path(folder))
            except ConfigurationError as error:
                raise AnnotationError(f"{row.file_name}: {error}", cents=0.0) from None
            try:
                opinion: object = self._annotator.look(self._work(row, path))
            except FirstHandError as error:
                if isinstance(error, AnnotationError | ConfigurationError):
                    raise
                raise AnnotationError(f"{self._annotator.name}: {error}") from error
            except Exception as error:
                words = f"{self._annotator.name} failed: {type(error).__name__}: {error}"[:500]
                raise AnnotationError(words) from error
        if opinion is not None and not isinstance(opinion, Opinion):
            raise AnnotationError(
                f"{self._annotator.name} returned {type(opinion).__name__}, not an Opinion", cents=0.0
            )
        return opinion

    def _answer_of(self, row: Record, opinion: Opinion | None) -> Answer:
        verdict = Opinion() if opinion is None else opinion
        annotations = (
            None
            if verdict.annotations is None
            else {"type": kind_of(row.content_type), **verdict.annotations}
        )
        if annotations is not None:
            annotations.setdefault("annotation_model", self._annotator.name)
        rating = {"stars": verdict.stars, "dimensions": verdict.dimensions, "reason": verdict.reason}
        sha256, question = self._questions[row.file_id]
        answer = Answer(
            sha256,
            question,
            self._annotator.name,
            annotations,
            verdict.flags,
            verdict.cents,
            {name: value for name, value in rating.items() if value is not None},
        )
        try:
            size = len(json.dumps([annotations, rating], allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            raise AnnotationError(
                f"{self._annotator.name}: its annotations are no JSON values", cents=verdict.cents
            ) from None
        if size > LARGEST_VALUE:  # the row would lose all of its annotations, as it could not be read again
            raise AnnotationError(
                f"{self._annotator.name}: its annotations have more than {LARGEST_VALUE:,} characters as JSON",
                cents=verdict.cents,
            )
        return answer

    def _count(self) -> None:
        """Note how far it is."""
        self.report = dataclasses.replace(
            self.report,
            asked=self._answered,
            failed=tuple(self._failed.items()),
            cents=round(self._spent, 4) if self._all_prices_known else None,
            stopped=self._stopped,
        )
        if self._tell is not None:
            self._tell(self.report)

    # --- what is asked ----------------------------------------------------------------------------------

    def _work(self, row: Record, path: Path) -> Work:
        captured = None
        with suppress(ValueError):
            captured = None if row.captured_at is None else datetime.fromisoformat(row.captured_at)
        return Work(
            path=path,
            content_type=row.content_type or "",
            sha256=row.sha256,
            job=self._jobs.get(row.job_id or ""),
            width=row.width,
            height=row.height,
            duration_seconds=row.duration_seconds,
            captured_at=captured,
            device=(row.device_info or {}).get("device_model"),
            content_credentials=row.c2pa_state,
        )

    def _question(self, row: Record) -> tuple[str, str]:
        question = self._keys.get(subject := (row.job_id, kind_of(row.content_type)))
        if question is None:
            work = self._work(row, Path(row.file_name))
            question = (
                key(self._annotator.name, work.job) if self._model is None else self._model.question(work)
            )
            self._keys[subject] = question
        return row.sha256, question

    def _takes(self, row: Record) -> bool:
        return self._model is None or self._model.takes(row.content_type or "")

    def _price(self, row: Record, *, most: bool) -> float | None:
        if self._model is None:
            return None
        return self._model.price(self._work(row, Path(row.file_name)), most=most)
