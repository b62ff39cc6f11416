"""A server in a folder where everything happens at once, until it is killed: uploads, reviews, webhooks, jobs."""

from __future__ import annotations

import queue
import random
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from firsthandapi_server.contract.text import new_id
from firsthandapi_server.http.app import App
from firsthandapi_server.http.server import HttpServer
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.world import World
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.state.model import Delivery, DeliveryAttempt, Details, File, Job, Submission


class Reviewer:
    """Sees to everything."""

    def submitted(self, submission: Submission, at: float) -> bool:
        """Yes."""
        return True


def _job(world: World) -> Job | None:
    jobs = [job for job in [*world.state.jobs.values()][-8:] if job.free_slots > 0 and not job.is_terminal]
    return random.choice(jobs) if jobs else None


def upload(world: World) -> None:
    """Send files, piece by piece."""
    while True:
        with world.lock:
            job = _job(world)
        if job is None:
            time.sleep(0.002)
            continue
        try:
            with world.state.upload(1 << 20) as incoming:
                for _ in range(random.randrange(1, 8)):
                    incoming.write(random.randbytes(20_000))
                    time.sleep(0.0005)
                source = incoming.finish(Details(world.clock.now(), {}, "US-CA", None))
                with world.lock:
                    at = world.clock.now()
                    file = File(new_id("file_", at), "image/jpeg", source, "x.jpg", at)
                    retried = [work for work in job.submissions if work.status == "retry_pending"]
                    if retried:
                        world.jobs.resubmit(retried[0], [file], at)
                    else:
                        world.jobs.submit(job, [file], at)
        except ValueError:
            pass  # the last slot went to somebody else meanwhile


def review(world: World) -> None:
    """Give stars; now and then cancel a job, or withdraw a file."""
    while True:
        time.sleep(0.001)
        with world.lock:
            at = world.clock.now()
            for submission in [*world.state.waiting()][:2]:
                world.jobs.score(submission, at, Verdict([random.choice((1, 2, 4, 5))]))
            job = _job(world)
            if job is not None and random.random() < 0.03:
                world.jobs.cancel(job, "reviewer", at)
            elif job is not None and len(job.approved) > 1 and random.random() < 0.05:
                file = job.approved[0]
                if not file.withdrawn:
                    world.jobs.withdraw(file, at)


def deliver(world: World, sent: queue.SimpleQueue[Delivery]) -> None:
    """Deliver webhooks, some in vain."""
    while True:
        delivery = sent.get()
        world.delivered(delivery, DeliveryAttempt(world.clock.now(), random.choice((200, 200, 500)), None))


def main(pipe: Connection, folder: str, key: str) -> None:
    """Serve until killed; `pipe` gets the port."""
    clock = RealClock()
    world = open_world(Path(folder), clock)
    sent: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
    world.events.send = lambda delivery, _at: sent.put(delivery)
    world.jobs.jury = Reviewer()
    with world.lock:
        if not world.state.organizations:
            owner = world.accounts.create_organization(
                "Name", "a@b.example", free_tier=False, at=clock.now(), cents=10**7, secret=key
            )
            world.events.create_endpoint(owner.key.account, "http://127.0.0.1:9/", None, None, clock.now())
    app = App(world, "http://127.0.0.1")
    app.rate_limit = app.organization_rate_limit = None
    world.resume()
    http = HttpServer(app.asgi, 0)
    http.start()
    clock.start()
    for work in (upload, upload, review):
        threading.Thread(target=work, args=(world,), daemon=True).start()
    threading.Thread(target=deliver, args=(world, sent), daemon=True).start()
    pipe.send(http.port)
    threading.Event().wait()
