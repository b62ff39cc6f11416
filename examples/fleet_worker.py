"""One of many workers: takes job ids from a list in Redis and downloads each job's files into a bucket or folder.

Start as many as you like, on as many machines; together they stay within the API key's 100 requests per minute:

    REDIS_URL=redis://127.0.0.1:6379/0 python fleet_worker.py s3://bucket/jobs

Put work into the list with `redis-cli RPUSH jobs job_…`. Workers end when all of it is done.
"""

import os
import sys
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from firsthandapi import AuthenticationError, FirstHandClient, PermissionDeniedError
from firsthandapi.fleet import RedisRateLimiter

# A worker that does not renew its lease for so many seconds has died: another does its job.
LEASE = int(os.environ.get("LEASE_SECONDS", "60"))


def main(dest: str) -> None:
    url, me = os.environ["REDIS_URL"], uuid.uuid4().hex
    retry = Retry(ExponentialBackoff(cap=5, base=0.1), 60)  # Redis may restart, for five minutes
    work: Any = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType] # of redis
        url,
        decode_responses=True,
        encoding_errors="surrogateescape",  # an entry may be anything
        socket_timeout=30,
        retry=retry,
    )
    with FirstHandClient(rate_limiter=RedisRateLimiter(url)) as client, lease(work, me):
        while True:
            has_peers = give_back(work, me)
            # The id moves to a list of this worker's, so a worker that dies loses no work.
            entry = work.blmove("jobs", f"jobs:taken:{me}", timeout=min(5, LEASE))
            if entry is None:
                if has_peers:
                    continue  # one of them may die
                break
            job_id = entry.strip()
            try:
                dataset = client.files.download_all(job_id, f"{dest}/{job_id}")
            except (AuthenticationError, PermissionDeniedError):
                raise  # as every job would
            except Exception as error:  # one bad entry must not stop the fleet
                print(f"{job_id!a}: {error!a}")
                work.rpush("jobs:failed", job_id)
            else:
                print(f"{job_id}: {len(dataset)} files")
            work.lrem(f"jobs:taken:{me}", 1, entry)


@contextmanager
def lease(work: Any, me: str) -> Generator[None, None, None]:
    """Show the other workers that this one lives."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(LEASE / 4):
            with suppress(redis.RedisError):  # the next time, perhaps
                work.set(f"jobs:alive:{me}", 1, ex=LEASE)

    work.set(f"jobs:alive:{me}", 1, ex=LEASE)
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        work.delete(f"jobs:alive:{me}")


def give_back(work: Any, me: str) -> bool:
    """Put back what nobody works on: of dead workers, and of this one if an answer of Redis was lost.

    Whether another worker has a job.
    """
    has_peers = False
    for taken in work.scan_iter("jobs:taken:*"):
        worker = taken.rpartition(":")[2]
        if worker != me and work.exists(f"jobs:alive:{worker}"):
            has_peers = True
        else:
            while work.lmove(taken, "jobs", "RIGHT", "LEFT"):
                pass
    return has_peers


if __name__ == "__main__":
    main(sys.argv[1])
