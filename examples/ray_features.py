"""The mean color of every photo of some jobs, computed on a Ray cluster, as Parquet shards in a bucket or folder.

    pip install 'firsthandapi[ray]' pillow
    python ray_features.py s3://bucket/features job_01JP… job_01JQ…

The driver needs FIRSTHAND_API_KEY; the workers need no key.
"""

import io
import sys
from typing import Any

from PIL import Image

from firsthandapi.ray import read_files


def mean_color(row: dict[str, Any]) -> dict[str, Any]:
    with Image.open(io.BytesIO(row["bytes"])) as photo:
        red, green, blue = photo.convert("RGB").resize((1, 1)).tobytes()
    return {
        "file_id": row["file_id"],
        "stars": row["ai_star_rating"],
        "red": red,
        "green": green,
        "blue": blue,
    }


def main(dest: str, *job_ids: str) -> None:
    read_files(job_ids).map(mean_color).write_parquet(dest)


if __name__ == "__main__":
    main(*sys.argv[1:])
