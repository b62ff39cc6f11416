"""A server of mail for tests: it keeps what it takes, and refuses what it is told to."""

from __future__ import annotations

import email
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from typing import cast


class Post:
    """What arrived, and how each recipient is answered.

    Attributes:
        answer: the code for a recipient.
        farewell: the code for whoever leaves.
    """

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.answer: Callable[[str], int] = lambda _address: 250
        self.farewell = 221
        self.port = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@contextmanager
def post() -> Iterator[Post]:
    """Run one, until the end of the block."""
    office = Post()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say(220)
            while line := self.rfile.readline():
                command = line.decode().strip()
                verb = command[:4].upper()
                if verb == "RCPT":
                    self._say(office.answer(command.partition("<")[2].partition(">")[0]))
                elif verb == "DATA":
                    self._say(354)
                    lines = iter(self.rfile.readline, b".\r\n")
                    message = email.message_from_bytes(b"".join(lines), policy=default)
                    office.messages.append(cast("EmailMessage", message))
                    self._say(250)
                else:
                    self._say(office.farewell if verb == "QUIT" else 250)

        def _say(self, code: int) -> None:
            self.wfile.write(f"{code} so be it\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        office.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield office
        server.shutdown()
        thread.join()
