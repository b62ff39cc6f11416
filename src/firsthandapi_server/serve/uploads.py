"""Read a form with files as it arrives: files go to disk piece by piece, and their fields can be checked before them.

python-multipart parses the form. Starlette's `request.form()` does not fit: it allows no check before the files,
and stores files in the system's folder, which may be on another disk than the one that was checked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from firsthandapi_server.console.face import PageError
from firsthandapi_server.contract.text import said

from .receiving import Receiving, SentFile

_MOST_FIELDS = 20
_MOST_FIELD = 500
BROKEN = "The upload is incomplete or damaged: reload the page, and try again."


@asynccontextmanager
async def sent_form(request: Request, receiving: Receiving, most: int) -> AsyncGenerator[SentForm, None]:
    """A form with files, at most so many, read up to these: of them, some of the first ones' bytes may have come.
    Nothing of it is left at the end.

    Raises PageError: the request is not such a form, it is broken, or exceeds a limit.
    """
    with ExitStack() as stack:
        sent = SentForm(request, receiving, most, stack)
        stack.callback(receiving.release, sent)
        await sent.read(to_files=True)
        yield sent


class SentForm:
    """The content of a form. Its files, which have no names, are open as long as `stack`.

    Attributes:
        fields: what came beside the files.
        files: those that came.
    """

    def __init__(self, request: Request, receiving: Receiving, most: int, stack: ExitStack) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[SentFile] = []
        self._receiving = receiving
        self._most = most
        self._stack = stack
        self._count = 0  # of files
        self._is_whole = False
        self._header = b""
        self._value = b""
        self._name: str | None = None
        self._data = bytearray()
        self._file: BinaryIO | None = None
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise PageError(415, BROKEN)
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_header,
                    "on_header_value": self._on_value,
                    "on_header_end": self._header_ends,
                    "on_part_data": self._on_data,
                    "on_part_end": self._part_ends,
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise PageError(400, BROKEN) from None
        self._chunks = request.stream()

    async def read(self, *, to_files: bool = False) -> None:
        """Read the form to its end, or up to its files.
        Raises PageError: the form is broken, has no file, or exceeds a limit.
        """
        try:
            async for chunk in self._chunks:
                self._parser.write(chunk)
                if to_files and self._count:
                    return
        except FormParserError:
            raise PageError(400, BROKEN) from None
        if not self._is_whole:
            raise PageError(400, BROKEN)
        if self._count > self._most:
            words = said("Files at a time, at most: {count}", count=self._most)
            raise PageError(400, words)
        if not (self.files or to_files):
            raise PageError(400, "No file was chosen: take a picture or choose a file first.")

    async def drain(self) -> None:
        """Read the rest, within the limits: browsers show no response before they have sent everything."""
        async for _ in self._chunks:
            pass

    def _begin(self) -> None:
        self._name, self._file = None, None
        self._data.clear()

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            filename = options.get(b"filename")
            if filename:
                self._count += 1
                if self._count <= self._most:
                    opened = self._stack.enter_context(TemporaryFile(dir=self._receiving.folder))  # noqa: SIM115
                    self._file = cast("BinaryIO", opened)
                    self._name = filename.decode("utf-8", "replace")
            elif filename is None:  # an empty one: no file was chosen
                self._name = options.get(b"name", b"").decode("utf-8", "replace")
                if len(self.fields) == _MOST_FIELDS:
                    raise PageError(400, BROKEN)
        self._header = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._receiving.write(self, self._file, data[start:end])
        elif self._name is not None:
            self._data += data[start:end]
            if len(self._data) > _MOST_FIELD:
                raise PageError(413, BROKEN)

    def _part_ends(self) -> None:
        if self._file is not None:
            self.files.append(SentFile(self._name or "", self._file.tell(), self._file))
        elif self._name is not None:
            self.fields.setdefault(self._name, self._data.decode("utf-8", "replace").strip())

    def _end(self) -> None:
        self._is_whole = True
