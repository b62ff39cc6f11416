"""The promises of the contract, a module for each kind. Importing this package fills the list, in this order."""

from __future__ import annotations

# The escrow is counted first, before other jobs move the balance; what moves time comes late, and what is seen of all
# responses last.
# isort: off
from . import reaching
from . import billing
from . import jobs
from . import waiting
from . import lists
from . import files
from . import submissions
from . import keys
from . import webhooks
from . import organization
from . import endpoints
from . import idempotency
from . import limits
from . import expiry
from . import using
from . import responses
# isort: on

__all__ = [
    "billing",
    "endpoints",
    "expiry",
    "files",
    "idempotency",
    "jobs",
    "keys",
    "limits",
    "lists",
    "organization",
    "reaching",
    "responses",
    "submissions",
    "using",
    "waiting",
    "webhooks",
]
