"""Paths and URLs that callers write."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from firsthandapi._base.names import can_be_on_windows
from firsthandapi.errors import InvalidArgumentError

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


def local_path(text: str, field: str) -> Path | None:
    """The path that `text` is, or that it names as a `file://` URL; None for any other URL. `~` is the home
    directory, even where no shell has expanded it, as in `--dest=~/signs`.
    Raises InvalidArgumentError: it is none of these.
    """
    if not text:  # as of `--dest "$OUT"` where OUT is not set
        raise InvalidArgumentError(f"{field} is empty; the current folder is ./", field=field)
    name = text
    if is_url(text):
        if text[:7].lower() != "file://":
            return None
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
            raise InvalidArgumentError(f"{field} must be like file:///folder, or a plain path", field=field)
        name = unquote(parts.path)
    elif _MADE_OF_URL.match(text):
        raise InvalidArgumentError(
            f"{field} is a URL that lost a slash, as in a Path; give it as a str, with ://", field=field
        )
    if os.name == "nt":
        if is_url(text) and name[2:3] == ":":
            name = name[1:]  # in a URL, a drive is behind a slash
        if (wrong := name_not_on_windows(name)) is not None:
            raise InvalidArgumentError(
                f"{field} contains {wrong!r}, which names no file or folder on Windows; use another name",
                field=field,
            )
    if is_url(text):
        return Path(name)
    return Path(os.path.expanduser(name))  # noqa: PTH111 # that of pathlib raises where there is no home


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


def check_path(path: str | os.PathLike[str], field: str) -> None:
    """Refuse what no system can open. Raises InvalidArgumentError: `path` has a NUL, or half of a character."""
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InvalidArgumentError(
            f"{field} contains characters that no path of this system has", field=field
        )
