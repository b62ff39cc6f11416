"""A real S3-compatible server on loopback, moto's, that notes what it is asked and fails when told to."""

from __future__ import annotations

import functools
import itertools
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.loaders import JSONFileLoader
from moto.server import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws5ecret",
    "AWS_DEFAULT_REGION": "us-east-1",
    # What does not heal is told soon.
    "AWS_MAX_ATTEMPTS": "2",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"


# Each session reads these files again, of a megabyte.
JSONFileLoader.load_file = staticmethod(functools.cache(JSONFileLoader().load_file))  # type: ignore[method-assign] # botocore has no switch for it


@dataclass(frozen=True)
class Asked:
    """A request, as the server got it."""

    method: str
    path: str
    query: str
    size: int
    headers: dict[str, str]

    @property
    def is_part(self) -> bool:
        return self.method == "PUT" and "partNumber=" in self.query


@dataclass
class Fault:
    """What is done to the requests that it is `of`, `times` times; None for ever."""

    of: Callable[[Asked], bool]
    times: int | None = 1
    status: int | None = None
    code: str = "InternalError"
    cut: bool = False  # the connection is closed, with the answer unsent
    handled: bool = False  # and so is the request, all the same
    before: Callable[[], object] | None = None
    hits: list[Asked] = field(default_factory=list)


class S3:
    """The server. Each test makes buckets of its own."""

    # moto keeps what is stored for as long as the process, whichever server took it.
    _names = itertools.count(1)

    def __init__(self) -> None:
        # A server of S3 alone: to find out which service a request is for takes longer than the rest.
        self._app = create_backend_app("s3")
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        self._server.log = lambda *_, **__: None  # type: ignore[method-assign] # tests are quiet
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}
        self.requests: list[Asked] = []
        self.faults: list[Fault] = []
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="other",
            aws_secret_access_key="other",
            region_name="us-east-1",
        )

    def bucket(self) -> str:
        """A fresh one."""
        name = f"bucket-{next(self._names)}"
        self.client.create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What is in it, byte for byte."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def half_done(self, bucket: str) -> list[str]:
        """Uploads in parts that were begun, and neither completed nor aborted."""
        return [up["Key"] for up in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def fault(self, of: Callable[[Asked], bool], **fields: Any) -> Fault:
        """Add a fault."""
        self.faults.append(fault := Fault(of, **fields))
        return fault

    def close(self) -> None:
        """Stop."""
        self.client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            name[5:].lower().replace("_", "-"): str(environ[name]) for name in environ if name[:5] == "HTTP_"
        }
        asked = Asked(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ["QUERY_STRING"],
            int(environ.get("CONTENT_LENGTH") or 0),
            headers,
        )
        ours = "AKIAEXAMPLE" in headers.get("authorization", "")
        if ours:
            self.requests.append(asked)
        fault = next((f for f in self.faults if ours and f.times != 0 and f.of(asked)), None)
        if fault is None:
            return self._app(environ, start)
        if fault.times is not None:
            fault.times -= 1
        fault.hits.append(asked)
        if fault.before is not None:
            fault.before()
        if fault.handled:
            b"".join(self._app(environ, lambda *_: None))
        if fault.cut:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if fault.status is None:
            return self._app(environ, start)
        # To its end, and not to that of the connection.
        environ["wsgi.input"].read(*[] if environ.get("wsgi.input_terminated") else [asked.size])
        # The answer to a HEAD has no body, so nobody learns more than the status.
        text = "" if asked.method == "HEAD" else _ERROR.format(fault.code, "as the test wants it")
        body = text.encode()
        start(str(fault.status), [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]
