"""The signature of a webhook delivery: how it is made, read and checked (contract §6). No I/O, no clock.

    plain          64 hex digits                       HMAC-SHA256(secret, body)
    timestamped    t=<Unix seconds>,v1=<64 hex digits> HMAC-SHA256(secret, "<t>." + body)
    standard       v1,<base64>, in headers of its own  HMAC-SHA256(decoded, "<id>.<timestamp>." + body)

The first two never look alike. Their key is the secret's UTF-8 bytes, including `whsec_`. That of the third, which is
of Standard Webhooks, is what follows `whsec_`, decoded from base64, so a secret that is no base64 has no such form.
"""

from __future__ import annotations

import hmac
import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

from firsthandapi._core.calls.integers import as_int
from firsthandapi.errors import InvalidArgumentError, WebhookSignatureError

# First match wins: the older name counts only if the newer one is absent.
HEADER_NAMES = ("X-FirstHandAPI-Signature", "X-FirstHand-Signature")
_STANDARD_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")

# A stranger may write the header, so these limits bound the cost of parsing it. A rotation needs two signatures.
MAX_LENGTH = 4096
MAX_CANDIDATES = 16
# Unix seconds have 12 digits until the year 33658.
_END_OF_TIME = 10**12

_PLAIN = re.compile(r"[0-9a-fA-F]{64}")
_DIGITS = re.compile(r"[0-9]{1,20}")
_TEXT = re.compile(r"[\t\x20-\x7e]*")
_BLANK = " \t"


class Keyed(NamedTuple):
    """HMACs keyed with one secret, without data. Only `digest` may use them."""

    own: hmac.HMAC
    standard: hmac.HMAC | None


# A signature as it was read: its time as written, or None; what is signed before the body; the signatures; and whether
# it is one of Standard Webhooks. No named tuple: to make one takes 10 % of the hash of 1 KB.
Form = tuple[str | None, bytes, Sequence[bytes], bool]


class SupportsItems(Protocol):
    """A mapping, or a class that resembles one: `email.message.Message`, Werkzeug's `Headers`."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


def check_payload(payload: object) -> bytes | bytearray | memoryview:
    """The raw body as bytes; bytes are not copied. Raises InvalidArgumentError: the payload is not a raw body."""
    if isinstance(payload, (bytes, bytearray)):
        return payload
    if isinstance(payload, memoryview):
        view = cast("memoryview", payload)
        return view if view.c_contiguous else view.tobytes()
    if isinstance(payload, str):
        try:
            return payload.encode()
        except UnicodeEncodeError:
            problem = "a str with lone surrogates, which is not what was received"
    else:
        problem = type(payload).__name__
    # Outside the except block, because the UnicodeEncodeError contains the body.
    raise InvalidArgumentError(
        f"payload must be the raw request body as bytes or str, not {problem}: the signature covers the "
        "exact bytes that were sent. FastAPI and Starlette: await request.body(); Flask: request.get_data(); "
        "Django: request.body",
        field="payload",
    )


def keyed_macs(secret: Any) -> list[Keyed]:
    """The HMACs of each secret; see `keyed_mac`.
    Raises InvalidArgumentError: no secret was passed, or a secret is empty or not a str.
    """
    secrets: Any = secret
    entry: Any = None
    # The loop below refuses any other type.
    if isinstance(secret, (str, bytes, bytearray, memoryview)) or not hasattr(secret, "__iter__"):
        secrets = (secret,)
    macs: list[Keyed] = []
    try:
        for entry in secrets:
            if not isinstance(entry, str):
                hint = ": is the environment variable set?" if entry is None else ""
                raise InvalidArgumentError(
                    f"secret must be a str or several, not {type(entry).__name__}{hint}", field="secret"
                )
            macs.append(keyed_mac(entry))
    finally:
        del secret, secrets, entry  # tracebacks show local variables
    if not macs:
        raise InvalidArgumentError("secret holds no secret: pass at least one, whsec_…", field="secret")
    return macs


# Setting up an HMAC costs more than hashing 1 KB, so the few of a receiver are cached; the secret is in the process's
# memory anyway. Callers copy the HMAC before they feed it.
@lru_cache(maxsize=32)
def keyed_mac(secret: str) -> Keyed:
    """The HMAC-SHA256s keyed with the secret.
    Raises InvalidArgumentError: the secret is empty, or has no UTF-8 form.
    """
    # In a shell or a YAML file, an unset variable is often blank.
    if not secret.strip():
        raise InvalidArgumentError(
            "secret is empty, and anyone can sign with an empty secret: pass the endpoint's, whsec_…",
            field="secret",
        )
    try:
        return Keyed(hmac.new(secret.encode(), digestmod="sha256"), _standard_mac(secret))
    except UnicodeEncodeError:
        pass
    # Outside the except block, and without the variable: the UnicodeEncodeError contains the secret.
    del secret
    raise InvalidArgumentError("secret has a lone surrogate, which has no UTF-8 form", field="secret")


def _standard_mac(secret: str) -> hmac.HMAC | None:
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return None
    # Anyone can sign with an empty key.
    return hmac.new(key, digestmod="sha256") if key else None


def check_tolerance(tolerance: object) -> None:
    """Check that the tolerance is a number of seconds, 0 or more. Raises InvalidArgumentError: it is not."""
    tolerance = as_int(tolerance)
    # `not >=` rather than `<`, to refuse a NaN as well: every comparison with it is false.
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not tolerance >= 0:
        raise InvalidArgumentError(
            "tolerance must be a number of seconds, 0 or more; it cannot be switched off, "
            "since an old delivery could then be replayed",
            field="tolerance",
        )


def sign(payload: object, secret: object, timestamp: float | None) -> str:
    """The header value for `payload`; see `firsthandapi.webhooks.sign`."""
    try:
        macs = keyed_macs(secret)
    finally:
        del secret
    body = check_payload(payload)
    if timestamp is None:
        if len(macs) > 1:
            raise InvalidArgumentError(
                "secret must be one str for a plain signature: only a timestamped one holds several",
                field="secret",
            )
        return digest(macs[0].own, b"", body).hex()
    timestamp = as_int(timestamp)
    if (
        isinstance(timestamp, bool)
        or not isinstance(timestamp, (int, float))
        or not 0 <= timestamp < _END_OF_TIME
    ):
        raise InvalidArgumentError("timestamp must be Unix seconds, such as time.time()", field="timestamp")
    stamp = str(int(timestamp))
    return ",".join(
        [f"t={stamp}", *(f"v1={digest(mac.own, f'{stamp}.'.encode(), body).hex()}" for mac in macs)]
    )


def are_headers(value: object) -> bool:
    """Whether it is headers of whatever form, rather than the text of one signature."""
    if isinstance(value, (str, bytes, bytearray)):
        return False  # iterating over a str yields characters, not pairs
    return callable(getattr(value, "items", None)) or hasattr(value, "__iter__")


def forms_in(headers: object) -> list[Callable[[], Form]]:
    """Functions that read the signatures in `headers`, one for each form that is there: ours first, if there is none.
    Raises InvalidArgumentError: `headers` is neither a mapping nor pairs.
    """
    values_by_name: dict[str, list[object]] = {name.lower(): [] for name in (*HEADER_NAMES, *_STANDARD_NAMES)}
    for name, value in _pairs(headers):
        if isinstance(name, bytes):
            name = name.decode("latin-1")  # noqa: PLW2901 - the same name, as text
        if not isinstance(name, str):
            continue  # an environ may contain anything
        key = name.lower()
        if key.startswith("http_"):  # WSGI: HTTP_X_FIRSTHANDAPI_SIGNATURE
            key = key[5:].replace("_", "-")
        values = values_by_name.get(key)
        if values is None:
            continue
        if isinstance(value, bytes):
            value = value.decode("latin-1")  # noqa: PLW2901 - fits every byte; parse refuses the odd ones
        if value not in (None, "", *values):
            values.append(value)
    newer, older, *standard = values_by_name.values()
    forms: list[Callable[[], Form]] = []
    if newer or older or not standard[-1]:
        forms.append(lambda: parse(_the_one(newer or older)))
    if standard[-1]:
        forms.append(lambda: _parse_standard(*map(_the_one, standard)))
    return forms


def _the_one(values: Sequence[object]) -> object:
    if len(values) > 1:
        raise WebhookSignatureError(
            f"malformed signature: its header came {len(values)} times with different values. "
            "Do not process the delivery; if it is genuine, look for a proxy that adds headers"
        )
    return values[0] if values else None


def _pairs(headers: Any) -> Iterator[tuple[object, object]]:
    # `items` first: iterating over a mapping or an email.message.Message yields only names.
    items = getattr(headers, "items", None)
    pairs: Any = items() if callable(items) else headers
    if not hasattr(pairs, "__iter__"):
        raise not_headers(headers)
    for pair in pairs:
        try:
            name, value = pair
        except (TypeError, ValueError):
            break
        yield name, value
    else:
        return
    raise not_headers(headers)


def not_headers(value: object) -> InvalidArgumentError:
    """The error for what are no headers."""
    return InvalidArgumentError(
        f"headers must be the request's headers, a mapping or pairs of name and value, and this "
        f"{type(value).__name__} is neither; for the text of the signature alone there is verify_signature",
        field="headers",
    )


def parse(signature: object) -> Form:
    """The text of a signature, plain or timestamped.
    Raises WebhookSignatureError: the signature is missing or malformed.
    """
    # The two usual forms, by hand: a regular expression takes twice as long.
    if isinstance(signature, str):
        head, comma, digits = signature.partition(",v1=")
        stamp = head[2:] if comma else None
        if stamp is None:
            digits = head
        if len(digits) == 64 and (
            stamp is None or (head[:2] == "t=" and stamp.isdecimal() and stamp.isascii() and len(stamp) <= 20)
        ):
            try:
                candidate = bytes.fromhex(digits)
            except ValueError:
                pass
            else:
                if len(candidate) == 32:  # shorter if fromhex skipped spaces
                    return stamp, b"" if stamp is None else f"{stamp}.".encode(), (candidate,), False
    return _parse_unusual(signature)


def _parse_unusual(signature: object) -> Form:
    if signature is None:
        raise _missing()
    if not isinstance(signature, str):
        raise _malformed(f"it is a {type(signature).__name__}, not a str")
    if len(signature) > MAX_LENGTH:
        raise _malformed(f"it is longer than {MAX_LENGTH} characters")
    if _TEXT.fullmatch(signature) is None:
        raise _malformed("it has control or non-ASCII characters")
    text = signature.strip(_BLANK)
    if not text:
        raise _missing()
    if _PLAIN.fullmatch(text) is not None:
        return None, b"", (bytes.fromhex(text),), False

    stamps: list[str] = []
    candidates: list[bytes] = []
    for item in text.split(","):
        scheme, _, value = item.partition("=")
        scheme, value = scheme.strip(_BLANK), value.strip(_BLANK)
        if scheme == "t":
            if _DIGITS.fullmatch(value) is None:
                raise _malformed("its t= is not Unix seconds")
            stamps.append(value)
        elif scheme == "v1":
            if _PLAIN.fullmatch(value) is None:
                raise _malformed("its v1= is not 64 hex digits")
            candidates.append(bytes.fromhex(value))
        # Ignore other schemes.
    if not stamps and not candidates:
        raise _malformed("it has neither of the two forms")
    if len(stamps) != 1:
        raise _malformed(f"it has {len(stamps)} t=, where there must be one")
    if not 1 <= len(candidates) <= MAX_CANDIDATES:
        raise _malformed(f"it has {len(candidates)} v1=, where there must be 1 to {MAX_CANDIDATES}")
    return stamps[0], f"{stamps[0]}.".encode(), candidates, False


def _parse_standard(event_id: object, stamp: object, signature: object) -> Form:
    """The three headers of Standard Webhooks. Raises WebhookSignatureError: one is missing or malformed."""
    texts = (event_id, stamp, signature)
    if not all(
        isinstance(text, str) and len(text) <= MAX_LENGTH and text.isascii() and text.isprintable()
        for text in texts
    ):
        raise _malformed(
            f"{', '.join(_STANDARD_NAMES)} must be text of at most {MAX_LENGTH} characters", _STANDARD
        )
    event_id, stamp, signature = cast("tuple[str, str, str]", texts)
    if _DIGITS.fullmatch(stamp) is None:
        raise _malformed("webhook-timestamp is not Unix seconds", _STANDARD)
    # Other versions, such as v1a, have other kinds of keys.
    signed = [part[3:] for part in signature.split(" ") if part.startswith("v1,")]
    if not 1 <= len(signed) <= MAX_CANDIDATES:
        raise _malformed(f"it has {len(signed)} v1, where there must be 1 to {MAX_CANDIDATES}", _STANDARD)
    try:
        candidates = [a2b_base64(text, strict_mode=True) for text in signed]
    except ValueError:
        raise _malformed("its v1 is not base64", _STANDARD) from None
    return stamp, f"{event_id}.{stamp}.".encode(), candidates, True


def _missing() -> WebhookSignatureError:
    return WebhookSignatureError(
        f"missing signature: the delivery has no {HEADER_NAMES[0]} header. Do not process it; if it is "
        "genuine, look for a proxy that drops headers"
    )


_OWN = "64 hex digits, or t=<Unix seconds>,v1=<64 hex digits>", HEADER_NAMES[0]
_STANDARD = "v1,<base64>", _STANDARD_NAMES[-1]


def _malformed(problem: str, form: tuple[str, str] = _OWN) -> WebhookSignatureError:
    # The message does not quote the header: a stranger may have written it, and messages end up in logs.
    looks, name = form
    return WebhookSignatureError(
        f"malformed signature: {problem}. It must be {looks}. "
        f"Do not process the delivery; if it is genuine, check that signature is the whole {name} header"
    )


def digest(keyed: hmac.HMAC, prefix: bytes, body: bytes | bytearray | memoryview) -> bytes:
    """The HMAC-SHA256 of the body, and of what is signed before it, such as the timestamp as written."""
    mac = keyed.copy()
    if prefix:
        # In two steps, because joining them copies the body: 6 % slower at 1 MB.
        mac.update(prefix)
    mac.update(body)
    return mac.digest()
