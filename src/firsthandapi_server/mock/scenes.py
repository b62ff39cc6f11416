"""What the simulated workers' pictures show: drawn scenes, as pixels that are indexes into a palette.

A picture is one of a few hundred drawings: a subject, in one of three places, in one of six sets of colors. So its
pixels are worked out once per size. A row of tiles along its lower edge is colored like no other picture's.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .board import HIGH, WIDE, Board, Point

if TYPE_CHECKING:
    from PIL import Image

Color = tuple[int, int, int]

TILES = 10
_SCHEMES, _PLACES = 6, 3
_TILES_FROM = 700

# The colors of the palette by their use; the tiles come after them.
SKY, GROUND, CLOUD, FAR, MAIN, SHADE, LIGHT, DARK, ACCENT, WOOD, LEAF, LEAF_SHADE, METAL = range(13)
GLASS, GLOW, EDGE, FIRST_TILE = range(13, 17)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scene shows, and the words of its annotations."""

    name: str
    objects: tuple[str, ...]
    setting: str
    coverage: int
    draw: Callable[[Board, str], None]
    text: tuple[str, ...] = ()

    @property
    def indoor(self) -> bool:
        """Whether the scene is inside a building."""
        return self.setting in ("kitchen", "office", "living room")


@dataclass(frozen=True, slots=True)
class DrawnScene:
    """One drawing: a subject, where it stands, and its colors; `tiles` are this picture's own."""

    subject: Subject
    place: int
    scheme: int
    tiles: tuple[Color, ...]

    @property
    def text(self) -> str | None:
        """The text that can be read in the picture."""
        texts = self.subject.text
        return texts[(self.scheme * _PLACES + self.place) % len(texts)] if texts else None

    @property
    def position(self) -> str:
        """Where the subject is."""
        return ("left", "center", "right")[self.place]

    @property
    def palette(self) -> list[Color]:
        """Every color by its index."""
        return [*scheme_colors(self.subject.name, self.scheme), *self.tiles]


def scene(unique: str, subject: str | None = None) -> DrawnScene:
    """The scene of a picture.
    `unique`: decides everything else.
    `subject`: one of `SUBJECTS`; None for any, as often indoors as outdoors.
    """
    chance = random.Random(f"{unique}:scene")  # noqa: S311 - a seed is the point
    if subject is None:
        indoor = chance.random() < 0.5
        subject = chance.choice([name for name, entry in SUBJECTS.items() if entry.indoor == indoor])
    raw = hashlib.sha512(unique.encode()).digest()
    place, scheme = chance.randrange(_PLACES), chance.randrange(_SCHEMES)
    ground = scheme_colors(subject, scheme)[GROUND]
    # Muted, as stones and carpets are.
    tiles = tuple(
        (
            (2 * ground[0] + raw[at]) // 3,
            (2 * ground[1] + raw[at + 1]) // 3,
            (2 * ground[2] + raw[at + 2]) // 3,
        )
        for at in range(0, 3 * TILES, 3)
    )
    return DrawnScene(SUBJECTS[subject], place, scheme, tiles)


def subjects_of(text: str) -> tuple[str, ...]:
    """The subjects that a job asks for, by the words of its title and description; none where it names none."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    for table in (_WORDS, _AREAS):
        subjects = [
            name for word, names in table.items() if words & {word, f"{word}s", f"{word}es"} for name in names
        ]
        if subjects:
            return tuple(dict.fromkeys(subjects))
    return ()


@lru_cache(maxsize=256)
def scheme_colors(subject: str, scheme: int) -> tuple[Color, ...]:
    """The colors of a subject in one of its sets."""
    chance = random.Random(f"{subject}:{scheme}")  # noqa: S311 - a seed is the point
    fixed = _FIXED.get(subject, {})
    return tuple(
        _near(fixed[use] if use in fixed else chance.choice(choices.split()), chance)
        for use, choices in enumerate(_INDOOR if SUBJECTS[subject].indoor else _OUTDOOR)
    )


def _near(color: str, chance: random.Random) -> Color:
    shift = chance.randrange(-9, 10)
    parts = bytes.fromhex(color)
    red, green, blue = (min(255, max(0, part + shift + chance.randrange(-5, 6))) for part in parts)
    return red, green, blue


@lru_cache(maxsize=16)
def drawing(subject: str, place: int, text: str | None, width: int, height: int) -> Image.Image:
    """A scene, as indexes into the palette. All pictures of it share this one: do not change it."""
    board = Board(place, width, height)
    SUBJECTS[subject].draw(board, text or "")
    for tile in range(TILES):
        left = WIDE * tile / TILES
        board.rectangle(FIRST_TILE + tile, left, _TILES_FROM, left + WIDE / TILES, HIGH)
    return board.image


# --- the scenes -----------------------------------------------------------------------------------------


def _outdoors(board: Board, *, street: bool) -> None:
    board.rectangle(SKY, 0, 0, WIDE, 450)
    for x, y, wide in ((180, 110, 90), (250, 95, 70), (740, 150, 80), (810, 160, 60)):
        board.ellipse(CLOUD, x, y, wide, 30, moves=False)
    board.ellipse(FAR, 220, 480, 380, 130, moves=False)
    board.ellipse(FAR, 800, 490, 420, 170, moves=False)
    board.rectangle(LEAF, 0, 450, WIDE, HIGH)
    if street:
        board.rectangle(GROUND, 0, 560, WIDE, HIGH)
        for x in range(50, WIDE, 250):
            board.rectangle(CLOUD, x, 620, x + 125, 640)
    board.rectangle(GROUND, 0, 690, WIDE, HIGH)


def _indoors(board: Board, *, furnished: bool = True) -> None:
    board.rectangle(SKY, 0, 0, WIDE, 600)
    board.rectangle(GROUND, 0, 600, WIDE, HIGH)
    board.rectangle(EDGE, 0, 585, WIDE, 606)
    if furnished:
        left = 60 if board.move >= 0 else 700
        board.rectangle(EDGE, left, 80, left + 240, 330)
        board.rectangle(GLASS, left + 14, 94, left + 114, 316)
        board.rectangle(GLASS, left + 126, 94, left + 226, 316)
        board.rectangle(WOOD, 100, 500, 900, 540)
        board.rectangle(DARK, 150, 540, 190, 690)
        board.rectangle(DARK, 810, 540, 850, 690)


def _tree(board: Board) -> None:
    """A tree that does not move, beside the subject."""
    x, y = 880 if board.move <= 0 else 120, 400
    board.rectangle(WOOD, x - 12, y, x + 12, y + 160)
    for across, down, radius in ((-60, 10, 64), (60, 10, 64), (0, -50, 80), (0, 25, 60)):
        board.ellipse(LEAF_SHADE, x + across, y + down, radius, radius, moves=False)
    for across, down, radius in ((-38, -30, 30), (20, -75, 34)):
        board.ellipse(LEAF, x + across, y + down, radius, radius, moves=False)


def _regular(corners: int, x: float, y: float, radius: float, turn: float) -> list[Point]:
    angles = (turn + 2 * math.pi * at / corners for at in range(corners))
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _street(board: Board) -> None:
    _outdoors(board, street=True)
    _tree(board)
    board.box(METAL, 485, 300, 515, 690)


def _stop_sign(board: Board, text: str) -> None:
    _street(board)
    board.polygon(LIGHT, _regular(8, 500, 260, 218, math.pi / 8))
    board.polygon(MAIN, _regular(8, 500, 260, 200, math.pi / 8))
    board.letters(LIGHT, text, 500, 260, 140)


def _yield_sign(board: Board, _text: str) -> None:
    _street(board)
    board.polygon(MAIN, [(280, 110), (720, 110), (500, 490)])
    board.polygon(LIGHT, [(360, 158), (640, 158), (500, 400)])


def _speed_sign(board: Board, text: str) -> None:
    _street(board)
    board.ellipse(MAIN, 500, 260, 200, 200)
    board.ellipse(LIGHT, 500, 260, 155, 155)
    board.letters(DARK, text, 500, 260, 210)


def _warning_sign(board: Board, _text: str) -> None:
    _street(board)
    board.polygon(DARK, _regular(4, 500, 260, 235, 0))
    board.polygon(MAIN, _regular(4, 500, 260, 215, 0))
    board.polygon(DARK, [(482, 140), (518, 140), (512, 300), (488, 300)])
    board.ellipse(DARK, 500, 345, 22, 22)


def _house(board: Board, text: str) -> None:
    _outdoors(board, street=False)
    _tree(board)
    board.box(MAIN, 270, 300, 730, 640)
    board.polygon(ACCENT, [(225, 310), (500, 90), (775, 310)])
    board.box(SHADE, 620, 120, 680, 230)
    board.polygon(ACCENT, [(560, 138), (500, 90), (775, 310), (640, 310)])
    for left in (310, 580):
        board.box(LIGHT, left, 360, left + 110, 470)
        board.box(GLASS, left + 12, 372, left + 98, 458)
        board.box(LIGHT, left + 50, 360, left + 60, 470)
    board.box(WOOD, 450, 450, 550, 640)
    board.ellipse(GLOW, 530, 550, 8, 8)
    board.box(LIGHT, 445, 390, 555, 432)
    board.letters(DARK, text, 500, 411, 42)


def _mailbox(board: Board, text: str) -> None:
    _outdoors(board, street=False)
    for left in range(20, WIDE, 110):
        board.rectangle(CLOUD, left, 400, left + 50, 560)
    board.rectangle(CLOUD, 0, 430, WIDE, 455)
    board.box(WOOD, 470, 430, 530, 690)
    board.box(MAIN, 330, 230, 670, 430)
    board.ellipse(MAIN, 500, 235, 170, 110)
    board.box(SHADE, 330, 415, 670, 435)
    board.box(DARK, 680, 170, 700, 330)
    board.box(ACCENT, 620, 170, 700, 230)
    board.box(LIGHT, 390, 280, 610, 370)
    board.letters(DARK, text, 500, 325, 84)


def _car(board: Board, _text: str) -> None:
    _outdoors(board, street=True)
    _tree(board)
    board.polygon(MAIN, [(330, 420), (400, 310), (610, 310), (690, 420)])
    board.polygon(GLASS, [(365, 415), (418, 332), (495, 332), (495, 415)])
    board.polygon(GLASS, [(515, 415), (515, 332), (598, 332), (650, 415)])
    board.box(MAIN, 230, 415, 790, 550)
    board.box(SHADE, 230, 520, 790, 555)
    board.box(GLOW, 765, 440, 790, 475)
    board.box(ACCENT, 230, 440, 250, 475)
    for x in (345, 675):
        board.ellipse(DARK, x, 550, 72, 72)
        board.ellipse(METAL, x, 550, 36, 36)


def _lamp(board: Board, _text: str) -> None:
    _indoors(board)
    board.ellipse(EDGE, 500, 240, 260, 210)
    board.box(METAL, 488, 300, 512, 470)
    board.ellipse(METAL, 500, 488, 110, 24)
    board.polygon(MAIN, [(400, 110), (600, 110), (690, 330), (310, 330)])
    board.polygon(GLOW, [(330, 310), (670, 310), (690, 330), (310, 330)])


def _cup(board: Board, _text: str) -> None:
    _indoors(board)
    board.ring(MAIN, 655, 360, 85, 34)
    board.box(MAIN, 340, 250, 640, 440)
    board.ellipse(MAIN, 490, 440, 150, 62)
    board.ellipse(LIGHT, 490, 250, 150, 34)
    board.ellipse(DARK, 490, 254, 128, 24)
    board.box(ACCENT, 340, 330, 640, 372)
    steam = ((0, 200), (16, 160), (0, 120), (12, 90), (26, 120), (34, 160), (16, 200))
    for x in (430, 490, 550):
        board.polygon(CLOUD, [(x + across, y) for across, y in steam])


def _door(board: Board, _text: str) -> None:
    _indoors(board, furnished=False)
    board.box(EDGE, 330, 70, 670, 610)
    board.box(MAIN, 355, 95, 645, 610)
    for top, bottom in ((130, 320), (360, 570)):
        for left in (385, 515):
            board.box(SHADE, left, top, left + 100, bottom)
    board.ellipse(GLOW, 620, 345, 15, 15)
    left = 70 if board.move >= 0 else 730
    board.rectangle(WOOD, left, 150, left + 200, 330)
    board.rectangle(GLASS, left + 15, 165, left + 185, 315)
    board.ellipse(LEAF, left + 70, 300, 50, 40, moves=False)
    board.ellipse(ACCENT, 500, 660, 260, 32)


_STREET, _HOMES = "city street", "outdoor residential"
_LIMITS = ("30", "50", "70")
SUBJECTS: dict[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject("stop sign", ("stop sign", "street", "tree"), _STREET, 28, _stop_sign, ("STOP",)),
        Subject("yield sign", ("yield sign", "street", "tree"), _STREET, 12, _yield_sign),
        Subject("speed limit sign", ("speed limit sign", "street"), _STREET, 17, _speed_sign, _LIMITS),
        Subject("warning sign", ("warning sign", "street", "tree"), _STREET, 13, _warning_sign),
        Subject("house", ("house", "window", "door"), _HOMES, 30, _house, ("1204", "87", "356", "9", "41")),
        Subject("mailbox", ("mailbox", "fence", "lawn"), _HOMES, 14, _mailbox, ("508", "12", "7731", "64")),
        Subject("car", ("car", "street", "tree"), _STREET, 19, _car),
        Subject("lamp", ("lamp", "table", "window"), "living room", 11, _lamp),
        Subject("cup", ("cup", "table", "window"), "kitchen", 12, _cup),
        Subject("door", ("door", "rug", "picture"), "office", 22, _door),
    )
}

_SIGNS = ("stop sign", "yield sign", "speed limit sign", "warning sign")
# What a job calls a thing, in the order in which things are looked for: most have names of one word.
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "sign": _SIGNS,
    "home": ("house",),
    "number": ("house", "mailbox"),
    "vehicle": ("car",),
    "mug": ("cup",),
    "coffee": ("cup",),
}
_WORDS = {**_OTHER_NAMES, **{name: (name,) for name in SUBJECTS if " " not in name}}

# Where a job names no thing, a place says as much.
_AREAS: dict[str, tuple[str, ...]] = {
    "street": (*_SIGNS, "car"),
    "garden": ("house", "mailbox"),
    "kitchen": ("cup",),
    "office": ("door",),
    "room": ("lamp",),
}

# The colors to choose from, by their use, as in HTML.
_OUTDOOR = (
    "9ccef0 b8dcf4 cbe0ec f0d9be",  # sky or wall
    "7e8086 96928e 6c7078",  # ground or floor
    "f7f9fa eff3f6",  # clouds or steam
    "93ba98 83aaa5 aab68c",  # far hills
    "e07a5f f4d382 81b2c4 e2e2d8 b0c9a0 c98ca7",  # main
    "8c584a 96825a 64788c",  # its shade
    "fcfcf8",  # light
    "262a30 34303c",  # dark
    "b0423a 586282 705042 3e6860",  # accent
    "8c6242 a47650 70503c",  # wood
    "7ab460 96be6c 68a66c",  # leaves
    "4a844c 5a8e46 40785a",  # their shade
    "969ca4 828892",  # metal
    "b0d6e6 c4dee2",  # glass
    "fce082 faecaa",  # glow
    "e6e2d6",  # edges
)
_INDOOR = (
    "6c5c68 546470 786250 5c6858 685454",
    "4e3a30 403e46 5c4634",
    "aaa09c 9698a0",
    "5a505a",
    "d0604c dea44e 528e96 b26c8c 789660",
    "5c3c36 464258 644e32",
    "e8e2d4 dcdcde",
    "282224 22242e",
    "be9454 60789c aa544c",
    "8c6240 78523a 9c7450",
    "689458 769c62",
    "426c46 4e7442",
    "968c7e 7e828a",
    "2e3c5c 465478 606e8c",
    "fcde8c face78",
    "86746e 747a80 927c64",
)
# The colors that make a thing what it is.
_FIXED: dict[str, dict[int, str]] = {
    "stop sign": {MAIN: "c42a2e"},
    "yield sign": {MAIN: "c83032"},
    "speed limit sign": {MAIN: "cc2e30"},
    "warning sign": {MAIN: "f6c43e"},
    "mailbox": {ACCENT: "ce3834"},
}
