"""Refuse photos by rules before a person looks: small and blurred ones get few stars. The others are measured, and left
to the reviewers: a rule has not seen what the job asks for, so it approves nothing.

    pip install "firsthandapi[serve]"
    firsthandapi serve photos --scorer photo_scorer:score

Run it in the folder of this file. A package names its scorer in pyproject.toml instead, and `--scorer` takes the name:

    [project.entry-points."firsthandapi.scorers"]
    sharp = "photo_scorer:score"

A scorer runs in a process of its own and may take a minute; where it fails, returns None, or gives no stars, the
reviewers decide. For a model that somebody hosts, see `firsthandapi serve --ai`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter, ImageStat

SIDE = 512  # pixels of the copy that is measured, so that large and small photos compare
BLURRED = 40.0  # the variance of the edges: below, no person needs to look
_EDGES = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def score(path: Path, content_type: str, job: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rate a file.

    Args:
        path: a copy of the file, which is removed afterwards.
        content_type: its MIME type.
        job: the job as the API shows it: `description`, `scoring_criteria`, and the like.

    Returns:
        `stars` from 1 to 5 and a `reason`, or `annotations` alone; None where it has nothing to say.
    """
    if not content_type.startswith("image/"):
        return None
    least = (job.get("min_width") or 300) * (job.get("min_height") or 300)
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    if photo.width * photo.height < least:
        return {"stars": 1, "reason": f"The photo has only {photo.width} x {photo.height} pixels."}
    photo.thumbnail((SIDE, SIDE))
    sharpness = ImageStat.Stat(photo.convert("L").filter(_EDGES)).var[0]
    if sharpness < BLURRED:
        return {"stars": 2, "reason": "The photo is blurred: hold the camera still, and try again."}
    return {
        "annotations": {
            "type": "image",
            "color_palette": _palette(photo),
            "annotation_model": "photo_scorer",
        },
    }


def _palette(photo: Image.Image) -> list[str]:
    """The five most frequent colors."""
    few = photo.quantize(5)
    palette = few.getpalette() or []
    counts = sorted(few.getcolors() or [], reverse=True)
    indexes = [index for _, index in counts if isinstance(index, int)]
    return [f"#{bytes(palette[3 * index : 3 * index + 3]).hex()}" for index in indexes]
