"""What a `dest` names, by its text: a path of this machine, or a bucket by its URL."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from firsthandapi.errors import InvalidArgumentError

from .names import can_be_on_windows

# A drive of Windows is one letter, a scheme never is. `::` chains several URLs.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+(?:://|::)")
# Of Windows, also of a path as long as it wants to be.
_DRIVE = re.compile(r"\A(?:[\\/]{2}[?.][\\/])?(?:[A-Za-z]:)?")
# What a path made of a URL begins with: one of its slashes is gone.
_MADE_OF_URL = re.compile(r"(?:\./)*[A-Za-z][A-Za-z0-9+.\-]+:[/\\]")
# A name such as container@account is Azure's way to say where the container is.
_AZURE = frozenset({"abfs", "abfss", "az", "wasb", "wasbs"})
_PORT = re.compile(r"[^:@]+(?::[0-9]{1,5})?")
_ARN = "arn:"


def is_url(text: str) -> bool:
    """Whether `text` is a URL, and not a path."""
    return _URL.match(text) is not None


def path_in(text: str, field: str) -> str | None:
    """The path that `text` is, or that it names as a `file://` URL; None for any other URL.
    Raises InvalidArgumentError: it is none of these.
    """
    if not text:  # as of `--dest "$OUT"` where OUT is not set
        raise InvalidArgumentError(f"{field} is empty; the current folder is ./", field=field)
    if not is_url(text):
        if _MADE_OF_URL.match(text):
            raise InvalidArgumentError(
                f"{field} is a URL that lost a slash, as in a Path; give it as a str, with ://", field=field
            )
        return text
    if text[:7].lower() != "file://":
        return None
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise InvalidArgumentError(f"{field} must be like file:///folder, or a plain path", field=field)
    return unquote(parts.path)


def name_not_on_windows(path: str) -> str | None:
    """The first name in a path that Windows gives to no file, or not to one in this folder; None if there is none.

    `CON` is a device there, `a:b` a stream of the file `a`, and `a.` is `a`.
    """
    names = re.split(r"[\\/]+", _DRIVE.sub("", path))
    return next((name for name in names if name.strip(".") and not can_be_on_windows(name)), None)


def bucket_url(text: str, field: str) -> tuple[str, str]:
    """The scheme of a bucket's URL, and the URL without what may be left out.
    Raises InvalidArgumentError: it is not such a URL, or contains a part that is not allowed. No message shows the URL.
    """

    def refuse(why: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"{field} {why}", field=field)

    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if "::" in text:
        raise refuse("must be one URL, not several chained by ::")
    if scheme in ("http", "https"):  # as a console shows a bucket's address
        raise refuse("must be the URL of a bucket, as in s3://bucket/folder, not a web address")
    bucket, _, below = rest.partition("/")
    if not _is_plain(scheme, bucket):
        raise refuse(
            "must be a URL without credentials; set them in the environment, where the bucket's library reads them"
        )
    if "?" in rest or "#" in rest:
        raise refuse("must be a URL without a query or fragment: remove everything from ? or # on")
    if not bucket and not (scheme == "memory" and below.strip("/")):
        raise refuse(f"must name a bucket, as in {scheme if scheme.isalnum() else 's3'}://bucket/folder")
    names = [name for name in below.split("/") if name]
    if not text.isprintable() or {".", ".."} & {*names, bucket}:
        raise refuse("must be a URL of plain names: no . or .., nothing that cannot be printed")
    return scheme, f"{scheme}://{'/'.join(name for name in (bucket, *names) if name)}"


def _is_plain(scheme: str, bucket: str) -> bool:
    """Whether the part of a URL that names the bucket surely contains no credentials."""
    if scheme in _AZURE:
        bucket = bucket.replace("@", "", 1)
    return not bucket or bucket.startswith(_ARN) or _PORT.fullmatch(bucket) is not None
