"""What the rows of a dataset prove of it: each statement with the number of files that it is true of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible
from firsthandapi.errors import InvalidArgumentError

from .consents import Consents, is_withdrawn, license_denied, license_granted
from .licenses import is_same_license, spdx_or_name
from .manifest import Record
from .opinions import is_corrected

# The digital source types of media that a model or a program has made, in the IPTC list.
_MADE_BY_MODELS = frozenset({
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia", "compositeSynthetic",
    "dataDrivenMedia", "virtualRecording",
})  # fmt: skip


@dataclass(frozen=True)
class Witness:
    """The rows, asked what they prove. A file is of people if it comes from the live environment and its Content
    Credentials do not say that a model made it; nothing is said of a file whose environment is unknown, nor of one of
    which only invalid credentials or a rater's flag say that. What their workers agreed to decides over the rows: a
    withdrawn consent grants no license, and any other only its own."""

    records: Sequence[Record]
    consents: Consents = field(default_factory=dict[str, Mapping[str, Any]])

    @cached_property
    def of_models(self) -> list[Record]:
        """Those whose Content Credentials say that a model made them, wherever they come from."""
        return [row for row in self.records if is_of_model(row)]

    @cached_property
    def of_people(self) -> list[Record]:
        return [
            row
            for row in self.records
            if row.environment == "live" and not _names_model(row) and not _is_flagged(row)
        ]

    @cached_property
    def drawn(self) -> list[Record]:
        """Those that a program drew for tests: of the bundled server, or of the sandbox. They cost nothing."""
        return [row for row in self.records if row.environment in ("simulated", "sandbox")]

    @cached_property
    def servers(self) -> list[str]:
        return sorted({row.server for row in self.records if row.server})

    @cached_property
    def standing(self) -> list[Record]:
        """Those whose consent is not withdrawn."""
        return [row for row in self.records if not is_withdrawn(row, self.consents)]

    @cached_property
    def licenses(self) -> Counter[str]:
        """The licenses that workers granted, each with its files; a file of which nothing is known is in none, nor one
        whose row and consent differ. Those of the SPDX list are under their ids there."""
        rows = (row for row in self.standing if license_denied(row, self.consents) is None)
        named = (spdx_or_name(row.license) for row in rows if row.license is not None)
        return Counter(name for name in named if name)

    @cached_property
    def denied(self) -> Counter[tuple[str, str]]:
        """The licenses of rows whose consents grant another: both, each pair with its files."""
        pairs = (license_denied(row, self.consents) for row in self.standing)
        return Counter(pair for pair in pairs if pair is not None)

    @cached_property
    def raters(self) -> Counter[str]:
        """Who rated, as the column `rated_by` says it; empty for the service's own ensemble."""
        return Counter(row.rated_by or "" for row in self.records if row.ai_star_rating is not None)

    @cached_property
    def flags(self) -> Counter[str]:
        """The flags of raters, such as `synthetic`, each with the number of its files."""
        return Counter(flag for row in self.records for flag in {*(row.flags or ())})

    @property
    def is_synthetic(self) -> bool | None:
        """True if a file is known to be; else None, because only a person can know."""
        return True if self.of_models or self.drawn else None

    @property
    def platform(self) -> str:
        """The services that the files come from; empty if no row names one."""
        return " and ".join(map(visible, self.servers))

    def check(self, statements: Mapping[str, Any]) -> None:
        """Check that no row contradicts a person's statements.
        Raises InvalidArgumentError: some do; the message names how many.
        """
        license = statements.get("license")
        names = (license_granted(row, self.consents) or row.license or "" for row in self.standing)
        granted_all = Counter(spdx_or_name(name) for name in names)
        grants = {
            name: files for name, files in granted_all.items() if name and not is_same_license(name, license)
        }
        if license is not None and grants:
            granted = ", ".join(f"{visible(name)} ({count_of(files)})" for name, files in grants.items())
            raise InvalidArgumentError(
                f"license: the workers of {count_of(sum(grants.values()))} granted another: "
                f"{granted}, not {visible(license)}; leave license out, or make a dataset of the others with filter "
                "and copy_to",
                field="license",
            )
        if statements.get("has_synthetic_data") is False:
            if made := len({row.file_id for row in (*self.of_models, *self.drawn)}):
                raise InvalidArgumentError(
                    f"has_synthetic_data: a program or a model made {count_of(made)}, as their rows or the records of "
                    "their orders say; leave it out",
                    field="has_synthetic_data",
                )
            if flagged := self.flags["synthetic"]:
                raise InvalidArgumentError(
                    f"has_synthetic_data: {count_of(flagged)} {_verb(flagged)} flagged as synthetic; pass True, or "
                    "exclude what a machine made",
                    field="has_synthetic_data",
                )

    def check_licenses(self, license: str | None) -> None:
        """Check that consents grant the licenses of their rows, unless a person has stated the license.
        Raises InvalidArgumentError: some grant another; the message names both, and how many.
        """
        if license is None and self.denied:
            pairs = ", ".join(
                f"{visible(granted)}, not {visible(named)} ({count_of(files)})"
                for (named, granted), files in self.denied.items()
            )
            raise InvalidArgumentError(
                f"license: the consents of {count_of(self.denied.total())} grant another than the rows name: {pairs}; "
                "state theirs with write_card(license=…), or leave these files out with filter and copy_to",
                field="license",
            )

    def origins(self) -> Iterator[str]:
        """Who made the files, a sentence for each answer."""
        if self.of_people:
            yield f"People made {count_of(len(self.of_people))}."
        if self.of_models:
            whose = "its" if len(self.of_models) == 1 else "their"
            yield f"A model made {count_of(len(self.of_models))}, as {whose} Content Credentials say."
        for environment, origin in (("sandbox", "of the sandbox"), ("simulated", "of a server for tests")):
            if files := sum(row.environment == environment for row in self.records):
                yield f"A program drew {count_of(files)} {origin}, which cost nothing."

    def consenting(self) -> Iterator[str]:
        """Whose worker's consent is named, in figures; nothing where none is."""
        covered = sum(row.consent_id is not None for row in self.records)
        if covered:
            verb = "names" if covered == 1 else "name"
            yield f"{count_of(covered)} of {len(self.records):,} {verb} the consent of the worker."

    def ratings(self) -> Iterator[str]:
        """Who rated the files, a sentence for each answer."""
        for rater, files in sorted(self.raters.items()):
            kind, _, name = rater.partition(":")
            who = {"": "The service", "person": "People", "rules": "A program"}.get(kind)
            who = f"The model {visible(name)}" if kind == "model" else who or visible(rater)
            yield f"{who} rated {count_of(files)} with 1 to 5 stars."

    def flagged(self) -> Iterator[str]:
        """What raters flagged, a sentence for each flag."""
        for flag, files in sorted(self.flags.items()):
            yield f"{count_of(files)} {_verb(files)} flagged as {visible(flag)}."

    def descriptions(self) -> Iterator[str]:
        """Who described the files, a sentence for each answer."""
        models = Counter((row.annotations or {}).get("annotation_model") or "" for row in self.records)
        for model, files in sorted(models.items()):
            if model:
                yield f"The model {visible(model)} described {count_of(files)}."
        if corrected := sum(map(is_corrected, self.records)):
            yield f"People corrected the description of {count_of(corrected)}."


def is_of_model(row: Record) -> bool:
    """Whether the Content Credentials of a file say that a model or a program made it; invalid ones say nothing."""
    return row.c2pa_state != "invalid" and _names_model(row)


def _is_flagged(row: Record) -> bool:
    return "synthetic" in (row.flags or ())


def _verb(files: int) -> str:
    return "is" if files == 1 else "are"


def _names_model(row: Record) -> bool:
    return (row.digital_source_type or "").rpartition("/")[2] in _MADE_BY_MODELS
