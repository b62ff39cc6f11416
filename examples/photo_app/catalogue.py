"""Photos for a product catalog: post jobs for missing photos, and download them when they are approved."""

from dataclasses import dataclass, field
from pathlib import Path

from firsthandapi import FirstHandClient, InsufficientCreditsError, idempotency_key

PHOTOS = 2
PRICE_CENTS = 75


@dataclass
class Orders:
    """What came of ordering: the job of each product, and the products that the credits did not suffice for."""

    jobs: dict[str, str] = field(default_factory=dict[str, str])
    unpaid: list[str] = field(default_factory=list[str])


def order_photos(client: FirstHandClient, products: dict[str, str]) -> Orders:
    """Order photos of each product (article number → name); the same order within a day buys nothing twice."""
    orders = Orders()
    for number, name in products.items():
        try:
            job = client.jobs.create(
                description=f"Photos of a {name}, from two sides, on a plain background",
                files_needed=PHOTOS,
                accepted_formats=["image/jpeg", "image/png"],
                price_per_file_cents=PRICE_CENTS,
                metadata={"article": number},
                idempotency_key=idempotency_key("catalogue", number, name),
            )
        except InsufficientCreditsError:
            orders.unpaid.append(number)
        else:
            orders.jobs[number] = job.id
    return orders


def fetch_photos(client: FirstHandClient, orders: Orders, folder: Path) -> dict[str, list[Path]]:
    """The photos of each finished job, in a folder for each article; existing files are not downloaded again.

    Of one that was cancelled, they are those that people had taken by then, and that are paid for.
    """
    photos: dict[str, list[Path]] = {}
    for number, job_id in orders.jobs.items():
        if client.jobs.get(job_id).status in ("completed", "cancelled"):
            dataset = client.files.download_all(job_id, folder / number)
            photos[number] = [dataset.path_of(record) for record in dataset]
    return photos
