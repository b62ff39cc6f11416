"""A study as it goes in the field: many people at once, a bad network, a server that dies, and the month after."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import FirstHandClient
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.copies import back_up
from firsthandapi_server.serve.payouts import Payouts
from firsthandapi_server.serve.ratings import UNDO_SECONDS
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import File, Submission
from firsthandapi_server.state.state import DAY

from .conftest import Visitor, fields_of, write
from .phones import blobs_of
from .town import House, Network, Person, photo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal"),
]
PEOPLE, LARGE = 300, 30
KILLS = (40, 130, 220)
PRICE = 50
RETENTION = 30


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
        links = await asyncio.gather(*(person.join() for person in people))
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

        await asyncio.gather(kill(), *(send(person) for person in people))
        assert network.cut > network.carried / 3
    return people


@dataclass
class Study:
    """What is left of the first day: a folder, and phones that have joined and sent."""

    folder: Path
    study: Path
    people: list[Person]

    def open(self, folder: Path | None = None, **options: Any) -> Service:
        """A server over the folder, or over a copy of it."""
        return Service(folder or self.folder, study=self.study, **options)

    def found(self, contents: Iterable[bytes]) -> list[str]:
        """Where in the folder some bytes of these pictures are."""
        needles = [content[len(content) // 2 :][:64] for content in contents]
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [path.name for path in files if any(needle in path.read_bytes() for needle in needles)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The first day of a study."""
    place = tmp_path_factory.mktemp("study")
    limits = {"max_workers": PEOPLE, "max_files_per_worker": 1, "retention_days": {"rejected": RETENTION}}
    path = write(place, reviews={"overlap": 3}, **limits)
    house = House(place / "data", path)
    house.start()
    try:
        with FirstHandClient(house.key, house.url) as buyer:
            buyer.jobs.create(
                description="Photos of street signs in daylight",
                files_needed=PEOPLE,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=PRICE,
            )
        people = asyncio.run(take_part(house, random.Random(1)))
    finally:
        house.kill()
    return Study(place / "data", path, people)


def sent(service: Service) -> list[Submission]:
    """All that was submitted."""
    return [*service.world.state.submissions.values()]


def files_of(service: Service) -> list[File]:
    """All files of it."""
    return [file for submission in sent(service) for file in submission.files]


def spent(service: Service) -> int:
    """What was paid, by the books, which add up."""
    service.world.check_books()
    return service.world.state.organizations[0].accounts["live"].book.spent


def test_three_hundred_people(study: Study) -> None:
    """From one address, over a network that drops a third of the connections, with three kills of the server: every
    accepted byte is there once, nobody was turned away, and the books and the consents are exact."""
    with study.open() as service, service.world.lock:
        assert spent(service) == 0
        assert service.world.state.organizations[0].accounts["live"].book.held == PEOPLE * PRICE
        files = files_of(service)
        assert sorted(file.facts().sha256 for file in files) == sorted(
            person.sha256 for person in study.people
        )
        assert all(len(file.content()) == file.facts().size for file in files)
        consents = service.access.look("SELECT worker_id, consent_id FROM consents")
        assert len(consents) == len({worker for worker, _ in consents}) == PEOPLE
        consent_of = {file.submission.worker_id: file.source.details().more["consent_id"] for file in files}
        assert consent_of == dict(consents)
        on_disk = {path.name for path in (study.folder / "files").rglob("blob_*")}
        assert on_disk == blobs_of(files)


class Month:
    """The month after: what people do, on a clock that can be put forward."""

    def __init__(self, study: Study, stack: ExitStack) -> None:
        self.study = study
        self._stack = stack
        self._ahead = 0.0
        self.service = stack.enter_context(study.open(clock=RealClock(lambda: time.time() + self._ahead)))
        self.world = self.service.world
        with self.world.lock:
            owners = {row.files[0].facts().sha256: row.worker_id for row in sent(self.service)}
            (job,) = self.world.state.jobs.values()
        self.link = self.service.site.links.path(job)
        self.phones = {owners[person.sha256]: person for person in study.people}
        self.contents = {owners[person.sha256]: [person.content] for person in study.people}
        self.ratings = 0

    def later(self, seconds: float) -> None:
        """Put the clock forward, and let happen what is due."""
        self._ahead += seconds
        self.service.clock.run_due()

    def staff(self, name: str) -> Visitor:
        """A reviewer who has signed in."""
        visitor = self._browser()
        assert visitor.sign_in("reviewer", name).status_code == 303
        return visitor

    def phone(self, worker: str) -> Visitor:
        """The browser of somebody who takes part: of every second one, a new one, to which they come by their words."""
        person = self.phones[worker]
        if [*self.phones].index(worker) % 2:
            return self._browser(cookies=dict(person.http.cookies))
        browser = self._browser()
        assert browser.send("/join", "/join", passport=person.words).headers["location"] == "/me"
        return browser

    def _browser(self, **options: Any) -> Visitor:
        visitor = Visitor(self.service, **options)
        self._stack.callback(visitor.http.close)
        return visitor

    def having(self, status: str) -> list[Submission]:
        """The submissions with a status."""
        with self.world.lock:
            return [row for row in sent(self.service) if row.status == status]

    def review(self, reviewers: list[Visitor], opinion: Callable[[str], int]) -> None:
        """All reviewers rate, at the same time, until nothing is left for any of them; one of them is never content."""

        def rate(number: int, reviewer: Visitor) -> int:
            count = 0
            while 'name="submission"' in (page := reviewer.get("/review").text):
                form = re.search(r'<form class="review".*?</form>', page, re.DOTALL)
                assert form is not None
                fields = fields_of(form[0])
                stars = 1 if number == 0 else opinion(fields["submission"])
                answer = reviewer.http.post("/review", data={**fields, "stars-0": str(stars)})
                assert answer.status_code == 303, answer.text
                count += 1
            return count

        with ThreadPoolExecutor(len(reviewers)) as pool:
            self.ratings += sum(pool.map(rate, range(len(reviewers)), reviewers))
        self.later(UNDO_SECONDS + 1)

    def retry(self, submission: Submission, number: int) -> None:
        """Somebody with two stars sends another picture."""
        phone, content = self.phone(submission.worker_id), photo(number)
        fields = fields_of(phone.get(f"{self.link}?retry={submission.id}").text)
        assert fields["retry"] == submission.id
        answer = phone.http.post(self.link, data=fields, files={"file": ("b.jpg", content, "image/jpeg")})
        assert answer.status_code == 303, answer.text
        self.contents[submission.worker_id].append(content)

    def check(self) -> None:
        """Who was approved is paid, once, and nobody else."""
        with self.world.lock:
            approved = sum(file.approved for file in files_of(self.service))
            assert spent(self.service) == approved * PRICE
        payouts = Payouts(self.service.access, self.study.folder)
        assert sum(row.cents for row in payouts.rows()) == approved * PRICE
        payouts.make(self.service.clock.now(), "tok_1")
        assert payouts.owed() == []
        assert sum(row.cents for row in payouts.rows()) == approved * PRICE


@pytest.fixture
def month(study: Study) -> Iterator[Month]:
    """The month after the first day."""
    with ExitStack() as stack:
        yield Month(study, stack)


def test_the_month_after(month: Month, tmp_path: Path) -> None:
    """Three reviewers rate in vain nothing, with overlap 3; second attempts, appeals, a backup that is restored
    elsewhere, erasures, and the end of retention: the books are exact, and erased bytes are nowhere on the disk."""
    study, order = month.study, {row.id: at for at, row in enumerate(month.having("pending_score"))}
    reviewers = [month.staff(name) for name in ("Ada", "Bob", "Cleo")]
    month.review(reviewers, lambda submission: 1 + order[submission] % 5)
    counts = {status: len(month.having(status)) for status in ("approved", "retry_pending", "rejected")}
    assert counts == {"approved": PEOPLE * 3 // 5, "retry_pending": PEOPLE // 5, "rejected": PEOPLE // 5}
    month.check()

    # Second attempts: half of them in time.
    retrying = month.having("retry_pending")
    for number, item in enumerate(retrying[::2]):
        month.retry(item, PEOPLE + number)
    month.review(reviewers, lambda _: 4)
    month.later(DAY)
    assert not month.having("retry_pending")
    assert len(month.having("rejected")) == PEOPLE // 5 + len(retrying[1::2])
    month.check()
    rated = month.service.access.look(
        "SELECT count(*) FROM ratings WHERE undone_at IS NULL GROUP BY submission, attempt"
    )
    assert [*{count for (count,) in rated}] == [3]
    assert len(rated) * 3 == month.ratings

    # Appeals: every second one is accepted.
    judge = month.staff("Dora")
    for item in month.having("rejected")[:10]:
        answer = month.phone(item.worker_id).send(
            "/me/appeal", "/me", submission=item.id, words="It is a sign."
        )
        assert answer.status_code == 303, answer.text
    with month.world.lock:
        appeals = [appeal.id for appeal in month.world.state.appeals.values()]
    for number, appeal in enumerate(appeals):
        verdict = "accept" if number % 2 else "reject"
        fields = {"appeal": appeal, "verdict": verdict, "stars-0": "4", "words": "Looked at again."}
        assert judge.send("/review/appeals", "/review/appeals", **fields).status_code == 303
    assert len(month.having("approved")) == PEOPLE * 3 // 5 + len(retrying[::2]) + 5
    month.check()

    # Backups, of which one is restored elsewhere at once, and one after erasures.
    for name in ("kept", "elsewhere"):
        back_up(study.folder, tmp_path / name, lambda _done, _all: None, at=month.world.clock.now())
    with study.open(tmp_path / "elsewhere") as copy, copy.world.lock, month.world.lock:
        assert spent(copy) == spent(month.service)
        hashes = [file.facts().sha256 for file in files_of(month.service)]
        assert [file.facts().sha256 for file in files_of(copy)] == hashes
        assert all(len(file.content()) == file.facts().size for file in files_of(copy))

    # Erasures: of people whose pictures were looked at.
    gone = [worker for worker in month.phones if len(month.contents[worker][0]) > 10**6][:5]
    erased = [content for worker in gone for content in month.contents[worker]]
    with month.world.lock:
        pictures = [row.files[0] for row in sent(month.service) if row.worker_id in gone]
        blobs = blobs_of(pictures)
    for file in pictures:
        assert judge.get(f"/review/media/{file.submission.id}/{file.id}?size=small").status_code == 200
    assert study.found(erased)
    assert len([path for path in study.folder.rglob("blob_*") if path.name in blobs]) == 2 * len(gone)
    for worker in gone:
        assert month.phone(worker).send("/me/delete", "/me").status_code == 303
    assert study.found(erased) == []
    assert not [path for path in study.folder.rglob("blob_*") if path.name in blobs]
    month.check()
    assert len([path for path in (tmp_path / "kept").rglob("blob_*") if path.name in blobs]) == len(gone)
    with study.open(tmp_path / "kept") as copy, copy.world.lock:
        assert {file.submission.worker_id for file in files_of(copy) if file.is_erased} >= {*gone}
    assert not [path for path in (tmp_path / "kept").rglob("blob_*") if path.name in blobs]

    # The end of retention: what was rejected goes, what was approved stays.
    with month.world.lock:
        rejected = {row.worker_id for row in sent(month.service) if row.status == "rejected"}
        approved = [
            row for row in sent(month.service) if row.status == "approved" and row.worker_id not in gone
        ]
    month.later((RETENTION + 1) * DAY)
    assert month.service.eraser.run()
    assert study.found(content for worker in rejected for content in month.contents[worker]) == []
    with month.world.lock:
        assert all(file.facts().sha256 for row in approved for file in row.files)
        assert all(len(file.content()) == file.facts().size for row in approved for file in row.files)
    month.check()
