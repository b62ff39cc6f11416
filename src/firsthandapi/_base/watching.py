"""Log lines, `on_attempt`, and `FIRSTHAND_LOG`. Where nobody watches, `logging` is not even loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from firsthandapi.errors import ConfigurationError

if TYPE_CHECKING:
    import logging

    from firsthandapi._core.calls.attempt import Attempt

OnAttempt = Callable[["Attempt"], object]

LOG_VARIABLE = "FIRSTHAND_LOG"
CALLS, DOWNLOADS = "firsthandapi", "firsthandapi.download"
_DEBUG = 10
_LOGGERS: dict[str, logging.Logger] = {}


def logger(name: str = CALLS) -> logging.Logger:
    """The logger `name`."""
    log = _LOGGERS.get(name)
    if log is None:
        import logging

        log = _LOGGERS[name] = logging.getLogger(name)
    return log


def is_watched(on_attempt: OnAttempt | None, name: str = CALLS) -> bool:
    """Whether anyone watches attempts."""
    # A program that has not loaded logging has not asked for lines.
    return on_attempt is not None or ("logging" in sys.modules and logger(name).isEnabledFor(_DEBUG))


def report(attempt: Attempt, on_attempt: OnAttempt | None) -> None:
    """Report an attempt to whoever watches. What `on_attempt` raises is logged."""
    log = logger(CALLS if attempt.kind == "api" else DOWNLOADS)
    log.debug("%s", attempt)
    if on_attempt is not None:
        try:
            result = on_attempt(attempt)
        except Exception:
            log.warning("on_attempt raised an exception; the call continues", exc_info=True)
        else:
            if iscoroutine(result):
                result.close()
                log.warning("on_attempt returned a coroutine, which is not awaited; pass a plain function")


def log_to_stderr(level: str | None) -> None:
    """Print the package's log lines, as `FIRSTHAND_LOG` asks for.
    Raises ConfigurationError: `level` is neither debug nor info.
    """
    if not level:
        return
    import logging

    name = level.strip().upper()
    if name not in ("DEBUG", "INFO"):
        raise ConfigurationError(f"{LOG_VARIABLE} must be debug or info")
    log = logger()
    log.setLevel(name)
    if not any(getattr(handler, "is_ours", False) for handler in log.handlers):
        handler: Any = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.is_ours = True
        log.addHandler(handler)
