"""What people write first who come from 0.1.0 or from another SDK: the error names what takes its place here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

# Below a class or a module: names that people write, and what takes their place. A class also has those of its bases.
_TABLE = """\
methods of 0.1.0
  create_job: client.jobs.create(…), with fields as keyword arguments: **body works
  get_job: client.jobs.get(job_id, wait=…)
  list_jobs: client.jobs.list(…)
  get_job_audit: client.audit_events.list(job_id=…)
  cancel_job: client.jobs.cancel(job_id)
  get_job_files: client.files.list(job_id)
  get_job_submissions: client.submissions.list(job_id)
  create_job_and_wait: client.jobs.create_and_wait(…), with fields as keyword arguments: **body works
  create_api_key: client.api_keys.create(name=…)
  list_api_keys: client.api_keys.list()
  rotate_api_key: client.api_keys.rotate(key_id)
  revoke_api_key: client.api_keys.revoke(key_id)
  create_webhook_endpoint: client.webhooks.create(url=…)
  list_webhook_endpoints: client.webhooks.list()
  get_webhook_endpoint: client.webhooks.get(endpoint_id)
  update_webhook_endpoint: client.webhooks.update(endpoint_id, …)
  delete_webhook_endpoint: client.webhooks.delete(endpoint_id)
  rotate_webhook_secret: client.webhooks.rotate_secret(endpoint_id)
  list_webhook_events: client.webhooks.events.list()
  replay_webhook_event: client.webhooks.events.replay(event_id)
  get_credit_balance: client.billing.credits()
  list_transactions: client.billing.transactions()
  purchase_credits: client.billing.purchase(amount_cents)
  get_settings: client.organization.settings()
  update_settings: client.organization.update_settings(…)
names of 0.1.0
  FirstHandRateLimitError: firsthandapi.RateLimitError
  verify_webhook_signature: firsthandapi.webhooks.verify_signature(payload, signature, secret)
  generate_idempotency_key: firsthandapi.idempotency_key(*parts) only where calls with the same parts shall act \
once: it is constant, not random, so three orders with one key are one job; for a new \
key, pass none: each call makes its own
FirstHandClient
  webhook_endpoints: client.webhooks
  balance, credits, get_balance: client.billing.credits()
  datasets: firsthandapi.Dataset.open(path)
  events: client.webhooks.events
  account, whoami: client.me()
  collect: client.jobs.collect(dest, …)
  copy: client.with_options(…)
  with_raw_response: result.response, which each result has
  get: client.request("GET", path)
  post: client.request("POST", path, json=…)
Orders
  create: client.jobs.create(…)
Jobs
  update, modify: client.jobs.cancel(job_id), then create(…): a posted job stays as it is
  files: client.files.list(job_id)
  download: client.files.download_all(job_id, dest)
Files
  create, upload: client.jobs.create(…): workers submit the files
Webhooks
  construct_event, unwrap: firsthandapi.webhooks.unwrap(payload, headers, secret)
LedPage
  auto_paging_iter: for item in page: to iterate walks every page
  items: page.data, or for item in page, which walks every page
  has_next_page: page.has_more
  get_next_page: page.next_page()
  total: page.data and page.has_more: the service reports no total
AsyncPageRequest
  data: page = await ….list(…), then page.data; or async for item in ….list(…)
  next_page: page = await ….list(…), then await page.next_page()
Job
  files: client.files.list(job.id)
  refresh, wait: client.jobs.wait(job.id)
  cancel, delete: client.jobs.cancel(job.id)
  download: client.files.download_all(job.id, dest)
Submission
  files: client.files.list(submission_id=submission.id)
File
  content, path, read, download, save: client.files.download(file, path)
  url: file.download_url, or client.files.download(file, path)
  name, filename: file.original_filename
  worker_id: client.submissions.get(file.submission_id).worker_id
CreditBalance
  balance, amount: balance_cents
Model
  to_dict: model_dump()
  to_json: model_dump_json()
  get: an attribute: .status for .get('status'); or model_dump().get(…)
  keys, items, values: model_dump(), which has them
  _request_id, request_id: .response.request_id
Dataset
  from_pretrained, load, load_from_disk: Dataset.open(path)
  push_to_hub, upload: dataset.publish("hf://owner/name")
  save_to_disk, save: dataset.filter(lambda record: True).copy_to(dest)
Rows
  map, shuffle, sort, take, skip, unique, features, column_names, with_format, set_format: \
dataset.to_huggingface(), which has it
  train_test_split: dataset.split(train=0.8, test=0.2)
  to_df, to_csv, to_json, to_dict: dataset.to_pandas(), which has it
  num_rows: len(dataset)
  files: dataset.path_of(record) for each record
Record
  path, file_path: dataset.path_of(record)
  image: PIL.Image.open(dataset.path_of(record))
  to_dict, keys: dataclasses.asdict(record)
  get: an attribute: record.label for record.get('label')
FirstHandError
  status_code, http_status: error.status, which a FirstHandApiError has
  code: error.type, which a FirstHandApiError has
  body, json_body: error.details, which a FirstHandApiError has
  headers: error.response.headers, which a FirstHandApiError has
  user_message: error.message
  param: error.field, which an InvalidArgumentError has
firsthandapi
  Client, FirstHand, FirstHandAPI, create_job: firsthandapi.FirstHandClient
  AsyncClient, AsyncFirstHand: firsthandapi.AsyncFirstHandClient
  api_key: firsthandapi.FirstHandClient(api_key=…), or the variable FIRSTHAND_API_KEY
  error, exceptions: firsthandapi.errors
  Webhook, unwrap: firsthandapi.webhooks.unwrap(payload, headers, secret)
  Job: firsthandapi.types.Job; client.jobs has the calls
  File: firsthandapi.types.File; client.files has the calls
  load_dataset: firsthandapi.Dataset.open(path)
firsthandapi.errors
  APIError, APIStatusError: firsthandapi.FirstHandApiError
  APIConnectionError: firsthandapi.FirstHandConnectionError
  APITimeoutError: firsthandapi.FirstHandTimeoutError
  BadRequestError: firsthandapi.InvalidRequestError
  InternalServerError: firsthandapi.ServerError
  OpenAIError, StripeError: firsthandapi.FirstHandError
  SignatureVerificationError, InvalidWebhookSignatureError: firsthandapi.WebhookSignatureError
arguments
  page, offset, after, starting_after: cursor
  per_page, page_size: limit
  token: api_key
  url, api_url, api_base, endpoint, host: base_url
  instructions, prompt: description
  n, count: files_needed
firsthandapi.webhooks
  construct_event, Webhook: firsthandapi.webhooks.unwrap(payload, headers, secret)
  verify, verify_header: firsthandapi.webhooks.verify_signature(payload, signature, secret)
"""


@cache
def habits() -> dict[str, dict[str, str]]:
    """The table, read when somebody first writes such a name."""
    table: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in _TABLE.splitlines():
        if line.startswith("  "):
            names, _, advice = line.strip().partition(": ")
            section.update(dict.fromkeys(names.split(", "), advice))
        else:
            section = table.setdefault(line, {})
    return table


_WHERE = "was removed in firsthandapi 1.0; use"


def missing(module: str, name: str) -> Exception:
    """The error for a name that `module` does not have. One of 0.1.0 is an ImportError, whoever asks, since
    `from … import` drops the text of an AttributeError. A guess is an AttributeError, as `hasattr` expects."""
    if (use := habits()["names of 0.1.0"].get(name)) is not None:
        return ImportError(f"{module}.{name} {_WHERE} {use}")
    homes = (module, "firsthandapi.errors") if module == "firsthandapi" else (module,)
    for home in homes:
        if (use := habits().get(home, {}).get(name)) is not None:
            return AttributeError(f"{module} has no {name}: use {use}")
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def missing_attribute(owner: type, name: str, kind: str = "object") -> AttributeError:
    """The error for an attribute that `owner`, or what it is the type of, does not have."""
    bases = [base.__name__ for base in owner.__mro__]
    removed = habits()["methods of 0.1.0"].get(name)
    if removed is not None and bases[0].endswith("FirstHandClient"):
        return AttributeError(f"{bases[0]}.{name} {_WHERE} {removed}")
    subject = f"{kind} {bases[0]!r}" if kind != "object" else f"{bases[0]!r} object"
    text = f"{subject} has no attribute {name!r}"
    for base in bases:
        section = habits().get(base) or habits().get(base.removeprefix("Async"), {})
        if name in section:
            return AttributeError(f"{text}: use {section[name]}")
    if "Resource" in bases and not name.startswith("_"):
        return AttributeError(f"{text}: it has {', '.join(item for item in dir(owner) if item[0] != '_')}")
    return AttributeError(text)


class Led:
    """An object whose missing attributes lead on."""

    __slots__ = ()

    if not TYPE_CHECKING:  # pragma: no branch - to a checker it would mean that every attribute exists

        def __getattr__(self, name: str) -> Any:
            # Python calls this only for names that it does not find otherwise.
            raise missing_attribute(type(self), name)


class LedClass(type):
    """A class whose own missing attributes lead on."""

    if not TYPE_CHECKING:  # pragma: no branch - as above

        def __getattr__(cls, name: str) -> Any:
            raise missing_attribute(cls, name, "type object")


class NotADict:
    """An object that is no dict, as it was in 0.1.0: `job["id"]` and `"id" in job` lead on."""

    __slots__ = ()

    if not TYPE_CHECKING:  # pragma: no branch - to a checker it would mean that every key exists

        def __getitem__(self, key: object) -> Any:
            raise TypeError(f"{type(self).__name__!r} object is no dict: use {_attribute(key)}")

        def __contains__(self, key: object) -> bool:
            raise TypeError(
                f"{type(self).__name__!r} object is no dict, so it has no `in`: use {_attribute(key)}"
            )


class LedPage(Led):
    """A page, which is neither a dict, as it was in 0.1.0, nor a list."""

    if not TYPE_CHECKING:  # pragma: no branch - as above

        def __getitem__(self, key: object) -> Any:
            advice = _attribute(key) if isinstance(key, str) else f".data[{key!r}]"
            raise TypeError(f"{type(self).__name__!r} object is neither dict nor list: use {advice}")

        def __len__(self) -> int:
            # What Python asks as a hint, such as `list`, takes a TypeError for "unknown".
            raise TypeError(
                "the service reports no total: use len(page.data) for this page, or len(list(page))"
            )

        def __bool__(self) -> bool:
            return True

        def __contains__(self, item: object) -> bool:
            if isinstance(item, str) or not hasattr(self, "__iter__"):
                raise TypeError(f"{type(self).__name__!r} object is no dict: use {_attribute(item)}")
            return any(element == item for element in self)


def _attribute(key: object) -> str:
    """The attribute that takes the place of a key."""
    return (
        f".{key}" if isinstance(key, str) and key.isidentifier() else "its attributes, such as .data or .id"
    )
