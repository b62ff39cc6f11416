"""Post two jobs at once and follow both, async.

    FIRSTHAND_API_KEY=fh_test_… python examples/monitor_async.py

or, with no account, against `firsthandapi mock-server`, with the two variables that it prints.
"""

import asyncio

from firsthandapi import AsyncFirstHandClient
from firsthandapi.types import Job


async def collect(client: AsyncFirstHandClient, city: str) -> Job:
    def show(job: Job) -> None:
        print(f"{city}: {job.status}, {job.files_approved} of {job.files_needed}")

    return await client.jobs.create_and_wait(
        description=f"Photos of street signs in {city}, in daylight",
        files_needed=2,
        accepted_formats=["image/jpeg"],
        price_per_file_cents=50,
        location={"city": city, "state": "Japan"},
        on_update=show,
    )


async def main() -> None:
    async with AsyncFirstHandClient() as client:
        jobs = await asyncio.gather(*(collect(client, city) for city in ("Tokyo", "Osaka")))
        for job in jobs:
            async for submission in client.submissions.list(job.id):
                print(submission.id, submission.status, submission.ai_star_rating)


if __name__ == "__main__":
    asyncio.run(main())
