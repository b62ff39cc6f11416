"""The Croissant metadata of a dataset, croissant.json: Croissant 1.1 with RAI 1.0 and PROV-O.

mlcroissant 1.1 cannot read pictures other than JPEG and PNG, audio, or video. The metadata describes these files, but
no field refers to them. Nor does one where the files are at a URL: there it could read them only from an archive.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from firsthandapi._base.counts import count_of
from firsthandapi._core.files.kinds import KINDS, kind_of, within

from .card import Facts, days_of, edits_of, is_time, main_kind, summary_of, withdrawals_of
from .licenses import SPDX
from .manifest import COLUMNS, MANIFEST, Record, column_types
from .statements import MORE, NEEDED

CROISSANT = "croissant.json"

# From Appendix 1 of the specification. mlcroissant accepts schema.org only with https, and warns without the last line.
_TERMS = (
    "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "examples", "excludes",
    "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset",
    "jsonPath", "key", "md5", "parentField", "readLines", "recordSet", "references", "regex", "sdVersion", "separator",
    "source", "subField", "transform", "unArchive", "value",
    "path", "repeated", "replace", "samplingRate",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "wd": "http://www.wikidata.org/entity/",
}
_TYPES: dict[type, str] = {str: "sc:Text", int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean"}
# The equivalent of a column in other vocabularies.
_EQUIVALENT = {
    "sha256": "sc:sha256",
    "worker_id": "prov:wasAttributedTo",
    "license": "sc:license",
    "digital_source_type": "sc:digitalSourceType",
}
_TIMES = ("captured_at", "created_at")
_PLAIN_NAME = re.compile(r"\w[\w.-]*")
_TIME_NAME = re.compile(r"^timestamp|_at$|_time$|^modified$|^date$", re.IGNORECASE)
_READABLE = frozenset({"image/jpeg", "image/png"})
_SPLIT_TYPES = {
    "train": "cr:TrainingSplit",
    "test": "cr:TestSplit",
    **dict.fromkeys(("validation", "val", "dev"), "cr:ValidationSplit"),
}
# Properties for which the RAI vocabulary allows only one value.
_SINGLE = frozenset({"data_social_impact", "data_release_maintenance_plan"})
_FILE_NAME = r"^(?:.*/)?([^/]+)$"


def missing_of(facts: Facts) -> tuple[str, ...]:
    """The names of metadata that are missing: what only a person can provide, and the date of publication if no file
    has a date."""
    defaults = {"license": facts.license, "has_synthetic_data": facts.witness.is_synthetic}
    terms = [term for name, term in NEEDED.items() if facts.said.get(name, defaults.get(name)) is None]
    return (*terms, *(() if days_of(facts.records) else ("datePublished",)))


def croissant_of(facts: Facts) -> bytes:
    """The Croissant metadata."""
    days = days_of(facts.records)
    license_ = facts.license
    kinds = {kind_of(record.content_type) for record in facts.records}
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": facts.name,
        "description": summary_of(facts),
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "citeAs": facts.said.get("url") or facts.name,
        "version": facts.version,
        "isLiveDataset": False,
        "keywords": [*(kind for kind in KINDS if kind in kinds), "firsthandapi"],
        **({"license": license_url(license_)} if license_ is not None else {}),
        **({"url": facts.said["url"]} if "url" in facts.said else {}),
        **({"creator": _creator(facts.said["creator"])} if "creator" in facts.said else {}),
        # The date of the newest file: the dataset cannot have been published earlier.
        **({"datePublished": days[-1], "dateCreated": days[0], "dateModified": days[-1]} if days else {}),
        **_responsible(facts),
        **_provenance(facts),
        "distribution": [*_distribution(facts)],
        "recordSet": [*_record_sets(facts)],
    }
    return json.dumps(document, ensure_ascii=True, indent=1).encode() + b"\n"


def license_url(name: str) -> str:
    """The SPDX page of a license on the SPDX list; any other text unchanged."""
    spdx_id = SPDX.get(name.lower())
    return name if spdx_id is None else f"https://spdx.org/licenses/{spdx_id}"


def _creator(creator: Mapping[str, str]) -> dict[str, str]:
    return {"@type": f"sc:{creator['type']}", **{key: text for key, text in creator.items() if key != "type"}}


# ── Responsible AI, provenance ───────────────────────────────────────────────────────────────────────────


def _responsible(facts: Facts) -> dict[str, Any]:
    """The RAI properties, from the folder and a person's statements."""
    times = _times_of(facts.records)
    models = _models_of(facts.records)
    witness = facts.witness
    stars = sorted({job.min_star_rating for job, _ in facts.jobs if job.min_star_rating is not None})
    bar = f" A file needed at least {' or '.join(map(str, stars))} stars to be approved." if stars else ""
    properties: dict[str, Any] = {
        "rai:hasSyntheticData": witness.is_synthetic,
        "rai:dataCollection": summary_of(facts),
        "rai:dataCollectionType": [
            *(["Manual Human Curator"] if witness.of_people else []),
            *(["Software Collection"] if witness.drawn or witness.of_models else []),
        ],
        "rai:dataCollectionTimeframe": times and [times[0], times[-1]],
        "rai:dataCollectionMissingData": " ".join(withdrawals_of(facts)) or None,
        "rai:dataManipulationProtocol": " ".join(edits_of(facts)) or None,
        "rai:dataAnnotationProtocol": f"{' '.join(witness.ratings())}{bar}" if witness.raters else None,
        "rai:dataAnnotationAnalysis": [*witness.flagged()],
        "rai:dataAnnotationPlatform": witness.servers if witness.raters or models else None,
        "rai:machineAnnotationTools": models,
    }
    for name, term in {**NEEDED, **MORE}.items():
        statement = facts.said.get(name)
        if term.startswith("rai:") and statement is not None:
            properties[term] = "\n".join(statement) if name in _SINGLE else statement
    return {term: value for term, value in properties.items() if value not in (None, [])}


def _provenance(facts: Facts) -> dict[str, Any]:
    """The provenance of the files, in terms of PROV-O and Wikidata."""
    times = _times_of(facts.records)
    models = _models_of(facts.records)
    witness = facts.witness
    workers = {record.worker_id for record in witness.of_people} - {None}
    people = count_of(len(workers), "worker") if workers else "Workers"
    activities = [
        {
            **_activity("collection", "Collection", "wd:Q4929239", summary_of(facts)),
            **({"prov:startedAtTime": times[0], "prov:endedAtTime": times[-1]} if times else {}),
            "prov:wasAssociatedWith": [
                _agent("firsthandapi", witness.platform or "The service", "Software"),
                *([_agent("workers", people)] if witness.of_people else []),
            ],
        }
    ]
    if models:
        by = [_agent(f"model-{number}", model, "Software") for number, model in enumerate(models, 1)]
        annotation = _activity("annotation", "Annotation", "wd:Q109719325", " ".join(witness.descriptions()))
        activities.append({**annotation, "prov:wasAssociatedWith": by})
    if witness.raters:
        activities.append(_activity("review", "Review", "wd:Q3306762", " ".join(witness.ratings())))
    on = f" on {witness.platform}" if witness.platform else ""
    source = f"Jobs{on}, which had these files made: no other source is known. "
    return {
        "prov:wasGeneratedBy": activities,
        "prov:wasDerivedFrom": [
            {
                "@type": "prov:Entity",
                "@id": "jobs",
                "prov:label": (source + " ".join(witness.origins())).strip(),
            }
        ],
    }


def _activity(id_: str, label: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "@type": "prov:Activity",
        "@id": id_,
        "prov:type": {"@id": kind},
        "prov:label": label,
        "sc:description": description,
    }


def _agent(id_: str, label: str, kind: str = "") -> dict[str, Any]:
    return {"@type": f"prov:{kind}Agent", "@id": id_, "prov:label": label}


def _times_of(records: Iterable[Record]) -> list[str]:
    return sorted(record.created_at for record in records if is_time(record.created_at))


def _models_of(records: Iterable[Record]) -> list[str]:
    return sorted(
        {str(model) for record in records if (model := (record.annotations or {}).get("annotation_model"))}
    )


# ── Files and rows ───────────────────────────────────────────────────────────────────────────────────────


def _distribution(facts: Facts) -> Iterator[dict[str, Any]]:
    base = facts.said.get("content_url", "")
    for subfolder, sha256 in facts.manifests.items():
        yield _file_object(within(subfolder, MANIFEST), sha256, base)
        by_ending: defaultdict[str, list[Record]] = defaultdict(list)
        pictures = _pictures_in(facts.subfolders[subfolder])
        for record in facts.subfolders[subfolder]:
            ending = record.file_name.rpartition(".")[2]
            by_ending["" if ending in pictures else ending].append(record)
        for ending, records in sorted(by_ending.items()):
            yield _file_set(subfolder, ending, records, base)


def _file_object(path: str, sha256: str, base: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": base + path,
        "encodingFormat": "application/jsonlines",
        "sha256": sha256,
    }


def _file_set(subfolder: str, ending: str, records: Sequence[Record], base: str) -> dict[str, Any]:
    """The files with one ending; without an ending, all pictures that mlcroissant can read."""
    places = sorted({record.file_name.count("/") for record in records})
    endings = sorted({record.file_name.rpartition(".")[2] for record in records})
    types = sorted({record.content_type or "application/octet-stream" for record in records})
    name = within(subfolder, f"files-{ending}" if ending else "files")
    below = f", relative to {base}{within(subfolder, '')}" if base else ""
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": f"{count_of(len(records))}, each named by its row in {within(subfolder, MANIFEST)}{below}.",
        "encodingFormat": types if len(types) > 1 else types[0],
        "includes": [
            within(subfolder, f"data/{'*/' * (depth - 1)}*.{ending}")
            for depth in places
            for ending in endings
        ],
    }


def _record_sets(facts: Facts) -> Iterator[dict[str, Any]]:
    labels = sorted({record.label for record in facts.records if record.label is not None})
    if labels:
        yield {
            **_record_set("labels", [_field("labels", "name", "sc:Text")], key="name"),
            "dataType": "sc:Enumeration",
            "data": [{"labels/name": label} for label in labels],
        }
    split_rows = [
        {"split_rows/file_id": record.file_id, "split_rows/split": name}
        for name, records in facts.splits.items()
        for record in records
    ]
    splits = [*facts.splits] if split_rows else _own_splits(facts.records)
    if splits:
        url = {**_field("splits", "url", "sc:URL"), "dataType": ["sc:URL", "cr:Split"]}
        yield {
            **_record_set("splits", [_field("splits", "name", "sc:Text"), url], key="name"),
            "dataType": "cr:Split",
            "data": [
                {"splits/name": name, "splits/url": _SPLIT_TYPES.get(name.lower(), "cr:Split")}
                for name in splits
            ],
        }
    for subfolder in facts.manifests:
        name = f"{subfolder}_rows".replace("/", "_") if subfolder else "rows"
        yield _record_set(name, _fields(facts, name, subfolder, splits), key="file_id")
    if split_rows:
        of = _field("split_rows", "split", "sc:Text")
        fields = [_field("split_rows", "file_id", "sc:Text"), {**of, **_REFERENCES["split"]}]
        yield {**_record_set("split_rows", fields, key="file_id"), "data": split_rows}


def _fields(facts: Facts, name: str, subfolder: str, splits: Sequence[str]) -> Iterator[dict[str, Any]]:
    manifest, rows = within(subfolder, MANIFEST), facts.subfolders[subfolder]
    pictures = bool(_pictures_in(rows)) and "content_url" not in facts.said
    if pictures:
        source = {"fileSet": {"@id": within(subfolder, "files")}, "extract": {"fileProperty": "content"}}
        yield {**_field(name, "image", "sc:ImageObject"), "source": source}
    types = column_types(main_kind(rows))
    for column in COLUMNS:
        shape = types[column]
        # The shape of annotations varies, and `annotations_json` has the same data as text; of `flags`, rows have none,
        # one, or more.
        if column in ("annotations", "flags"):
            continue
        if isinstance(shape, dict):
            for member, kind in cast("dict[str, type]", shape).items():
                field = _column(name, manifest, column, _TYPES[kind], named=f"{column}_{member}")
                field["source"]["transform"] = {"jsonPath": member}
                yield field
            continue
        if column in _TIMES and not all(is_time(text) for row in rows if (text := getattr(row, column))):
            # pandas reads odd texts in columns of these names as times, or does not, depending on its version, and
            # mlcroissant cannot load a field of the other type.
            continue
        field = _column(name, manifest, column, "sc:DateTime" if column in _TIMES else _TYPES[shape])
        if column in _EQUIVALENT:
            field["equivalentProperty"] = _EQUIVALENT[column]
        if column == "file_name" and pictures:
            # First, before the label's reference: mlcroissant joins only by the first reference.
            field["source"]["transform"] = {"regex": _FILE_NAME}
            files = {"fileSet": {"@id": within(subfolder, "files")}, "extract": {"fileProperty": "filename"}}
            field["references"] = files
        if column == "label" and any(row.label for row in rows):
            field.update({**_REFERENCES["label"], "dataType": ["sc:Text", "cr:Label"]})
        yield field
    yield from _own_fields(name, manifest, rows)
    if splits and _own_splits(rows):
        yield {**_column(name, manifest, "split", "sc:Text"), **_REFERENCES["split"]}


def _own_fields(name: str, manifest: str, rows: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """The user's own columns whose values are of one plain type; mlcroissant reads no lists of objects from rows."""
    kinds: defaultdict[str, set[type]] = defaultdict(set)
    for row in rows:
        values: Mapping[str, object] = row.extra
        for column, value in values.items():
            if value is not None:
                kinds[column].add(type(value))
    for column, of in kinds.items():
        kind = float if of == {int, float} else next(iter(of))
        # pandas makes times of columns with such names, whatever they contain.
        if column == "split" or not _PLAIN_NAME.fullmatch(column) or _TIME_NAME.search(column):
            continue
        if kind in _TYPES and of <= {kind, int if kind is float else kind}:
            yield _column(name, manifest, column, _TYPES[kind], named=f"own_{column}")


_REFERENCES: dict[str, dict[str, Any]] = {
    "label": {"references": {"field": {"@id": "labels/name"}}},
    "split": {"references": {"field": {"@id": "splits/name"}}},
}


def _record_set(name: str, fields: Iterable[dict[str, Any]], *, key: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/{key}"},
        "field": [*fields],
    }


def _field(record_set: str, name: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": f"{record_set}/{name}", "name": name, "dataType": kind}


def _column(
    record_set: str, file: str, column: str, kind: str, *, named: str | None = None
) -> dict[str, Any]:
    source = {"fileObject": {"@id": file}, "extract": {"column": column}}
    return {**_field(record_set, named or column, kind), "source": source}


def _pictures_in(rows: Iterable[Record]) -> set[str]:
    """The endings of the files that mlcroissant can read as pictures."""
    types: defaultdict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        types[row.file_name.rpartition(".")[2]].add(row.content_type)
    return {ending for ending, of in types.items() if of <= _READABLE}


def _own_splits(rows: Iterable[Record]) -> list[str]:
    """The splits named in the user's own column `split`."""
    return sorted({name for row in rows if isinstance(name := row.extra.get("split"), str) and name})
