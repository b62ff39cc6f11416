"""From what a caller names to the store that keeps it."""

from __future__ import annotations

import os
from typing import Any, cast

from firsthandapi._core.places import bucket_url, local_path
from firsthandapi.errors import InvalidArgumentError

from ._store import Disk, Store


def store_at(place: str | os.PathLike[str], field: str) -> Store:
    """The store of a folder, given as a path, a URL, or the `UPath` of a bucket. Nothing is looked at.

    Args:
        place: which.
        field: the argument's name, for errors.

    Raises:
        InvalidArgumentError: it is none of these.
        ConfigurationError: it is in a bucket, and what that needs is not installed.
    """
    text, options = _text_of(place)
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{field} must be a path or a URL, as a str or a Path", field=field)
    path = local_path(text, field)
    if path is not None:
        return Disk(path)
    scheme, url = bucket_url(text, field)
    from ._bucket import Bucket

    return Bucket(scheme, url, options, field)


def _text_of(place: Any) -> tuple[object, dict[str, Any]]:
    try:
        text = cast("object", os.fspath(place))
    except TypeError:
        options: Any = getattr(place, "storage_options", None)
    else:
        return text, {}
    # A UPath, such as Dataset.path of a bucket; it may have been given options by its user.
    return (str(place), dict(options)) if hasattr(place, "protocol") and options is not None else (None, {})
