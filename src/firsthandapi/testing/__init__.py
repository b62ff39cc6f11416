"""The bundled server: FirstHandAPI on your own machine, for tests and experiments.

    from firsthandapi.testing import MockServer

    with MockServer() as server, server.client() as client:
        job = client.jobs.create(…)
        server.clock.advance(minutes=2)

It needs the extra `testing`: `pip install "firsthandapi[testing]"`. Its pytest plugin has the
fixtures `firsthand_server` and `firsthand_client`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firsthandapi_server.http.requests import ReceivedRequest
    from firsthandapi_server.mock.bundled import NewOrganization, SubmittedWork, WebhookDelivery
    from firsthandapi_server.mock.clock import Clock
    from firsthandapi_server.mock.media import Media, make
    from firsthandapi_server.rules.faults import Fault, Faults
    from firsthandapi_server.state.model import DeliveryAttempt

    from ._hostile import HostileJob, HostileService, Lies
    from ._models import Asked, FakeModels
    from ._server import MockServer

__all__ = [
    "Asked",
    "Clock",
    "DeliveryAttempt",
    "FakeModels",
    "Fault",
    "Faults",
    "HostileJob",
    "HostileService",
    "Lies",
    "Media",
    "MockServer",
    "NewOrganization",
    "ReceivedRequest",
    "SubmittedWork",
    "WebhookDelivery",
    "make",
]

# Loaded when first used: pytest imports this package through its plugin, in every run.
_HOMES = {
    "Asked": "._models",
    "FakeModels": "._models",
    "DeliveryAttempt": "firsthandapi_server.state.model",
    "Clock": "firsthandapi_server.mock.clock",
    "Fault": "firsthandapi_server.rules.faults",
    "Faults": "firsthandapi_server.rules.faults",
    "HostileJob": "._hostile",
    "HostileService": "._hostile",
    "Lies": "._hostile",
    "Media": "firsthandapi_server.mock.media",
    "MockServer": "._server",
    "NewOrganization": "firsthandapi_server.mock.bundled",
    "ReceivedRequest": "firsthandapi_server.http.requests",
    "SubmittedWork": "firsthandapi_server.mock.bundled",
    "WebhookDelivery": "firsthandapi_server.mock.bundled",
    "make": "firsthandapi_server.mock.media",
}


def __getattr__(name: str) -> Any:
    if name == "Attempt":
        import warnings

        name = "DeliveryAttempt"
        message = "firsthandapi.testing.Attempt is now DeliveryAttempt: firsthandapi.Attempt is an attempt of a call"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(home, __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("firsthandapi"):
            raise
        from firsthandapi.errors import ConfigurationError

        message = 'the bundled server needs an extra: pip install "firsthandapi[testing]"'
        raise ConfigurationError(message) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
