"""A study as it goes in the field: many people at once, a bad network, and a server that dies."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import FirstHandClient
from firsthandapi.server.pages.serve.service import Service

from .test_study import write
from .town import House, Network, Person, photo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal"),
]
PEOPLE, LARGE = 300, 30
KILLS = (40, 130, 220)


async def take_part(house: House, chance: random.Random) -> list[Person]:
    """Everybody joins, and then they all press Send in the same moment, while the server is killed three times."""
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(Network(house, chance).open())
        people: list[Person] = []
        for number in range(PEOPLE):
            options: dict[str, Any] = {"timeout": 60, "trust_env": False, "verify": False}
            http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{network.port}", **options)
            await stack.enter_async_context(http)
            content = photo(number, *((4032, 3024) if number < LARGE else ()))
            people.append(Person(http, content, random.Random(number), number % 2 == 0))
        links = await asyncio.gather(*(each.join() for each in people))
        assert len({*links}) == 1
        done = 0

        async def send(person: Person) -> None:
            nonlocal done
            await person.send(links[0])
            done += 1

        async def kill() -> None:
            for count in KILLS:
                while done < count:
                    await asyncio.sleep(0.02)
                house.kill()
                await asyncio.to_thread(house.start)

        await asyncio.gather(kill(), *(send(each) for each in people))
        assert network.cut > network.carried / 3
    return people


def kept(service: Service) -> Iterable[Any]:
    """All files that were submitted."""
    return [file for each in service.world.state.submissions.values() for file in each.files]


def test_three_hundred_people(tmp_path: Path) -> None:
    """From one address, over a network that drops a third of the connections, with three kills of the server: every
    accepted byte is there once, nobody was turned away, and the books and the consents are exact."""
    study, folder = write(tmp_path, max_workers=PEOPLE, max_files_per_worker=1), tmp_path / "data"
    house = House(folder, study)
    house.start()
    try:
        with FirstHandClient(house.key, house.url) as buyer:
            buyer.jobs.create(
                description="Photos of street signs in daylight",
                files_needed=PEOPLE,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=50,
            )
        people = asyncio.run(take_part(house, random.Random(1)))
    finally:
        house.kill()
    with Service(folder, study=study) as service, service.world.lock:
        service.world.check_books()
        book = service.world.state.organizations[0].accounts["live"].book
        assert (book.held, book.spent) == (PEOPLE * 50, 0)
        files = [*kept(service)]
        assert sorted(file.facts().sha256 for file in files) == sorted(each.sha256 for each in people)
        assert all(len(file.content()) == file.facts().size for file in files)
        consents = service.access.look("SELECT worker_id, consent_id FROM consents")
        assert len(consents) == len({worker for worker, _ in consents}) == PEOPLE
        given = {file.submission.worker_id: file.source.details().more["consent_id"] for file in files}
        assert given == dict(consents)
        on_disk = {path.name for path in (folder / "files").rglob("blob_*")}
        assert on_disk == {file.source.name for file in files}
