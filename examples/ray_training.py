"""Train on the photos of a job without a copy on disk: Ray's workers download, verify, and decode; batches are tensors.

    pip install 'firsthandapi[ray]' pillow torch
    python ray_training.py job_01JP…

The driver needs FIRSTHAND_API_KEY; the workers need no key.
"""

import io
import sys
from typing import Any

import numpy as np
from PIL import Image
from ray.data.expressions import col

from firsthandapi.ray import read_files


def decode(batch: dict[str, Any]) -> dict[str, Any]:
    photos = [Image.open(io.BytesIO(content)).convert("RGB").resize((64, 64)) for content in batch["bytes"]]
    return {"photo": np.stack([np.asarray(photo) for photo in photos]), "stars": batch["ai_star_rating"]}


def main(job_id: str) -> None:
    photos = read_files(job_id).filter(expr=col("content_type") == "image/jpeg")  # others are not downloaded
    seen = 0
    for batch in photos.map_batches(decode, batch_size=32).iter_torch_batches(batch_size=32):
        pixels = batch["photo"].float() / 255  # a tensor: (photos, 64, 64, 3)
        seen += len(pixels)  # your training step
    print(f"{seen} photos")


if __name__ == "__main__":
    main(sys.argv[1])
