"""A campaign: the same photos from several cities, under one budget.

    pip install firsthandapi
    FIRSTHAND_API_KEY=fh_test_… python examples/campaign.py

or, with no account, against `firsthandapi mock-server`, with the two variables that it prints. With a live key it
costs $6. A job and a folder for each city, all at once; what all of them may cost is checked before the first is
posted. A city that fails leaves the others alone. Stop it and run it again: each city continues its own job, and buys
nothing twice.
"""

import asyncio
from pathlib import Path

from firsthandapi import AsyncFirstHandClient, Dataset, FirstHandError, idempotency_key

CAMPAIGN = "signs-2026-11"
CITIES = {"Austin": "Texas", "Boston": "Massachusetts", "Denver": "Colorado", "Portland": "Oregon"}
FILES_PER_CITY = 3
PRICE_CENTS = 50
BUDGET_CENTS = 600


def folder_of(city: str) -> Path:
    return Path(CAMPAIGN) / city.lower()


async def collect(client: AsyncFirstHandClient, city: str, state: str) -> FirstHandError | None:
    """Collect the photos of a city; return an error, so that the other cities continue."""
    try:
        await client.jobs.collect(
            folder_of(city),
            # With it a machine whose disk is new continues the same job, too, within a day.
            idempotency_key=idempotency_key(CAMPAIGN, city),
            title=f"Street signs in {city}",
            description=f"Photos of street signs in {city}, in daylight, the sign filling most of the frame",
            files_needed=FILES_PER_CITY,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=PRICE_CENTS,
            location={"city": city, "state": state},
            max_spend_cents=FILES_PER_CITY * PRICE_CENTS,
        )
    except FirstHandError as error:
        return error
    return None


def summary(city: str) -> tuple[int, str]:
    """The cost of a city so far, and its line of the table, from its folder."""
    unknown = 0, f"{city:<9} no job known"
    try:
        dataset = Dataset.open(folder_of(city))
    except FirstHandError:
        return unknown
    job = dataset.job
    if job is None:
        return unknown
    cents = (job.files_approved or 0) * PRICE_CENTS
    ratings = [record.ai_star_rating or 0 for record in dataset]
    stars = f"{sum(ratings) / len(ratings):.1f} stars" if ratings else ""
    files = f"{len(dataset)}/{FILES_PER_CITY} files"
    return cents, f"{city:<9} {job.id:<30} {job.status:<11} {files:>9} {stars:>9} ${cents / 100:,.2f}"


async def main() -> None:
    planned = len(CITIES) * FILES_PER_CITY * PRICE_CENTS
    if planned > BUDGET_CENTS:
        raise SystemExit(f"{planned} cents are planned and the budget is {BUDGET_CENTS}: nothing was posted.")

    async with AsyncFirstHandClient() as client:
        errors = await asyncio.gather(*(collect(client, *city) for city in CITIES.items()))

    spent = 0
    for city in CITIES:
        cents, line = summary(city)
        spent += cents
        print(line)
    print(f"\n${spent / 100:,.2f} of ${BUDGET_CENTS / 100:,.2f} spent; the files are in {CAMPAIGN}/")
    failed = {city: error for city, error in zip(CITIES, errors, strict=True) if error}
    for city, error in failed.items():
        print(f"{city} is not whole: {error}")
    if failed:
        raise SystemExit("Run it again to download the missing files; a cancelled job stays cancelled.")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except FirstHandError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped. Run it again: each city continues its own job.") from None
