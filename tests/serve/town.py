"""A town that takes part in a study: a server as a process that can be killed, a network that drops connections, and
people with phones who try again until they are told that it went well."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
from PIL import Image

from processes import unmeasured

from .conftest import fields_of

PIECE = 1 << 20
# What a phone takes for a reason to wait and to try again; anything else it takes for an answer.
LATER = {408, 423, 425, 429, 500, 502, 503, 504}
PROGRAM = """
import json, sys, threading
from pathlib import Path
from firsthandapi_server.serve.service import Service

folder, study, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with Service(folder, study=study, port=port, credit_cents=10**7) as service:
    first = service.first and [service.first.live, service.first.operator]
    print(json.dumps([service.port, first]), flush=True)
    threading.Event().wait()
"""


class House:
    """A server as a process.

    Args:
        folder: its folder.
        study: the file of its study.
    """

    def __init__(self, folder: Path, study: Path) -> None:
        self._command = [sys.executable, "-c", PROGRAM, str(folder), str(study)]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.key = self.operator = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the same port."""
        command = [*self._command, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=unmeasured())
        assert self._process.stdout is not None
        self.port, first = json.loads(self._process.stdout.readline())
        if first is not None:
            self.key, self.operator = first

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=30)


class Network:
    """A proxy that cuts connections, each at some byte.

    Args:
        house: where they lead.
        chance: where each is cut.
        share: how many of them are, if they live to that byte: a third of all.
    """

    def __init__(self, house: House, chance: random.Random, share: float = 0.65) -> None:
        self._house = house
        self._chance = chance
        self._share = share
        self.port = 0
        self.cut = self.carried = 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Network]:
        """Carry connections."""
        async with await asyncio.start_server(self._carry, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        budget = [10**12]
        if self._chance.random() < self._share:
            budget = [int(10 ** self._chance.uniform(0, 5.5))]
        ends = [writer]
        try:
            answers, back = await asyncio.open_connection("127.0.0.1", self._house.port)
            ends.append(back)
            self.carried += 1
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, back, budget))
                tasks.create_task(self._pass(answers, writer, budget))
        except* (OSError, EOFError):
            pass
        finally:
            for end in ends:
                end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int]
    ) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk[: budget[0]])
            budget[0] -= len(chunk)
            await writer.drain()
            if budget[0] <= 0:
                self.cut += 1
                break
        raise EOFError  # to end the other direction


def photo(number: int, width: int = 640, height: int = 480) -> bytes:
    """A JPEG that no other number has; at 4032 x 3024 pixels, 4 MB."""
    noise = Image.effect_noise((width // 4, height // 4), 60).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    image = noise.convert("RGB")
    image.paste((number % 256, number // 256 % 256, 99), (0, 0, 32, 32))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


@dataclass
class Person:
    """Somebody with a phone.

    Attributes:
        http: their browser.
        content: the picture that they send.
        chance: how long they wait before they try again.
        by_form: whether they send by a plain form, and not in pieces.
        words: their passport, once they have joined.
    """

    http: httpx.AsyncClient
    content: bytes
    chance: random.Random
    by_form: bool
    words: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    async def insist(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request, again and again until it gets an answer that is not to wait."""
        while True:
            try:
                answer = await self.http.request(method, path, **options)
                if answer.status_code not in LATER:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(self.chance.uniform(0.05, 0.5))

    async def page(self, path: str) -> str:
        """A page that is there for them."""
        answer = await self.insist("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.headers, answer.text)
        return answer.text

    async def join(self) -> str:
        """Join the study; the path of its job."""
        hidden = fields_of(await self.page("/join"))
        boxes = dict.fromkeys(("own_work", "adult", "people_shown_agree"), "yes")
        answer = await self.insist("POST", "/join", data={**hidden, **boxes})
        assert answer.status_code == 303, answer.text
        page = await self.page("/me")
        # The page that had the words may have broken off.
        while (words := re.search(r'id="passport"[^>]*>([^<]+)<', page)) is None:
            await self.insist("POST", "/me/passport", data=fields_of(page))
            page = await self.page("/me")
        self.words = words[1]
        match = re.search(r'href="(/w/[\w-]+)"', page)
        assert match is not None
        return match[1]

    async def send(self, link: str) -> None:
        """Send the picture, by a form or in pieces, until the server has it."""
        await (self._by_form(link) if self.by_form else self._in_pieces(link))

    async def _by_form(self, link: str) -> None:
        hidden = fields_of(await self.page(link))
        files = {"file": ("shot.jpg", self.content, "image/jpeg")}
        answer = await self.insist("POST", link, data=hidden, files=files)
        assert (answer.status_code, answer.headers.get("location")) == (303, f"{link}?sent=1"), answer.text

    async def _in_pieces(self, link: str) -> None:
        job = re.search(r'data-job="(\w+)"', await self.page(link))
        assert job is not None
        # With `once`, who has lost the response begins the same upload again.
        pairs = {"filename": "shot.jpg", "filetype": "image/jpeg", "job_id": job[1], "once": token_hex(8)}
        metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in pairs.items())
        tus = {"tus-resumable": "1.0.0"}
        begin = {**tus, "upload-length": str(len(self.content)), "upload-metadata": metadata}
        answer = await self.insist("POST", "/uploads", headers=begin)
        assert answer.status_code == 201, answer.text
        path = answer.headers["location"]
        while True:
            looked = await self.insist("HEAD", path, headers=tus)
            assert looked.status_code == 200, looked.text
            at = int(looked.headers["upload-offset"])
            if at == len(self.content):
                return
            headers = {**tus, "upload-offset": str(at), "content-type": "application/offset+octet-stream"}
            try:
                sent = await self.http.patch(path, headers=headers, content=self.content[at : at + PIECE])
                assert sent.status_code in {204, 409, *LATER}, sent.text
            except httpx.TransportError:
                await asyncio.sleep(self.chance.uniform(0.05, 0.5))
