"""Signatures of webhook deliveries, and the events in them (contract §6)."""

import base64
import hmac
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook
from starlette.datastructures import Headers as StarletteHeaders

from firsthandapi.errors import (
    FirstHandError,
    InvalidArgumentError,
    UnexpectedResponseError,
    WebhookSignatureError,
)
from firsthandapi.types.event import SubmissionEvent, WebhookEvent
from firsthandapi.webhooks import sign, unwrap, verify_signature

BODY = (
    b'{"id":"evt_01JP","type":"submission.approved","data":{"submission_id":"sub_01JP","ai_star_rating":4}}'
)
SECRET = "whsec_test_secret"
NEXT = "whsec_next_secret"
NOW = 1_700_000_000

# printf '%s' "$BODY" | openssl dgst -sha256 -hmac whsec_test_secret
PLAIN = "bcafde4d8dd22a5017b4c3225983f0d53bb1d1e56d6a52f965895bec3622e64d"
# printf '1700000000.%s' "$BODY" | openssl dgst -sha256 -hmac whsec_test_secret, and …next_secret
V1 = "8815339492bed00f5ee86a8ca03117312de7bb7b5e6fe1d6d4ad9468432fe2af"
V1_NEXT = "2d81c2ebd60a18a040c6adb321a0821994b0f1f9944d8dca021f4704e5f6d7c6"
STAMPED = f"t={NOW},v1={V1}"
WRONG = "0" * 64

NAME = "X-FirstHandAPI-Signature"
OLD_NAME = "X-FirstHand-Signature"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is `NOW`, and a fraction of a second."""
    set_now(monkeypatch, NOW + 0.9)


def set_now(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(time, "time", lambda: seconds)


def refusal(signature: Any, payload: Any = BODY, secret: Any = SECRET, **options: Any) -> str:
    """The message with which the signature is refused."""
    with pytest.raises(WebhookSignatureError) as caught:
        verify_signature(payload, signature, secret, **options)
    return str(caught.value)


def bad_argument(call: Callable[..., object], *args: Any, **options: Any) -> InvalidArgumentError:
    """The error of a call whose argument is wrong."""
    with pytest.raises(InvalidArgumentError) as caught:
        call(*args, **options)
    return caught.value


# --- golden values ---------------------------------------------------------------------------------------


def test_sign_plain() -> None:
    """Without a timestamp it is HMAC-SHA256 of the body, in lower-case hex."""
    assert sign(BODY, SECRET) == PLAIN
    # printf '' | openssl dgst -sha256 -hmac whsec_test_secret
    assert sign(b"", SECRET) == "c6c175a074d482e2b94a0f8c5619f3abd861a511ec3ea7603b906811fd3d9d30"


def test_sign_timestamped() -> None:
    """With a timestamp it covers that, a dot and the body."""
    assert sign(BODY, SECRET, timestamp=NOW) == STAMPED


def test_sign_secret_verbatim() -> None:
    """The key is the UTF-8 of the secret, prefix and all, and the body need not be text."""
    # printf '\xff\x00\xfe' | openssl dgst -sha256 -hmac 'whsec_ünïcode'
    expected = "8078f85bf909f8ad0638ab6ace3e63177418adae2fc998662591df065ea57eef"
    assert sign(b"\xff\x00\xfe", "whsec_ünïcode") == expected
    assert sign(BODY, SECRET.removeprefix("whsec_")) != PLAIN
    assert sign(BODY, SECRET + "\n") != PLAIN
    assert sign(BODY, f" {SECRET}") != PLAIN


def test_sign_several() -> None:
    """Several secrets give several v1=, in their order."""
    assert sign(BODY, [SECRET, NEXT], timestamp=NOW) == f"t={NOW},v1={V1},v1={V1_NEXT}"
    assert bad_argument(sign, BODY, [SECRET, NEXT]).field == "secret"


def test_sign_fraction_cut() -> None:
    """A fraction of a second is cut off, so time.time() will do."""
    assert sign(BODY, SECRET, timestamp=NOW + 0.99) == STAMPED
    for bound in (0, 10**12 - 1):
        assert sign(BODY, SECRET, timestamp=bound).startswith(f"t={bound},v1=")


@pytest.mark.parametrize("timestamp", [-1, 10**12, float("nan"), float("inf"), True, "1700000000"])
def test_sign_bad_timestamp(timestamp: Any) -> None:
    """What is not Unix seconds is refused."""
    assert bad_argument(sign, BODY, SECRET, timestamp=timestamp).field == "timestamp"


# --- both forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signature",
    [
        PLAIN,
        PLAIN.upper(),
        PLAIN[:32].upper() + PLAIN[32:],
        f"  {PLAIN}\t",
        STAMPED,
        f"t={NOW},v1={V1.upper()}",
        f" t = {NOW} ,\tv1 = {V1} ",
        f"v1={V1},t={NOW}",
        f"t={NOW},v0={WRONG},v1={V1},v2=,x",
        f"t={NOW},v1={V1},",
        f"t={NOW},v1={WRONG},v1={V1}",
        f"t={NOW},v1={V1},v1={WRONG}",
        f"t={NOW}," + f"v1={WRONG}," * 15 + f"v1={V1}",
        f"t={NOW},v0={'x' * 3900},v1={V1}",
    ],
)
def test_accepted(signature: str) -> None:
    """Either form is told by its shape; case, spaces, order and unknown schemes do not matter.

    (0.1.0 knew the timestamped form only, and returned True, which invites `if not verify(…)`.)
    """
    assert verify_signature(BODY, signature, SECRET) is None


def test_timestamp_as_written() -> None:
    """The timestamp is signed as it is written, zeros in front included."""
    signature = hmac.new(SECRET.encode(), b"0001700000000." + BODY, "sha256").hexdigest()
    verify_signature(BODY, f"t=0001700000000,v1={signature}", SECRET)
    refusal(f"t={NOW},v1={signature}")


@pytest.mark.parametrize(
    "wrap", [bytes, bytearray, memoryview, lambda body: memoryview(body + body)[: len(body)]]
)
@pytest.mark.parametrize("timestamp", [None, NOW])
def test_any_bytes(wrap: Callable[[bytes], Any], timestamp: int | None) -> None:
    """The payload may be anything that holds bytes."""
    payload = wrap(BODY)
    signature = sign(payload, SECRET, timestamp=timestamp)
    assert signature == sign(BODY, SECRET, timestamp=timestamp)
    verify_signature(payload, signature, SECRET)
    assert unwrap(payload, {NAME: signature}, SECRET).id == "evt_01JP"


def test_strided_memoryview() -> None:
    """A memoryview with gaps stands for its bytes without them."""
    gaps = bytes(byte for pair in zip(BODY, BODY, strict=True) for byte in pair)
    verify_signature(memoryview(gaps)[::2], PLAIN, SECRET)


def test_str_is_utf8() -> None:
    """A str stands for its UTF-8 bytes."""
    verify_signature(BODY.decode(), PLAIN, SECRET)
    verify_signature("Zürich ☂", sign("Zürich ☂".encode(), SECRET), SECRET)


def test_not_utf8() -> None:
    """A body that is not text is verified all the same. (0.1.0 decoded it first.)"""
    for timestamp in (None, NOW):
        verify_signature(b"\xff\xfe\x00", sign(b"\xff\xfe\x00", SECRET, timestamp=timestamp), SECRET)


# --- several secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "several", [[SECRET, NEXT], (NEXT, SECRET), {SECRET, NEXT}, [SECRET], dict.fromkeys([NEXT, SECRET])]
)
@pytest.mark.parametrize("signature", [PLAIN, STAMPED, f"t={NOW},v1={V1_NEXT},v1={V1}"])
def test_rotation(several: Any, signature: str) -> None:
    """One match among all secrets and signatures is enough."""
    verify_signature(BODY, signature, several)
    verify_signature(BODY, signature, iter(several))


def test_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair is compared, in constant time, so that the time taken does not tell which matched."""
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    verify_signature(BODY, f"t={NOW},v1={V1},v1={WRONG}", [SECRET, NEXT])
    assert {(a.hex(), b.hex()) for a, b in compared} == {
        (V1, V1),
        (V1, WRONG),
        (V1_NEXT, V1),
        (V1_NEXT, WRONG),
    }


@pytest.mark.parametrize("secret", ["", " ", "\t\n", [], (), [SECRET, ""], [" "], iter(())])
def test_empty_secret(secret: Any) -> None:
    """No secret is no protection, so it is an error of the caller, whatever the signature."""
    for call in (
        lambda: verify_signature(BODY, hmac.new(b"", BODY, "sha256").hexdigest(), secret),
        lambda: unwrap(BODY, {}, secret),
        lambda: sign(BODY, secret),
    ):
        assert bad_argument(call).field == "secret"


@pytest.mark.parametrize(
    "secret", [None, b"whsec_test_secret", bytearray(b"x"), 5, [None], [b"x"], [[SECRET]]]
)
def test_secret_not_str(secret: Any) -> None:
    """A secret is a str or several; the error names the type that came."""
    error = bad_argument(verify_signature, BODY, PLAIN, secret)
    inner = secret[0] if isinstance(secret, list) else secret
    assert error.field == "secret"
    assert type(inner).__name__ in str(error)
    assert ("environment variable" in str(error)) is (inner is None)


def test_secret_not_text() -> None:
    """A secret without a UTF-8 form is refused, and does not hide in the error's context."""
    error = bad_argument(verify_signature, BODY, PLAIN, "whsec_\ud800")
    assert error.field == "secret"
    assert error.__context__ is None


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", [None, "", " \t "])
def test_missing(signature: Any) -> None:
    """No signature is refused as missing."""
    assert refusal(signature).startswith("missing signature")


@pytest.mark.parametrize(
    "signature",
    [
        "x",
        "sha256=" + PLAIN,
        PLAIN[:-1],
        "t=" + PLAIN[2:],
        PLAIN + "0",
        PLAIN[:-1] + "g",
        PLAIN[:-1] + "é",
        PLAIN[:-1] + "\uff10",  # a digit, but not an ASCII one
        PLAIN[:30] + "  " + PLAIN[32:],
        f"{PLAIN}\n",
        f"{PLAIN}, {PLAIN}",
        ",",
        "v1=",
        "t=",
        f"t={NOW}",
        f"v1={V1}",
        f"t={NOW},v1=",
        f"t={NOW},v1={V1[:-1]}",
        f"t={NOW},v1={V1[:62]}  ",
        f"t={NOW},v1= {V1[:30]} {V1[30:]}",
        f"t={NOW},v1={V1},v1=x",
        f"t=,v1={V1}",
        f"t=-1,v1={V1}",
        f"t=+1,v1={V1}",
        f"t=1e9,v1={V1}",
        f"t=1_0,v1={V1}",
        f"t=1700000000.5,v1={V1}",
        f"t=\u0661\u0667,v1={V1}",
        f"t=\u00b2,v1={V1}",
        f"t={'9' * 21},v1={V1}",
        f"t={'9' * 4000},v1={V1}",
        f"t={NOW},t={NOW},v1={V1}",
        f"T={NOW},V1={V1}",
        f"t={NOW}," + f"v1={V1}," * 17,
        f"t={NOW},v1={V1},x={'x' * 4096}",
        "a" * 10_000_000,
        f"t={NOW},v1={V1}\r\n",
        f"t={NOW},v1={V1},x=\x00",
        f"t={NOW},v1={V1},x=\x7f",
        "\ud800" * 64,
        f"t=\ud800,v1={V1}",
        PLAIN.encode(),
        b"",
        5,
        object(),
    ],
)
def test_malformed(signature: Any) -> None:
    """Whatever a stranger writes is refused as malformed, and never quoted."""
    for options in ({}, {"allow_plain": False}):
        message = refusal(signature, **options)
        assert message.startswith("malformed signature")
        assert len(message) < 400


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        ("x", "it has neither of the two forms"),
        (f"v1={V1}", "it has 0 t="),
        (f"t={NOW}", "it has 0 v1="),
        (f"t={NOW},t={NOW},v1={V1}", "it has 2 t="),
    ],
)
def test_malformed_says_how(signature: str, problem: str) -> None:
    """Whoever writes the sender learns what is wrong with its header."""
    assert refusal(signature).startswith(f"malformed signature: {problem}")


@pytest.mark.parametrize(
    "signature", [WRONG, f"t={NOW},v1={WRONG}", f"t={NOW + 1},v1={V1}", f"t={NOW},v1={PLAIN}", V1]
)
def test_wrong(signature: str) -> None:
    """A well-formed signature that does not match is refused as wrong."""
    assert refusal(signature).startswith("wrong signature")


def test_wrong_body_and_secret() -> None:
    """Another body or another secret is refused as wrong."""
    assert "raw body" in refusal(PLAIN, payload=json.dumps(json.loads(BODY)))
    assert refusal(PLAIN, secret=NEXT).startswith("wrong signature")
    assert refusal(STAMPED, secret=[NEXT, "x"]).startswith("wrong signature")


def test_plain_refused() -> None:
    """A caller can insist on a timestamp, and a plain signature is then refused, right or wrong."""
    for signature in (PLAIN, WRONG, f" {PLAIN} "):
        assert refusal(signature, allow_plain=False).startswith("plain signature refused")
    verify_signature(BODY, STAMPED, SECRET, allow_plain=False)


def test_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timestamp may be 300 whole seconds off, in the past and in the future, and no more."""
    for offset in (-300, 0, 300):
        set_now(monkeypatch, NOW + offset + 0.99)
        verify_signature(BODY, STAMPED, SECRET)
    set_now(monkeypatch, NOW + 301)
    assert refusal(STAMPED).startswith("signature too old: made 301 s ago, and tolerance is 300 s")
    set_now(monkeypatch, NOW - 301)
    assert refusal(STAMPED).startswith("signature too far in the future: dated 301 s ahead")


def test_integers_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has `__index__` is an int, as a tolerance and as a timestamp."""
    np = pytest.importorskip("numpy")
    set_now(monkeypatch, NOW + 2)
    verify_signature(BODY, STAMPED, SECRET, tolerance=np.int64(2))
    assert sign(BODY, SECRET, timestamp=np.int64(3)) == sign(BODY, SECRET, timestamp=3)


def test_own_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tolerance is the caller's, in seconds, from 0 up."""
    verify_signature(BODY, STAMPED, SECRET, tolerance=0)
    verify_signature(BODY, STAMPED, SECRET, tolerance=0.0)
    set_now(monkeypatch, NOW + 2)
    verify_signature(BODY, STAMPED, SECRET, tolerance=2.5)
    refusal(STAMPED, tolerance=1)
    refusal(STAMPED, tolerance=1.5)
    set_now(monkeypatch, NOW + 10**9)
    verify_signature(BODY, STAMPED, SECRET, tolerance=float("inf"))
    verify_signature(BODY, PLAIN, SECRET, tolerance=0)


def test_longest_signature() -> None:
    """A header may have 4,096 characters."""
    padding = 4096 - len(f"{STAMPED},x=")
    verify_signature(BODY, f"{STAMPED},x={'y' * padding}", SECRET, tolerance=10**9)
    assert "longer than 4096" in refusal(f"{STAMPED},x={'y' * (padding + 1)}")


def test_far_future() -> None:
    """A timestamp in milliseconds, or of 20 digits, is too far in the future."""
    for stamp in (NOW * 1000, 10**20 - 1):
        signature = hmac.new(SECRET.encode(), f"{stamp}.".encode() + BODY, "sha256").hexdigest()
        assert "too far in the future" in refusal(f"t={stamp},v1={signature}")


def test_wrong_before_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the service did sign is called old."""
    set_now(monkeypatch, NOW + 10_000)
    assert refusal(f"t={NOW},v1={WRONG}").startswith("wrong signature")


@pytest.mark.parametrize("tolerance", [-1, -0.5, float("nan"), None, True, "300"])
def test_bad_tolerance(tolerance: Any) -> None:
    """A tolerance that is not 0 or more seconds is the caller's mistake, also where it would not count."""
    for signature in (PLAIN, STAMPED, None):
        assert (
            bad_argument(verify_signature, BODY, signature, SECRET, tolerance=tolerance).field == "tolerance"
        )


class Parsed:
    """Some framework's idea of a body."""


@pytest.mark.parametrize("payload", [{"id": "evt_01JP"}, [], None, 5, Parsed(), "\ud800"])
def test_parsed_payload(payload: Any) -> None:
    """A body that was parsed cannot be verified; the error names the right call for each framework."""
    for call in (
        lambda: verify_signature(payload, PLAIN, SECRET),
        lambda: unwrap(payload, {NAME: PLAIN}, SECRET),
        lambda: sign(payload, SECRET),
    ):
        error = bad_argument(call)
        assert error.field == "payload"
        for words in ("await request.body()", "request.get_data()", "Django: request.body"):
            assert words in str(error)
        assert error.__context__ is None


def test_says_nothing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """No refusal holds the secret, the expected signature or the body; all survive pickling."""
    errors: list[FirstHandError] = []
    for now in (NOW, NOW + 1000, NOW - 1000):
        set_now(monkeypatch, now)
        for signature in (None, "x", WRONG, f"t={NOW},v1={WRONG}", STAMPED, PLAIN):
            try:
                verify_signature(BODY, signature, SECRET, allow_plain=False)
            except WebhookSignatureError as error:
                errors.append(error)
    assert len(errors) > 12
    for error in errors:
        for text in (str(error), repr(error), repr(pickle.loads(pickle.dumps(error)))):
            for hidden in ("test_secret", PLAIN, V1, WRONG, "evt_01JP", "submission.approved"):
                assert hidden not in text
        assert error.__context__ is None
        assert error.__cause__ is None


# --- any input at all ------------------------------------------------------------------------------------

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
STAMPS = st.none() | st.just(NOW)


@given(st.text() | st.from_regex(r"t=\d*,(v1=[0-9a-f]*,?)*") | st.binary() | st.none(), st.booleans())
@example("t=1700000000,v1=" + "\u0660" * 64, True)
def test_no_other_error(signature: Any, allow_plain: bool) -> None:
    """No header whatever raises anything but WebhookSignatureError."""
    for call in (
        lambda: verify_signature(BODY, signature, SECRET, allow_plain=allow_plain),
        lambda: unwrap(BODY, [(NAME, signature)], SECRET, allow_plain=allow_plain),
    ):
        with pytest.raises(WebhookSignatureError):
            call()


@given(st.binary(), SECRETS, STAMPS)
def test_round_trip(payload: bytes, secret: str, timestamp: int | None) -> None:
    """What was signed is verified, in both forms."""
    verify_signature(payload, sign(payload, secret, timestamp=timestamp), secret, tolerance=10**10)


@given(st.binary(min_size=1), STAMPS, st.data())
def test_any_change_fails(payload: bytes, timestamp: int | None, data: st.DataObject) -> None:
    """One byte changed, in the body or in the signature, and it is refused."""
    signature = sign(payload, SECRET, timestamp=timestamp)
    at = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != payload[at]))
    refusal(signature, payload=payload[:at] + bytes([byte]) + payload[at + 1 :])
    at = data.draw(st.integers(0, len(signature) - 1))
    char = data.draw(st.characters().filter(lambda char: char.lower() != signature[at]))
    refusal(signature[:at] + char + signature[at + 1 :], payload=payload, tolerance=10**12)


# --- unwrap: where the signature is ----------------------------------------------------------------------


class Items:
    """Headers that are no mapping, such as Werkzeug's."""

    def items(self) -> Iterator[tuple[str, str]]:
        yield "Host", "example.com"
        yield NAME, STAMPED


def message() -> Message:
    """Headers as `http.server` gives them."""
    headers = Message()
    headers["Host"] = "example.com"
    headers[NAME] = STAMPED
    return headers


ENVIRON = {"HTTP_HOST": "example.com", "HTTP_X_FIRSTHANDAPI_SIGNATURE": STAMPED, "wsgi.version": (1, 0)}


@pytest.mark.parametrize(
    "headers",
    [
        {NAME: STAMPED},
        {NAME: PLAIN},
        {NAME.lower(): STAMPED},
        {NAME.upper(): STAMPED},
        {NAME: STAMPED.encode()},
        {NAME.encode(): STAMPED.encode()},
        {OLD_NAME: STAMPED},
        {OLD_NAME: "junk", NAME: STAMPED},
        {NAME: STAMPED, OLD_NAME: "junk"},
        {NAME: None, OLD_NAME: STAMPED},
        {NAME: "", OLD_NAME: STAMPED},
        [(b"host", b"example.com"), (b"x-firsthandapi-signature", STAMPED.encode())],
        ((NAME, STAMPED),),
        iter([[NAME, STAMPED]]),
        [(NAME, STAMPED), (NAME.lower(), STAMPED.encode())],
        MappingProxyType({NAME: STAMPED}),
        Items(),
        message(),
        StarletteHeaders({NAME: STAMPED}),
        ENVIRON,
        {"HTTP_X_FIRSTHAND_SIGNATURE": STAMPED},
        {5: "x", None: "y", NAME: STAMPED},
    ],
    ids=lambda headers: type(headers).__name__,
)
def test_headers(headers: Any) -> None:
    """Whatever a framework calls headers will do; the newer name goes before the older one."""
    event = unwrap(BODY, headers, SECRET)
    assert isinstance(event, SubmissionEvent)
    assert event.data.submission_id == "sub_01JP"


@pytest.mark.parametrize(
    "headers",
    [{}, [], {"Host": "x"}, {NAME: None}, {NAME: ""}, {NAME: b""}, {"X_FIRSTHANDAPI_SIGNATURE": PLAIN}],
)
def test_no_header(headers: Any) -> None:
    """A delivery without the header is refused, and the header is named."""
    with pytest.raises(WebhookSignatureError, match=r"missing signature.*X-FirstHandAPI-Signature"):
        unwrap(BODY, headers, SECRET)


@pytest.mark.parametrize("value", ["junk", b"\xff", 5, [PLAIN], object()])
def test_junk_header(value: Any) -> None:
    """A value that is no signature, or no text, is refused, also if the older header is fine."""
    with pytest.raises(WebhookSignatureError, match="malformed"):
        unwrap(BODY, {NAME: value, OLD_NAME: PLAIN}, SECRET)


def test_two_headers() -> None:
    """The header twice with two values is refused, even if one of them is right."""
    with pytest.raises(WebhookSignatureError, match="2 times"):
        unwrap(BODY, [(NAME, WRONG), (NAME, PLAIN)], SECRET)


@pytest.mark.parametrize("headers", [None, PLAIN, PLAIN.encode(), "", 5, [PLAIN], [(NAME,)], [5], {NAME}])
def test_not_headers(headers: Any) -> None:
    """What is not headers is the caller's mistake; who has the signature's text is told where to go."""
    error = bad_argument(unwrap, BODY, headers, SECRET)
    assert error.field == "headers"
    assert "verify_signature" in str(error)
    assert PLAIN not in str(error)


def test_unwrap_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """`unwrap` takes tolerance, allow_plain and several secrets like `verify_signature`."""
    with pytest.raises(WebhookSignatureError, match="plain signature refused"):
        unwrap(BODY, {NAME: PLAIN}, SECRET, allow_plain=False)
    set_now(monkeypatch, NOW + 500)
    with pytest.raises(WebhookSignatureError, match="too old"):
        unwrap(BODY, {NAME: STAMPED}, SECRET)
    assert unwrap(BODY, {NAME: STAMPED}, [NEXT, SECRET], tolerance=500).id == "evt_01JP"


# --- Standard Webhooks -----------------------------------------------------------------------------------

STANDARD_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def standard(
    body: bytes = BODY, secret: str = STANDARD_SECRET, event_id: str = "evt_01JP", **changed: str
) -> dict[str, str]:
    """The headers of a delivery by the package that others use, with some changed."""
    signature = Webhook(secret).sign(event_id, datetime.fromtimestamp(NOW, UTC), body.decode())
    headers = {"webhook-id": event_id, "webhook-timestamp": str(NOW), "webhook-signature": signature}
    return headers | {name.replace("_", "-"): value for name, value in changed.items()}


def test_standard_webhooks() -> None:
    """What their package signs is verified, under any name of a header, and one match among several is enough."""
    headers = standard()
    assert unwrap(BODY, headers, STANDARD_SECRET).id == "evt_01JP"
    verify_signature(BODY, headers, STANDARD_SECRET, allow_plain=False)
    verify_signature(BODY, headers.items(), [SECRET, STANDARD_SECRET])
    verify_signature(
        BODY, {f"HTTP_{name.upper().replace('-', '_')}": headers[name] for name in headers}, STANDARD_SECRET
    )
    several = f"v1a,x {standard(secret='whsec_AAAA')['webhook-signature']} {headers['webhook-signature']}"
    verify_signature(BODY, headers | {"webhook-signature": several}, STANDARD_SECRET)


@pytest.mark.parametrize("secret", ["whsec_" + "ab" * 16, "whsec_AAAAAA", "whsec_AAAAAA==", "AAAAAAAA"])
def test_secrets_of_standard_webhooks(secret: str) -> None:
    """The key is what follows `whsec_`, with or without padding; our own form still takes the whole secret."""
    verify_signature(BODY, standard(secret=secret), secret)
    verify_signature(BODY, {NAME: sign(BODY, secret)}, secret)
    whole = hmac.digest(secret.encode(), f"evt_01JP.{NOW}.".encode() + BODY, "sha256")
    refusal(standard(webhook_signature=f"v1,{base64.b64encode(whole).decode()}"), secret=secret)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_test_secret", "whsec_AAA\n", "whsec_ü", "whsec_A=AA"])
def test_secrets_that_are_no_base64(secret: str) -> None:
    """They have our form alone: nobody signs with the part of it that decodes, or with an empty key."""
    for key in (b"", base64.b64decode(secret.removeprefix("whsec_").encode() + b"==")):
        mac = base64.b64encode(hmac.digest(key, f"evt_01JP.{NOW}.".encode() + BODY, "sha256")).decode()
        assert refusal(standard(webhook_signature=f"v1,{mac}"), secret=secret).startswith("wrong signature")
    verify_signature(BODY, {NAME: sign(BODY, secret)}, secret)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"webhook_id": "evt_2"}, "wrong signature"),
        ({"webhook_timestamp": str(NOW + 1)}, "wrong signature"),
        (
            {"webhook_id": ""},
            "malformed signature: webhook-id, webhook-timestamp, webhook-signature must be text",
        ),
        ({"webhook_id": "x" * 4097}, "malformed signature: webhook-id"),
        ({"webhook_id": "é"}, "malformed signature: webhook-id"),
        ({"webhook_timestamp": "yesterday"}, "malformed signature: webhook-timestamp is not Unix seconds"),
        ({"webhook_signature": "v1a,AAAA"}, "malformed signature: it has 0 v1,"),
        ({"webhook_signature": "v1,AAAA " * 17}, "malformed signature: it has 17 v1,"),
        ({"webhook_signature": "v1,A*AA"}, "malformed signature: its v1 is not base64"),
        ({"webhook_signature": ""}, "missing signature: the delivery has no X-FirstHandAPI-Signature"),
    ],
)
def test_standard_refused(changed: dict[str, str], message: str) -> None:
    """Each of the three headers counts; what a stranger writes there is never quoted."""
    assert refusal(standard(**changed), secret=STANDARD_SECRET).startswith(message)


def test_standard_refused_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of the timestamped form."""
    headers = standard()
    set_now(monkeypatch, NOW + 301)
    assert refusal(headers, secret=STANDARD_SECRET).startswith("signature too old: made 301 s ago")
    verify_signature(BODY, headers, STANDARD_SECRET, tolerance=301)


def test_one_valid_form_is_enough() -> None:
    """A wrong signature, or two, beside a right one is no refusal; of two wrong ones, ours is explained."""
    ours, theirs = {NAME: sign(BODY, STANDARD_SECRET)}, standard()
    for headers in (
        ours | theirs,
        {NAME: WRONG} | theirs,
        ours | standard(webhook_id="evt_2"),
        {NAME: "junk"} | theirs,
    ):
        verify_signature(BODY, headers, STANDARD_SECRET)
    verify_signature(BODY, ours | theirs, STANDARD_SECRET, allow_plain=False)
    verify_signature(BODY, [(NAME, WRONG), (NAME, PLAIN), *theirs.items()], STANDARD_SECRET)
    verify_signature(BODY, [*ours.items(), *theirs.items(), ("Webhook-Id", "evt_2")], STANDARD_SECRET)
    both = {NAME: "junk"} | standard(webhook_id="evt_2")
    assert refusal(both, secret=STANDARD_SECRET).startswith("malformed signature: it has neither")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
            st.text() | st.binary() | st.just(str(NOW)),
        )
    )
)
def test_no_other_error_of_standard(headers: list[tuple[str, Any]]) -> None:
    """Whatever stands in the three headers raises nothing but WebhookSignatureError."""
    refusal(headers, secret=STANDARD_SECRET)


def test_headers_that_are_none() -> None:
    """In the place of the signature, too."""
    for wrong in ([PLAIN], Wordless()):
        assert bad_argument(verify_signature, BODY, wrong, SECRET).field == "headers"


class Wordless:
    """Of a mock, say."""

    def items(self) -> None: ...


# --- unwrap: what is in it -------------------------------------------------------------------------------


def signed(event: Mapping[str, Any] | bytes) -> WebhookEvent:
    """The event of a delivery that the service signed."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return unwrap(body, {NAME: sign(body, SECRET, timestamp=NOW)}, SECRET)


def test_signed_junk() -> None:
    """Signed, but not the documented JSON: an error with status 0, and no signature error."""
    for body in (b"", b"junk", b"\xff\xfe", b"[]", b"null", b"{}", b'{"id":5,"type":"x"}', b"[" * 100_000):
        with pytest.raises(UnexpectedResponseError) as caught:
            signed(body)
        assert caught.value.status == 0


@pytest.mark.parametrize("signature", [None, "junk", WRONG, f"t={NOW},v1={WRONG}", f"t={NOW - 301},v1={V1}x"])
def test_verified_before_parsed(signature: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a body is parsed unless its signature is right."""
    monkeypatch.setitem(sys.modules, "firsthandapi._core.calls.decode", None)  # importing it would now fail
    for body in (BODY, b"junk", b"\xff"):
        with pytest.raises(WebhookSignatureError):
            unwrap(body, {NAME: signature}, SECRET)
    with pytest.raises(ImportError):
        unwrap(BODY, {NAME: PLAIN}, SECRET)


# --- what it costs to load -------------------------------------------------------------------------------


def test_import_is_light() -> None:
    """Verifying loads neither an HTTP client nor the models; reading an event loads no HTTP client."""
    code = f"""
import sys
from firsthandapi.webhooks import EventRouter, unwrap, verify_signature
EventRouter()
verify_signature({BODY!r}, {PLAIN!r}, {SECRET!r})
print([name for name in ("httpx", "httpcore", "anyio", "pydantic", "tenacity", "ssl") if name in sys.modules])
unwrap({BODY!r}, {{{NAME!r}: {PLAIN!r}}}, {SECRET!r})
print([name for name in ("httpx", "httpcore", "anyio", "tenacity", "ssl") if name in sys.modules])
"""
    # Without what a coverage run loads into its subprocesses.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")
