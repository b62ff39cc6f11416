"""What is sent of a file: a reduced picture, a sheet of frames, or the sound alone. No metadata is left in any."""

from __future__ import annotations

import io
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from firsthandapi._base.thumbnail import thumbnail
from firsthandapi._core.files.kinds import kind_of
from firsthandapi.errors import AnnotationError, ConfigurationError

# Of the longer side. Services reduce what is larger, and bill it first.
SIDE = 1568
# A sheet shows so many frames a side.
_FRAMES_A_SIDE = 3
_COLORS = 5
_MOST_PIXELS = 40_000_000
_LARGEST = 60 * 1024 * 1024
# Of the sound that is sent: enough for speech.
_RATE, _BITS = 16_000, 48_000


class Picture(NamedTuple):
    """A JPEG.

    Attributes:
        seconds: of a sheet, when each frame is, from left to right and top to bottom.
        palette: of a photo, its main colors.
    """

    content: bytes
    width: int
    height: int
    seconds: tuple[float, ...] = ()
    palette: tuple[str, ...] = ()


def picture(path: Path, content_type: str) -> Picture:
    """The picture that is sent of an image or a video.
    Raises AnnotationError: it cannot be decoded.
    """
    try:
        image: Any = import_module("PIL.Image")
    except ImportError:
        raise missing() from None
    if kind_of(content_type) == "video":
        return _sheet(image, path)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise AnnotationError(f"{path.name} cannot be read: {error.strerror}") from None
    small = None if len(content) > _LARGEST else thumbnail(image, content, content_type, side=SIDE)
    if small is None:
        raise AnnotationError("the picture cannot be decoded")
    with image.open(io.BytesIO(small)) as opened:
        few = opened.resize((64, 64)).quantize(_COLORS)
        width, height = opened.size
    colors: list[int] = few.getpalette() or []
    counts = sorted(few.getcolors() or [], reverse=True)
    palette = tuple(f"#{bytes(colors[3 * n : 3 * n + 3]).hex()}" for _, n in counts)
    return Picture(small, width, height, palette=palette)


def _sheet(image: Any, path: Path) -> Picture:
    av = _av()
    count = _FRAMES_A_SIDE**2
    width = SIDE // _FRAMES_A_SIDE
    try:
        with av.open(str(path)) as video:
            stream = video.streams.video[0]
            is_small = stream.width * stream.height <= _MOST_PIXELS
            length = float((video.duration or 0) / av.time_base)
            seconds: list[float] = []
            frames: list[Any] = []
            for step in range(count if is_small else 0):
                video.seek(int(length * step / count * av.time_base), backward=True)
                frame = next(video.decode(stream), None)
                if frame is not None and (not seconds or frame.time != seconds[-1]):
                    seconds.append(round(float(frame.time or 0), 2))
                    small = frame.to_image()
                    small.thumbnail((width, width))
                    frames.append(small)
    except (av.FFmpegError, OSError, ValueError, IndexError):
        frames, seconds = [], []
    if not frames:
        raise AnnotationError("the video cannot be decoded")
    height = max(frame.height for frame in frames)
    across = min(len(frames), _FRAMES_A_SIDE)
    sheet = image.new("RGB", (across * width, -(-len(frames) // across) * height))
    for number, frame in enumerate(frames):
        sheet.paste(frame, (number % across * width, number // across * height))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80)
    return Picture(out.getvalue(), sheet.width, sheet.height, tuple(seconds))


def sound(path: Path) -> bytes | None:
    """The sound of a recording or a video as an MP3 for speech; None if it has none.
    Raises AnnotationError: it cannot be decoded.
    """
    av = _av()
    out = io.BytesIO()
    try:
        with av.open(str(path)) as source, av.open(out, "w", format="mp3") as target:
            if not source.streams.audio:
                return None
            stream = target.add_stream("libmp3lame", rate=_RATE, layout="mono", bit_rate=_BITS)
            resampler = av.AudioResampler("s16p", "mono", _RATE)
            for frame in chain(source.decode(source.streams.audio[0]), [None]):
                for piece in resampler.resample(frame):
                    target.mux(stream.encode(piece))
            target.mux(stream.encode(None))
    except (av.FFmpegError, OSError, ValueError, IndexError):
        raise AnnotationError("the sound cannot be decoded") from None
    return out.getvalue()


def _av() -> Any:
    try:
        return import_module("av")
    except ImportError:
        raise missing() from None


def missing() -> ConfigurationError:
    return ConfigurationError("models need an extra: pip install 'firsthandapi[ai]'")
