"""How long the pages of a server of one's own, and the lists of its API, take over a large folder; and how long
everybody else waits while a person is erased.

    python benchmarks/serve_pages.py --submissions 1000000 --folder DIR    # 20 minutes, and 4 GB
    python benchmarks/serve_pages.py --submissions 1000                    # seconds

A study with 300 people who sent so many pictures, a tenth of which wait for reviewers; one person has sent 1,000. The
server and the browser share a process, so the least of a few times is what counts. With `--folder`, the folder stays,
and is measured as it is the next time, less the people who were erased.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from firsthandapi._base.counts import count_of
from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.contract.text import iso, new_id
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.serve.access import begin_session
from firsthandapi_server.serve.service import Service
from firsthandapi_server.sqlite.traces import sent_by
from firsthandapi_server.state.model import SCOPES, Details, Facts, File, Job
from firsthandapi_server.state.storage import StoredSource

TARGET_MS, TARGET_OF_LISTS, TARGET_OF_SUMMARY = 20, 500, 1000
PEOPLE, BUSIEST = 300, 1_000
MOST_OF_A_JOB = 10_000
STUDY = """
name: Street signs of Lagos
organizer: Example Lab
contact: signs@example.org
languages: [en]
license: CC-BY-4.0
consent: {version: 1, purposes: [research], text: {en: You agree.}, assurances: [own_work, adult]}
"""


def opened(place: Path) -> Service:
    """The server over the folder."""
    study = place / "study.yaml"
    study.write_text(STUDY, encoding="utf-8")
    return Service(place / "data", study=study, credit_cents=10**9)


def fill(service: Service, count: int) -> None:
    """So many submissions, in acts of 500."""
    assert service.site.reception.consents is not None
    chance, world = random.Random(1), service.world
    for _ in range(PEOPLE):
        service.site.reception.consents.join("en", service.clock.now())
    people = [token.id for token in service.access.tokens() if token.role == "worker"]
    jobs: list[Job] = []
    body = {
        "type": "data_collection",
        "description": "Photos of street signs in daylight",
        "files_needed": MOST_OF_A_JOB,
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": 50,
    }
    with world.lock:
        account = world.state.organizations[0].accounts["live"]
        world.events.create_endpoint(account, "http://127.0.0.1:9/", None, None, world.clock.now())
    done = 0
    while done < count:
        with world.lock:
            if done % MOST_OF_A_JOB == 0:
                fields = JobBody.model_validate(body).model_dump()
                jobs.append(world.jobs.create(account, fields, "key", world.clock.now(), ""))
            for number in range(done, min(done + 500, count)):
                worker = people[0] if number < BUSIEST else chance.choice(people)
                submission = world.jobs.submit(jobs[-1], [picture(service)], world.clock.now(), worker=worker)
                if chance.random() < 0.9:
                    stars = chance.choice((5, 5, 4, 4, 3, 2, 1))
                    world.jobs.score(submission, world.clock.now(), Verdict([stars], None, actor="reviewer"))
        done += 500


def picture(service: Service) -> File:
    """A file without bytes: no page reads them."""
    at = service.clock.now()
    details = Details(at, {"device_model": "Phone"}, None, None, {"license": "CC-BY-4.0"})
    facts = Facts(4_000_000, new_id("", at).ljust(64, "0"), 4032, 3024, None)
    source = StoredSource(service.world.state.storage, new_id("blob_", at), facts, details)
    return File(new_id("file_", at), "image/jpeg", source, "photo.jpg", at)


def session(service: Service, token: str) -> dict[str, str]:
    """The header of a browser that has signed in."""
    with service.access.transaction() as rows:
        secret = begin_session(rows, token, service.clock.now(), 3600)
    return {"cookie": f"{service.site.reception.cookie('session')}={secret}"}


def pages(service: Service) -> Iterator[tuple[str, dict[str, str]]]:
    """Every page, and who asks for it."""
    state = service.world.state
    with service.world.lock:
        first, last = (next(iter(jobs)) for jobs in (state.jobs.values(), reversed(state.jobs.values())))
        link, large = service.site.links.path(first), first.id
        event = next(reversed(state.events.values())).id if len(state.events) else None
        waiting = service.site.panel.line().part(4000, 1) or service.site.panel.line().part(0, 1)
    operator = session(service, service.access.create("operator", "Ops", service.clock.now())[0].id)
    for path in (
        "/console",
        "/console?status=active",
        "/console?status=finished",
        f"/console?before={last.id}",
        f"/console/jobs/{large}",
        *(
            f"/console/jobs/{large}?status={status}"
            for status in ("approved", "pending_score", "retry_pending", "rejected")
        ),
        f"/console/jobs/{large}?before=5000",
        f"/console/jobs/{large}/link",
        "/console/deliveries",
        "/console/deliveries?status=failed",
        *([] if event is None else [f"/console/events/{event}"]),
        "/console/requests",
        "/console/ledger",
        "/console/log",
        "/console/log?kind=reviews",
        "/console/people",
        "/console/reviews",
        "/console/reviews/gold",
        "/healthz",
        "/review",
        f"/review?at={waiting[0]}",
        "/review/waiting",
        "/review?view=grid",
        "/review?view=grid&start=5000",
        "/review/retries",
        "/review/appeals",
    ):
        yield path, operator
    people = {token.id for token in service.access.tokens() if token.revoked_at is None}
    busiest = next(submission.worker_id for submission in first.submissions if submission.worker_id in people)
    for path in ("/me", "/privacy", link, f"{link}?retry=sub_0"):
        yield path, session(service, busiest)


def lists(service: Service) -> Iterator[tuple[str, dict[str, str]]]:
    """Every list of the API, and the filters that find little."""
    with service.world.lock:
        buyer = service.world.state.own
        key = service.world.accounts.create_key(buyer, "Benchmark", SCOPES, "system", service.clock.now())
        first = buyer.jobs[0]
        at = first.created_at
    service.site.api.rate_limit = None
    for path in (
        "/v1/jobs?limit=100",
        "/v1/jobs?status=open",
        f"/v1/jobs?created_after={quote(iso(at))}",
        f"/v1/jobs/{first.id}/files?limit=100",
        f"/v1/jobs/{first.id}/files?min_score=5&limit=100",
        f"/v1/jobs/{first.id}/submissions?status=rejected&limit=100",
        "/v1/submissions?limit=100",
        f"/v1/submissions?job_id={first.id}&limit=100",
        f"/v1/submissions?job_id={first.id}&status=retry_pending&limit=100",
        "/v1/submissions?status=retry_pending&limit=100",
        f"/v1/submissions?status=rejected&end_date={quote(iso(at))}&start_date=2020-01-01&limit=100",
        f"/v1/submissions?end_date={quote(iso(at))}&start_date=2020-01-01&limit=100",
        f"/v1/submissions?status=approved&end_date={quote(iso(at))}&start_date=2020-01-01&limit=100",
        "/v1/submissions/summary",
        f"/v1/submissions/summary?job_id={first.id}",
        f"/v1/submissions/summary?start_date={quote(iso(at + 1))}",
        "/v1/webhook_events?limit=100",
        "/v1/webhook_events?type=job.completed&limit=100",
        "/v1/billing/credits",
        "/v1/billing/transactions?type=purchase&limit=100",
        "/v1/audit-events?event_type=job.created&limit=100",
        f"/v1/audit-events?job_id={first.id}&limit=100",
    ):
        yield path, {"authorization": f"Bearer {key.secret}"}


def erasing(service: Service) -> None:
    """Show how long everybody else waits while somebody with one file, then somebody with thousands, is erased."""
    with service.world.lock:
        busiest = service.world.state.own.submissions[0].worker_id
        job = next(job for job in service.world.state.own.jobs if job.free_slots)
        stranger = new_id("wkr_", service.clock.now())
        service.world.jobs.submit(job, [picture(service)], service.clock.now(), worker=stranger)
    people = (
        token.id for token in service.access.tokens() if token.role == "worker" and token.revoked_at is None
    )
    headers = session(service, next(person for person in people if person != busiest))
    for worker in (stranger, busiest):
        files = len(sent_by(service.eraser.state.read, worker))
        service.access.wish(worker, service.clock.now(), "benchmark")
        others(service, f"erasing a person with {count_of(files)}", service.eraser.run, headers)


def others(service: Service, name: str, act: Callable[[], object], headers: dict[str, str]) -> None:
    """Show how long an act takes, and the longest that somebody else waits for their own page meanwhile."""
    waited: list[float] = []
    thread = threading.Thread(target=act)
    began = time.perf_counter()
    thread.start()
    while thread.is_alive():
        asked = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as connection:
            connection.request("GET", "/me", headers=headers)
            assert connection.getresponse().status == 200
        waited.append(1000 * (time.perf_counter() - asked))
        time.sleep(0.01)
    taken = 1000 * (time.perf_counter() - began)
    print(f"{name:60} {taken:8.0f} ms, others waited {max(waited, default=0):.0f} ms at most; {memory()} MB")


def memory() -> int:
    """The resident memory of this process, in MB; the least of what is measured is the server's own."""
    status = Path("/proc/self/status")
    match = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(match[1]) >> 10 if match else 0


def target(path: str) -> int:
    """How many milliseconds a path may take."""
    if path.startswith("/v1/submissions/summary"):
        return TARGET_OF_SUMMARY
    return TARGET_OF_LISTS if path.startswith("/v1/") else TARGET_MS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--submissions", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where; a temporary folder if left out")
    parser.add_argument("--times", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place: Path = arguments.folder or Path(temporary)
        place.mkdir(exist_ok=True)
        if not (place / "data").exists():
            with opened(place) as service:
                fill(service, arguments.submissions)
            with closing(sqlite3.connect(place / "data" / "state.db")) as rows, rows:
                rows.execute("UPDATE deliveries SET status = 'delivered'")
        began = time.perf_counter()
        with opened(place) as service:
            print(f"{'start':60} {1000 * (time.perf_counter() - began):8.0f} ms")
            print(f"{'memory':60} {memory():8} MB")
            measure(service, arguments.times)
            erasing(service)
            print(f"{'memory':60} {memory():8} MB; load {os.getloadavg()[0]:.1f}")


def measure(service: Service, times: int) -> None:
    """Show how long each page and each list takes."""
    with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as connection:
        for path, headers in (*lists(service), *pages(service)):
            taken: list[float] = []
            body = b""
            for _ in range(times):
                began = time.perf_counter()
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                body = response.read()
                taken.append(1000 * (time.perf_counter() - began))
                assert response.status == 200, (path, response.status, body)
            label = re.sub(r"_[0-9A-Z]{26}", "_…", re.sub(r"/w/[\w-]+", "/w/…", path))
            slow = "" if min(taken) <= target(path) else "  slow"
            print(
                f"{label:60} {min(taken):8.1f} ms, median {statistics.median(taken):.1f}, {len(body):,} bytes{slow}"
            )


if __name__ == "__main__":
    main()
