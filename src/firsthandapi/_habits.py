"""What people write first who come from 0.1.0 or from another SDK: the error names what takes its place here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# The public names of 0.1.0.
CLIENT_METHODS = {
    "create_job": "client.jobs.create(…), with fields as keyword arguments: **body works",
    "get_job": "client.jobs.get(job_id, wait=…)",
    "list_jobs": "client.jobs.list(…)",
    "get_job_audit": "client.audit_events.list(job_id=…)",
    "cancel_job": "client.jobs.cancel(job_id)",
    "get_job_files": "client.files.list(job_id)",
    "get_job_submissions": "client.submissions.list(job_id)",
    "create_job_and_wait": "client.jobs.create_and_wait(…), with fields as keyword arguments: **body works",
    "create_api_key": "client.api_keys.create(name=…)",
    "list_api_keys": "client.api_keys.list()",
    "rotate_api_key": "client.api_keys.rotate(key_id)",
    "revoke_api_key": "client.api_keys.revoke(key_id)",
    "create_webhook_endpoint": "client.webhooks.create(url=…)",
    "list_webhook_endpoints": "client.webhooks.list()",
    "get_webhook_endpoint": "client.webhooks.get(endpoint_id)",
    "update_webhook_endpoint": "client.webhooks.update(endpoint_id, …)",
    "delete_webhook_endpoint": "client.webhooks.delete(endpoint_id)",
    "rotate_webhook_secret": "client.webhooks.rotate_secret(endpoint_id)",
    "list_webhook_events": "client.webhooks.events.list()",
    "replay_webhook_event": "client.webhooks.events.replay(event_id)",
    "get_credit_balance": "client.billing.credits()",
    "list_transactions": "client.billing.transactions()",
    "purchase_credits": "client.billing.purchase(amount_cents)",
    "get_settings": "client.organization.settings()",
    "update_settings": "client.organization.update_settings(…)",
}
MODULE_NAMES = {
    "FirstHandRateLimitError": "firsthandapi.RateLimitError",
    "verify_webhook_signature": "firsthandapi.webhooks.verify_signature(payload, signature, secret)",
    "generate_idempotency_key": "firsthandapi.idempotency_key(*parts) only where calls with the same parts shall act "
    "once: it is constant, not random, so three orders with one key are one job; for a new key, pass none: "
    "each call makes its own",
}

_PAGE = {
    "auto_paging_iter": "for item in page: to iterate walks every page",
    "items": "page.data, or for item in page, which walks every page",
    "results": "page.data",
    "has_next_page": "page.has_more",
    "get_next_page": "page.next_page()",
    "iter_pages": "page.pages()",
    "to_list": "list(page), which walks every page",
    "all": "list(page), which walks every page",
    "first": "page.data[0]",
    "total": "page.data and page.has_more: the service reports no total",
}
_WEBHOOKS = "firsthandapi.webhooks.unwrap(payload, headers, secret)"
_VERIFY = "firsthandapi.webhooks.verify_signature(payload, signature, secret)"
_TO_PANDAS = "dataset.to_pandas()"
_HUGGING_FACE = "dataset.to_huggingface()"
_DUMP = "model_dump()"
# For each class, its bases after it.
ATTRIBUTES: dict[str, dict[str, str]] = {
    "FirstHandClient": {
        "create_task": "client.jobs.create(…)",
        "get_task": "client.jobs.get(job_id)",
        "list_tasks": "client.jobs.list()",
        "cancel_task": "client.jobs.cancel(job_id)",
        "submit_and_wait": "client.jobs.create_and_wait(…)",
        "get_task_audit": "client.audit_events.list(job_id=…)",
        "get_quality_summary": "client.submissions.summary()",
        "balance": "client.billing.credits()",
        "credits": "client.billing.credits()",
        "get_balance": "client.billing.credits()",
        "tasks": "client.jobs",
        "orders": "client.jobs",
        "events": "client.webhooks.events",
        "keys": "client.api_keys",
        "settings": "client.organization.settings()",
        "account": "client.me()",
        "whoami": "client.me()",
        "collect": "client.jobs.collect(dest, …)",
        "download": "client.files.download(file, path)",
        "upload": "client.jobs.create(…): workers submit the files",
        "copy": "client.with_options(…)",
        "with_raw_response": "result.response, which each result has",
        "get": 'client.request("GET", path)',
        "post": 'client.request("POST", path, json=…)',
        "api_key": "FirstHandClient(api_key=…); a client never shows its key",
    },
    "Jobs": {
        "submit": "client.jobs.create(…)",
        "run": "client.jobs.collect(dest, …), or create_and_wait(…)",
        "create_and_poll": "client.jobs.create_and_wait(…)",
        "poll": "client.jobs.wait(job_id)",
        "delete": "client.jobs.cancel(job_id)",
        "files": "client.files.list(job_id)",
        "result": "client.jobs.wait(job_id), then client.files.list(job_id)",
        "stream": "client.jobs.follow(job_id)",
        "download": "client.files.download_all(job_id, dest)",
    },
    "Files": {
        "get": "client.files.list(job_id)",
        "retrieve": "client.files.list(job_id)",
        "content": "client.files.download(file, path)",
        "download_file": "client.files.download(file, path)",
    },
    "Billing": {
        "balance": "client.billing.credits()",
        "get_balance": "client.billing.credits()",
        "retrieve": "client.billing.credits()",
        "checkout": "client.billing.purchase(amount_cents)",
        "list": "client.billing.transactions()",
    },
    "Webhooks": {
        "construct_event": _WEBHOOKS,
        "unwrap": _WEBHOOKS,
        "verify_signature": _VERIFY,
        "modify": "client.webhooks.update(endpoint_id, …)",
    },
    "ApiKeys": {"delete": "client.api_keys.revoke(api_key_id)", "get": "client.api_keys.list()"},
    "Organization": {
        "get": "client.organization.settings()",
        "retrieve": "client.organization.settings()",
        "update": "client.organization.update_settings(…)",
    },
    "Resource": {
        "retrieve": "get(id)",
        "auto_paging_iter": "for item in ….list(): to iterate walks every page",
        "list_all": "list(), which walks every page when you iterate over it",
        "all": "list(), which walks every page when you iterate over it",
        "filter": "list(…)",
        "search": "list(…)",
    },
    "Page": _PAGE,
    "AsyncPage": _PAGE,
    "AsyncPageRequest": {
        **_PAGE,
        "data": "page = await ….list(…), then page.data; or async for item in ….list(…)",
        "next_page": "page = await ….list(…), then await page.next_page()",
    },
    "Job": {
        "files": "client.files.list(job.id)",
        "submissions": "client.submissions.list(job.id)",
        "refresh": "client.jobs.get(job.id)",
        "reload": "client.jobs.get(job.id)",
        "wait": "client.jobs.wait(job.id)",
        "result": "client.jobs.wait(job.id), then client.files.list(job.id)",
        "done": 'job.status in ("completed", "cancelled")',
        "cancel": "client.jobs.cancel(job.id)",
        "download": "client.files.download_all(job.id, dest)",
        "state": "job.status",
        "price": "job.price_per_file_cents",
    },
    "File": {
        "filename": "file.original_filename",
        "file_name": "file.original_filename",
        "name": "file.original_filename",
        "url": "file.download_url, or client.files.download(file, path)",
        "path": "client.files.download(file, path), which returns the path",
        "size": "file.size_bytes",
        "bytes": "file.size_bytes",
        "mime_type": "file.content_type",
        "stars": "file.ai_star_rating",
        "rating": "file.ai_star_rating",
        "read": "client.files.download(file, path)",
        "download": "client.files.download(file, path)",
        "save": "client.files.download(file, path)",
    },
    "CreditBalance": {
        "balance": "balance_cents",
        "amount": "balance_cents",
        "available": "balance_cents",
        "credits": "balance_cents",
    },
    "Model": {
        "to_dict": _DUMP,
        "to_dict_recursive": _DUMP,
        "as_dict": _DUMP,
        "get": "an attribute: .status for .get('status'); or model_dump().get(…)",
        "keys": f"{_DUMP}.keys()",
        "items": f"{_DUMP}.items()",
        "values": f"{_DUMP}.values()",
        "to_json": "model_dump_json()",
        "refresh": "get(id) of its resource",
        "created": ".created_at",
        "save": "the methods of the client: results are frozen",
        "_request_id": ".response.request_id",
        "request_id": ".response.request_id",
        "headers": ".response.headers",
    },
    "ApiResponse": {"status": ".status_code", "text": ".content.decode()", "body": ".content"},
    "Dataset": {
        "load": "Dataset.open(path)",
        "load_from_disk": "Dataset.open(path)",
        "from_folder": "Dataset.open(path)",
        "read": "Dataset.open(path)",
        "save_to_disk": "dataset.filter(lambda record: True).copy_to(dest)",
        "save": "dataset.filter(lambda record: True).copy_to(dest)",
    },
    "Rows": {
        "push_to_hub": f"{_HUGGING_FACE}.push_to_hub(…)",
        "train_test_split": "dataset.split(train=0.8, test=0.2)",
        "to_df": _TO_PANDAS,
        "to_dataframe": _TO_PANDAS,
        "to_csv": f"{_TO_PANDAS}.to_csv(path)",
        "to_json": f"{_TO_PANDAS}.to_json(path)",
        "to_dict": f"{_TO_PANDAS}.to_dict()",
        "to_list": "dataset.records",
        "to_hf": _HUGGING_FACE,
        "to_torch": f'{_HUGGING_FACE}.with_format("torch")',
        "with_format": f"{_HUGGING_FACE}.with_format(…)",
        "map": f"{_HUGGING_FACE}.map(…)",
        "shuffle": f"{_HUGGING_FACE}.shuffle(…)",
        "sort": f"{_HUGGING_FACE}.sort(…)",
        "features": f"{_HUGGING_FACE}.features",
        "column_names": f"{_HUGGING_FACE}.column_names",
        "num_rows": "len(dataset)",
        "shape": f"{_TO_PANDAS}.shape",
        "head": f"{_TO_PANDAS}.head()",
        "files": "dataset.path_of(record) for each record",
        "rows": "dataset.records",
        "classes": "dataset.labels",
    },
    "Record": {
        "path": "dataset.path_of(record)",
        "file_path": "dataset.path_of(record)",
        "filename": "record.file_name, or dataset.path_of(record)",
        "image": "PIL.Image.open(dataset.path_of(record))",
        "open": "dataset.path_of(record).open('rb')",
        "id": "record.file_id",
        "url": "dataset.path_of(record): the file is on disk",
        "size": "record.size_bytes",
        "stars": "record.ai_star_rating",
        "rating": "record.ai_star_rating",
        "to_dict": "dataclasses.asdict(record)",
        "get": "an attribute: record.label for record.get('label')",
        "keys": "dataclasses.asdict(record).keys()",
    },
    "FirstHandError": {
        "status_code": "error.status, which a FirstHandApiError has",
        "http_status": "error.status, which a FirstHandApiError has",
        "code": "error.type, which a FirstHandApiError has",
        "body": "error.details, which a FirstHandApiError has",
        "json_body": "error.details, which a FirstHandApiError has",
        "headers": "error.response.headers, which a FirstHandApiError has",
        "user_message": "error.message",
        "param": "error.field, which an InvalidArgumentError has",
        "error": "error.type, which a FirstHandApiError has",
    },
}
_CLIENT = "firsthandapi.FirstHandClient"
_ASYNC_CLIENT = "firsthandapi.AsyncFirstHandClient"
NAMES: dict[str, dict[str, str]] = {
    "firsthandapi": {
        "Client": _CLIENT,
        "FirstHand": _CLIENT,
        "FirstHandAPI": _CLIENT,
        "FirstHandApi": _CLIENT,
        "FirsthandClient": _CLIENT,
        "AsyncClient": _ASYNC_CLIENT,
        "AsyncFirstHand": _ASYNC_CLIENT,
        "api_key": f"{_CLIENT}(api_key=…), or the variable FIRSTHAND_API_KEY",
        "error": "firsthandapi.errors",
        "Webhook": _WEBHOOKS,
        "unwrap": _WEBHOOKS,
        "verify_signature": _VERIFY,
        "Job": "firsthandapi.types.Job; client.jobs has the calls",
        "File": "firsthandapi.types.File; client.files has the calls",
        "Submission": "firsthandapi.types.Submission; client.submissions has the calls",
        "load_dataset": "firsthandapi.Dataset.open(path)",
        "MockServer": "firsthandapi.testing.MockServer",
    },
    "firsthandapi.errors": {
        "APIError": "firsthandapi.FirstHandApiError",
        "ApiError": "firsthandapi.FirstHandApiError",
        "APIStatusError": "firsthandapi.FirstHandApiError",
        "FirstHandAPIError": "firsthandapi.FirstHandApiError",
        "APIConnectionError": "firsthandapi.FirstHandConnectionError",
        "APITimeoutError": "firsthandapi.FirstHandTimeoutError",
        "BadRequestError": "firsthandapi.InvalidRequestError",
        "UnprocessableEntityError": "firsthandapi.InvalidRequestError",
        "InternalServerError": "firsthandapi.ServerError",
        "APIResponseValidationError": "firsthandapi.UnexpectedResponseError",
        "OpenAIError": "firsthandapi.FirstHandError",
        "StripeError": "firsthandapi.FirstHandError",
        "SignatureVerificationError": "firsthandapi.WebhookSignatureError",
        "InvalidWebhookSignatureError": "firsthandapi.WebhookSignatureError",
    },
    "firsthandapi.webhooks": {
        "construct_event": _WEBHOOKS,
        "Webhook": _WEBHOOKS,
        "parse": _WEBHOOKS,
        "verify": _VERIFY,
        "verify_header": _VERIFY,
        "WebhookSignature": _VERIFY,
    },
}

_WHERE = "was removed in firsthandapi 1.0; use"


def missing(module: str, name: str) -> Exception:
    """The error for a name that `module` does not have.

    An ImportError for one that leads on: `from firsthandapi import …` would swallow an AttributeError's text.
    """
    if name in MODULE_NAMES:
        return ImportError(f"{module}.{name} {_WHERE} {MODULE_NAMES[name]}", name=module)
    homes = (module, "firsthandapi.errors") if module == "firsthandapi" else (module,)
    for home in homes:
        if name in NAMES.get(home, ()):
            return ImportError(f"{module} has no {name}: use {NAMES[home][name]}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def missing_attribute(owner: type, name: str, what: str = "object") -> AttributeError:
    """The error for an attribute that `owner`, or what it is the type of, does not have."""
    bases = [base.__name__ for base in owner.__mro__]
    if name in CLIENT_METHODS and bases[0].endswith("FirstHandClient"):
        return AttributeError(f"{bases[0]}.{name} {_WHERE} {CLIENT_METHODS[name]}")
    shown = f"{what} {bases[0]!r}" if what != "object" else f"{bases[0]!r} object"
    text = f"{shown} has no attribute {name!r}"
    for base in bases:
        habits = ATTRIBUTES.get(base) or ATTRIBUTES.get(base.removeprefix("Async"), {})
        if name in habits:
            return AttributeError(f"{text}: use {habits[name]}")
    if "Resource" in bases and not name.startswith("_"):
        return AttributeError(f"{text}: it has {', '.join(each for each in dir(owner) if each[0] != '_')}")
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
            shown = _attribute(key) if isinstance(key, str) else f".data[{key!r}]"
            raise TypeError(f"{type(self).__name__!r} object is neither dict nor list: use {shown}")

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
            return any(each == item for each in self)


def _attribute(key: object) -> str:
    """The attribute that takes the place of a key."""
    return (
        f".{key}" if isinstance(key, str) and key.isidentifier() else "its attributes, such as .data or .id"
    )
