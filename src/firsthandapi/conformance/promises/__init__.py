"""The promises of the contract, a module for each kind. Importing this package fills the list, in this order."""

from __future__ import annotations

# The escrow is counted first, before other jobs move the balance; what moves time comes last.
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
from . import limits
from . import expiry
# isort: on

__all__ = [
    "billing",
    "endpoints",
    "expiry",
    "files",
    "jobs",
    "keys",
    "limits",
    "lists",
    "organization",
    "reaching",
    "submissions",
    "waiting",
    "webhooks",
]
