"""How well `Dataset.duplicates(near=…)` tells crops, other sizes, and recompressions from different photographs.

    pip install 'firsthandapi[images]' scikit-image scikit-learn
    python -m benchmarks.near_duplicates

The photographs are those that scikit-image and scikit-learn ship in their packages. Each is cut into tiles that do not
overlap, so that they are different pictures, though often of the same subject in the same light: harder to tell apart
than the photographs of different people. Each tile is compared with copies of itself and of all others.
"""

from __future__ import annotations

import io
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from firsthandapi._core.rows.duplicates import NEAR
from firsthandapi.datasets._alike import Index, SecondLook
from firsthandapi.datasets._near import hashes_of, libraries

PHOTOGRAPHS = {
    "skimage": [
        *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg"),
        *("retina.jpg", "moon.png", "ihc.png", "brick.png", "grass.png", "gravel.png", "coins.png"),
        "motorcycle_left.png",
    ],
    "sklearn": ["china.jpg", "flower.jpg"],
}
FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
# A tile has about this many pixels on its shorter side.
TILE = 150
COPIES = {
    "JPEG at quality 90, 60, 30": [("jpeg", 90), ("jpeg", 60), ("jpeg", 30)],
    "three quarters, half the size": [("size", 75), ("size", 50)],
    "crop to 95 % of each side": [("crop", 95), ("crop", 95)],
    "crop to 90 % of each side": [("crop", 90), ("crop", 90)],
    "crop to 85 % of each side": [("crop", 85), ("crop", 85)],
}


def photographs(pil: Any) -> list[Any]:
    """The tiles of all photographs, as images."""
    tiles: list[Any] = []
    for package, names in PHOTOGRAPHS.items():
        spec = find_spec(package)
        assert spec is not None, f"pip install {package}"
        assert spec.origin is not None
        for name in names:
            image = pil.open(Path(spec.origin).parent / FOLDERS[package] / name).convert("RGB")
            width, height = image.size
            n = min(max(min(width, height) // TILE, 1), 3)
            tiles += [
                image.crop((x * width // n, y * height // n, (x + 1) * width // n, (y + 1) * height // n))
                for x in range(n)
                for y in range(n)
            ]
    return tiles


def encoded(image: Any, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def copy_of(image: Any, kind: str, number: int, random: Random) -> bytes:
    """A copy as people make them, as a file."""
    width, height = image.size
    if kind == "jpeg":
        return encoded(image, number)
    w, h = width * number // 100, height * number // 100
    if kind == "size":
        return encoded(image.resize((w, h)), 80)
    left, top = random.randint(0, width - w), random.randint(0, height - h)
    return encoded(image.crop((left, top, left + w, top + h)), 80)


def measure(bits: int = NEAR) -> tuple[float, float, dict[str, float], int]:
    """Recall, precision, the recall of each kind of copy, and the number of photographs."""
    np, pil = libraries()
    random = Random(0)
    originals = photographs(pil)
    looks: list[Any] = [hashes_of(encoded(image, 95), np, pil) for image in originals]
    source = list(range(len(originals)))
    kinds: list[str] = [""] * len(originals)
    for number, image in enumerate(originals):
        for name, copies in COPIES.items():
            for kind, value in copies:
                looks.append(hashes_of(copy_of(image, kind, value, random), np, pil))
                source.append(number)
                kinds.append(name)
    first = len(originals)
    # Each original with each copy.
    table, pixels = (np.array(column) for column in zip(*looks, strict=True))
    index, look = Index(table, bits, np), SecondLook(pixels, np)
    firsts, seconds = np.divmod(np.arange(first * (len(looks) - first)), len(looks) - first)
    seconds += first
    near = np.minimum(index.distances(firsts, seconds), index.distances(seconds, firsts)) <= bits
    firsts, seconds = firsts[near], seconds[near]
    alike = look.are_alike(firsts, seconds)
    pairs = [*zip(firsts[alike].tolist(), seconds[alike].tolist(), strict=True)]
    true = [pair for pair in pairs if source[pair[1]] == pair[0]]
    total = len(looks) - first
    recall = {name: sum(kinds[copy] == name for _, copy in true) / kinds.count(name) for name in COPIES}
    return len(true) / total, len(true) / len(pairs), recall, first


def main() -> None:
    for bits in (6, 8, NEAR, 12):
        recall, precision, kinds, photos = measure(bits)
        print(f"near={bits}: recall {recall:.1%}, precision {precision:.1%}, of {photos} photographs")
        for name, share in kinds.items():
            print(f"    {name}: {share:.1%}")


if __name__ == "__main__":
    import_module("warnings").simplefilter("ignore")
    main()
