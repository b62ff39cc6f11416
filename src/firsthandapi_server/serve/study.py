"""What a lab says of its study in a file: who asks, for what, under which license, and who may join."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from firsthandapi._base.nearest import nearest
from firsthandapi._base.specs import read_spec
from firsthandapi.errors import ConfigurationError

T = TypeVar("T")
Assurance = Literal["own_work", "adult", "people_shown_agree"]

LOGOS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_EXAMPLE = "name: Street signs of Lagos"
_MOST_TEXT = 100_000
UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # what no page can show

Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
License = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$", max_length=100)]
# What is written once for all languages is kept under an empty one.
_Once = BeforeValidator(lambda value: value if isinstance(value, dict) else {"": value})  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
_Languages = Annotated[str, StringConstraints(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$")]
Whole = Annotated[int, Field(ge=1, le=10**9)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ConsentNotice(_Part):
    """What people agree to.

    Attributes:
        version: the number of this notice; a new one asks everybody again.
        purposes: what the files are for, by language.
        text: the notice, by language.
        assurances: what people confirm, each with a box of its own.
    """

    version: Whole
    purposes: Annotated[
        dict[_Languages, Annotated[list[Line], Field(min_length=1)]], Field(min_length=1), _Once
    ]
    text: Annotated[dict[Language, str], Field(min_length=1)]
    assurances: list[Assurance]


class Reviews(_Part):
    """How files are rated.

    Attributes:
        overlap: how many reviewers rate a file; of three, the median counts.
        gold: the share of files whose rating is known.
        retry_hours: how long a worker may take for a second attempt after two stars.
    """

    overlap: Literal[1, 3] = 1
    gold: Annotated[float, Field(ge=0, le=1)] = 0.0
    retry_hours: Annotated[int, Field(ge=1, le=8760)] = 24


class Retention(_Part):
    """For how many days files are kept.

    Attributes:
        rejected: those that were rejected; None for as long as the server.
    """

    rejected: Whole | None = None


class Study(_Part):
    """A study, as `study.yaml` describes it.

    Attributes:
        name: what it is called, by language.
        organizer: who asks; the pages show it in place of our name.
        contact: where people may turn to.
        languages: those of the pages; the first stands in for texts that another lacks.
        license: what people grant, an id of the SPDX list.
        consent: what people agree to.
        join: whether whoever has the link may join, or only those with a token.
        max_workers: how many people may join; None for any number.
        max_files_per_worker: how many files a person may submit to a job; None for any number.
        reviews: how files are rated.
        retention_days: how long files are kept.
        processors: who else gets the files, such as the service of a model, and where.
        currency: the code of the currency of which prices are hundredths.
        pay: whether people are paid for each approved file. Unpaid, prices are only a unit of budget.
        logo: a picture beside the file, shown with the organizer.
        tasks: files beside the file, with a row for each task, by the title of the job that they belong to.
    """

    name: Annotated[dict[_Languages, Line], Field(min_length=1), _Once]
    organizer: Line
    contact: Line
    languages: Annotated[list[Language], Field(min_length=1)]
    license: License
    consent: ConsentNotice
    join: Literal["open", "invited"] = "open"
    max_workers: Whole | None = None
    max_files_per_worker: Whole | None = None
    reviews: Reviews = Reviews()
    retention_days: Retention = Retention()
    processors: list[Line] = []
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    pay: Literal["per_file", "none"] = "per_file"
    logo: Annotated[Path, Field(strict=False)] | None = None
    tasks: dict[Line, Annotated[Path, Field(strict=False)]] = {}

    @property
    def controller(self) -> str:
        """Who is responsible for the files, and where people may turn to."""
        return f"{self.organizer}, {self.contact}"

    @property
    def terms(self) -> dict[str, str]:
        """What jobs say of their prices, where it is not the contract's own."""
        terms = {"currency": self.currency, "pay": self.pay}
        return {name: value for name, value in terms.items() if value not in ("USD", "per_file")}

    @property
    def purposes(self) -> list[str]:
        """The purposes as records name them, whichever language people read: those of the first one."""
        return self.purposes_in(self.languages[0])[0]

    def name_in(self, language: str) -> tuple[str, str]:
        """The name, and its language: the first of the study where this one has none."""
        return self._in(self.name, language)

    def purposes_in(self, language: str) -> tuple[list[str], str]:
        """The purposes, and their language."""
        return self._in(self.consent.purposes, language)

    def notice(self, language: str) -> tuple[str, str]:
        """The text of the notice, and its language."""
        return self._in(self.consent.text, language)

    def _in(self, texts: Mapping[str, T], language: str) -> tuple[T, str]:
        first = self.languages[0]
        tag = next((tag for tag in (language, first) if tag in texts), next(iter(texts)))
        return texts[tag], tag or first


def read_study(path: Path) -> Study:
    """The study that a file describes, with the texts that lie beside it.

    Raises ConfigurationError: it cannot be read, or a key or a value of it is wrong.
    """
    fields = read_spec(path, _EXAMPLE)
    try:
        study = Study.model_validate(fields)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {'; '.join(_faults(error))}") from None
    lists: dict[str, list[str]] = {
        "languages": [language.lower() for language in study.languages],
        **{
            f"consent.purposes{'.' if name else ''}{name}": purposes
            for name, purposes in study.consent.purposes.items()
        },
        "consent.assurances": [*study.consent.assurances],
        "processors": study.processors,
    }
    for where, names in lists.items():
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ConfigurationError(f"{path}: {where} names {repeated[0]} twice; remove one of the two")
    for where, translations in (
        ("name", study.name),
        ("consent.purposes", study.consent.purposes),
        ("consent.text", study.consent.text),
    ):
        for language in translations:
            if language and language not in study.languages:
                raise ConfigurationError(
                    f"{path}: {where}.{language} is no language of the study; add {language} to languages"
                )
    if len({len(purposes) for purposes in study.consent.purposes.values()}) > 1:
        raise ConfigurationError(
            f"{path}: consent.purposes has more in one language than in another; write the same ones in each"
        )
    texts: dict[str, str] = {}
    for language, text in study.consent.text.items():
        where = f"consent.text.{language}"
        texts[language] = _text(path, where, text.strip())
    logo = None if study.logo is None else _beside(path, "logo", str(study.logo))
    if logo is not None and logo.suffix.lower() not in LOGOS:
        raise ConfigurationError(f"{path}: logo must end in {', '.join(LOGOS)}")
    tasks = {title: _beside(path, f"tasks.{title}", str(name)) for title, name in study.tasks.items()}
    consent = study.consent.model_copy(update={"text": texts})
    return study.model_copy(update={"consent": consent, "logo": logo, "tasks": tasks})


def _text(path: Path, where: str, text: str) -> str:
    if "\n" not in text and text.endswith((".md", ".txt")):
        beside = _beside(path, where, text)
        try:
            text = beside.read_text(encoding="utf-8-sig").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigurationError(f"{path}: {where}: could not read {beside}: {reason}") from None
    if not 1 <= len(text) <= _MOST_TEXT:
        raise ConfigurationError(f"{path}: {where} must have 1 to {_MOST_TEXT:,} characters")
    if match := UNSHOWN.search(text):
        raise ConfigurationError(f"{path}: {where} has {match[0]!a}, which no page can show")
    return text


def _beside(path: Path, where: str, name: str) -> Path:
    file = path.parent / name
    try:
        is_there = Path(name).name == name and file.is_file()
    except ValueError:  # a NUL
        is_there = False
    if not is_there:
        raise ConfigurationError(f"{path}: {where}: there is no file {name} beside it")
    return file


def _faults(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_context=False):
        location = [str(part) for part in problem["loc"] if part not in ("[key]", "")]
        where = ".".join(location)
        if problem["type"] == "extra_forbidden":
            meant = nearest(location[-1], _known(location[:-1]))
            yield f"{where} is not a known key" + (f"; did you mean {meant}?" if meant else "")
        elif problem["type"] == "missing":
            yield f"{where} is missing"
        else:
            yield f"{where}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _known(location: Iterable[str]) -> Iterable[str]:
    kind: Any = Study
    for name in location:
        kind = cast("Mapping[str, Any]", kind.model_fields)[name].annotation
    return cast("Iterable[str]", kind.model_fields)
