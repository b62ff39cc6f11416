"""What the docs show of training, run on a folder with labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset

from .support import folder_of
from .test_near import jpeg

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "training.md"
COLORS = {"stop": (200, 30, 30), "yield": (230, 220, 40)}
FILES = 40


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two classes that differ in color, each file by a worker of its own."""
    image = pytest.importorskip("PIL.Image")
    labels = [*COLORS] * (FILES // 2)
    pictures = [
        image.new("RGB", (48, 36), tuple(c - n for c in COLORS[label])) for n, label in enumerate(labels)
    ]
    return folder_of(tmp_path / "signs", [jpeg(picture) for picture in pictures], label=labels)


def shown(section: str) -> str:
    """The code of a section of the page."""
    _, _, text = PAGE.read_text("utf-8").partition(f"\n## {section}\n")
    match = re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match[1]


def run(section: str, dataset: Dataset) -> dict[str, Any]:
    parts = dataset.split(train=0.8, test=0.2, seed=0)
    names: dict[str, Any] = {"dataset": dataset, **parts}
    assert 0 < len(parts["test"]) < FILES / 2
    exec(shown(section), names)
    return names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_trains_on_labels(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """A split it has not seen is told apart by its colors."""
    pytest.importorskip("sklearn")
    run("scikit-learn", dataset)
    assert float(capsys.readouterr().out) == 1.0


@pytest.mark.filterwarnings("ignore")
def test_pytorch_trains_on_labels(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """Through Hugging Face's ClassLabel; the loss falls below that of guessing."""
    pytest.importorskip("datasets", reason="datasets is not installed: make test")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make filesystem")
    torch.manual_seed(0)
    names = run("PyTorch", dataset)
    assert names["classes"] == ["stop", "yield"]
    assert float(capsys.readouterr().out) < 0.6
