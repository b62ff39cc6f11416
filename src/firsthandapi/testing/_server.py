"""The bundled server, as tests use it."""

from __future__ import annotations

from firsthandapi_server.mock.bundled import BundledServer

from ._clients import WithClients


class MockServer(WithClients, BundledServer):
    """FirstHandAPI on a loopback port: every endpoint, with state, simulated workers and virtual time.

        with MockServer() as server:
            client = server.client()

    Args:
        seed: decides the files and the ratings of the simulated workers.
        speed: virtual seconds per real second; at 0 only `clock.advance` moves time.
        workers: whether simulated workers do the jobs; without them, only `submit` adds files.
        port: the port to listen on; 0 uses any free port.
        rate_limit: requests per key in 60 virtual seconds; None for no limits at all. At speed 0 a spent window
            ends only with `clock.advance`, and requests beyond it are refused immediately.
        idempotency_keys: which POSTs need an Idempotency-Key: `all` that the contract names, or `jobs`, which is
            POST /v1/jobs alone, as 0.1.0 of this package has it.
        rewrites: how the server changes a job when it stores it, so that responses show something else than was posted:
            one name or several. `upper` and `cut` change the values of metadata, to upper case and to 32 characters,
            `camel` writes its names in camelCase, `drop` stores no metadata, and `text` trims texts, writes them in
            NFC, and `&` as `&amp;`. An idempotency key still belongs to the body that was sent.
        api_key: the live key, `fh_live_…`; a new one when left out. The sandbox key is the same after `fh_test_`.
        public_url: the address by which programs and people reach the server, such as that of a proxy in front of it:
            scheme, host, and port, http or https. All URLs that the server gives out begin with it, and requests to
            it are accepted. By default it is `url`.
        on_request: called in the server's thread with each request, once it is answered or dropped.

    Attributes:
        clock: `clock.advance(days=7)` advances time, `clock.now()` returns it.
        faults: `faults.add(…)` adds a fault.
        workers: whether simulated workers do the jobs.

    Raises:
        ValueError: `api_key`, `public_url`, or `rewrites` cannot be used.
    """
