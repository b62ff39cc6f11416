"""One of many workers: takes job ids from a list in Redis and downloads each job's files into a bucket or folder.

Start as many as you like, on as many machines; together they stay within the API key's 100 requests per minute:

    REDIS_URL=redis://127.0.0.1:6379/0 python fleet_worker.py s3://bucket/jobs

Put work into the list with `redis-cli RPUSH jobs job_…`.
"""

import os
import sys

import redis

from firsthandapi import DownloadError, FirstHandClient, NotFoundError
from firsthandapi.fleet import RedisRateLimiter


def main(dest: str) -> None:
    url = os.environ["REDIS_URL"]
    work = redis.Redis.from_url(url, decode_responses=True, socket_timeout=30)  # pyright: ignore[reportUnknownMemberType] # of redis
    with FirstHandClient(rate_limiter=RedisRateLimiter(url)) as client:
        # The id moves to a second list, so a worker that is killed loses no work.
        while taken := work.blmove("jobs", "jobs:taken", timeout=5):
            job_id = str(taken)
            try:
                dataset = client.files.download_all(job_id, f"{dest}/{job_id}")
            except (DownloadError, NotFoundError) as error:
                print(f"{job_id}: {error}")
                work.rpush("jobs:failed", job_id)
            else:
                print(f"{job_id}: {len(dataset)} files")
            work.lrem("jobs:taken", 1, job_id)


if __name__ == "__main__":
    main(sys.argv[1])
