"""Makes the base files in `src/firsthandapi_server/mock/samples`.

Run it (`python tests/server/make_media_bases.py`, with PyAV and Pillow installed) only to change what those
files show or sound like, or to add a size: `_media.py` names the files and states their sizes and durations,
so change both together, run `tests/server/test_media.py`, and commit the new files with it. The files differ
from one build of the encoders to the next, which is why they are committed rather than made by the build.
"""

import colorsys
import math
from array import array
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from PIL import Image, ImageDraw

MEDIA = Path(__file__).parents[2] / "src" / "firsthandapi_server" / "mock" / "samples"
VARIANTS = 4
CLIPS = ((640, 480, VARIANTS), (1920, 1080, 1), (3840, 2160, 1))
FRAMES, FPS = 10, 10
RATE = 16_000
# Whole codec frames, so that the last one is full and the claimed duration is exact.
MP3_SAMPLES = 28 * 576
AAC_SAMPLES = 16 * 1024
CONTAINER = {"fflags": "+bitexact", "movflags": "+faststart"}  # no encoder name in the file; the index first


def tone(variant: int, samples: int) -> av.AudioFrame:
    """A steady tone, a fourth higher with every variant."""
    hertz = 250 * (4 / 3) ** variant
    pcm = array("h", (round(9000 * math.sin(2 * math.pi * hertz * i / RATE)) for i in range(samples)))
    frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
    frame.planes[0].update(pcm.tobytes())
    frame.sample_rate = RATE
    frame.pts = 0
    return frame


def mp3(path: Path, variant: int) -> None:
    """Bare frames of one length, none leaning on the one before, so that they may be repeated and cut."""
    options = {"id3v2_version": "0", "write_id3v1": "0", "write_xing": "0"}
    with av.open(path, "w", container_options=options) as out:
        stream = out.add_stream("libmp3lame", rate=RATE, options={"reservoir": "0"})
        stream.layout, stream.format, stream.bit_rate = "mono", "s16p", 16_000
        out.mux(stream.encode(tone(variant, MP3_SAMPLES)))
        out.mux(stream.encode(None))
    data = path.read_bytes()
    assert len(data) % 72 == 0
    assert all(data[at : at + 2] == b"\xff\xf3" for at in range(0, len(data), 72))


def m4a(path: Path, variant: int) -> None:
    """A second of AAC in an MP4 box."""
    with av.open(path, "w", format="ipod", container_options=CONTAINER) as out:
        stream = out.add_stream("aac", rate=RATE, options={"flags": "+bitexact"})
        stream.layout, stream.bit_rate = "mono", 16_000
        out.mux(stream.encode(tone(variant, AAC_SAMPLES)))
        out.mux(stream.encode(None))


def picture(variant: int, width: int, height: int, lit: int) -> Image.Image:
    """A mosaic of twelve colours, one of them lit: the light moves from frame to frame."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for cell in range(12):
        row, column = divmod(cell, 4)
        box = [column * width // 4, row * height // 3]
        box += [box[0] + width // 4 - 1, box[1] + height // 3 - 1]
        hue = (variant / VARIANTS + cell * 0.02) % 1
        colour = colorsys.hsv_to_rgb(hue, 0.8 - 0.4 * (cell == lit), 0.5 + 0.5 * (cell == lit))
        draw.rectangle(box, fill=tuple(round(255 * part) for part in colour))
    return image


def clip(path: Path, variant: int, width: int, height: int) -> None:
    """A second of H.264."""
    with av.open(path, "w", container_options=CONTAINER) as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "30", "preset": "veryslow", "bf": "0"}
        # The encoder's note about itself (SEI) is as long as the picture.
        bare = BitStreamFilterContext("filter_units=remove_types=6", stream)
        for index in range(FRAMES):
            image = picture(variant, width, height, index)
            frame = av.VideoFrame.from_image(image)
            for packet in stream.encode(frame):
                out.mux(bare.filter(packet))
        for packet in stream.encode(None):
            out.mux(bare.filter(packet))


def main() -> None:
    """Write every base file."""
    MEDIA.mkdir(exist_ok=True)
    for variant in range(VARIANTS):
        mp3(MEDIA / f"tone-{variant}.mp3", variant)
        m4a(MEDIA / f"tone-{variant}.m4a", variant)
    for width, height, variants in CLIPS:
        for variant in range(variants):
            for suffix in ("mp4", "mov"):
                clip(MEDIA / f"clip-{width}x{height}-{variant}.{suffix}", variant, width, height)


if __name__ == "__main__":
    main()
