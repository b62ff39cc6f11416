"""What a folder of 100,000 pictures costs: to open it, to decide about a file, and to find near duplicates.

Seconds on the clock and megabytes, in a process of its own. A tenth of the pictures are recompressions of others, half
of them smaller.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._measure import Row

NEEDS = ("numpy", "PIL", "starlette")  # of the extras images and serve
TARGETS: dict[str, tuple[str, float | None]] = {
    "open": ("s", 3),
    "memory after it, at the most": ("MB", 400),
    "accept": ("s", 0.1),
    "review: a decision": ("s", 0.1),
    "review: page and first picture": ("s", 2),
    "near duplicates, first time": ("ms a picture", 10),
    "near duplicates, hashes kept": ("s", 120),
    "copies that are not found": ("%", None),
    "groups of strangers": ("", None),
}


def rows(quick: bool) -> Iterator[Row]:
    number = 200 if quick else 100_000
    with TemporaryDirectory() as folder:
        make(Path(folder), number)
        command = [sys.executable, "-m", "benchmarks.folders", folder]
        measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for name, value in measured.items():
        unit, target = TARGETS[name]
        yield Row(name, value, f"{unit}, of {number:,} pictures".lstrip(", "), target)


def make(folder: Path, number: int) -> None:
    """A folder of pictures. The name of a copy's worker is that of the original."""
    import numpy as np
    from PIL import Image

    from firsthandapi._core.rows.manifest import COLUMNS

    (folder / "data").mkdir()
    everywhere = dict.fromkeys(COLUMNS)

    def row_of(place: int) -> bytes:
        source = place if place % 10 else place + 1
        noise = np.random.default_rng(source).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((160, 120), Image.Resampling.BILINEAR)
        if source != place and place % 20:
            image = image.resize((80, 60))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=85 if source == place else 60)
        content = out.getvalue()
        name = f"data/file_{place:026d}.jpg"
        (folder / name).write_bytes(content)
        annotations = {
            "objects": [{"label": "stop sign", "confidence": 0.97}, {"label": "car", "confidence": 0.8}],
            "scene": {"setting": "street", "indoor": False},
            "text_extraction": f"STOP {place}",
            "color_palette": ["red", "white"],
            "dominant_objects": [{"label": "stop sign", "position": "center", "approximate_coverage": "40%"}],
            "composition": "centered",
            "annotation_model": "vision-3",
        }
        row = {
            **everywhere,
            "file_name": name,
            "file_id": f"file_{place:026d}",
            "job_id": f"job_{place % 10:026d}",
            "submission_id": f"sub_{place:026d}",
            "content_type": "image/jpeg",
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "ai_star_rating": 4,
            "original_filename": f"IMG_{place}.jpg",
            "width": image.width,
            "height": image.height,
            "created_at": "2026-11-01T10:00:00Z",
            "annotations": annotations,
            "annotations_json": json.dumps(annotations, separators=(",", ":")),
            "worker_id": f"wkr_{source:026d}",
            "device_info": {"device_model": "Pixel 9", "device_os": "Android 16", "app_version": "3.1"},
            "ai_reasoning": "The picture shows the requested sign in daylight.",
            "dimensions": {"relevance": 5.0, "quality": 4.0, "completeness": 4.0},
        }
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"

    with ThreadPoolExecutor() as pool, (folder / "metadata.jsonl").open("wb") as manifest:
        manifest.writelines(pool.map(row_of, range(number), chunksize=100))


def measure(folder: str) -> dict[str, float]:
    """All figures of a folder."""
    import resource

    from starlette.testclient import TestClient

    from firsthandapi import Dataset
    from firsthandapi_server.review.app import ReviewPage

    measured: dict[str, float] = {}

    def clocked(name: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        measured[name] = time.perf_counter() - start
        return result

    dataset = clocked("open", lambda: Dataset.open(folder))
    measured["memory after it, at the most"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    first, second = dataset[0], dataset[1]
    page = ReviewPage(dataset)
    client = TestClient(page, base_url=f"http://127.0.0.1{page.path}", client=("127.0.0.1", 1))

    def look() -> None:
        assert client.get("").status_code == 200
        assert client.get(f"thumbnails/{first.file_id}").status_code == 200

    clocked("review: page and first picture", look)
    decision = {"action": "accept", "ids": [second.file_id]}
    response = clocked("review: a decision", lambda: client.post("decisions", json=decision))
    assert response.status_code == 204, response.text
    page.close()
    clocked("accept", lambda: dataset.accept(first))
    case = "near duplicates, first time"
    groups = clocked(case, lambda: dataset.duplicates(near=True))
    measured[case] *= 1000 / len(dataset)
    assert clocked("near duplicates, hashes kept", lambda: dataset.duplicates(near=True)) == groups
    copies = len(dataset) - len({record.worker_id for record in dataset})
    kinds = [len({record.worker_id for record in group}) for group in groups]
    measured["copies that are not found"] = 100 * (1 - kinds.count(1) / copies)
    measured["groups of strangers"] = len(kinds) - kinds.count(1)
    return measured


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
