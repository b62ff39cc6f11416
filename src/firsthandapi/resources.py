"""The classes of `client.jobs`, `client.files`, and so on, and of `client.journal`, for annotations."""

from __future__ import annotations

from ._async.bridge import Callback as AsyncCallback
from ._async.journal import Journal as AsyncJournal
from ._async.resources.api_keys import ApiKeys as AsyncApiKeys
from ._async.resources.audit_events import AuditEvents as AsyncAuditEvents
from ._async.resources.billing import Billing as AsyncBilling
from ._async.resources.campaigns import Campaigns as AsyncCampaigns
from ._async.resources.consents import Consents as AsyncConsents
from ._async.resources.files import Files as AsyncFiles
from ._async.resources.jobs import Jobs as AsyncJobs
from ._async.resources.orders import Orders as AsyncOrders
from ._async.resources.organization import Organization as AsyncOrganization
from ._async.resources.submissions import Submissions as AsyncSubmissions
from ._async.resources.webhooks import WebhookEvents as AsyncWebhookEvents
from ._async.resources.webhooks import Webhooks as AsyncWebhooks
from ._sync.journal import Journal
from ._sync.resources.api_keys import ApiKeys
from ._sync.resources.audit_events import AuditEvents
from ._sync.resources.billing import Billing
from ._sync.resources.campaigns import Campaigns
from ._sync.resources.consents import Consents
from ._sync.resources.files import Files
from ._sync.resources.jobs import Jobs
from ._sync.resources.orders import Orders
from ._sync.resources.organization import Organization
from ._sync.resources.submissions import Submissions
from ._sync.resources.webhooks import WebhookEvents, Webhooks

__all__ = [
    "ApiKeys",
    "AsyncApiKeys",
    "AsyncAuditEvents",
    "AsyncBilling",
    "AsyncCallback",
    "AsyncCampaigns",
    "AsyncConsents",
    "AsyncFiles",
    "AsyncJobs",
    "AsyncJournal",
    "AsyncOrders",
    "AsyncOrganization",
    "AsyncSubmissions",
    "AsyncWebhookEvents",
    "AsyncWebhooks",
    "AuditEvents",
    "Billing",
    "Campaigns",
    "Consents",
    "Files",
    "Jobs",
    "Journal",
    "Orders",
    "Organization",
    "Submissions",
    "WebhookEvents",
    "Webhooks",
]
