"""The media that the bundled server hands out."""

import hashlib
import io
import logging
from collections.abc import Iterator

import av
import av.logging
import pytest
from PIL import Image

from firsthandapi.testing._media import Media, make

IMAGES = ("image/jpeg", "image/png", "image/webp", "image/gif")
SOUNDS = ("audio/mpeg", "audio/wav", "audio/mp4")
VIDEOS = ("video/mp4", "video/quicktime")
ALL = IMAGES + SOUNDS + VIDEOS


@pytest.fixture(autouse=True)
def _decoder_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every test fails if a decoder logs so much as a warning."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    with caplog.at_level(logging.WARNING):
        yield
    av.logging.set_level(before)
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


@pytest.mark.parametrize("unique", ["a", "b"])
@pytest.mark.parametrize("content_type", IMAGES)
def test_images_decode_to_the_size_asked(content_type: str, unique: str) -> None:
    """An image decodes in two decoders, alike, with exactly the size asked and claimed."""
    sizes = [(640, 480), (1, 1), (2, 3), (5, 1), (1, 700), (17, 33), (479, 641), (1920, 1080), (3000, 7)]
    for width, height in sizes:
        media = make(content_type, unique, width=width, height=height)
        assert (media.width, media.height, media.duration_seconds) == (width, height, None)
        image = pixels(media)
        assert image.size == (width, height)
        assert Image.MIME[Image.open(io.BytesIO(media.content)).format or ""] == content_type
        (frame,) = frames(media)
        assert (frame.width, frame.height) == (width, height)
        if content_type != "image/jpeg":  # JPEG leaves how to smooth colour to the decoder
            assert rgb_bytes(frame) == image.tobytes()


@pytest.mark.parametrize("content_type", IMAGES)
def test_pictures_look_different(content_type: str) -> None:
    """Two pictures differ by far in colour, and one picture has many colours."""
    first, second = (pixels(make(content_type, unique)) for unique in ("a", "b"))
    pairs = zip(first.resize((4, 3)).tobytes(), second.resize((4, 3)).tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / 36 > 30
    assert len(first.getcolors(1 << 20) or ()) >= 12


def test_formats_show_the_same_picture() -> None:
    """The same `unique` gives the same mosaic in PNG, GIF and, but for rounding, JPEG."""
    centres = [(80 + 160 * column, 80 + 160 * row) for row in range(3) for column in range(4)]
    png, gif, jpeg = (pixels(make(kind, "a")) for kind in ("image/png", "image/gif", "image/jpeg"))
    for centre in centres:
        assert png.getpixel(centre) == gif.getpixel(centre)
        pairs = zip(png.getpixel(centre), jpeg.getpixel(centre), strict=True)
        assert all(abs(a - b) <= 3 for a, b in pairs)


@pytest.mark.parametrize("unique", ["a", "b"])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 2.5, 61.0])
@pytest.mark.parametrize("content_type", SOUNDS)
def test_sounds_decode_to_the_duration_claimed(content_type: str, seconds: float, unique: str) -> None:
    """A sound decodes to as many seconds as claimed: in MP3 and WAV what was asked, to a frame."""
    media = make(content_type, unique, seconds=seconds)
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


@pytest.mark.parametrize("unique", ["a", "b"])
@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((640, 480), (640, 480)),
        ((100, 100), (640, 480)),
        ((641, 1), (1920, 1080)),
        ((1080, 1920), (3840, 2160)),
        ((9000, 9000), (3840, 2160)),
    ],
)
@pytest.mark.parametrize("content_type", VIDEOS)
def test_videos_decode_to_what_is_claimed(
    content_type: str, asked: tuple[int, int], given: tuple[int, int], unique: str
) -> None:
    """A video is the smallest at hand that is large enough, else the largest, and says truly what it is."""
    media = make(content_type, unique, width=asked[0], height=asked[1])
    assert (media.width, media.height) == given
    decoded = frames(media)
    assert len(decoded) == 10
    assert {(frame.width, frame.height) for frame in decoded} == {given}
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
    assert len(media.content) < 20_000


@pytest.mark.parametrize("size", [(640, 480), (1, 1)])
@pytest.mark.parametrize("content_type", ALL)
def test_every_file_is_unique(content_type: str, size: tuple[int, int]) -> None:
    """A thousand names give a thousand files, of whatever size."""
    hashes = {
        hashlib.sha256(make(content_type, f"file_{index}", width=size[0], height=size[1]).content).digest()
        for index in range(1000)
    }
    assert len(hashes) == 1000


@pytest.mark.parametrize("content_type", IMAGES)
def test_large_images_decode(content_type: str) -> None:
    """An image as large as a phone's camera takes decodes too, and stays small."""
    media = make(content_type, "large", width=4032, height=3024)
    assert pixels(media).size == (4032, 3024)
    assert len(media.content) < 100_000


@pytest.mark.parametrize(
    ("content_type", "options"),
    [
        ("image/tiff", {}),
        ("jpg", {}),
        ("image/png", {"width": 0}),
        ("image/png", {"height": -1}),
        ("image/webp", {"width": 16_385}),
        ("image/jpeg", {"height": 65_536}),
        ("audio/wav", {"seconds": 0}),
        ("audio/wav", {"seconds": float("nan")}),
        ("audio/mpeg", {"seconds": float("inf")}),
    ],
)
def test_what_cannot_be_made_is_refused(content_type: str, options: dict[str, int]) -> None:
    """An unknown format, or a size the format cannot have, raises ValueError."""
    with pytest.raises(ValueError, match=r"unknown content type|pixels a side|seconds"):
        make(content_type, "x", **options)
