"""Collect a small set of photos, and train a classifier on it: indoors or outdoors?

    pip install firsthandapi pillow scikit-learn
    FIRSTHAND_API_KEY=fh_test_… python examples/collect_and_train.py

Without an account, run `firsthandapi mock-server --speed 10` and set the two variables that it prints. With a live key,
this program costs $12. The label is the annotation `scene.indoor`; the features are the colors of a tiny thumbnail. The
pictures of the bundled server are drawings, those of rooms dimmer than those of streets, so the accuracy shows only
that the parts work together. Stop the program and run it again: it continues the same job, and you never pay twice.
"""

# scikit-learn has no types:
# mypy: disable-error-code=import-untyped
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

import sys
from collections import Counter
from pathlib import Path

from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from firsthandapi import Dataset, FirstHandClient, FirstHandError, Progress

PHOTOS = 60
SIDE = 2  # pixels of the thumbnail; real photos need more, or a pretrained network
FOLDS = 5


def show(progress: Progress) -> None:
    print(f"{progress.files_done} of {progress.files_total} photos", end="\r", file=sys.stderr)


def features(path: Path) -> bytes:
    """The colors of a thumbnail: red, green, and blue of each pixel."""
    with Image.open(path) as image:
        thumbnail: Image.Image = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return thumbnail.tobytes()


def labeled(dataset: Dataset) -> tuple[list[list[int]], list[bool]]:
    """Readable photos with a recognized scene, in the same order in every run."""
    rows: list[list[int]] = []
    labels: list[bool] = []
    for record in sorted(dataset, key=lambda record: record.file_id):
        indoor = record.annotations["scene"]["indoor"] if record.annotations else None
        if indoor is None:
            continue
        try:
            row = list(features(dataset.path_of(record)))
        except Exception as error:  # a decoder can fail in many ways, and strangers sent the photos
            print(f"{record.file_name} left out: {type(error).__name__}", file=sys.stderr)
            continue
        rows.append(row)
        labels.append(indoor)
    return rows, labels


def main() -> None:
    with FirstHandClient() as client:
        dataset = client.jobs.collect(
            "scenes",
            title="Everyday scenes",
            description="Photos of everyday places, about half of them indoors and half outdoors",
            files_needed=PHOTOS,
            accepted_formats=["image/jpeg", "image/png"],
            price_per_file_cents=20,
            max_spend_cents=PHOTOS * 20,
            on_progress=show,
        )
    rows, labels = labeled(dataset)
    counts = Counter(labels)
    print(f"{len(dataset)} photos, job {dataset.job.status if dataset.job else 'unknown'}")
    print(f"{counts[True]} indoor, {counts[False]} outdoor, {len(dataset) - len(rows)} left out")
    if min(counts[True], counts[False]) < FOLDS:
        raise SystemExit(f"too few photos of one kind: training needs {FOLDS} of each; collect more")

    # A model that has not seen a photo predicts its label.
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    accuracy = cross_val_score(model, rows, labels, cv=folds).mean()
    baseline = max(counts.values()) / len(labels)
    print(f"held-out accuracy {accuracy:.2f}; always the more common answer: {baseline:.2f}")


if __name__ == "__main__":
    try:
        main()
    except FirstHandError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped. Run it again: it continues the same job.") from None
