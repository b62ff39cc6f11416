"""The promises of the contract, a module for each kind. Importing this package fills the list, in this order."""

from __future__ import annotations

from importlib import import_module

# The escrow is counted first, before other jobs move the balance; what moves time comes late, and what is seen of all
# responses last.
for _name in (
    *("reaching", "billing", "jobs", "lists", "files", "submissions", "keys", "webhooks"),
    *("endpoints", "idempotency", "limits", "using", "responses"),
):
    import_module(f"{__name__}.{_name}")
