"""The media that the bundled server hands out."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import av
import av.logging
import pytest
from PIL import Image, ImageChops, ImageStat

from firsthandapi_server.mock.annotations import annotate
from firsthandapi_server.mock.media import Media, make
from firsthandapi_server.mock.scenes import SUBJECTS, drawing, scene, subjects_of

IMAGES = ("image/jpeg", "image/png", "image/webp", "image/gif")
SOUNDS = ("audio/mpeg", "audio/wav", "audio/mp4")
VIDEOS = ("video/mp4", "video/quicktime")
ALL = IMAGES + SOUNDS + VIDEOS


@pytest.fixture(autouse=True)
def _decoder_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every test fails if a decoder logs so much as a warning."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    with caplog.at_level(logging.WARNING):
        yield
    av.logging.set_level(level)
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def pixels(media: Media) -> Image.Image:
    """The picture, decoded to the end by Pillow."""
    Image.open(io.BytesIO(media.content)).verify()
    with Image.open(io.BytesIO(media.content)) as image:
        image.load()
        assert getattr(image, "n_frames", 1) == 1
        rgb: Image.Image = image.convert("RGB")
        return rgb


def rgb_bytes(frame: av.VideoFrame) -> bytes:
    """The frame as Pillow would hold it."""
    image: Image.Image = frame.to_image()
    return image.tobytes()


def frames(media: Media) -> list[av.VideoFrame]:
    """The frames of a picture or video, decoded to the end by FFmpeg's decoders."""
    with av.open(io.BytesIO(media.content)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("content_type", IMAGES)
def test_images_decode_to_the_size_asked(content_type: str) -> None:
    """An image decodes in two decoders, alike, with exactly the size asked and claimed."""
    sizes = [(640, 480), (1, 1), (2, 3), (5, 1), (1, 700), (17, 33), (479, 641), (1333, 1001), (3000, 7)]
    for width, height in sizes:
        media = make(content_type, "a", width=width, height=height)
        assert (media.width, media.height, media.duration_seconds) == (width, height, None)
        assert len(media.content) < 400_000
        image = pixels(media)
        assert image.size == (width, height)
        assert Image.MIME[Image.open(io.BytesIO(media.content)).format or ""] == content_type
        (frame,) = frames(media)
        assert (frame.width, frame.height) == (width, height)
        if content_type != "image/jpeg":  # JPEG leaves how to smooth colour to the decoder
            assert rgb_bytes(frame) == image.tobytes()


@pytest.mark.parametrize("content_type", IMAGES)
def test_pictures_look_different(content_type: str) -> None:
    """Two subjects differ by far in color, and two pictures of one drawing still in their tiles."""
    first, second = (pixels(make(content_type, "a", subject=subject)) for subject in ("cup", "stop sign"))
    pairs = zip(first.resize((4, 3)).tobytes(), second.resize((4, 3)).tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / 36 > 30
    assert len(first.getcolors(1 << 20) or ()) >= 12
    alike: dict[str, list[str]] = {}
    for unique in map(str, range(60)):
        drawn = scene(unique, "cup")
        alike.setdefault(f"{drawn.place} {drawn.scheme}", []).append(unique)
    name, twin = next(group[:2] for group in alike.values() if len(group) > 1)
    tiles = [
        pixels(make(content_type, unique, subject="cup")).crop((0, 448, 640, 480)) for unique in (name, twin)
    ]
    assert tiles[0].tobytes() != tiles[1].tobytes()


def test_formats_show_the_same_picture() -> None:
    """The same `unique` gives the same picture in PNG, GIF, WebP and, but for rounding and edges, JPEG."""
    for subject in SUBJECTS:
        png, gif, webp, jpeg = (
            pixels(make(kind, "a", subject=subject))
            for kind in ("image/png", "image/gif", "image/webp", "image/jpeg")
        )
        assert png.tobytes() == gif.tobytes() == webp.tobytes()
        off = ImageChops.difference(png, jpeg).convert("L").histogram()
        assert sum(off[:4]) > 0.8 * sum(off)
        assert ImageStat.Stat(ImageChops.difference(png, jpeg)).mean < [4, 4, 4]


@pytest.mark.parametrize("subject", [*SUBJECTS])
def test_annotations_are_true_of_the_picture(subject: str) -> None:
    """The annotated colors are in the picture, the main one where the subject is said to be, and indoors is darker."""
    for unique in map(str, range(6)):
        annotations = annotate("image/png", unique, subject=subject)
        image = pixels(make("image/png", unique, subject=subject))
        colors = {
            f"#{red:02X}{green:02X}{blue:02X}": count
            for count, (red, green, blue) in image.getcolors(100) or ()
        }
        assert all(color in colors for color in annotations["color_palette"][:2])
        where = {"left": 0, "center": 1, "right": 2}[annotations["dominant_objects"][0]["position"]]
        assert where == scene(unique, subject).place
        assert annotations["objects"][0] == subject
        light = sum(image.resize((1, 1)).tobytes()) / 3
        assert (light < 140) == annotations["scene"]["indoor"], light


def test_text_can_be_read() -> None:
    """The text of the annotations is the one that is drawn: another text is another picture."""
    assert annotate("image/png", "a", subject="stop sign")["text_extraction"] == "STOP"
    texts = {str(annotate("image/png", str(seed), subject="house")["text_extraction"]) for seed in range(40)}
    assert texts == set(SUBJECTS["house"].text)
    drawn = {drawing("house", 1, text, 640, 480).tobytes() for text in texts}
    assert len(drawn) == len(texts)


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        (
            "Photos of street signs in daylight",
            ("stop sign", "yield sign", "speed limit sign", "warning sign"),
        ),
        ("Coffee mugs, please", ("cup",)),
        ("MAILBOXES and house numbers", ("house", "mailbox")),
        ("Everyday places, about half of them indoors", ()),
        ("A carpet", ()),
        ("Street corners", ("stop sign", "yield sign", "speed limit sign", "warning sign", "car")),
        ("Cups in the kitchen", ("cup",)),
    ],
)
def test_subjects_of_a_job(words: str, subjects: tuple[str, ...]) -> None:
    """Whole words of a job decide what workers photograph; without one they photograph anything."""
    assert set(subjects_of(words)) == set(subjects)


@pytest.mark.parametrize("seconds", [0.01, 1.0, 2.5, 61.0])
@pytest.mark.parametrize("content_type", SOUNDS)
def test_sounds_decode_to_the_duration_claimed(content_type: str, seconds: float) -> None:
    """A sound decodes to as many seconds as claimed: in MP3 and WAV what was asked, to a frame."""
    media = make(content_type, "a", seconds=seconds)
    assert (media.width, media.height) == (None, None)
    with av.open(io.BytesIO(media.content)) as container:
        stream = container.streams.audio[0]
        samples = 0
        silent = True
        for frame in container.decode(stream):
            samples += frame.samples
            silent = silent and not any(bytes(frame.planes[0]))
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(media.duration_seconds, abs=1e-3)
        assert samples / stream.rate == pytest.approx(media.duration_seconds, abs=1e-9)
    assert not silent
    if content_type != "audio/mp4":
        assert media.duration_seconds is not None
        shortest = 0.288 if content_type == "audio/mpeg" else 0
        assert max(seconds, shortest) <= media.duration_seconds + 1e-9 < max(seconds, shortest) + 0.036


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ([(640, 480), (100, 100)], (640, 480)),
        ([(641, 1)], (1920, 1080)),
        ([(1080, 1920), (9000, 9000)], (3840, 2160)),
    ],
)
@pytest.mark.parametrize("content_type", VIDEOS)
def test_videos_decode_to_what_is_claimed(
    content_type: str, asked: list[tuple[int, int]], size: tuple[int, int]
) -> None:
    """A video is the smallest at hand that is large enough, else the largest, and says truly what it is."""
    (media,) = {make(content_type, "a", width=width, height=height) for width, height in asked}
    assert (media.width, media.height) == size
    decoded = frames(media)
    assert len(decoded) == 10
    assert {(frame.width, frame.height) for frame in decoded} == {size}
    assert rgb_bytes(decoded[0]) != rgb_bytes(decoded[9])
    with av.open(io.BytesIO(media.content)) as container:
        assert container.duration == media.duration_seconds * av.time_base
        brand = "qt  " if content_type == "video/quicktime" else "isom"
        assert container.metadata["major_brand"] == brand


@pytest.mark.parametrize("content_type", ALL)
def test_the_same_arguments_give_the_same_bytes(content_type: str) -> None:
    """Media are a function of the arguments, and small."""
    media = make(content_type, "same")
    assert make(content_type, "same") == media
    assert len(media.content) < 25_000


@pytest.mark.parametrize("content_type", ALL)
def test_every_file_is_unique(content_type: str) -> None:
    """As many names give as many files, even where they have a single pixel to differ in."""
    contents = {make(content_type, f"file_{at}", width=1, height=1, subject="cup") for at in range(100)}
    assert len(contents) == 100


@pytest.mark.parametrize(
    ("content_type", "options"),
    [
        ("image/tiff", {}),
        ("jpg", {}),
        ("image/png", {"width": 0}),
        ("image/png", {"height": -1}),
        ("image/webp", {"width": 16_384}),
        ("image/jpeg", {"height": 65_536}),
        ("image/png", {"subject": "unicorn"}),
        ("audio/wav", {"seconds": 0}),
        ("audio/wav", {"seconds": float("nan")}),
        ("audio/mpeg", {"seconds": float("inf")}),
    ],
)
def test_what_cannot_be_made_is_refused(content_type: str, options: dict[str, Any]) -> None:
    """An unknown format, or a size the format cannot have, raises ValueError."""
    with pytest.raises(ValueError, match=r"unknown content type|unknown subject|pixels a side|seconds"):
        make(content_type, "x", **options)
