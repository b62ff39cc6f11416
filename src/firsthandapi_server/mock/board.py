"""A drawing board: flat shapes, one over another, in colors that are indexes into a palette."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]

# Pictures of other proportions are stretched.
WIDE, HIGH = 1000, 750


class Board:
    """A drawing of so many pixels. Figures are drawn around the middle, and moved to their place."""

    def __init__(self, place: int, width: int, height: int) -> None:
        self.image = Image.new("P", (width, height))
        self.move = (place - 1) * 150.0
        self._draw = ImageDraw.Draw(self.image)
        self._draw.fontmode = "1"  # indexes cannot be blended
        self._across, self._down = width / WIDE, height / HIGH

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int] | None:
        """A box in pixels, whose last ones belong to it; None if it has none."""
        box = (
            round(left * self._across),
            round(top * self._down),
            round(right * self._across) - 1,
            round(bottom * self._down) - 1,
        )
        return box if box[0] <= box[2] and box[1] <= box[3] else None

    def rectangle(self, color: int, left: float, top: float, right: float, bottom: float) -> None:
        """A rectangle that does not move."""
        if box := self._box(left, top, right, bottom):
            self._draw.rectangle(box, color)

    def box(self, color: int, left: float, top: float, right: float, bottom: float) -> None:
        """A rectangle of the figure."""
        self.rectangle(color, left + self.move, top, right + self.move, bottom)

    def ellipse(
        self, color: int, x: float, y: float, wide: float, high: float, *, moves: bool = True
    ) -> None:
        """An ellipse by its center and half axes."""
        middle = x + (self.move if moves else 0)
        if box := self._box(middle - wide, y - high, middle + wide, y + high):
            self._draw.ellipse(box, color)

    def ring(self, color: int, x: float, y: float, radius: float, thick: float) -> None:
        """A circle's line: what is inside stays."""
        middle = x + self.move
        if box := self._box(middle - radius, y - radius, middle + radius, y + radius):
            self._draw.ellipse(box, outline=color, width=max(1, round(thick * min(self._across, self._down))))

    def polygon(self, color: int, points: Iterable[Point]) -> None:
        """A filled polygon of the figure."""
        self._draw.polygon([((x + self.move) * self._across, y * self._down) for x, y in points], color)

    def letters(self, color: int, text: str, x: float, y: float, size: float) -> None:
        """A line of text around (x, y), as high as `size`."""
        pixels = round(size * self._down)
        if pixels:
            at = ((x + self.move) * self._across, y * self._down)
            self._draw.text(at, text, color, font=_font(pixels), anchor="mm")


@cache
def _font(pixels: int) -> Any:
    return ImageFont.load_default(pixels)
