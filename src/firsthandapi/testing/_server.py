"""The bundled server, as tests use it."""

from firsthandapi_server.mock.bundled import MockServer

__all__ = ["MockServer"]
