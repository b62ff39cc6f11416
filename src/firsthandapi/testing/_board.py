"""A drawing board: flat shapes, one over another, and their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]

# Pictures of other proportions are stretched.
WIDE, HIGH = 1000, 750


@dataclass(frozen=True, slots=True)
class Shape:
    """One flat shape: its color and, for a line of the board, where it is."""

    color: int
    top: float
    bottom: float
    spans: Callable[[float], Sequence[tuple[float, float]]]


class Board:
    """A drawing, shape over shape. Figures are drawn around the middle, and moved to their place."""

    def __init__(self, place: int) -> None:
        self._shapes: list[Shape] = []
        self.move = (place - 1) * 150.0

    def lines(self, width: int, height: int) -> tuple[bytes, ...]:
        """The drawing, stretched to so many pixels: a color's index for each. Equal neighbors are one object."""
        lines: list[bytes] = []
        last: list[tuple[int, int, int]] = []
        for at in range(height):
            y = (at + 0.5) * HIGH / height
            spans = [
                (shape.color, round(left * width / WIDE), round(right * width / WIDE))
                for shape in self._shapes
                if shape.top <= y < shape.bottom
                for left, right in shape.spans(y)
            ]
            if lines and spans == last:
                lines.append(lines[-1])
                continue
            painted = bytearray(width)
            for color, left, right in spans:
                start, end = max(0, left), min(width, right)
                if start < end:
                    painted[start:end] = bytes((color,)) * (end - start)
            line, last = bytes(painted), spans
            lines.append(lines[-1] if lines and lines[-1] == line else line)
        return tuple(lines)

    def rectangle(self, color: int, left: float, top: float, right: float, bottom: float) -> None:
        """A rectangle that does not move."""
        self._shapes.append(Shape(color, top, bottom, lambda _y: ((left, right),)))

    def box(self, color: int, left: float, top: float, right: float, bottom: float) -> None:
        """A rectangle of the figure."""
        self.rectangle(color, left + self.move, top, right + self.move, bottom)

    def ellipse(
        self, color: int, x: float, y: float, wide: float, high: float, *, moves: bool = True
    ) -> None:
        """An ellipse by its center and half axes."""
        middle = x + (self.move if moves else 0)

        def spans(at: float) -> Sequence[tuple[float, float]]:
            half = wide * math.sqrt(max(0.0, 1 - ((at - y) / high) ** 2))
            return ((middle - half, middle + half),)

        self._shapes.append(Shape(color, y - high, y + high, spans))

    def ring(self, color: int, x: float, y: float, radius: float, thick: float) -> None:
        """A circle's line: what is inside stays."""
        middle, inner = x + self.move, radius - thick

        def spans(at: float) -> Sequence[tuple[float, float]]:
            outer = math.sqrt(max(0.0, radius**2 - (at - y) ** 2))
            hole = math.sqrt(max(0.0, inner**2 - (at - y) ** 2))
            return ((middle - outer, middle - hole), (middle + hole, middle + outer))

        self._shapes.append(Shape(color, y - radius, y + radius, spans))

    def polygon(self, color: int, points: Iterable[Point], *, moves: bool = True) -> None:
        """A filled polygon."""
        corners = [(x + (self.move if moves else 0), y) for x, y in points]
        edges = [
            (a, b) if a[1] < b[1] else (b, a)
            for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)
            if a[1] != b[1]
        ]

        def spans(at: float) -> Sequence[tuple[float, float]]:
            cuts = sorted(
                a[0] + (at - a[1]) * (b[0] - a[0]) / (b[1] - a[1]) for a, b in edges if a[1] <= at < b[1]
            )
            return tuple(zip(cuts[::2], cuts[1::2], strict=False))

        heights = [y for _, y in corners]
        self._shapes.append(Shape(color, min(heights), max(heights), spans))

    def bar(self, color: int, start: Point, end: Point, thick: float) -> None:
        """A straight line with a width."""
        (x, y), (to_x, to_y) = start, end
        length = math.hypot(to_x - x, to_y - y)
        across, down = (to_y - y) / length * thick / 2, -(to_x - x) / length * thick / 2
        near, far = (x + across, y + down), (to_x + across, to_y + down)
        self.polygon(color, [near, far, (to_x - across, to_y - down), (x - across, y - down)])

    def letters(self, color: int, text: str, x: float, y: float, cell: float) -> None:
        """Letters and digits around (x, y), of 3 x 5 cells each."""
        left = x - (4 * len(text) - 1) * cell / 2
        for number, letter in enumerate(text):
            for row, bits in enumerate(_LETTERS[letter]):
                for column in range(3):
                    if bits >> (2 - column) & 1:
                        at = left + (4 * number + column) * cell
                        top = y + (row - 2.5) * cell
                        self.box(color, at, top, at + cell, top + cell)


# 3 x 5 cells, a row per number.
_LETTERS = {
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7), "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 1, 2, 2), "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7),
    "S": (7, 4, 7, 1, 7), "T": (7, 2, 2, 2, 2), "O": (7, 5, 5, 5, 7), "P": (7, 5, 7, 4, 4),
}  # fmt: skip
