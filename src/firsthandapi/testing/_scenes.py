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

from ._board import HIGH, WIDE, Board, Point

if TYPE_CHECKING:
    from PIL import Image

Color = tuple[int, int, int]

TILES = 10
_SCHEMES, _PLACES = 6, 3
_TILES_FROM = 700

# The colors of the palette by their use; the tiles come after them.
(
    SKY,
    GROUND,
    CLOUD,
    FAR,
    MAIN,
    SHADE,
    LIGHT,
    DARK,
    ACCENT,
    WOOD,
    LEAF,
    LEAF_SHADE,
    METAL,
    GLASS,
    GLOW,
    EDGE,
) = range(16)
FIRST_TILE = 16


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scene shows, and the words of its annotations."""

    name: str
    objects: tuple[str, str, str]
    setting: str
    coverage: int
    draw: Callable[[Board, str], None]
    text: tuple[str, ...] = ()

    @property
    def indoor(self) -> bool:
        """Whether the scene is inside a building."""
        return self.setting in ("kitchen", "office", "living room")


@dataclass(frozen=True, slots=True)
class Scene:
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


def scene(unique: str, subject: str | None = None) -> Scene:
    """The scene of a picture.
    `unique`: decides everything else.
    `subject`: one of `SUBJECTS`; None for any, as often indoors as outdoors.
    """
    chance = random.Random(f"{unique}:scene")  # noqa: S311 - a seed is the point
    if subject is None:
        indoor = chance.random() < 0.5
        subject = chance.choice([name for name, each in SUBJECTS.items() if each.indoor == indoor])
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
    return Scene(SUBJECTS[subject], place, scheme, tiles)


def subjects_of(text: str) -> tuple[str, ...]:
    """The subjects that a job asks for, by the words of its title and description; none where it names none."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    for table in (_WORDS, _AREAS):
        found = [
            name for word, names in table.items() if words & {word, f"{word}s", f"{word}es"} for name in names
        ]
        if found:
            return tuple(dict.fromkeys(found))
    return ()


@lru_cache(maxsize=256)
def scheme_colors(subject: str, scheme: int) -> tuple[Color, ...]:
    """The colors of a subject in one of its sets."""
    chance = random.Random(f"{subject}:{scheme}")  # noqa: S311 - a seed is the point
    fixed = _FIXED.get(subject, {})
    return tuple(
        _near(fixed[use] if use in fixed else chance.choice(choices), chance)
        for use, choices in enumerate(_INDOOR if SUBJECTS[subject].indoor else _OUTDOOR)
    )


def _near(color: Color, chance: random.Random) -> Color:
    shift = chance.randrange(-9, 10)
    red, green, blue = (min(255, max(0, part + shift + chance.randrange(-5, 6))) for part in color)
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


def _indoors(board: Board, *, table: bool = True, window: bool = True) -> None:
    board.rectangle(SKY, 0, 0, WIDE, 600)
    board.rectangle(GROUND, 0, 600, WIDE, HIGH)
    board.rectangle(EDGE, 0, 585, WIDE, 606)
    if window:
        left = 60 if board.move >= 0 else 700
        board.rectangle(EDGE, left, 80, left + 240, 330)
        board.rectangle(GLASS, left + 14, 94, left + 114, 316)
        board.rectangle(GLASS, left + 126, 94, left + 226, 316)
    if table:
        board.rectangle(WOOD, 100, 500, 900, 540)
        board.rectangle(DARK, 150, 540, 190, 690)
        board.rectangle(DARK, 810, 540, 850, 690)


def _tree(board: Board, x: float, y: float, size: float, *, moves: bool = True) -> None:
    shift = board.move if moves else 0
    board.rectangle(WOOD, x - 14 * size + shift, y, x + 14 * size + shift, y + 190 * size)
    for across, down, radius in ((-70, 10, 75), (70, 10, 75), (0, -60, 95), (0, 30, 70)):
        board.ellipse(
            LEAF_SHADE, x + across * size, y + down * size, radius * size, radius * size, moves=moves
        )
    for across, down, radius in ((-45, -35, 35), (25, -90, 40)):
        board.ellipse(LEAF, x + across * size, y + down * size, radius * size, radius * size, moves=moves)


def _regular(corners: int, x: float, y: float, radius: float, turn: float) -> list[Point]:
    angles = (turn + 2 * math.pi * at / corners for at in range(corners))
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _street(board: Board) -> None:
    _outdoors(board, street=True)
    _tree(board, 880 if board.move <= 0 else 120, 400, 0.8, moves=False)
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
    _tree(board, 900 if board.move <= 0 else 90, 400, 0.9, moves=False)
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


def _old_tree(board: Board, _text: str) -> None:
    _outdoors(board, street=False)
    _tree(board, 500, 330, 1.75)
    board.rectangle(WOOD, 60 if board.move > 0 else 720, 560, 260 if board.move > 0 else 920, 585)
    for left in (90, 210) if board.move > 0 else (750, 870):
        board.rectangle(DARK, left, 585, left + 20, 650)


def _car(board: Board, _text: str) -> None:
    _outdoors(board, street=True)
    _tree(board, 880 if board.move <= 0 else 120, 380, 1.0, moves=False)
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


def _bicycle(board: Board, _text: str) -> None:
    _outdoors(board, street=True)
    for left in range(20, WIDE, 110):
        board.rectangle(WOOD, left, 330, left + 50, 560)
    board.rectangle(WOOD, 0, 370, WIDE, 395)
    for x in (320, 680):
        board.ring(DARK, x, 540, 130, 18)
        board.ellipse(METAL, x, 540, 14, 14)
    for start, end in (
        ((320, 540), (430, 360)), ((430, 360), (620, 360)), ((620, 360), (500, 550)), ((500, 550), (320, 540)),
        ((500, 550), (430, 360)), ((680, 540), (605, 320)),
    ):  # fmt: skip
        board.bar(MAIN, start, end, 20)
    board.bar(DARK, (560, 315), (650, 315), 18)
    board.bar(DARK, (430, 360), (415, 320), 14)
    board.ellipse(DARK, 410, 312, 52, 15)


def _bench(board: Board, _text: str) -> None:
    _outdoors(board, street=False)
    _tree(board, 870 if board.move <= 0 else 130, 360, 1.2, moves=False)
    for left in (280, 690):
        board.box(DARK, left, 360, left + 28, 670)
    for top in (340, 400, 460):
        board.box(MAIN, 230, top, 770, top + 44)
    board.box(MAIN, 210, 540, 790, 580)
    board.box(SHADE, 210, 580, 790, 596)


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


def _window(board: Board, _text: str) -> None:
    _indoors(board, table=False, window=False)
    board.box(EDGE, 280, 80, 720, 520)
    board.box(GLASS, 305, 105, 695, 495)
    board.ellipse(LEAF, 400, 480, 90, 90)
    board.ellipse(LEAF_SHADE, 600, 490, 110, 120)
    board.box(EDGE, 280, 495, 720, 535)
    board.box(EDGE, 490, 105, 510, 495)
    board.box(EDGE, 305, 290, 695, 308)
    board.polygon(MAIN, [(215, 50), (390, 50), (330, 300), (345, 560), (215, 560)])
    board.polygon(MAIN, [(785, 50), (610, 50), (670, 300), (655, 560), (785, 560)])
    board.box(WOOD, 200, 40, 800, 62)
    board.box(ACCENT, 470, 465, 530, 500)
    board.ellipse(LEAF, 500, 440, 36, 36)


def _door(board: Board, _text: str) -> None:
    _indoors(board, table=False, window=False)
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


def _plant(board: Board, _text: str) -> None:
    _indoors(board)
    for x, y, (tip, top) in (
        (500, 380, (500, 60)),
        (490, 390, (330, 130)),
        (510, 390, (670, 130)),
        (490, 400, (270, 260)),
        (510, 400, (730, 260)),
    ):
        middle, half = (x + tip) / 2, (y + top) / 2
        across, down = (top - y) / 6, (x - tip) / 6
        leaf = [(x, y), (middle + across, half + down), (tip, top), (middle - across, half - down)]
        board.polygon(LEAF if top < 200 else LEAF_SHADE, leaf)
    board.polygon(MAIN, [(390, 370), (610, 370), (575, 500), (425, 500)])
    board.box(SHADE, 380, 350, 620, 385)


def _clock(board: Board, _text: str) -> None:
    _indoors(board, window=False)
    board.ellipse(MAIN, 500, 260, 205, 205)
    board.ellipse(LIGHT, 500, 260, 175, 175)
    for point in _regular(12, 500, 260, 148, 0):
        board.ellipse(DARK, *point, 10, 10)
    board.bar(DARK, (500, 260), (500, 145), 16)
    board.bar(DARK, (500, 260), (580, 305), 18)
    board.ellipse(ACCENT, 500, 260, 16, 16)


_STREET, _HOMES = "city street", "outdoor residential"
_LIMITS = ("30", "50", "70")
SUBJECTS: dict[str, Subject] = {
    each.name: each
    for each in (
        Subject("stop sign", ("stop sign", "street", "tree"), _STREET, 28, _stop_sign, ("STOP",)),
        Subject("yield sign", ("yield sign", "street", "tree"), _STREET, 12, _yield_sign),
        Subject(
            "speed limit sign", ("speed limit sign", "street", "tree"), _STREET, 17, _speed_sign, _LIMITS
        ),
        Subject("warning sign", ("warning sign", "street", "tree"), _STREET, 13, _warning_sign),
        Subject("house", ("house", "window", "door"), _HOMES, 30, _house, ("1204", "87", "356", "9", "41")),
        Subject("mailbox", ("mailbox", "fence", "lawn"), _HOMES, 14, _mailbox, ("508", "12", "7731", "64")),
        Subject("tree", ("tree", "lawn", "bench"), _HOMES, 20, _old_tree),
        Subject("car", ("car", "street", "tree"), _STREET, 19, _car),
        Subject("bicycle", ("bicycle", "street", "fence"), _STREET, 16, _bicycle),
        Subject("bench", ("bench", "lawn", "tree"), _HOMES, 15, _bench),
        Subject("lamp", ("lamp", "table", "window"), "living room", 11, _lamp),
        Subject("cup", ("cup", "table", "window"), "kitchen", 12, _cup),
        Subject("window", ("window", "curtain", "plant"), "living room", 32, _window),
        Subject("door", ("door", "rug", "picture"), "office", 22, _door),
        Subject("plant", ("plant", "table", "window"), "office", 10, _plant),
        Subject("clock", ("clock", "table", "wall"), "kitchen", 18, _clock),
    )
}

_SIGNS = ("stop sign", "yield sign", "speed limit sign", "warning sign")
# What a job calls a thing, in the order in which things are looked for: most have names of one word.
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "sign": _SIGNS,
    "home": ("house",),
    "number": ("house", "mailbox"),
    "vehicle": ("car", "bicycle"),
    "bike": ("bicycle",),
    "mug": ("cup",),
    "coffee": ("cup",),
}
_WORDS = {**_OTHER_NAMES, **{name: (name,) for name in SUBJECTS if " " not in name}}

# Where a job names no thing, a place says as much.
_AREAS: dict[str, tuple[str, ...]] = {
    "street": (*_SIGNS, "car", "bicycle"),
    "park": ("tree", "bench"),
    "garden": ("tree", "bench", "mailbox"),
    "kitchen": ("cup", "clock"),
    "office": ("door", "plant"),
    "room": ("lamp", "window"),
}

_OUTDOOR: tuple[tuple[Color, ...], ...] = (
    ((156, 206, 240), (184, 220, 244), (203, 224, 236), (240, 217, 190)),  # sky
    ((126, 128, 134), (150, 146, 142), (108, 112, 120)),  # ground
    ((247, 249, 250), (239, 243, 246)),  # clouds
    ((147, 186, 152), (131, 170, 165), (170, 182, 140)),  # far hills
    (
        (224, 122, 95),
        (244, 211, 130),
        (129, 178, 196),
        (226, 226, 216),
        (176, 201, 160),
        (201, 140, 167),
    ),  # main
    ((140, 88, 74), (150, 130, 90), (100, 120, 140)),  # its shade
    ((252, 252, 248),),  # light
    ((38, 42, 48), (52, 48, 60)),  # dark
    ((176, 66, 58), (88, 98, 130), (112, 80, 66), (62, 104, 96)),  # accent
    ((140, 98, 66), (164, 118, 80), (112, 80, 60)),  # wood
    ((122, 180, 96), (150, 190, 108), (104, 166, 108)),  # leaves
    ((74, 132, 76), (90, 142, 70), (64, 120, 90)),  # their shade
    ((150, 156, 164), (130, 136, 146)),  # metal
    ((176, 214, 230), (196, 222, 226)),  # glass
    ((252, 224, 130), (250, 236, 170)),  # glow
    ((230, 226, 214),),  # edges
)
_INDOOR: tuple[tuple[Color, ...], ...] = (
    ((108, 92, 104), (84, 100, 112), (120, 98, 80), (92, 104, 88), (104, 84, 84)),  # wall
    ((78, 58, 48), (64, 62, 70), (92, 70, 52)),  # floor
    ((170, 160, 156), (150, 152, 160)),  # steam
    ((90, 80, 90),),
    ((208, 96, 76), (222, 164, 78), (82, 142, 150), (178, 108, 140), (120, 150, 96)),  # main
    ((92, 60, 54), (70, 66, 88), (100, 78, 50)),
    ((232, 226, 212), (220, 220, 222)),
    ((40, 34, 36), (34, 36, 46)),
    ((190, 148, 84), (96, 120, 156), (170, 84, 76)),
    ((140, 98, 64), (120, 82, 58), (156, 116, 80)),
    ((104, 148, 88), (118, 156, 98)),
    ((66, 108, 70), (78, 116, 66)),
    ((150, 140, 126), (126, 130, 138)),
    ((46, 60, 92), (70, 84, 120), (96, 110, 140)),  # glass: dusk
    ((252, 222, 140), (250, 206, 120)),
    ((134, 116, 110), (116, 122, 128), (146, 124, 100)),  # edges
)
# The colors that make a thing what it is.
_FIXED: dict[str, dict[int, Color]] = {
    "stop sign": {MAIN: (196, 42, 46)},
    "yield sign": {MAIN: (200, 48, 50)},
    "speed limit sign": {MAIN: (204, 46, 48)},
    "warning sign": {MAIN: (246, 196, 62)},
    "mailbox": {ACCENT: (206, 56, 52)},
    "bench": {MAIN: (160, 112, 72), SHADE: (104, 72, 48)},
}
