"""What came of a check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ._exchange import cause

Verdict = Literal["holds", "differs", "not tried"]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one promise.

    Attributes:
        id: such as `jobs.create.escrow`; stable from version to version.
        endpoint: the endpoint it concerns, such as `POST /v1/jobs`, or `every endpoint`.
        section: where the contract makes it, such as `§2 "Jobs"`.
        ours: whether the service's own documents are silent about it, so that it is this project's reading.
        promised: the promise, in a sentence.
        verdict: `holds`, `differs`, or `not tried`.
        came: what the server does instead, if it differs: one line without secrets.
        curl: a command that shows the difference, with variables in place of keys; None if no single request does.
        why: why the promise was not tried.
    """

    id: str
    endpoint: str
    section: str
    ours: bool
    promised: str
    verdict: Verdict
    came: str | None = None
    curl: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of checking a server against the contract.

    Attributes:
        url: the address of the server.
        environment: `live` or `test`, as the key says; None if its prefix is another one.
        writes: whether more than reading was tried.
        results: one for each promise, in the order of the contract.
        left: what was created and could not be removed again, in words; empty after a clean run.
        requests: how many requests were sent.
        seconds: how long it took.
    """

    url: str
    environment: str | None
    writes: bool
    results: tuple[Result, ...]
    left: tuple[str, ...]
    requests: int
    seconds: float

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.of(each))} {each}" for each in ("holds", "differs", "not tried"))
        return f"<Report [{self.url}: {counts}]>"

    @property
    def ok(self) -> bool:
        """Whether each promise that was tried holds, and at least one was tried."""
        return not self.of("differs") and bool(self.of("holds"))

    def of(self, verdict: Verdict) -> list[Result]:
        """The results with this verdict.

        Args:
            verdict: `holds`, `differs`, or `not tried`.

        Returns:
            These results, in the order of the contract.
        """
        return [result for result in self.results if result.verdict == verdict]

    @property
    def causes(self) -> dict[str, list[Result]]:
        """What differs, by what is wrong with the server: one fault may break many promises. The widest comes first."""
        found: dict[str, list[Result]] = {}
        for result in self.of("differs"):
            found.setdefault(cause(result.came or ""), []).append(result)
        return dict(sorted(found.items(), key=lambda each: -len(each[1])))

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values, as `firsthandapi conformance --json` prints it."""
        return {
            "ok": self.ok,
            "url": self.url,
            "environment": self.environment,
            "writes": self.writes,
            "holds": len(self.of("holds")),
            "differs": len(self.of("differs")),
            "not_tried": len(self.of("not tried")),
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "left": [*self.left],
            "causes": [
                {"cause": words, "promises": [each.id for each in results]}
                for words, results in self.causes.items()
            ],
            "promises": [asdict(result) for result in self.results],
        }
