"""The spend limit: the maximum that one job may cost."""

from __future__ import annotations

from typing import Any

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi.errors import InvalidArgumentError, SpendLimitError


def check_limit(max_spend_cents: int | None) -> int | None:
    """Check that the limit of a call is None or a whole number of US cents, 0 or more, and return it.
    Raises InvalidArgumentError: it is not.
    """
    if max_spend_cents is None:
        return None
    limit = int_or_none(max_spend_cents)
    if limit is None or limit < 0:
        raise InvalidArgumentError(
            "max_spend_cents must be a whole number of US cents, 0 or more, or None", field="max_spend_cents"
        )
    return limit


def check_spend(files: Any, price_cents: Any, *limits: int | None, field: str = "extra_body") -> None:
    """Refuse a job whose files cost more than the smallest of the limits.
    Raises SpendLimitError: the job costs more.
    Raises InvalidArgumentError: a limit is set, and the cost is unknown.
    """
    limit = min((limit for limit in limits if limit is not None), default=None)
    if limit is None:
        return
    files, price_cents = int_or_none(files), int_or_none(price_cents)
    if files is None or price_cents is None:
        raise InvalidArgumentError(
            f"{field} sets files_needed or price_per_file_cents to a value that is not an int, so the cost cannot be "
            "checked against max_spend_cents: pass ints",
            field=field,
        )
    cost_cents = files * price_cents
    if cost_cents > limit:
        raise SpendLimitError(
            f"this job would cost {cost_cents} cents (files_needed × price_per_file_cents), and max_spend_cents is "
            f"{limit}: request fewer or cheaper files, or increase max_spend_cents. Nothing was sent",
            cost_cents=cost_cents,
            limit_cents=limit,
        )
