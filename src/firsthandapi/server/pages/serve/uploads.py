"""Read a form with files as it arrives: files go to disk piece by piece, and a check can refuse the form before them.

python-multipart parses the form. Starlette's `request.form()` does not fit: it allows no check before the first file,
and stores files in the system's folder, which may be on another disk than the one that was checked.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from firsthandapi.server.contract.text import said
from firsthandapi.server.pages.console.face import PageError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_MOST_FIELDS = 20
_MOST_FIELD = 500
BROKEN = "The upload is incomplete or damaged: reload the page, and try again."


@dataclass(frozen=True, slots=True)
class SentFile:
    """A received file.

    Attributes:
        name: the sender's name for it, unchecked.
        file: its bytes, in a file without a name that disappears when it is closed or the process ends.
    """

    name: str
    file: BinaryIO


class Turns:
    """Requests that send the same upload: a new one ends the one before, whose connection may be lost in silence."""

    def __init__(self) -> None:
        self._open: dict[Hashable, asyncio.Timeout] = {}

    def take(self, upload: Hashable, turn: asyncio.Timeout) -> None:
        """Begin a turn, which ends the one before."""
        before = self._open.pop(upload, None)
        if before is not None and not before.expired():
            before.reschedule(asyncio.get_running_loop().time())
        self._open[upload] = turn

    def has(self, upload: Hashable, turn: asyncio.Timeout | None = None) -> bool:
        """Whether this turn is still the upload's; without one, whether any is."""
        return upload in self._open if turn is None else self._open.get(upload) is turn

    def end(self, upload: Hashable, turn: asyncio.Timeout) -> None:
        """End a turn, if it is still the upload's."""
        if self.has(upload, turn):
            del self._open[upload]


def elsewhere() -> PageError:
    """What a request hears whose turn another one took."""
    return PageError(408, "The upload continues in another connection.", "Sent elsewhere")


class Sent:
    """The content of a form with files. As a context manager, it leaves no file behind.

    Args:
        folder: the folder for files in progress; None for the system's folder.
        most: maximum number of files.
        check: called with the fields before the first file, or at the end of a form without files; raises to refuse.
    """

    def __init__(self, folder: Path | None, most: int, check: Callable[[dict[str, str]], None]) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[SentFile] = []
        self._folder = folder
        self._most = most
        self._check = check
        self._checked = False
        self._rest: AsyncIterator[bytes] | None = None
        self._open = ExitStack()
        self._header = b""
        self._value = b""
        self._name: str | None = None
        self._data = bytearray()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    async def read(self, request: Request) -> None:
        """Read the form to its end.

        Raises:
            PageError: the request is not such a form, or exceeds a limit.
        """
        kind, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise PageError(415, BROKEN)
        is_whole = False

        def end() -> None:
            nonlocal is_whole
            is_whole = True

        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_header,
                    "on_header_value": self._on_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._on_data,
                    "on_part_end": self._part_ends,
                    "on_end": end,
                },
            )
            self._rest = request.stream()
            async for chunk in self._rest:
                parser.write(chunk)
            parser.finalize()
        except FormParserError:
            raise PageError(400, BROKEN) from None
        if not is_whole:
            raise PageError(400, BROKEN)
        self._check_once()

    async def drain(self) -> None:
        """Read the rest, within the limits: browsers show no response before they have sent everything."""
        if self._rest is not None:
            async for _ in self._rest:
                pass

    def _check_once(self) -> None:
        if not self._checked:
            self._checked = True
            self._check(self.fields)

    def _begin(self) -> None:
        self._name, self._file = None, None
        self._header = self._value = b""
        self._data.clear()

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            filename = options.get(b"filename")
            if filename:  # an empty one: no file was chosen
                self._check_once()
                if len(self.files) == self._most:
                    words = said("Files at a time, at most: {count}", count=self._most)
                    raise PageError(400, words, "Too many files")
                self._file = self._new_file()
                self.files.append(SentFile(filename.decode("utf-8", "replace"), self._file))
            elif filename is not None:
                self._name = None
        self._header = self._value = b""

    def _new_file(self) -> BinaryIO:
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - the stack closes it
        self._open.callback(file.close)
        return cast("BinaryIO", file)

    def _headers_end(self) -> None:
        if self._file is None and self._name is not None and len(self.fields) == _MOST_FIELDS:
            raise PageError(400, BROKEN)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        elif self._name is not None:
            self._data += data[start:end]
            if len(self._data) > _MOST_FIELD:
                raise PageError(413, BROKEN)

    def _part_ends(self) -> None:
        if self._file is None and self._name is not None:
            self.fields.setdefault(self._name, self._data.decode("utf-8", "replace").strip())
