"""Checks a campaign: the files that each label needs, and the budget for all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.names import disk_key
from firsthandapi._base.nearest import nearest
from firsthandapi._base.visible import visible
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.idempotency import idempotency_key
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.request import check_mapping
from firsthandapi._core.files.kinds import kind_of
from firsthandapi._core.files.labels import check_label, check_spelling
from firsthandapi._core.orders.account import CAMPAIGN_METADATA as CAMPAIGN_METADATA
from firsthandapi._core.orders.record import KEY_METADATA
from firsthandapi._core.orders.request_hash import REQUEST_METADATA, canonical, plain
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types.job_arguments import JobCreateParams

# What a job of a campaign has in its metadata, beside its key and the campaign that it is of: its label. With them a
# campaign is found again whose folder is lost.
LABEL_METADATA = "firsthandapi_label"
_OURS = (KEY_METADATA, CAMPAIGN_METADATA, LABEL_METADATA)
_MOST_METADATA = 20 - len(_OURS)
_MOST_NAME = 100
_ID = re.compile(r"fh-[0-9a-f]{64}")
# In the id of a campaign that its spec identifies: 32 digits of its dest, then 32 of its words.
_PLACE = len("fh-") + 32
# The fields that a campaign may change and still be the same one.
NOT_WORDS = frozenset({"files_needed", "metadata"})
# Arguments of a single job that people try here.
_NOT_HERE = {
    "max_spend_cents": "budget_cents limits all jobs together",
    "idempotency_key": "each order gets a key of its own",
    "dest": "all labels share the folder of the campaign",
    "label": "each job is under its label",
}


@dataclass(frozen=True)
class Spec:
    """The spec of a campaign.

    Attributes:
        budget_cents: what all orders may ever cost, less refunds.
        unique: whether the same bytes count once.
        jobs: by label, the body of the POST of a job that orders all of its files at once.
        moved: by former label, the one that it has become.
        dest: its folder as it was written, if that is the same on every machine: a relative path.
        replace_excluded: whether files that the buyer has excluded are ordered again.
    """

    budget_cents: int
    unique: bool
    jobs: dict[str, dict[str, Any]]
    moved: dict[str, str] = field(default_factory=dict[str, str])
    dest: str | None = None
    replace_excluded: bool = True

    def comparable(self) -> str:
        """A text that is equal for two specs exactly if they are equal."""
        jobs = {label: [plain(job), job.get("deadline")] for label, job in self.jobs.items()}
        return canonical([self.budget_cents, self.unique, jobs, self.moved, self.replace_excluded])


def check_spec(
    budget_cents: Any,
    defaults: Any,
    jobs: Any,
    unique: Any,
    moved: Any = None,
    dest: str | None = None,
    replace_excluded: Any = True,
) -> Spec:
    """A spec from the user's fields.
    Raises InvalidArgumentError: something in it is not allowed; the message names it as the user wrote it.
    """
    budget = int_or_none(budget_cents)
    if budget is None or budget < 1:
        raise InvalidArgumentError(
            "budget_cents must be a whole number of US cents, 1 or more: what all orders of the campaign may cost",
            field="budget_cents",
        )
    for name, value in (("unique", unique), ("replace_excluded", replace_excluded)):
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"{name} must be True or False", field=name)
    shared = _mapping(defaults, "defaults")
    _check_names(shared, "defaults")
    labels = _mapping(jobs, "jobs")
    if not labels:
        raise InvalidArgumentError(
            "jobs must have at least one label, each with the fields of its job", field="jobs"
        )
    requests: dict[str, dict[str, Any]] = {}
    for label, fields in labels.items():
        name = check_label(label, f"jobs: the label {_shown(label)}")
        _check_spelling(name, requests)
        own_fields = _mapping(fields, f"jobs.{name}")
        _check_names(own_fields, f"jobs.{name}")
        requests[name] = _request(name, {**shared, **own_fields}, own_fields)
    _check_kinds(requests)
    moves = _moved(_mapping(moved, "moved"), requests)
    return Spec(budget, unique, requests, moves, dest, replace_excluded)


def fields_of(spec: Spec) -> dict[str, Any]:
    """The fields that its user may have written: common values as defaults, and the service's defaults left out."""
    first, *rest = spec.jobs.values()
    shared = {
        name: value
        for name, value in first.items()
        if rest and all(name in job and canonical(job[name]) == canonical(value) for job in rest)
    }
    fields: dict[str, Any] = {"budget_cents": spec.budget_cents}
    if defaults := _without_type(shared):
        fields["defaults"] = defaults
    fields["jobs"] = {
        label: _without_type({name: value for name, value in request.items() if name not in shared})
        for label, request in spec.jobs.items()
    }
    if not spec.unique:
        fields["unique"] = False
    if not spec.replace_excluded:
        fields["replace_excluded"] = False
    if spec.moved:
        fields["moved"] = dict(spec.moved)
    return fields


def _without_type(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if (name, value) != ("type", "data_collection")}


def check_labels(spec: Spec, folder_labels: Iterable[str]) -> None:
    """Refuse a label that is one of the folder's but for the case of its letters.
    Raises InvalidArgumentError: on many disks both would be one folder.
    """
    labels = frozenset(folder_labels)
    for label in spec.jobs:
        check_spelling(label, labels)


def check_known(label: str, labels: Iterable[str]) -> None:
    """Refuse a label that is not in the campaign. Raises InvalidArgumentError: it is none."""
    choices = sorted(labels)
    if label not in choices:
        like = nearest(label, choices) if isinstance(label, str) else None
        advice = f"use one of: {', '.join(choices)}" if like is None else f"did you mean {like!r}?"
        raise InvalidArgumentError(
            f"label: the campaign has no label {_shown(label)}; {advice}", field="label"
        )


def check_name(name: Any) -> str | None:
    """The name of a campaign, by which an account finds it again. Raises InvalidArgumentError: it is not one."""
    if name is not None and (not isinstance(name, str) or not 1 <= len(name.strip()) <= _MOST_NAME):
        raise InvalidArgumentError(f"name must be a str of 1 to {_MOST_NAME} characters", field="name")
    return name


def check_deadlines(spec: Spec, labels: Iterable[str], now: float) -> None:
    """Refuse to order files of labels whose deadline has passed: their jobs would be refused, or end at once.
    Raises InvalidArgumentError: there is one.
    """
    for label in labels:
        deadline = spec.jobs[label].get("deadline")
        if deadline is not None and _seconds(deadline) <= now:
            raise InvalidArgumentError(
                f"jobs.{label}.deadline {deadline} has passed; set a later one, or leave it out",
                field=f"jobs.{label}.deadline",
            )


def _seconds(time: str) -> float:
    """Unix seconds of a deadline as it is sent; a date alone is its begin, in UTC."""
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def campaign_key(name: str | None, location: str) -> str:
    """The id that all jobs of a campaign carry in their metadata, on every machine.
    `name`: its name, or None. The id of a campaign names that one.
    `location`: the whole path or URL of its folder, which stands in for a name.
    """
    if name is None:
        return idempotency_key("campaign", location)
    return name if _ID.fullmatch(name) else idempotency_key("campaign", None, name)


def spec_key(spec: Spec) -> str | None:
    """The same for a campaign without a name: what its spec says, wherever its folder is; None if that is not enough.

    Its `dest` alone would give the pictures of one project to another; its words alone, to another folder.
    """
    if spec.dest is None:
        return None
    words = {
        label: {name: value for name, value in plain(request).items() if name not in NOT_WORDS}
        for label, request in spec.jobs.items()
    }
    place, of_words = idempotency_key("campaign dest", spec.dest), idempotency_key("words", canonical(words))
    return place[:_PLACE] + of_words[len("fh-") :][: 64 + len("fh-") - _PLACE]


def are_of_one_dest(key: str, other_key: str) -> bool:
    """Whether two campaigns, the first of them identified by its spec, have the same `dest` as it was written."""
    return key[:_PLACE] == other_key[:_PLACE]


def order_key(campaign: str, label: str, ordinal: int) -> str:
    """The idempotency key of an order, the same on every machine that runs the campaign: `ordinal` keys of its label
    come before it."""
    return idempotency_key("campaign order", campaign, label, ordinal)


def metadata_of(request: Mapping[str, Any], campaign: str, label: str) -> dict[str, Any]:
    """The metadata that an order carries; the key of the order is added when it is sent."""
    return {**(request.get("metadata") or {}), CAMPAIGN_METADATA: campaign, LABEL_METADATA: label}


def kinds_in(requests: Mapping[str, Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """By label, the kinds of media that its job accepts."""
    return {
        label: frozenset(str(kind_of(content_type)) for content_type in request["accepted_formats"])
        for label, request in requests.items()
    }


def _mapping(value: Any, field: str) -> dict[str, Any]:
    """`value` as a dict whose keys are all text. YAML reads `stop:` with nothing below it as None."""
    entries: dict[Any, Any] = {**check_mapping(value, field)}
    for key in entries:
        if not isinstance(key, str):
            # YAML reads no, off, and 1 as something else than text.
            raise InvalidArgumentError(
                f"{field} has {_shown(key)}, which is not text; put it in quotes", field=field
            )
    return entries


def _check_names(fields: Mapping[str, Any], where: str) -> None:
    choices = JobCreateParams.model_fields
    for name in fields:
        if name in choices:
            continue
        like = nearest(name, choices)
        if name in _NOT_HERE:
            advice = f"leave it out: {_NOT_HERE[name]}"
        elif like:
            advice = f"did you mean {like}?"
        else:
            advice = f"use one of: {', '.join(choices)}"
        raise InvalidArgumentError(
            f"{where}.{_shown(name, quoted=False)} is not a field of a job; {advice}",
            field=f"{where}.{_shown(name, quoted=False)}",
        )


def _moved(moved: dict[str, Any], jobs: Mapping[str, Any]) -> dict[str, str]:
    """By former label, the one of `jobs` that it has become, be it in several steps."""
    steps: dict[str, str] = {}
    for old, new in moved.items():
        former = check_label(old, f"moved: the label {_shown(old)}")
        steps[former] = check_label(new, f"moved.{former}")
        if former in jobs:
            raise InvalidArgumentError(
                f"moved.{former}: {former!r} is still a label of jobs; remove it from jobs, or from moved",
                field=f"moved.{former}",
            )
    ends: dict[str, str] = {}
    for former in steps:
        label = former
        for _ in steps:
            label = steps.get(label, label)
        problem = None
        if label in steps:
            problem = f"leads in a circle, by {label!r}; a label moves to one of jobs"
        elif label not in jobs:
            like = nearest(label, jobs)
            advice = f"did you mean {like!r}?" if like else "add it to jobs, or remove it from moved"
            problem = f"{label!r} is not a label of jobs; {advice}"
        elif disk_key(label) == disk_key(former):
            problem = (
                f"{former!r} and {label!r} differ only in the case of their letters, and are one folder on many "
                f"disks; move {former!r} to a different label"
            )
        if problem is not None:
            raise InvalidArgumentError(f"moved.{former}: {problem}", field=f"moved.{former}")
        ends[former] = label
    return ends


def _check_spelling(label: str, labels: Mapping[str, Any]) -> None:
    problem = None
    if label in labels:
        problem = f"jobs: the label {label!r} occurs twice; remove one"
    try:
        check_spelling(label, labels)
    except InvalidArgumentError as error:
        problem = f"jobs: {error.message}"
    if problem is not None:
        raise InvalidArgumentError(problem, field=f"jobs.{label}")


def _request(label: str, fields: dict[str, Any], own_fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a job, with defaults that the service would add left to the service."""
    try:
        request: dict[str, Any] = json.loads(arguments.body(arguments.check(JobCreateParams, fields)))
    except InvalidArgumentError as error:
        where = f"jobs.{label}" if error.field in own_fields or error.field not in fields else "defaults"
        # Out of here, so that the user sees one error, which names the field.
        problem = InvalidArgumentError(f"{where}.{error.message}", field=f"{where}.{error.field}")
    else:
        metadata: dict[str, Any] = request.get("metadata") or {}
        if len(metadata) <= _MOST_METADATA and not metadata.keys() & {*_OURS, REQUEST_METADATA}:
            return request
        problem = InvalidArgumentError(
            f"jobs.{label}.metadata may have {_MOST_METADATA} keys, and none of {', '.join(_OURS)}: campaigns add "
            "these, to find their jobs again",
            field=f"jobs.{label}.metadata",
        )
    raise problem


def _check_kinds(requests: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse labels of different media: no loader reads them from one folder."""
    kinds = kinds_in(requests)
    first = next(iter(kinds))
    for label, media in kinds.items():
        if media != kinds[first]:
            raise InvalidArgumentError(
                f"jobs.{label}.accepted_formats has {_words(media)} and jobs.{first}.accepted_formats has "
                f"{_words(kinds[first])}: a loader reads one kind of media; make a campaign of its own for {label!r}",
                field=f"jobs.{label}.accepted_formats",
            )


def _words(kinds: frozenset[str]) -> str:
    return " and ".join(sorted(kinds))


def _shown(value: Any, *, quoted: bool = True) -> str:
    """A value of the user's, fit for a message."""
    text = mask_secrets(repr(value) if quoted else str(value))
    return visible(text[:60] + "…" if len(text) > 60 else text)
