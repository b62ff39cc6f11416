"""Guards money: the record of an order or of another POST, written before its first byte leaves.

A record is a file of its own: in a folder under `.firsthandapi/orders/`, in an agents' ledger, or in a client's
journal. It has what a later call needs in order to find what this one has bought, and never a secret or the body of a
response; in a folder also the job as last seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from unicodedata import normalize

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from firsthandapi._base.ids import is_id
from firsthandapi._base.loose_json import load as load_json
from firsthandapi._base.loose_json import members
from firsthandapi._base.masking import Secret, mask_secrets
from firsthandapi._base.names import ROOM
from firsthandapi._base.visible import visible
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.idempotency import KEY_LIFETIME, check_key, is_known
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.ratelimit import fingerprint
from firsthandapi._core.files.labels import is_label
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .request_hash import (
    REQUEST_METADATA,
    canonical,
    hash_in,
    hash_to_send,
    plain,
    request_hash,
    text_in_metadata,
)

if TYPE_CHECKING:
    from firsthandapi._core.calls.config import Config
    from firsthandapi.types.job import Job

# A job as the service shows it, and as a record contains it.
ShownJob = dict[str, Any]

# In a dataset's folder, the records of its orders.
ORDERS = f"{ROOM}/orders"
# The most that is read from an untrusted folder: records, and their bytes in total.
MOST_RECORDS = 10_000
LARGEST_RECORDS = 64 * 1024 * 1024
# The most that is read of an untrusted file. A job is a few kilobytes, of which only the metadata have no bound; in
# memory, JSON takes up to 25 times its length.
LARGEST_RECORD = 16 * 1024 * 1024
KEY_METADATA = "firsthandapi_key"
JOBS_PATH = "/v1/jobs"

# A service that names another id each time would fill the disk.
_MOST_SUSPECTS = 20
# One more than an id can have, so that none that was cut is asked for.
_LONGEST_ID = 129
# The end of the year 9999, in Unix seconds.
_END_OF_TIME = 253_402_300_800.0
_VERSION = 1
# The contract allows so many; the idempotency key is one of them.
_MOST_METADATA = 20
# A search that begins so many seconds after a refusal would show a job that was bought despite it.
_SHOWS_WITHIN = 60.0
# Older pages of the service name coordinates so; a service may show the other name.
_COORDINATES = {"lat": "latitude", "lng": "longitude", "lon": "longitude"}
# A character as HTML and XML escape it: what stands for "&", a quotation mark, or a bracket is no letter.
_ESCAPED = re.compile(r"&(?:#x?[0-9a-f]{1,6}|[a-z]{2,8});", re.IGNORECASE)
# Two clocks of one service may differ by so many seconds.
CLOCKS_DIFFER = 60.0
# A meter in degrees: a service may round by that.
_CLOSE = 1e-5
# No service cuts a description to fewer characters without saying so: a shorter one is another's.
_SHORTEST_CUT = 64
_NOT_SHOWN: tuple[Any, ...] = (None, "", [], {})

# What a service must not rewrite, or a job with other terms would pass for the one that was ordered.
_TERMS = {"type": str, "files_needed": int, "price_per_file_cents": int}
_KEY_NAME = "firsthandapikey"
# So many characters of a key say whose it is.
_TELLING = 12
# A key of `idempotency_key` or `new_key`.
_MADE_KEY = re.compile(r"fh-[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# An order of somebody who asks for the same at any age; any other POST, of which only an unfinished one is the same; a
# job that was only downloaded; and what agents set aside for a campaign.
Kind = Literal["order", "call", "job", "allotment"]


@dataclass(frozen=True)
class Account:
    """The account of a record. An API key is stored as a digest, and its environment comes from its prefix.

    `organization` is None until the service has named it: a call with another API key is then taken for the same one,
    which the metadata of the job or a replayed answer confirms.
    """

    base_url: str
    fingerprint: str
    environment: str = ""
    organization: str | None = None


def account_of(config: Config, organization: str | None) -> Account:
    """The account of a client."""
    return Account(config.base_url, fingerprint(config.api_key), config.environment, organization)


def _whole_time(value: float) -> float:
    if not 0 <= value < _END_OF_TIME:  # nor is it what is no number
        raise ValueError
    return value


def _job_with_id(job: ShownJob) -> ShownJob:
    if job_id_of(job) is None:
        raise ValueError
    return job


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError
    return text


def _ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    if len(ids) > _MOST_SUSPECTS or any(len(text) > _LONGEST_ID for text in ids):
        raise ValueError
    return ids


_Time = Annotated[float, AfterValidator(_whole_time)]
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class OtherOrders:
    """What the other records of a book say.

    Attributes:
        names: their keys, and the ids of their jobs and suspects: a job with one of these is theirs.
        keeps_metadata: whether the service has shown the job of one of them with its key unchanged.
    """

    names: frozenset[str] = frozenset()
    keeps_metadata: bool = False

    @classmethod
    def of(cls, records: Iterable[OrderRecord]) -> OtherOrders:
        """What these records say."""
        names: set[str] = set()
        keeps_metadata = False
        for record in records:
            names.update(filter(None, (record.key, record.job_id)), record.suspects)
            keeps_metadata = keeps_metadata or (record.job is not None and shows_key(record.job, record.key))
        return cls(frozenset(names), keeps_metadata)


NO_OTHERS = OtherOrders()


@dataclass(frozen=True)
class OrderRecord:
    """One order or other POST: enough to continue after a crash at any point, and to buy nothing twice.

    Attributes:
        kind: whose it is.
        key: its idempotency key; None for a job that was only downloaded.
        request: the body of the POST as it is sent, with what marks it; None where there is none.
        first_sent_at: Unix seconds of the moment before the first POST, by the clock of the machine that sent it.
        job: the job as last seen, or only its id; None until the service has responded.
        server_sent_at: the service's time at the first POST, in Unix seconds; None if it is not known.
        account: whose it is; None if only the folder says so.
        method, path, query: the rest of the request.
        label: the label of its files; None for a folder without labels.
        refused_at: Unix seconds of the service's latest refusal, by the clock of this machine.
        server_refused_at: the same by the service's clock; None if it is not known.
        unbought: whether a search that began long enough after the refusal has found no job.
        forgotten: whether its user has given it up: its key is not sent again.
        cents: what an allotment sets aside, in US cents.
        approved: of an order of a campaign, how many of its files were approved.
        duplicates: how many of these have the bytes of a file that the campaign had before.
        repeated: how many of its files have no row of their own: its list shows them twice, or another job has brought
            them.
        refund_cents: what was refunded, in US cents.
        before_cents: what it may have bought by an earlier request with its key, which asked for more, in US cents; 0
            once its job is known, or a search has not found one.
        fee_cents: what the account was charged beyond its price, in US cents, as a run has found in the transactions.
        closed: whether all of its files were brought or given up once its job was finished.
        selected: whether the folder is to have some of its files only, as those of a view.
        own: of a call, whether the caller chose the key: then only a call with this key is the same one.
        others: of a call, fingerprints of API keys that have sent its key since, and got an answer of their own.
        environment: of its files, as the service showed them: `live`, `sandbox`, or `simulated`; "" if it showed
            several, None until it shows one.
        server: the service that showed them, in the same way.
        unseen: whether only the response to the POST has shown its job so far.
        suspects: what the service has named as its job in a response to the POST, and what is not shown to be its job.
            While there are any, the order counts in full, and only its own key is sent again, while that is young.
    """

    kind: Kind = "order"
    key: Annotated[str, AfterValidator(check_key)] | None = None
    request: Any = None
    first_sent_at: _Time | None = None
    job: Annotated[ShownJob, AfterValidator(_job_with_id)] | None = None
    server_sent_at: _Time | None = None
    account: Account | None = None
    method: str = "POST"
    path: str = JOBS_PATH
    query: str = ""
    label: Annotated[str, AfterValidator(_label)] | None = None
    refused_at: _Time | None = None
    server_refused_at: _Time | None = None
    unbought: bool = False
    forgotten: bool = False
    cents: _Count | None = None
    approved: _Count = 0
    duplicates: _Count = 0
    repeated: _Count = 0
    refund_cents: _Count = 0
    before_cents: _Count = 0
    fee_cents: _Count = 0
    closed: bool = False
    selected: bool = False
    own: bool = False
    others: tuple[str, ...] = ()
    environment: str | None = None
    server: str | None = None
    unseen: bool = False
    suspects: Annotated[tuple[str, ...], AfterValidator(_ids)] = ()

    def encode(self) -> bytes:
        """The file, indented for people: members only where they say something."""
        values = {name: value for name, value in vars(self).items() if value != _defaults()[name]}
        members = {"version": _VERSION, "kind": self.kind, **values}
        text = json.dumps(members, ensure_ascii=False, indent=2, default=asdict)  # of its account
        return text.encode("utf-8", "replace") + b"\n"

    @property
    def shows_key(self) -> bool:
        """Whether its job will carry the key, so that a search finds it."""
        return self.path == JOBS_PATH and key_of(members(self.request)) == self.key

    @property
    def job_id(self) -> str | None:
        """The job's id; None until the service has responded."""
        return job_id_of(self.job)

    @property
    def files(self) -> int:
        """How many files it orders."""
        return _number(self.request, "files_needed")

    @property
    def price_cents(self) -> int:
        """The price of one of them, in US cents."""
        return _number(self.request, "price_per_file_cents")

    @property
    def asked_cents(self) -> int:
        """What it asks for costs."""
        return self.files * self.price_cents

    @property
    def cost_cents(self) -> int:
        """What counts against a budget: what it costs, until it is sure that it bought nothing.

        A service may charge more than was asked for, and show that as the cost of the job.
        """
        if self.cents is not None:
            return self.cents
        if self.is_free:
            return 0
        shown_cents = int_or_none((self.job or {}).get("total_cost_cents")) or 0
        return max(self.asked_cents + self.fee_cents, self.before_cents, shown_cents)

    @property
    def is_free(self) -> bool:
        """Whether it surely bought nothing. Its key is kept all the same."""
        return self.job is None and (self.forgotten or self.unbought)

    def with_job(self, job: ShownJob, *, unseen: bool = False) -> OrderRecord:
        """The same with the job as last seen. `unseen`: only the response to the POST shows it."""
        is_unseen = unseen or (self.unseen and job == self.job)
        record = replace(self, refused_at=None, server_refused_at=None, unbought=False, suspects=())
        return replace(record, job=job, before_cents=0, unseen=is_unseen)

    def with_suspect(self, job_id: str) -> OrderRecord:
        """The same with one more id that the service has named, in place of its job. It counts in full."""
        suspects = tuple(dict.fromkeys((*self.suspects, mask_secrets(visible(job_id))[:_LONGEST_ID])))[
            -_MOST_SUSPECTS:
        ]
        record = replace(self, job=None, unseen=False, suspects=suspects)
        return record.sent_again()

    def with_origins(self, environments: Iterable[str | None], servers: Iterable[str]) -> OrderRecord:
        """The same with where the service says that files come from."""
        return replace(
            self,
            environment=_one_of({self.environment, *environments} - {None}),
            server=_one_of({self.server, *servers} - {None}),
        )

    def refused(self, now: float, server_now: float | None) -> OrderRecord:
        """The same after a refusal of the service."""
        return replace(self, refused_at=now, server_refused_at=server_now, unbought=False)

    def sent_again(self) -> OrderRecord:
        """The same before its key is sent again: from then on it may cost."""
        return replace(self, refused_at=None, server_refused_at=None, unbought=False)

    def not_found(
        self,
        began: float,
        server_began: float | None,
        met: Iterable[ShownJob] = (),
        others: OtherOrders = NO_OTHERS,
    ) -> OrderRecord:
        """The same after a whole search, begun then, that has not found its job. Both clocks must say that it began
        long enough after the refusal, because either may have jumped. `met`: the jobs without a whole key that it has
        met: on a service that may rewrite metadata, one of them may be the job."""
        times = [(self.refused_at, began), (self.server_refused_at, server_began)]
        waits = [then - since for since, then in times if since is not None and then is not None]
        is_late = self.refused_at is not None and all(wait >= _SHOWS_WITHIN for wait in waits)
        is_unbought = is_late and self.job is None and self.shows_key and not self.suspects
        if not is_unbought:
            return self
        is_told_apart = others.keeps_metadata or not any(self.may_have_bought(job, others) for job in met)
        return replace(self, unbought=True, before_cents=0) if is_told_apart else self

    def may_have_bought(self, job: ShownJob, others: OtherOrders = NO_OTHERS) -> bool:
        """Whether `job` may be its own, whatever a service has made of its metadata and texts."""
        is_another = job_id_of(job) in others.names or names_another(job, self.key, others.names)
        return not (is_another or conflicts(job, self.request) or self.is_older(job))

    def is_older(self, job: ShownJob) -> bool:
        """Whether `job` was created before the key was first sent, by the service's clock."""
        created, sent_at = created_at(job), self.server_sent_at
        return created is not None and sent_at is not None and created < sent_at - CLOCKS_DIFFER

    def is_young(self, now: float, server_now: float | None = None) -> bool:
        """Whether the service certainly still knows the key. A clock that was set back makes its age unknown."""
        sent_at, server_sent_at = self.first_sent_at or 0.0, self.server_sent_at
        return is_known(sent_at, now, server_sent_at=server_sent_at, server_now=server_now)


def _one_of(names: AbstractSet[str | None]) -> str | None:
    return next(iter(names), None) if len(names) < 2 else ""


def shows_key(job: Mapping[str, Any], key: str | None) -> bool:
    """Whether `job` carries `key`, unchanged."""
    return key is not None and key_of(job) == key


def _number(request: Any, name: str) -> int:
    value = members(request).get(name)
    return value if type(value) is int else 0


def marked(request: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The body of a job's POST as it is sent: with the key and the hash of the request in its metadata, as far as the
    caller's own leave room for them."""
    metadata: Any = request.get("metadata") or {}
    entries = members(metadata)
    if not isinstance(metadata, dict) or KEY_METADATA in entries or len(entries) >= _MOST_METADATA:
        return dict(request)
    hashed = hash_to_send({**request, "metadata": entries})
    marks = {KEY_METADATA: key} if hashed is None else {REQUEST_METADATA: hashed, KEY_METADATA: key}
    return {**request, "metadata": entries | marks}


@cache
def _defaults() -> dict[str, Any]:
    """By name, what a member is that a file need not have."""
    return {field.name: field.default for field in fields(OrderRecord)}


@cache
def _reader() -> TypeAdapter[OrderRecord]:
    return TypeAdapter(OrderRecord)  # it takes a while to build, and not every program needs it


def read_record(content: bytes, path: object) -> OrderRecord:
    """A record, checked. `path` is what errors call it.
    Raises ConfigurationError: it is empty, damaged, or of a later version. Nothing may be ordered then.
    """
    version = members(load_json(content)).get("version")
    if type(version) is int and version > _VERSION:
        raise ConfigurationError(
            f"{path} was written by a later version of firsthandapi: upgrade firsthandapi"
        )
    try:
        record = _reader().validate_json(content, strict=True)
    except ValidationError:
        record = None
    if record is None or type(version) is not int or version < _VERSION or not _is_whole(record):
        raise ConfigurationError(
            f"{path} is empty or damaged, and it records what was ordered, so nothing was ordered now: restore it from "
            "a copy; if there is none, look for its job in your account, and remove the file if no job is missing"
        )
    return record


def _is_whole(record: OrderRecord) -> bool:
    """Whether it has what its kind needs: a request without its key would be bought again."""
    if record.kind == "job":
        return record.job is not None and record.key is None and record.request is None
    if record.key is None or record.first_sent_at is None:
        return False
    if record.kind == "allotment":
        return record.cents is not None
    # A refund never exceeds the payment.
    is_counted = (
        record.duplicates <= record.approved and record.refund_cents <= record.files * record.price_cents
    )
    return is_counted and (record.kind == "call" or isinstance(record.request, dict))


def is_of(record: OrderRecord, account: Account | None) -> bool:
    """Whether a record is surely of `account`."""
    then = record.account
    if then is None or account is None:
        return False
    return then.fingerprint == account.fingerprint or (
        then.organization is not None and then.organization == account.organization
    )


def job_id_of(job: Any) -> str | None:
    """The id of a job, if it is one that can be asked for."""
    job_id = members(job).get("id")
    return job_id if isinstance(job_id, str) and is_id(job_id) else None


def is_young(job: Mapping[str, Any], now: float) -> bool:
    """Whether the service surely still knows the key that bought `job`."""
    created = created_at(job)
    return created is not None and now - created <= KEY_LIFETIME


def dump(job: Job) -> ShownJob:
    """A job as a record contains it."""
    return job.model_dump(mode="json", exclude_none=True)


def load(job: ShownJob) -> Job:
    """A job as `dump` has left it. Raises UnexpectedResponseError: it is not one."""
    from firsthandapi.types.job import Job

    return decode(Job, Secret(json.dumps(job).encode()), None)


# ── Is it the same? ────────────────────────────────────────────────────────────────────────────────────


def differing(recorded: Any, request: Any) -> list[str]:
    """The fields in which two requests ask for different things."""
    if not isinstance(recorded, dict) or not isinstance(request, dict):
        return [] if recorded == request else ["body"]
    first, second = plain(members(recorded)), plain(members(request))
    names = first.keys() | second.keys()
    return sorted(name for name in names if canonical(first.get(name)) != canonical(second.get(name)))


def conflicts(job: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether `job` shows another number, price, type, or format than `request` asks for. No service rewrites these."""
    asked = _terms(request)
    return any(value != asked.get(name) for name, value in _terms(job).items())


def _terms(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The terms that `fields` shows; a value of another type than documented cannot be compared."""
    values = plain(fields)
    terms: dict[str, Any] = {
        name: value
        for name, type_ in _TERMS.items()
        if isinstance(value := values.get(name), type_) and value not in _NOT_SHOWN
    }
    formats = values.get("accepted_formats")
    if formats and isinstance(formats, list):
        terms["accepted_formats"] = [*map(str.casefold, cast("list[str]", formats))]
    return terms


def fits(job: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether `job` is what `request` asks for: by the hash that it carries, or else by every field that it shows.

    A service may leave fields out, add its defaults, and write values in another form.
    """
    from firsthandapi.types._base import fitting
    from firsthandapi.types.job import Job
    from firsthandapi.types.job_arguments import JobCreateParams

    if conflicts(job, request):
        return False
    digest = hash_in(job)
    if digest is not None:
        return digest == request_hash(request)
    job_fields, request_fields = plain(job), plain(request)
    # A value of another type than documented cannot be compared; that of a place still names another one.
    read = fitting(Job.model_validate({"id": "", "status": "", **job}))
    # The fields of the caller's extra_body, except names that a job itself sets.
    names = JobCreateParams.model_fields.keys() | (request_fields.keys() - Job.model_fields.keys())
    return all(
        _same(name, job_fields.get(name), request_fields.get(name))
        for name in names - {"metadata"}
        if job.get(name) not in _NOT_SHOWN and (name == "location" or getattr(read, name, None) is not None)
    )


def is_of_another(job: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether `job` shows other terms than `request`, or the whole hash of another one."""
    digest = hash_in(job)
    return conflicts(job, request) or (digest is not None and digest != request_hash(request))


def rewritten(job: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """The fields that `job` shows otherwise than `request` has sent them."""
    sent, shown = plain(request), plain(job)
    sent["metadata"], shown["metadata"] = request.get("metadata") or {}, job.get("metadata") or {}
    names = sorted(name for name in sent if name in shown and canonical(shown[name]) != canonical(sent[name]))
    return [name for name in names if name == "metadata" or job.get(name) not in _NOT_SHOWN]


def key_of(job: Mapping[str, Any]) -> str | None:
    """The key that `collect` bought a job with; None for any other job."""
    key = text_in_metadata(job, KEY_METADATA)
    try:
        return None if key is None else check_key(key)
    except InvalidArgumentError:
        return None


def names_another(job: Mapping[str, Any], key: str | None, keys: Collection[str] = ()) -> bool:
    """Whether `job` carries another key than `key`, and carries it whole: one that this package has made, one of
    `keys`, or one beside the whole hash of a request. What the service may have made of `key` is not another one."""
    text = _key_however_written(job)
    is_whole = _MADE_KEY.fullmatch(text.casefold()) is not None or text in keys or _is_intact(job)
    return bool(text) and is_whole and not (key or "").casefold().startswith(text.casefold())


def _is_intact(job: Mapping[str, Any]) -> bool:
    """Whether the service shows the entries of this package in the metadata of `job` as they were sent."""
    digest = text_in_metadata(job, REQUEST_METADATA)
    return digest is not None and digest == hash_in(job) and key_of(job) is not None


def may_carry(job: Mapping[str, Any], key: str | None) -> bool:
    """Whether the metadata of `job` show `key`, made by this package, in another case, cut, or under another name."""
    text = _key_however_written(job)
    is_made = _MADE_KEY.fullmatch(key or "") is not None
    return is_made and len(text) >= _TELLING and (key or "").startswith(text.casefold())


def _key_however_written(job: Mapping[str, Any]) -> str:
    """The key in the metadata of a job, whatever a service has made of its name; empty without one."""
    for name, value in members(job.get("metadata")).items():
        if isinstance(value, str) and "".join(filter(str.isalnum, name)).casefold() == _KEY_NAME:
            return value
    return ""


def has_made_key(job: Mapping[str, Any]) -> bool:
    """Whether `job` carries a key of this package, unchanged."""
    return _MADE_KEY.fullmatch(key_of(job) or "") is not None


def created_at(job: Mapping[str, Any]) -> float | None:
    """When a job was created, in Unix seconds, by the clock of the service; None if it does not say."""
    try:
        return datetime.fromisoformat(str(job.get("created_at"))).timestamp()
    except (ValueError, OverflowError):
        return None


def _same(name: str, job_value: Any, request_value: Any) -> bool:
    if isinstance(job_value, str) and isinstance(request_value, str):
        job_text, request_text = _letters(job_value), _letters(request_value)
        return job_text == request_text or (_may_be_cut(job_value) and request_text.startswith(job_text))
    if name == "location" and isinstance(job_value, dict) and isinstance(request_value, dict):
        job_place, request_place = (
            {_COORDINATES.get(key, key): item for key, item in place.items()}
            for place in (cast("dict[str, Any]", job_value), cast("dict[str, Any]", request_value))
        )
        both = job_place.keys() & request_place.keys()
        return bool(both) and all(_close(job_place[key], request_place[key]) for key in both)
    return canonical(job_value) == canonical(request_value)


def _letters(text: str) -> str:
    """The letters and digits of a text, however a service writes it: in upper case, composed, or escaped."""
    return "".join(filter(str.isalnum, normalize("NFKC", _ESCAPED.sub("", text)))).casefold()


def _may_be_cut(text: str) -> bool:
    return len(text) >= _SHORTEST_CUT or text.endswith(("…", "..."))


def _close(first: Any, second: Any) -> bool:
    numbers = [value for value in (first, second) if isinstance(value, int | float)]
    return (
        abs(numbers[0] - numbers[1]) <= _CLOSE if len(numbers) == 2 else canonical(first) == canonical(second)
    )
