"""Opinions of models about files: stars, reasons, and annotations.

from firsthandapi import Dataset

Dataset.open("signs/").annotate("anthropic:claude-haiku-5-5", max_cents=200)

A class with a `name` and a method `look` is an `Annotator`, and takes a model's place.
"""

from __future__ import annotations

from ._model import Model
from ._opinion import Annotator, Opinion, Work

__all__ = ["Annotator", "Model", "Opinion", "Work"]
