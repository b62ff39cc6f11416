"""The audit trail, webhook events, and the schedule of their deliveries."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from firsthandapi_server.contract.text import iso, new_id, new_secret
from firsthandapi_server.state.model import (
    Account,
    AuditEvent,
    Delivery,
    DeliveryAttempt,
    Endpoint,
    Event,
    Job,
)
from firsthandapi_server.state.state import Pending, State

RETRY_DELAYS = (60.0, 300.0, 1800.0, 7200.0, 28800.0)
API_VERSION = "v1"


def next_attempt(failed: int, last_at: float) -> float:
    """When a delivery is tried again after so many attempts that failed."""
    return last_at + RETRY_DELAYS[failed - 1]


class Events:
    """Records events, and starts their deliveries."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.send: Callable[[Delivery, float], None] = lambda _delivery, _at: None

    def audit(
        self, account: Account, type: str, at: float, actor: str, data: dict[str, Any], job: Job | None = None
    ) -> None:
        job_id = None if job is None else job.id
        account.audit.append(AuditEvent(new_id("aud_", at), type, job_id, actor, data, at))

    def create_endpoint(
        self, account: Account, url: str, events: tuple[str, ...] | None, description: str | None, at: float
    ) -> Endpoint:
        """Create a webhook endpoint; without `events` it gets every type, known or not."""
        endpoint = Endpoint(new_id("we_", at), account, url, events, description, new_secret("whsec_"), at)
        account.endpoints.append(endpoint)
        return endpoint

    def emit(self, account: Account, type: str, data: dict[str, Any], at: float) -> Event:
        """Keep an event, and deliver it to every endpoint that subscribed to it."""
        event_id = new_id("evt_", at)
        envelope = {
            "id": event_id,
            "object": "event",
            "type": type,
            "api_version": API_VERSION,
            "created_at": iso(at),
            "data": data,
        }
        body = json.dumps(envelope, separators=(",", ":")).encode()
        event = Event(event_id, account, type, body)
        account.events.append(event)
        self._state.events[event.id] = event
        self.dispatch(event, at)
        return event

    def dispatch(self, event: Event, at: float) -> None:
        """Start a delivery of the event to each subscriber, with the first attempt immediately."""
        for endpoint in event.account.endpoints:
            if endpoint.wants(event.type):
                delivery = Delivery(new_id("dlv_", at), event, endpoint)
                event.deliveries.append(delivery)
                self._state.deliveries.append(delivery)
                self.repeat(delivery, at)

    def delivered(self, delivery: Delivery, attempt: DeliveryAttempt) -> None:
        """Record an attempt: the delivery is done, is retried later, or has failed."""
        if delivery.event.id not in self._state.events:
            return  # a reset forgot the event while it was delivered
        delivery.attempts = (*delivery.attempts, attempt)
        if attempt.ok:
            delivery.status = "delivered"
        elif len(delivery.attempts) > len(RETRY_DELAYS):
            delivery.status = "failed"
        else:
            self.repeat(delivery, next_attempt(len(delivery.attempts), attempt.at))

    def repeat(self, delivery: Delivery, when: float) -> None:
        """Make an attempt at the time `when`."""
        self._state.later(when, partial(self._attempt, delivery))

    def resume(self) -> None:
        """Continue the deliveries that are pending, after a restart. One attempt may come twice."""
        for pending in self._state.pending_deliveries():
            when = self._state.clock.now()
            if pending.attempts:
                when = next_attempt(pending.attempts, pending.last_at)
            self._state.later(when, partial(self._continue, pending))

    def _continue(self, pending: Pending, at: float) -> None:
        self._attempt(pending.load(), at)

    def _attempt(self, delivery: Delivery, at: float) -> None:
        if delivery.endpoint.is_active:
            self.send(delivery, at)
        else:
            delivery.status = "dropped"
