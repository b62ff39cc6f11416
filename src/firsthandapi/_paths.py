"""Paths of this machine, from what a caller writes."""

from __future__ import annotations

import os
from pathlib import Path

from firsthandapi._core.files.dest import is_url, name_not_on_windows, path_in
from firsthandapi.errors import InvalidArgumentError


def local_path(text: str, field: str) -> Path | None:
    """The path that `text` is, or that it names as a `file://` URL; None for any other URL. `~` is the home
    directory, even where no shell has expanded it, as in `--dest=~/signs`.

    Raises:
        InvalidArgumentError: it is none of these.
    """
    name = path_in(text, field)
    if name is None:
        return None
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
