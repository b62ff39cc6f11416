"""The public names of 0.1.0 and what took their place: old code fails with the way forward in the message."""

from __future__ import annotations

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
    "generate_idempotency_key": "firsthandapi.idempotency_key(…)",
}


_WHERE = "was removed in firsthandapi 1.0; use"


def removed_method(class_name: str, name: str) -> AttributeError:
    """The error for an attribute that the client does not have, naming the successor if it once had it."""
    if name in CLIENT_METHODS:
        return AttributeError(f"{class_name}.{name} {_WHERE} {CLIENT_METHODS[name]}")
    return AttributeError(f"{class_name!r} object has no attribute {name!r}")


def missing(module: str, name: str) -> Exception:
    """The error for a name that `module` does not have.

    An ImportError for one of 0.1.0: `from firsthandapi import …` would swallow an AttributeError's text.
    """
    if name in MODULE_NAMES:
        return ImportError(f"{module}.{name} {_WHERE} {MODULE_NAMES[name]}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}")
