"""What an annotator is given, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args, runtime_checkable

from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types import Job

Flag = Literal["policy", "stock", "synthetic", "addresses_rater", "unreadable"]
FLAGS: tuple[Flag, ...] = get_args(Flag)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A file to look at. It holds no id and no name of a person.

    Attributes:
        path: the file, on this machine. Only read it.
        content_type: its MIME type.
        sha256: its SHA-256, in hex.
        job: the job that it was captured for; None if that is unknown.
        attempt: which attempt of its worker it is, from 1; None if that is unknown.
        width: in pixels.
        height: in pixels.
        duration_seconds: its duration, in seconds.
        captured_at: when it was captured.
        device: the model of the device, as the device says.
        content_credentials: the state of its Content Credentials: `none`, `invalid`, `valid`, or `trusted`.
        near_duplicates: the ids of files that look the same.
    """

    path: Path
    content_type: str
    sha256: str
    job: Job | None = None
    attempt: int | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    captured_at: datetime | None = None
    device: str | None = None
    content_credentials: str | None = None
    near_duplicates: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What an annotator says of a file. All is optional.

    Attributes:
        stars: 1 to 5: 5 fully addresses the job, 3 meets the basic requirements, 1 is off-topic or corrupted.
        dimensions: parts of the rating, each 1 to 5: `relevance`, `quality`, and `completeness`.
        reason: a sentence for the worker.
        annotations: the recognized content: fields of `ImageAnnotations`, `AudioAnnotations`, or `VideoAnnotations`.
        flags: some of `policy`, `stock`, `synthetic`, `addresses_rater` (text in the file speaks to whoever rates it),
            and `unreadable`.
        cents: the cost of the opinion, in cents; None if unknown.

    Raises:
        InvalidArgumentError: a field is not allowed, such as 6 stars.
    """

    stars: int | None = None
    dimensions: Mapping[str, float] | None = None
    reason: str | None = None
    annotations: Mapping[str, Any] | None = field(default=None, hash=False)
    flags: tuple[str, ...] = ()
    cents: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stars", _stars(self.stars))
        flags = cast("object", self.flags)
        if isinstance(flags, str) or not isinstance(flags, Iterable):
            raise InvalidArgumentError("flags must be a tuple of str", field="flags")
        names = tuple(dict.fromkeys(cast("Iterable[str]", flags)))
        if unknown := [name for name in names if name not in FLAGS]:
            raise InvalidArgumentError(
                f"flags: {unknown[0]!r} is no flag; the flags are {', '.join(FLAGS)}", field="flags"
            )
        object.__setattr__(self, "flags", names)
        for name, kind in (("reason", str), ("annotations", Mapping), ("dimensions", Mapping)):
            value: object = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                says = "a str" if kind is str else "a mapping"
                raise InvalidArgumentError(
                    f"{name} must be {says}, and is of type {type(value).__name__}", field=name
                )
        for name, value in (self.dimensions or {}).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 5:
                raise InvalidArgumentError(f"dimensions: {name} must be 1 to 5", field="dimensions")
        check_cents(self.cents, "cents")


@runtime_checkable
class Annotator(Protocol):
    """Something that looks at files: a class of your own, or `Model`.

    Attributes:
        name: its name, which its answers are kept under; another version needs another name.
    """

    @property
    def name(self) -> str: ...

    def look(self, work: Work) -> Opinion | None:
        """Look at one file. Several threads may call it at the same time.

        Args:
            work: the file, and what is known of it.

        Returns:
            Its opinion; None to abstain, which is no failure.
        """
        ...


def check_cents(value: object, field: str) -> None:
    """Raises InvalidArgumentError: it is neither None nor an amount."""
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf")
    ):
        raise InvalidArgumentError(f"{field} must be a finite number, 0 or more", field=field)


def _stars(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgumentError(f"stars must be an int from 1 to 5, not {value!r:.50}", field="stars")
    stars = int(cast("int", value))
    if not 1 <= stars <= 5:
        raise InvalidArgumentError(f"stars must be 1 to 5, and are {stars}", field="stars")
    return stars
