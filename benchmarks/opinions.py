"""What it takes to have a model describe 24 photos of a megapixel.

The model is a stand-in that answers after 0.3 s, and first refuses each question with `Retry-After: 1`. Seconds on the
clock, with the libraries imported.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._measure import Row

NEEDS = ("anthropic", "openai", "genai_prices", "PIL", "av")  # of the extra ai
_MODELS = ("anthropic:claude-haiku-5-5", "openai:gpt-5-mini")


def rows(quick: bool) -> Iterator[Row]:
    from firsthandapi import Dataset
    from firsthandapi.testing import FakeModels, MockServer

    number = 3 if quick else 24
    with TemporaryDirectory() as folder, MockServer(workers=False) as server:
        with server.client() as client:
            job = client.jobs.create(
                description="Photos of anything",
                files_needed=number,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=10,
            )
            for place in range(number):
                server.submit(job.id, content=_photo(place), content_type="image/jpeg")
            server.clock.advance(minutes=1)
            dataset = client.files.download_all(job.id, Path(folder, "photos"), progress=False)
        for model in _MODELS:
            with FakeModels() as models:  # which imports the libraries
                first = Dataset.open(dataset.path).filter(lambda row: row == dataset[0])
                first.annotate(f"{model}-first", base_url=models.url, replace=True)
            with FakeModels(busy_first=True, seconds=0.3) as models:
                began = time.perf_counter()
                dataset.annotate(model, base_url=models.url, replace=True)
                yield Row(f"{model.partition(':')[0]}: {number} photos", time.perf_counter() - began, "s", 8)
                asked = len(models.requests)
                dataset.annotate(model, base_url=models.url, replace=True)
                assert asked == 2 * number
                yield Row("  again", len(models.requests) - asked, "requests", 0)


def _photo(place: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").rotate(place * 7).convert("RGB").resize((1152, 864)).save(out, "JPEG")
    return out.getvalue()
