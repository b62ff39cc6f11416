"""What is kept of the files of workers, and what is not. Pillow and PyAV make the files, and we their secrets."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import av.logging
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from dataset.support import wait_until
from firsthandapi_server.media import (
    LIMITS,
    Cleaned,
    MediaError,
    boxes,
    clean,
    name_of,
    pictures,
    sniff,
    units,
    upright,
)
from firsthandapi_server.media.bounded import Bounded
from firsthandapi_server.media.entries import clean_entries
from firsthandapi_server.media.exif import Exif, printable, read_exif
from firsthandapi_server.media.parts import Box
from firsthandapi_server.media.pictures import MOST_PIXELS
from firsthandapi_server.media.profiles import neutral
from firsthandapi_server.media.sniffing import NAMES
from firsthandapi_server.media.units import Units, configured
from firsthandapi_server.mock.media import make

NOW = 1_800_000_000.0
SECRET = b"48.8584N-secret"
ALL = tuple(NAMES)


@pytest.fixture(autouse=True)
def _decoder_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A decoder that complains of a cleaned file fails its test."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    with caplog.at_level(logging.ERROR):
        yield
    av.logging.set_level(level)
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def cleaned(content: bytes, accepted: Any = ALL, **options: Any) -> tuple[bytes, Cleaned]:
    """The cleaned file, and what it says."""
    target = io.BytesIO()
    facts = clean(io.BytesIO(content), target, accepted, now=NOW, **options)
    return target.getvalue(), facts


def picture(size: tuple[int, int] = (48, 32), mode: str = "RGB") -> Image.Image:
    """A picture that looks different from each side."""
    image = Image.new("RGB", size)
    image.putdata(
        [(x * 5 % 256, y * 7 % 256, (x + 2 * y) % 256) for y in range(size[1]) for x in range(size[0])]
    )
    return image.convert(mode)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    """A picture as bytes."""
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def exif(
    orientation: int = 1, *, order: str = "<", taken: str = "2026:11:20 10:00:00", zone: str | None = None
) -> bytes:
    """An EXIF block as phones write it: make, model, orientation, time, a place, and a name."""
    block: Any = Image.Exif()
    block.endian = order
    block.update({0x010F: "Apple", 0x0110: "iPhone 15", 0x0112: orientation, 0x013B: f"{SECRET!r} artist"})
    block.get_ifd(0x8769).update({0x9003: taken} if zone is None else {0x9003: taken, 0x9011: zone})
    block.get_ifd(0x8825)[1] = SECRET.decode()
    content: bytes = block.tobytes()
    return content.removeprefix(b"Exif\0\0")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


XMP = b"<x:xmpmeta><exif:GPSLatitude>" + SECRET + b"</exif:GPSLatitude></x:xmpmeta>"


def spoiled_jpeg(content: bytes, block: bytes | None = None) -> bytes:
    """A JPEG with everything that must go: EXIF, XMP, IPTC, a comment, a second picture, and a ZIP behind its end."""
    parts = [
        (0xE1, b"Exif\0\0" + (block or exif())),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04" + SECRET),
        (0xE2, b"MPF\0" + SECRET),
        (0xE0, b"JFXX\0\x10" + SECRET),
        (0xFE, b"<html><script>" + SECRET),
    ]
    segments = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in parts)
    return content[:2] + segments + content[2:] + content + b"PK\x03\x04" + SECRET


def spoiled(content_type: str) -> bytes:
    """A file of each format that holds a place, a name, or a page."""
    content = make(content_type, "a").content
    if content_type == "image/jpeg":
        return spoiled_jpeg(content)
    if content_type == "image/png":
        extra = [
            (b"tEXt", b"Comment\0" + SECRET),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
            (b"eXIf", exif()),
            (b"prVt", SECRET),
        ]
        return (
            content[:33] + b"".join(png_chunk(*part) for part in extra) + content[33:] + b"<script>" + SECRET
        )
    if content_type == "image/webp":
        body = content[8:] + b"XMP " + struct.pack("<I", len(XMP)) + XMP + b"\0" * (len(XMP) % 2)
        return b"RIFF" + struct.pack("<I", len(body)) + body + SECRET
    if content_type == "image/gif":
        extra = b"\x21\xfe" + bytes((len(SECRET),)) + SECRET + b"\0"
        extra += b"\x21\xff\x0bXMP DataXMP" + bytes((len(SECRET),)) + SECRET + b"\0"
        extra += b"\x21\xff\x0bNETSCAPE2.0" + b"\x03\x01\0\0" + bytes((len(SECRET),)) + SECRET + b"\0"
        at = 13 + 3 * 32
        return content[:at] + extra + content[at:] + SECRET
    if content_type == "audio/wav":
        listed = b"INFOIART" + struct.pack("<I", len(SECRET)) + SECRET + b"\0" * (len(SECRET) % 2)
        extra = b"LIST" + struct.pack("<I", len(listed)) + listed
        bext = b"bext" + struct.pack("<I", 602) + SECRET.ljust(602, b"\0")
        body = content[8:12] + extra + content[12:] + bext
        return b"RIFF" + struct.pack("<I", len(body)) + body
    if content_type == "audio/mpeg":
        text = b"TXXX" + struct.pack(">I", len(SECRET) + 1) + b"\0\0\0" + SECRET
        tag = b"ID3\x04\0\0" + bytes((0, 0, 0, len(text))) + text
        return tag + content + b"APETAGEX" + SECRET + (b"TAG" + SECRET).ljust(128, b"\0")
    return tagged(content)


def box(kind: bytes, body: bytes) -> bytes:
    """A box of an MP4."""
    return struct.pack(">I", len(body) + 8) + kind + body


def tagged(content: bytes) -> bytes:
    """An MP4 with places where phones put them, behind its samples, so that no offset moves."""
    udta = box(b"udta", box(b"\xa9xyz", SECRET) + box(b"loci", SECRET))
    meta = box(b"meta", box(b"keys", b"com.apple.quicktime.location.ISO6709" + SECRET))
    at = content.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", content, at)
    moov = content[at + 8 : at + size] + udta + meta + box(b"uuid", SECRET * 2)
    # The old index becomes a hole, and the new one goes to the end.
    hole = struct.pack(">I", size) + b"skip" + content[at + 8 : at + size]
    return (
        content[:at]
        + hole
        + content[at + size :]
        + box(b"moov", moov)
        + box(b"free", SECRET)
        + box(b"uuid", XMP)
    )


def encoded(
    format: str, video: str, *sounds: str, flags: str = "", heard: bytes = b"\0", **names: str
) -> bytes:
    """A recording as an encoder writes it: ten pictures if there is a codec for them, and a second of each sound.

    Args:
        format: of the container.
        video: the codec of the pictures, or nothing.
        sounds: the codec of each sound.
        flags: of the container.
        heard: the samples of the sounds, again and again.
        names: the metadata.
    """
    out = io.BytesIO()
    with av.open(
        out, "w", format=format, container_options={"movflags": flags} if flags else {}
    ) as container:
        container.metadata.update(names)
        tracks: list[tuple[Any, list[Any]]] = []
        if video:
            stream: Any = container.add_stream(video, rate=10, options={"x265-params": "log-level=none"})
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
            pictures = [av.VideoFrame.from_image(picture((64, 48)).rotate(index * 3)) for index in range(10)]
            tracks.append((stream, pictures))
        for codec in sounds:
            stream = container.add_stream(codec, rate=16_000, layout="mono")
            sound = av.AudioFrame(format=stream.format.name, layout="mono", samples=16_000)
            for plane in sound.planes:
                plane.update((heard * plane.buffer_size)[: plane.buffer_size])
            sound.sample_rate = 16_000
            tracks.append((stream, [sound]))
        for stream, parts in tracks:
            for index, part in enumerate(parts):
                part.pts = index
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return out.getvalue()


def frames(content: bytes, kind: str) -> list[bytes]:
    """All that a container decodes to."""
    with av.open(io.BytesIO(content)) as container:
        if kind == "audio":
            return [bytes(frame.planes[0]) for frame in container.decode(audio=0)]
        return [frame.to_image().tobytes() for frame in container.decode(video=0)]


def pixels(content: bytes) -> bytes:
    """The decoded picture."""
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("content_type", ALL)
def test_places_and_names_go_and_the_rest_stays(content_type: str) -> None:
    """Of a file with a place, a name, a page, and bytes behind its end only what is seen and heard is kept."""
    media = make(content_type, "a")
    source = spoiled(content_type)
    assert SECRET in source
    output, facts = cleaned(source)
    assert SECRET not in output
    assert b"script" not in output
    assert facts.content_type == content_type
    assert (facts.width, facts.height) == (media.width, media.height)
    if content_type.startswith("image/"):
        assert pixels(output) == pixels(media.content)
        assert facts.duration is None
    else:
        assert frames(output, content_type[:5]) == frames(media.content, content_type[:5])
        assert facts.duration == pytest.approx(media.duration_seconds, abs=0.04)
    repeat, same = cleaned(output)
    assert repeat == output  # nothing is left to be cleaned
    assert same.content_type == content_type


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(format: str, orientation: int) -> None:
    """A JPEG that its EXIF block turns is turned for good; others keep their pixels, and say how they are turned. Width
    and height are those of what is seen."""
    options = {"JPEG": {"quality": 92}, "PNG": {}, "WEBP": {"lossless": True}}[format]
    source = saved(picture(), format, exif=b"Exif\0\0" + exif(orientation), **options)
    with Image.open(io.BytesIO(source)) as image:
        seen = ImageOps.exif_transpose(image).convert("RGB")
    output, facts = cleaned(source)
    with Image.open(io.BytesIO(output)) as image:
        tags = {} if format == "JPEG" or orientation == 1 else {0x0112: orientation}
        assert dict(image.getexif()) == tags
        image = ImageOps.exif_transpose(image)
        assert image.size == seen.size == (facts.width, facts.height)
        pairs = zip(image.convert("RGB").tobytes(), seen.tobytes(), strict=True)
        assert max(abs(a - b) for a, b in pairs) <= (12 if format == "JPEG" else 0)
    assert SECRET not in output
    assert facts.device == "Apple iPhone 15"
    if orientation == 1:
        assert len(output) < len(source)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colors_are_turned(mode: str) -> None:
    """Gray and printed pictures are turned as well."""
    source = saved(picture(mode=mode), "JPEG", exif=b"Exif\0\0" + exif(6))
    output, facts = cleaned(source)
    assert (facts.width, facts.height) == (32, 48)
    assert Image.open(io.BytesIO(output)).size == (32, 48)


def icc(*tags: tuple[bytes, bytes], version: int = 4, form: bytes = b"mntr", space: bytes = b"RGB ") -> bytes:
    """A color profile with these tags, and a name in its header and behind its end."""
    at = 132 + 12 * len(tags)
    table, contents = struct.pack(">I", len(tags)), b""
    for tag, content in tags:
        table += struct.pack(">4sII", tag, at + len(contents), len(content))
        contents += content
    end = contents + SECRET
    head = struct.pack(
        ">I4x4s4s4s4s12s4s", at + len(end), bytes((version, 0, 0, 0)), form, space, b"XYZ ", b"", b"acsp"
    )
    return head.ljust(84, b"\0") + SECRET.ljust(44, b"\0") + table + end


WHITE = b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
NAMED = (b"desc", b"text\0\0\0\0" + SECRET), (b"mmod", SECRET)


def srgb(version: int) -> bytes:
    """The profile of most screens, with a name where monitors and cameras write theirs."""
    profile: Any = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack_from(">I", profile, 128)[0]
    tags = [struct.unpack_from(">4sII", profile, at) for at in range(132, 132 + 12 * count, 12)]
    numbers = [
        (tag, profile[at : at + size]) for tag, at, size in tags if tag not in (b"desc", b"cprt", b"chrm")
    ]
    return icc(*numbers, *NAMED, version=version)


def seen_with(profile: bytes) -> bytes:
    """The colors of a picture with a profile, on a screen."""
    source, screen = ImageCms.getOpenProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(picture(), source, screen, outputMode="RGB").tobytes()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("version", [2, 4])
def test_the_color_profile_stays(format: str, version: int) -> None:
    """Colors are right only with their profile, which stays, turned or not; the names in it go."""
    profile = srgb(version)
    assert profile.count(SECRET) == 4
    for orientation in (1, 6):
        source = saved(picture(), format, exif=b"Exif\0\0" + exif(orientation), icc_profile=profile)
        output, _ = cleaned(source)
        with Image.open(io.BytesIO(output)) as image:
            output_profile = image.info["icc_profile"]
        assert SECRET not in output_profile
        assert seen_with(output_profile) == seen_with(profile)
        assert (
            ImageCms.getProfileDescription(ImageCms.getOpenProfile(io.BytesIO(output_profile))).strip()
            == "Color profile"
        )
        assert cleaned(output)[0] == output


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_profile_of_any_size(format: str) -> None:
    """That of a printer has many segments in a JPEG. What is no profile, or too large for one, goes."""
    curve = b"curv\0\0\0\0" + struct.pack(">I", 80_000) + bytes(range(250)) * 640
    large = icc(WHITE, (b"kTRC", curve + SECRET), space=b"GRAY")
    misfits = icc(WHITE, form=b"abst"), icc(*NAMED), icc(*[WHITE] * 101), icc(WHITE)[:140], bytes(5 << 20)
    for profile in (large, *misfits):
        output, _ = cleaned(saved(picture(), format, icc_profile=profile))
        with Image.open(io.BytesIO(output)) as image:
            output_profile = image.info.get("icc_profile")
        if profile is not large:
            assert output_profile is None
        else:
            assert curve in output_profile
            assert SECRET not in output_profile
        assert pixels(output) == pixels(saved(picture(), format))


def test_a_png_whose_profile_is_no_zlib() -> None:
    """It goes like one that is no profile."""
    source = saved(picture(), "PNG")
    output, _ = cleaned(source[:33] + png_chunk(b"iCCP", SECRET + b"\0\0junk") + source[33:])
    assert output == source


def test_a_progressive_jpeg_keeps_every_scan() -> None:
    """A picture of many scans is kept byte by byte but for what goes."""
    plain = saved(picture((200, 100)), "JPEG", progressive=True)
    output, _ = cleaned(spoiled_jpeg(plain))
    assert pixels(output) == pixels(plain)


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_without_an_extended_header(lossless: bool) -> None:
    """The plain kinds of WebP, as encoders write them, stay byte by byte."""
    source = saved(picture(), "WEBP", lossless=lossless)
    output, facts = cleaned(source)
    assert output == source
    assert (facts.width, facts.height) == (48, 32)


def test_an_impossible_duration_is_not_believed() -> None:
    """A recording of years is none."""
    source = bytearray(make("audio/mp4", "a").content)
    at = source.index(b"mvhd") + 4 + 16
    source[at : at + 4] = b"\xff\xff\xff\xfe"
    assert cleaned(bytes(source))[1].duration is None


def test_an_animation_keeps_its_frames() -> None:
    """GIF, PNG, and WebP animations keep frames and loops, and how they are turned."""
    steps = [picture((20, 10)).rotate(90 * turn) for turn in range(3)]
    for format in ("GIF", "PNG", "WEBP"):
        source = saved(steps[0], format, save_all=True, append_images=steps[1:], loop=0, duration=50)
        output, facts = cleaned(source)
        with Image.open(io.BytesIO(output)) as image:
            assert getattr(image, "n_frames", 1) == 3
            assert image.info["loop"] == 0
        assert (facts.width, facts.height) == (20, 10)
    turned = saved(steps[0], "WEBP", save_all=True, append_images=steps[1:], exif=b"Exif\0\0" + exif(6))
    output, facts = cleaned(turned)
    assert (facts.width, facts.height) == (10, 20)
    with Image.open(io.BytesIO(output)) as image:
        assert (image.n_frames, dict(image.getexif())) == (3, {0x0112: 6})


@pytest.mark.parametrize("order", ["<", ">"])
def test_facts_of_exif(order: str) -> None:
    """Orientation, time, and device are read in both byte orders, and the time in the zone that holds."""
    assert read_exif(exif(6, order=order), 0) == Exif(6, 1_795_168_800.0, "Apple iPhone 15")
    assert read_exif(exif(order=order), 3600).taken_at == 1_795_168_800.0 - 3600
    assert read_exif(exif(order=order, zone="-05:30"), 3600).taken_at == 1_795_168_800.0 + 5.5 * 3600
    assert read_exif(exif(order=order, taken="0000:00:00 00:00:00"), 0).taken_at is None
    assert read_exif(exif(9, order=order), 0).orientation == 1
    assert read_exif(b"nothing", 0) == Exif()
    assert printable("  a\u202eb \x00c ") == "ab c"


@pytest.mark.parametrize(
    ("taken", "captured"),
    [
        ("2026:11:20 10:00:00", 1_795_168_800.0),
        ("1980:01:01 00:00:00", None),
        ("2099:01:01 00:00:00", None),
    ],
)
def test_an_implausible_time_is_not_believed(taken: str, captured: float | None) -> None:
    """A camera whose clock was never set, or is ahead, tells no time."""
    source = saved(picture(), "JPEG", exif=b"Exif\0\0" + exif(taken=taken))
    assert cleaned(source)[1].captured_at == captured


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "neither a picture"),
        (b"<!doctype html><script>alert(1)</script>", "neither a picture"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"\x1aE\xdf\xa3webm", "WebM"),
        (b"OggS", "Ogg"),
        (b"II*\x00raw", "TIFF, RAW"),
        (box(b"ftyp", b"heic\0\0\0\0mif1heic"), "HEIC .*Most Compatible"),
        (box(b"ftyp", b"avif\0\0\0\0"), "AVIF"),
        (box(b"ftyp", b"3gp5\0\0\0\0"), "3GP"),
        (b"RIFF\x10\0\0\0AVI LIST", "neither a picture"),
        (b"\xff\xf1\x50\x80aac data", "neither a picture"),
        (b"\xff\xd8\xff", "incomplete"),
        (b"\x89PNG\r\n\x1a\n", "incomplete"),
        (b"GIF89a", "incomplete"),
        (b"GIF89a\1\0\1\0\0\0\0;", "incomplete"),
        (b"GIF89a/*<svg onload=alert(1)>*/=1;", "incomplete"),
        (b"RIFF\x04\0\0\0WEBP", "incomplete"),
        (b"RIFF\x04\0\0\0WAVE", "incomplete"),
        (b"ID3\x04\0\0\0\0\0\x01x", "incomplete"),
        (box(b"ftyp", b"isom"), "incomplete"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(content: bytes, words: str) -> None:
    """What is no picture, sound, or video of the contract is refused, and the worker reads why."""
    with pytest.raises(MediaError, match=words):
        cleaned(content)


def test_the_job_decides_which_formats_are_taken() -> None:
    """The bytes are held against the job's formats, whatever name the file has."""
    for content_type in ALL:
        content = make(content_type, "a").content
        other_types = [media_type for media_type in ALL if media_type not in (content_type, "video/mp4")]
        with pytest.raises(MediaError, match=f"file is {NAMES[content_type]}, and this job takes .*, "):
            cleaned(content, other_types)
        assert cleaned(content, [content_type])[1].content_type == content_type
    assert name_of(["image/png", "image/jpeg"]) == "JPEG, PNG"
    assert name_of(["audio/wav"]) == "WAV"


@pytest.mark.parametrize("content_type", ALL)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_ends_early_is_refused(content_type: str, share: float) -> None:
    """Half a file is none. A sound of bare MP3 frames has no end that could be missing."""
    content = make(content_type, "a").content
    if content_type == "audio/mpeg":
        content = xing_mp3()
    with pytest.raises(MediaError, match="incomplete or damaged"):
        cleaned(content[: int(len(content) * share)])


def xing_mp3() -> bytes:
    """An MP3 as encoders write it, with the count of its frames at the start."""
    return encoded("mp3", "", "libmp3lame", heard=bytes(range(250)))


def test_an_mp3_of_an_encoder() -> None:
    """The frame with the counts stays, is not counted itself, and false frames in a picture of a tag are not kept."""
    source = xing_mp3()
    fake = b"APETAGEX" + b"\xff\xfb\x90\x64" + bytes(500) + b"\xff\xf3\x18\xc4" + bytes(90)
    output, facts = cleaned(source + fake)
    assert frames(output, "audio") == frames(source, "audio")
    assert b"APETAG" not in output
    assert facts.duration == pytest.approx(1.1, abs=0.1)
    with pytest.raises(MediaError, match="incomplete"):
        cleaned(source[:200] + bytes(2 << 20))


def clip(format: str, *, fragmented: bool = False, extra: bool = False) -> bytes:
    """A video with sound; in fragments as browsers record it, or with a track of places."""
    flags = "+frag_keyframe+empty_moov" if fragmented else "+disable_chpl"
    if not extra:
        return encoded(format, "mpeg4", "aac", flags=flags)
    head, _, rest = encoded(format, "mpeg4", "pcm_s16le", flags=flags, heard=SECRET).partition(b"soun")
    return head + b"meta" + rest


@pytest.mark.parametrize(
    ("codecs", "kept_sounds"),
    [
        (["libx264", "aac"], ["aac"]),
        (["libx265", "aac"], ["aac"]),
        (["mpeg4"], []),
        (["libx264", "aac", "pcm_s16le"], ["aac"]),
    ],
)
def test_a_mov_becomes_an_mp4(codecs: list[str], kept_sounds: list[str]) -> None:
    """For a job that takes MP4 and no MOV, the camera's MOV becomes an MP4 in as many bytes: the same pictures and
    sound, and an index as an MP4 has it. A second sound that no MP4 contains is left out."""
    source = encoded("mov", *codecs)
    assert source[8:12] == b"qt  "
    output, facts = cleaned(source, ["video/mp4"])
    assert (facts.content_type, len(output), sniff(output)) == ("video/mp4", len(source), "video/mp4")
    assert frames(output, "video") == frames(source, "video")
    with av.open(io.BytesIO(output)) as container:
        assert [stream.codec_context.name for stream in container.streams.audio] == kept_sounds
    if kept_sounds:
        assert frames(output, "audio") == frames(source, "audio")
        entry = output.index(b"mp4a") - 4
        # Version 0, two reserved words, channels and bits, and the decoder's own part right behind the fields.
        assert output[entry + 16 : entry + 32] == bytes(8) + b"\0\1\0\x10\0\0\0\0"
        assert output[entry + 40 : entry + 44] == b"esds"
    assert not [kind for kind in (b"qt  ", b"mhlr", b"dhlr", b"wave") if kind in output]
    repeat, _ = cleaned(output, ["video/mp4"])
    assert repeat == output


@pytest.mark.parametrize(
    ("sound", "old", "new"),
    [
        ("pcm_s16le", b"", b""),
        ("aac", b"avc1", b"ap4h"),  # ProRes
        ("aac", b"ftyp", b"wide"),  # from before there were brands
        (
            "aac",
            b"mp4a" + bytes(6) + b"\0\1\0\1",
            b"mp4a" + bytes(6) + b"\0\1\0\2",
        ),  # fields of another version
    ],
)
def test_a_mov_that_cannot_become_an_mp4(sound: str, old: bytes, new: bytes) -> None:
    """Where the job takes no MOV, it is refused in words."""
    source = encoded("mov", "libx264", sound)
    assert old in source
    with pytest.raises(MediaError, match="cannot become an MP4"):
        cleaned(source.replace(old, new, 1) if old else source, ["video/mp4"])


@pytest.mark.parametrize("flags", ["", "+frag_keyframe+empty_moov+default_base_moof"])
@pytest.mark.parametrize(("codec", "words"), [("libx264", b"videolan.org"), ("libx265", b"x265.org")])
@pytest.mark.parametrize("format", ["mp4", "mov"])
def test_messages_in_pictures_go(format: str, codec: str, words: bytes, flags: str) -> None:
    """Encoders, and dash cameras, write texts between the parts of a picture, where players do not show them. They go,
    sizes stay, and so does every picture."""
    source = encoded(format, codec, "aac", flags=flags)
    assert words in source
    output, facts = cleaned(source)
    assert words not in output
    assert b"options:" not in output
    assert len(output) == len(source)
    assert facts.duration == pytest.approx(1.0, abs=0.2)
    for kind in ("video", "audio"):
        assert frames(output, kind) == frames(source, kind)
    assert cleaned(output)[0] == output


def unit(is_hevc: bool, *messages: tuple[int, bytes]) -> bytes:
    """A unit of messages, and its length before it."""
    content = b"\x4e\1" if is_hevc else b"\6"
    for kind, payload in messages:
        for value in (kind, len(payload)):
            content += b"\xff" * (value // 255) + bytes((value % 255,))
        content += payload
    content = re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", content + b"\x80")
    return struct.pack(">I", len(content)) + content


def messages_of(content: bytes, is_hevc: bool) -> list[tuple[int, bytes]]:
    """The messages of such a unit, without those that say nothing."""
    body = content[6 if is_hevc else 5 :].replace(b"\0\0\3", b"\0\0")
    messages, at = list[tuple[int, bytes]](), 0
    while body[at:].rstrip(b"\0") != b"\x80":
        values: list[int] = []
        for _ in range(2):
            value = 0
            while body[at] == 0xFF:
                value, at = value + 255, at + 1
            values.append(value + body[at])
            at += 1
        messages.append((values[0], body[at : at + values[1]]))
        at += values[1]
    return [(kind, payload) for kind, payload in messages if kind not in (3, 5) or payload.strip(b"\xff")]


@given(
    messages=st.lists(
        st.tuples(
            st.sampled_from((0, 1, 4, 5, 6, 136, 137, 300)),
            st.binary(max_size=40)
            | st.integers(0, 800).map(bytes)
            | st.sampled_from((SECRET, b"\0\0", b"\0\0\1", b"\0\0\3\0", bytes((3,)) * 513)),
        ),
        max_size=5,
    ),
    is_hevc=st.booleans(),
)
def test_messages_of_numbers_stay(messages: list[tuple[int, bytes]], is_hevc: bool) -> None:
    """Those on timing and colors stay, in their order; the others become ones that say nothing, in as many bytes."""
    source = unit(is_hevc, *messages)
    output = Units(b"hvcC" if is_hevc else b"avcC", 4).sample(source)
    numbers = [message for message in messages if message[0] in (0, 1, 6, 137) and len(message[1]) <= 255]
    assert len(output) == len(source)
    assert (SECRET in output) <= any(SECRET in payload for _, payload in numbers)
    assert (output == source) >= (numbers == messages)
    removed = sum(2 + len(payload) for kind, payload in messages if (kind, payload) not in numbers)
    assert messages_of(output, is_hevc) == numbers or removed < 6  # no room for an escape


@pytest.mark.parametrize(
    ("is_hevc", "slice", "private"), [(False, b"\x65", b"\x18"), (True, b"\x26\1", b"\x60\1")]
)
def test_units_that_are_no_picture(is_hevc: bool, slice: bytes, private: bytes) -> None:
    """Units of kinds that players skip are filled up, also one that is cut off; slices stay."""
    kind = b"hvcC" if is_hevc else b"avcC"
    output = Units(kind, 2).sample(
        b"".join(struct.pack(">H", len(part)) + part for part in (slice + SECRET, b"", private + SECRET))
        + b"\xff\xff"
        + unit(is_hevc, (5, SECRET))[4:-4]
    )
    assert output.count(SECRET) == 1
    assert slice + SECRET in output
    assert Units(kind, 4).sample(b"\0\0\0\1" + slice[:1] + SECRET[:3]) == b"\0\0\0\1" + slice[:1] + bytes(3)


@pytest.mark.parametrize("is_hevc", [False, True])
def test_messages_of_every_size(is_hevc: bool) -> None:
    """Whatever size a text has, what takes its place has the same, and can be read; a damaged message goes too."""
    cleaner = Units(b"hvcC" if is_hevc else b"avcC", 4)
    for size in range(800):
        for content in (
            unit(is_hevc, (5, b"a" * size)),
            unit(is_hevc, (1, b"time\0"), (4, bytes(size)), (6, b"at")),
        ):
            output = cleaner.sample(content)
            assert len(output) == len(content)
            assert (
                messages_of(output, is_hevc)
                == messages_of(content, is_hevc)[:-1:2] + messages_of(content, is_hevc)[2:]
            )
    for body in (b"\4", b"\4\2", b"\4\xff", b"\4\2a", SECRET, b"\xff" * 9):
        content = unit(is_hevc)[:-1] + body
        content = struct.pack(">I", len(content) - 4) + content[4:]
        output = cleaner.sample(content)
        assert len(output) == len(content)
        assert messages_of(output, is_hevc) == []


def test_units_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but short units, or messages, keeps nobody busy for hours; large ones are not read at all."""
    large = unit(False, (1, bytes(10)), *[(137, b"12")] * 20_000)
    assert messages_of(Units(b"avcC", 4).sample(large), False) == []
    monkeypatch.setattr(units, "_MOST", 9)
    for sample in (b"\1\x65" * 10, unit(False, *[(1, b"")] * 9)[3:]):
        with pytest.raises(MediaError, match="incomplete"):
            Units(b"avcC", 1).sample(sample)


def test_the_configuration_of_a_decoder() -> None:
    """Texts beside its parameter sets go, and so does what follows them."""
    sps, words = b"\x67" + bytes(9), unit(False, (5, SECRET * 2))[4:]
    listed = [struct.pack(">H", len(part)) + part for part in (sps, words)]
    body = bytearray(
        b"\1\x64\0\x1f\xff\xe2" + b"".join(listed) + b"\1" + listed[0] + b"\xfd\xf8\xf8\0" + SECRET
    )
    assert configured(b"avcC", body).form == (b"avcC", 4)
    assert SECRET not in body
    assert body.count(listed[0]) == 2
    short = bytearray(b"\1\x42\0\x1f\xfe\xe0\0" + SECRET[:3])
    assert configured(b"avcC", short).form == (b"avcC", 3)
    assert short.endswith(bytes(3))
    for broken in (b"\0", b"\1\x64\0\x1f\xff\xe1\0\x09\x67"):
        with pytest.raises(MediaError, match="incomplete"):
            configured(b"avcC", bytearray(broken))


def described(handler: bytes, *entries: bytes, version: int = 0) -> tuple[bytes, Units | None]:
    """Descriptions of samples, cleaned, and what cleans the samples."""
    table = bytearray(box(b"stsd", struct.pack(">B3xI", version, len(entries)) + b"".join(entries)))
    cleaner = clean_entries(table, Box(b"stsd", 0, 8, len(table)), handler)
    return bytes(table), cleaner


AVC = box(b"avcC", b"\1\x42\0\x1f\xff\xe0\0")
ENTRY = bytes(42) + SECRET.ljust(32, b"\0") + bytes(4)  # of pictures, with the name of the encoder


def test_descriptions_of_pictures() -> None:
    """Of the parts of an entry those stay that a decoder needs; the name of an encoder and all others go."""
    profile = icc(WHITE, *NAMED) + SECRET * 9
    colors = box(b"colr", b"nclx" + bytes(7)), box(b"colr", b"prof" + profile), box(b"colr", b"prof" + SECRET)
    entry = box(b"avc1", ENTRY + AVC + b"".join(colors) + box(b"prvt", SECRET) + bytes(8) + SECRET)
    copy, cleaner = described(b"vide", entry, entry)
    assert SECRET not in copy
    assert (
        AVC + colors[0] + box(b"colr", b"prof" + (neutral(profile) or b"").ljust(len(profile), b"\0")) in copy
    )
    assert cleaner is not None
    # Some cameras fill an entry up with what is no part.
    copy, _ = described(b"vide", box(b"avc1", ENTRY + AVC + b"\0\0\0\1" + SECRET))
    assert copy.endswith(AVC + bytes(4 + len(SECRET)))
    for wrong in ((box(b"avc1", ENTRY),), (entry, box(b"mp4v", ENTRY)), (box(b"avc1", ENTRY[:40]),)):
        with pytest.raises(MediaError):
            described(b"vide", *wrong)


def test_descriptions_of_sounds() -> None:
    """The fields of QuickTime are skipped; FLAC keeps its format, without comments."""
    heard = box(b"esds", b"decoder")
    wave = box(
        b"wave", box(b"frma", b"mp4a") + heard + box(b"wave", SECRET) + box(b"prvt", SECRET) + bytes(8)
    )
    for version, more in ((0, 0), (1, 16), (2, 36)):
        entry = box(
            b"mp4a", bytes(8) + struct.pack(">H", version) + bytes(18 + more) + wave + box(b"xml ", SECRET)
        )
        output, _ = described(b"soun", entry)
        assert heard in output
        assert SECRET not in output
    flac = b"\0\0\0\0" + b"\0\0\0\x22" + bytes(34)
    output, _ = described(b"soun", box(b"fLaC", bytes(28) + box(b"dfLa", flac + b"\x84" + SECRET)), version=1)
    assert flac[:4] + b"\x80" + flac[5:] in output
    assert SECRET not in output
    with pytest.raises(MediaError, match="incomplete"):
        described(b"soun", box(b"mp4a", bytes(8) + b"\0\1" + bytes(18)))


PLACE = b"\xee" * 8  # what becomes the place of the first sample, in the file


def film(
    *samples: bytes,
    size: int = 0,
    chunks: tuple[int, ...] = (),
    fragment: tuple[int, bytes, int, bytes] | None = None,
) -> bytes:
    """An MP4 of H.264 whose samples lie behind each other, in one chunk or in one fragment.

    Args:
        samples: their bytes.
        size: of each, where the index says it once.
        chunks: where each starts, counted from the first sample.
        fragment: instead of chunks, the flags of its `tfhd` and of its `trun`, each with what follows them.
    """
    zeros, count = bytes(100), len(samples)
    head, data = box(b"ftyp", b"isom\0\0\0\0"), box(b"mdat", b"".join(samples) + SECRET)
    table = box(b"stsd", struct.pack(">II", 0, 1) + box(b"avc1", ENTRY + AVC))
    if fragment is None:
        rows = () if size else [len(sample) for sample in samples]
        starts = [len(head) + 8 + chunk for chunk in chunks or (0,)]
        table += box(b"stsc", struct.pack(">IIIII", 0, 1, 1, count // len(starts), 1))
        table += box(b"stsz", struct.pack(f">III{len(rows)}I", 0, size, count, *rows))
        table += box(b"stco", struct.pack(f">II{len(starts)}I", 0, len(starts), *starts))
    times = bytes(12) + struct.pack(">II", 1000, 2500)
    reference = box(b"dref", bytes(7) + b"\1" + box(b"alis", b"\0\0\0\1" + SECRET))
    info = box(b"minf", box(b"vmhd", zeros[:12]) + box(b"dinf", reference) + box(b"stbl", table))
    media = box(b"mdhd", times + zeros[:4]) + box(b"hdlr", zeros[:8] + b"vide" + zeros[:12] + SECRET) + info
    track = box(b"tkhd", bytes(12) + b"\0\0\0\1" + zeros[:68]) + box(b"mdia", media)
    movie = box(b"mvhd", times + zeros[:80]) + box(b"trak", track)
    if fragment is None:
        return head + data + box(b"moov", movie)
    flags, more, run, rows = fragment
    head += box(b"moov", movie + box(b"mvex", box(b"trex", struct.pack(">6I", 0, 1, 1, 500, size, 0))))
    length = 8 + 8 + (16 + len(more)) + (16 + 4 * (run & 1) + len(rows)) + 2 * (8 + len(SECRET))
    place = struct.pack(">Q", len(head) + length + 8)
    offset = struct.pack(">I", length + 8) if run & 1 else b""
    part = box(b"tfhd", struct.pack(">II", flags, 1) + more.replace(PLACE, place))
    part += box(b"trun", struct.pack(">II", run, count) + offset + rows) + box(b"prvt", SECRET)
    return head + box(b"moof", box(b"traf", part) + box(b"prvt", SECRET)) + data


def number_row(*values: int) -> bytes:
    """Numbers as a fragment has them."""
    return struct.pack(f">{len(values)}I", *values)


SAID = unit(False, (5, SECRET * 3))
PLAIN = b"\0\0\0" + bytes((len(SAID) - 4,)) + b"\x65" + SECRET * 3
PLAIN = PLAIN.ljust(len(SAID), b"-")
SIZE = len(SAID)


@pytest.mark.parametrize(
    "source",
    [
        film(PLAIN, SAID),
        film(PLAIN, SAID, size=SIZE),
        film(PLAIN, SAID, size=SIZE, chunks=(0, SIZE)),
        film(PLAIN, SAID, PLAIN, SAID, size=SIZE, chunks=(0, 0)),  # which are there twice
        film(PLAIN, SAID, size=SIZE, fragment=(0x20000, b"", 1, b"")),
        film(PLAIN, SAID, fragment=(0x20018, number_row(40, SIZE), 1, b"")),
        film(PLAIN, SAID, fragment=(0, b"", 0x301, number_row(40, SIZE, 40, SIZE))),
        film(PLAIN, SAID, fragment=(0, b"", 0x205, number_row(0, SIZE, SIZE))),
        film(PLAIN, SAID, size=SIZE, fragment=(3, PLACE + bytes(4), 0, b"")),
    ],
)
def test_samples_wherever_they_are(source: bytes) -> None:
    """Samples are cleaned one by one, however an index, or that of a fragment, says where they are, and how large."""
    output, facts = cleaned(source)
    assert len(output) == len(source)
    assert output.count(PLAIN) == 1
    assert output.replace(PLAIN, b"").count(SECRET) == 0
    assert facts.content_type == "video/mp4"


@pytest.mark.parametrize(
    "source",
    [
        film(PLAIN, SAID, size=SIZE, chunks=(0, 9)),  # half of one in another
        film(PLAIN, SAID, chunks=(20,)),  # cut off
        film(PLAIN, SAID, chunks=(-4,)),  # before the first
        film(PLAIN, SAID, size=SIZE, fragment=(0x20000, b"", 1, b""))[:-8],
        film(PLAIN, SAID, fragment=(0x20010, number_row(1 << 30), 1, b"")),
        film(PLAIN, fragment=(0x20010, number_row(0), 1, b"")),  # of no bytes
    ],
)
def test_samples_that_are_nowhere(source: bytes) -> None:
    """Samples that lie within others, or not where samples lie, are refused."""
    with pytest.raises(MediaError, match="incomplete"):
        cleaned(source)


def test_samples_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sample, and no number of them, takes more memory than the bounds."""
    many = film(PLAIN, SAID, size=SIZE), film(PLAIN, SAID, fragment=(0x20010, number_row(SIZE), 1, b""))
    for bound in ("_MOST_SAMPLE", "_MOST_SAMPLES"):
        with monkeypatch.context() as patch:
            patch.setattr(boxes, bound, 2)
            for source in many:
                with pytest.raises(MediaError, match="incomplete"):
                    cleaned(source)


@pytest.mark.parametrize("format", ["mp4", "mov"])
def test_tracks_that_are_neither_seen_nor_heard_go_with_their_samples(format: str) -> None:
    """A track of places or texts goes, and its bytes between the others become zeros."""
    source = clip(format, extra=True)
    assert SECRET in source
    output, facts = cleaned(source)
    assert SECRET not in output
    assert len(output) == len(source)
    assert frames(output, "video") == frames(source, "video")
    with av.open(io.BytesIO(output)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert (facts.width, facts.height) == (64, 48)
    assert facts.duration == pytest.approx(1.0, abs=0.1)


def test_a_recording_of_a_browser() -> None:
    """Fragments, as MediaRecorder writes them, are kept, and their seconds counted."""
    source = clip("mp4", fragmented=True)
    assert b"moof" in source
    output, facts = cleaned(source + box(b"uuid", SECRET))
    assert SECRET not in output
    assert frames(output, "video") == frames(source, "video")
    assert facts.duration == pytest.approx(1.0, abs=0.1)
    with pytest.raises(MediaError, match="neither picture nor sound"):
        cleaned(clip("mp4", fragmented=True, extra=True))


@pytest.mark.parametrize(
    ("format", "keys"),
    [(kind, False) for kind in ("mp4", "mov", "ipod", "mp3", "wav")] + [("mp4", True), ("mov", True)],
)
def test_metadata_of_an_encoder(format: str, keys: bool) -> None:
    """Places and names that an encoder writes, as atoms, keys, ID3, or RIFF, are in no cleaned file."""
    places = ("location", "com.apple.quicktime.location.ISO6709") if keys else ("location",)
    names = dict.fromkeys(("artist", "comment", "title"), SECRET.decode())
    source = encoded(
        format,
        "mpeg4" if format in ("mp4", "mov") else "",
        {"mp3": "libmp3lame", "wav": "pcm_s16le"}.get(format, "aac"),
        flags="+use_metadata_tags" if keys else "",
        **names,
        **dict.fromkeys(places, "+48.8584+002.2945/"),
    )
    assert SECRET in source
    output, _ = cleaned(source)
    assert SECRET not in output
    assert b"48.8584" not in output
    with av.open(io.BytesIO(output)) as container:
        assert {*container.metadata} <= {"major_brand", "minor_version", "compatible_brands", "encoder"}
    assert frames(output, "audio") == frames(source, "audio")


def hand_made(*, chunks: int = 2, more: bytes = b"", sizes: bytes | None = None) -> bytes:
    """A sound in an MP4 with 64-bit fields throughout, and a secret between its two chunks of four samples."""
    zeros = bytes(100)
    head = box(b"ftyp", b"M4A \0\0\0\0")
    samples = b"abcdefgh" + SECRET + b"ijklmnop"
    data = struct.pack(">I4sQ", 1, b"mdat", 16 + len(samples)) + samples
    at = len(head) + 16
    places = struct.pack(">IIQQ", 0, chunks, at, at + 8 + len(SECRET))
    table = box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 4, 1))
    table += box(b"stsz", struct.pack(">III", 0, 2, 8)) if sizes is None else sizes
    table += box(b"co64", places[: 8 + 8 * chunks]) + more
    dref = box(b"dref", bytes(7) + b"\1" + box(b"url ", b"\0\0\0\1"))
    info = box(b"minf", box(b"smhd", zeros[:8]) + box(b"dinf", dref) + box(b"stbl", table))
    times = b"\1\0\0\0" + struct.pack(">QQIQ", 2_082_844_800 + 1_700_000_000, 0, 1000, 2500)
    media = box(b"mdhd", times + zeros[:4]) + box(b"hdlr", zeros[:8] + b"soun" + zeros[:12]) + info
    track = box(b"tkhd", b"\1\0\0\7" + zeros[:92]) + box(b"mdia", media)
    movie = box(b"mvhd", times + zeros[:80]) + box(b"trak", track) + bytes(4)
    return head + data + box(b"moov", movie)


def test_a_container_of_64_bit_fields() -> None:
    """Long recordings have wide fields; bytes between the samples become zeros, and nothing moves."""
    source = hand_made()
    output, facts = cleaned(source)
    assert output == source.replace(SECRET, bytes(len(SECRET)))
    assert facts == Cleaned("audio/mp4", None, None, 2.5, 1_700_000_000.0, None)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (hand_made(chunks=0), "incomplete"),
        (hand_made(sizes=box(b"stz2", bytes(12))), "cannot be taken here"),
        (hand_made(sizes=box(b"stsz", struct.pack(">III", 0, 0, 1 << 24))), "incomplete"),
        (hand_made(more=box(b"stsc", struct.pack(">IIIII", 0, 1, 3, 4, 1))), "incomplete"),
        (hand_made() + b"\0\0\0", "incomplete"),
        (hand_made() + struct.pack(">I4s", 4, b"free"), "incomplete"),
        (hand_made() + hand_made(), "incomplete"),
        (hand_made().replace(b"mvhd", b"free"), "incomplete"),
        (hand_made().replace(b"soun", b"text"), "incomplete"),
    ],
)
def test_containers_that_contradict_themselves(broken: bytes, words: str) -> None:
    """An index that is missing, twice there, too long, or wrong is refused."""
    with pytest.raises(MediaError, match=words):
        cleaned(broken)


@pytest.mark.parametrize("bound", ["_MOST_BOXES", "_MOST_INDEX", "_MOST_SAMPLES"])
def test_an_index_is_bounded(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of any number of boxes, bytes, or samples takes no more than the bounds."""
    monkeypatch.setattr(boxes, bound, 1)
    for content in (hand_made(), clip("mp4", fragmented=True)):
        with contextlib.suppress(MediaError):
            cleaned(content)
            assert bound == "_MOST_SAMPLES"  # fragments list theirs elsewhere
    with pytest.raises(MediaError, match="incomplete"):
        cleaned(hand_made())


def test_fragments_of_equal_samples() -> None:
    """Seconds are counted also where a fragment says once how long each of its samples lasts."""
    for flags in ("", "+omit_tfhd_offset+default_base_moof"):
        source = encoded("mp4", "", "pcm_s16le", flags=f"+frag_keyframe+empty_moov{flags}")
        output, facts = cleaned(source)
        assert facts.duration == pytest.approx(1.0, abs=0.01)
        assert frames(output, "audio") == frames(source, "audio")


def test_a_turned_video_is_as_wide_as_it_is_seen() -> None:
    """A phone held upright writes a matrix, and the size is the one that people see."""
    source = bytearray(make("video/mp4", "a").content)
    at = source.index(b"tkhd") + 4 + 40
    source[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    _, facts = cleaned(bytes(source))
    assert (facts.width, facts.height) == (480, 640)


def test_containers_that_point_elsewhere_are_refused() -> None:
    """A video whose samples lie in another file, or nowhere, is refused; so is a MOV without pictures."""
    source = make("video/quicktime", "a").content
    at = source.index(b"dref") + 12
    elsewhere = source[: at + 11] + b"\0" + source[at + 12 :]
    with pytest.raises(MediaError, match="points to another file"):
        cleaned(elsewhere)
    moved = bytearray(source)
    table = moved.index(b"stco") + 12
    moved[table : table + 4] = b"\x7f\xff\xff\xff"
    with pytest.raises(MediaError, match="incomplete"):
        cleaned(bytes(moved))
    sound = bytearray(make("audio/mp4", "a").content)
    sound[8:12] = b"qt  "
    with pytest.raises(MediaError, match="MOV file without pictures"):
        cleaned(bytes(sound))


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large for its kind is refused, and so is a picture that would fill the memory."""
    monkeypatch.setitem(LIMITS, "image", 1 << 20)
    with pytest.raises(MediaError, match=r"has 2 MB, and at most 1 MB .* lower resolution"):
        cleaned(b"\xff\xd8\xff".ljust(2 << 20, b"\0"))
    side = int(MOST_PIXELS**0.5) + 100
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bomb += png_chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + png_chunk(b"IEND", b"")
    with pytest.raises(MediaError, match="at most 65 million can be taken"):
        cleaned(bomb)
    none = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(8) + b"\x08\0\0\0\0") + png_chunk(b"IEND", b"")
    with pytest.raises(MediaError, match="incomplete"):
        cleaned(none)


def test_the_largest_picture_of_a_phone_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 megapixels are some more than 64 million: they are taken, and there is memory to turn them."""
    # Busy cores may take longer than a server waits.
    monkeypatch.setattr("firsthandapi_server.media.upright._decode._seconds", 200)
    source = saved(Image.new("RGB", (9280, 6944), "red"), "JPEG", exif=b"Exif\0\0" + exif(6))
    _, facts = cleaned(source)
    assert (facts.width, facts.height) == (6944, 9280)


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    """Each scan passes over the whole picture, so that a small file could keep a decoder busy for hours."""
    plain = saved(picture(), "JPEG", progressive=True)
    at = plain.index(b"\xff\xda")
    scan = plain[at : plain.index(b"\xff", at + 16)]
    with pytest.raises(MediaError, match="incomplete or damaged"):
        cleaned(plain[:-2] + scan * 1000 + b"\xff\xd9")


def test_a_picture_that_claims_another_size_is_refused() -> None:
    """The size that is told must be the size that decodes."""
    source = make("image/gif", "a").content
    with pytest.raises(MediaError, match="incomplete"):
        cleaned(source[:6] + b"\xff\x00\xff\x00" + source[10:])


SEEDS = {content_type: spoiled(content_type) for content_type in ALL}
SEEDS["fragments"] = clip("mp4", fragmented=True)


@pytest.mark.parametrize("seed", SEEDS)
@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_hostile_bytes_are_cleaned_or_refused(seed: str, data: st.DataObject) -> None:
    """Whatever bytes are changed, cut out, or repeated, the file is refused in words, or cleaned."""
    content = bytearray(SEEDS[seed])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), 2000) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "repeat", "high"]))
        length = data.draw(st.integers(1, 40))
        if kind == "set":
            content[at : at + length] = data.draw(st.binary(min_size=length, max_size=length))
        elif kind == "cut":
            del content[at : at + length]
        elif kind == "repeat":
            content[at:at] = content[at : at + length] * 3
        else:
            content[at : at + 4] = b"\xff\xff\xff\xff"
        if not content:
            break
    quiet(lambda: cleaned(bytes(content)))


@given(
    head=st.sampled_from(
        [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"RIFF\xff\0\0\0WEBP",
            b"RIFF\xff\0\0\0WAVE",
            b"\0\0\0\x08ftypisom",
            b"ID3",
            b"",
        ]
    ),
    rest=st.binary(max_size=300),
)
def test_any_bytes_are_refused_or_cleaned(head: bytes, rest: bytes) -> None:
    """Bytes that are no file at all are refused."""
    quiet(lambda: cleaned(head + rest))


def quiet(act: Callable[[], object]) -> None:
    """Do it; a refusal is fine."""
    with contextlib.suppress(MediaError):
        act()


def test_memory_stays_flat(tmp_path: Path) -> None:
    """A long recording is copied in small pieces."""
    import tracemalloc

    path, target = tmp_path / "long.wav", tmp_path / "clean.wav"
    size = 64 << 20
    form = struct.pack("<IHHIIHH", 16, 1, 1, 48_000, 96_000, 2, 16)
    head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)
    with path.open("wb") as out:
        out.write(head)
        out.truncate(size + 44)
    tracemalloc.start()
    with path.open("rb") as source, target.open("wb") as out:
        facts = clean(source, out, ALL, now=NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert facts.duration == pytest.approx(size / 96_000)
    assert peak < 1 << 20


def test_fragments_take_no_memory(tmp_path: Path) -> None:
    """However many fragments a recording has, there is one in memory; a large one is refused."""
    import tracemalloc

    video = clip("mp4", fragmented=True)
    path = tmp_path / "fragments.mp4"
    for count, size in ((9, 3 << 20), (1, 5 << 20)):
        with path.open("wb") as out:
            out.write(video)
            for _ in range(count):
                out.write(struct.pack(">I4sI4s", size, b"moof", size - 8, b"free"))
                out.truncate(out.seek(size - 16, io.SEEK_CUR))
        tracemalloc.start()
        with path.open("rb") as source, contextlib.suppress(MediaError):
            clean(source, Nothing(), ALL, now=NOW)
            assert count == 9
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 << 20


class Nothing:
    """Keeps nothing of what is written."""

    def write(self, part: bytes, /) -> None:
        """Take it."""


def test_a_picture_that_takes_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with advice: here the process that decodes it has no memory for a picture."""
    starved = Bounded("firsthandapi_server.media.upright:decoded", megabytes=1)
    monkeypatch.setattr("firsthandapi_server.media.upright._decode", starved)
    with pytest.raises(MediaError, match="too much memory or time to check"):
        cleaned(saved(picture(), "PNG"))
    starved.close()


def test_large_pictures_leave_a_decoder_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many large pictures come at the same time, a small one is decoded meanwhile."""
    processes, release = upright._decode._free, threading.Event()

    def decode(_type: str, _content: bytes, size: tuple[int, int], _turn: int) -> bytes:
        with processes:
            assert size == (48, 32) or release.wait(60)
            return bytes(8)

    monkeypatch.setattr(upright, "_decode", decode)
    large, small = (pictures.Picture(b"", *size, Exif()) for size in ((8000, 8000), (48, 32)))
    crowd = processes._value + 3
    with ThreadPoolExecutor(crowd + 1) as pool:
        futures = [pool.submit(upright.upright, "image/png", large) for _ in range(crowd)]
        wait_until(lambda: not upright._large._value)
        try:
            assert pool.submit(upright.upright, "image/png", small).result(30)[1:3] == (48, 32)
        finally:
            release.set()
    assert [future.result()[1] for future in futures] == [8000] * crowd
