"""Mail, by a server of SMTP that the operator names."""

from __future__ import annotations

import re
import smtplib
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from firsthandapi._base.host.loopback import is_loopback
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.http.reach import alarm

_SECONDS = 30.0
# A subset: headers decode `=?utf-8?q?=0d=0aBcc=3a…?=`, and the library fails at some brackets.
_ATOM = r"[\w!#$%&'*+/=^`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@\w[\w-]*(\.\w[\w-]*)+")
_PORTS = {"smtp": 587, "smtps": 465}
_REFUSED = 500  # and more: for ever


class RefusedError(Exception):
    """The server takes no mail for this address, today or later."""


class UnsentError(Exception):
    """A message was not sent, and may be later; the message says why."""


def is_address(text: str) -> bool:
    """Whether a text is one address of mail."""
    return len(text) <= 254 and text.isprintable() and _ADDRESS.fullmatch(text) is not None


class _Plain(smtplib.SMTP):
    """Hangs up after a while: a server may say something for ever, a byte at a time."""

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        self._timer = alarm(self, _SECONDS)
        return super().connect(host, port, source_address)

    def close(self) -> None:
        self._timer.cancel()
        super().close()


class _Tls(_Plain, smtplib.SMTP_SSL):
    pass


@dataclass(frozen=True, slots=True)
class Mailer:
    """Sends mail. To another machine, always by TLS."""

    host: str
    port: int
    is_tls: bool
    user: str | None
    password: str | None = field(repr=False)
    sender: str

    @classmethod
    def of(cls, url: str, sender: str) -> Self:
        """The one that a URL names, such as `smtp://user:password@mail.example.org:587`.
        Raises ConfigurationError: it is none, or `sender` is no address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            parts, port = urlsplit(""), 0
        if not parts.hostname or parts.path.strip("/") or parts.query:
            raise ConfigurationError(
                "--smtp must be a URL such as smtp://user:password@mail.example.org:587, or smtps:// for TLS at once"
            )
        if not is_address(sender):
            raise ConfigurationError("--mail-from must be an address, such as study@example.org")
        user, password = (
            None if part is None else unquote(part) for part in (parts.username, parts.password)
        )
        return cls(parts.hostname, port, parts.scheme == "smtps", user, password, sender)

    def send(self, address: str, subject: str, text: str) -> None:
        """Send one message.

        Raises:
            RefusedError: the server refuses the address.
            UnsentError: it was not sent, and may be later.
        """
        local, _, domain = address.rpartition("@")
        try:
            address = f"{local}@{domain.encode('idna').decode()}"  # which every server of mail understands
        except UnicodeError:
            raise RefusedError from None
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, address, subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        trust = ssl.create_default_context()
        try:
            with closing(
                _Tls(self.host, self.port, timeout=_SECONDS, context=trust)
                if self.is_tls
                else _Plain(self.host, self.port, timeout=_SECONDS)
            ) as server:
                if not self.is_tls and not is_loopback(self.host):
                    server.starttls(context=trust)
                if self.user is not None:
                    server.login(self.user, self.password or "")
                server.send_message(message)
                with suppress(OSError, smtplib.SMTPException):  # it has the message, however it takes leave
                    server.quit()
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if codes and min(codes) >= _REFUSED:
                raise RefusedError from None
            raise UnsentError(f"it answers {codes}") from None
        except smtplib.SMTPNotSupportedError:  # an address that its alphabet does not have
            raise RefusedError from None
        except smtplib.SMTPResponseException as error:
            raise UnsentError(f"it answers {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise UnsentError(type(error).__name__) from None
