"""Approved files, their download URLs and annotations (contract §3 "File", "Annotations")."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

from firsthandapi._base.display import Displayed

from ._base import Items, Model, Tolerant, UtcDatetime
from .enums import OpenFlag, OpenMediaFormat
from .page import ListParams


class DeviceInfo(Model):
    """What a file was captured with (contract §3 "File").

    Attributes:
        device_model: such as `iPhone 15`.
        device_os: such as `iOS 18.1`.
        app_version: the version of the capturing app.
    """

    device_model: str | None = None
    device_os: str | None = None
    app_version: str | None = None


class _Annotation(Model):
    # A choice in each of their fields would cost a tenth of a page of files, and `UnknownAnnotations` takes what does
    # not fit.
    __keeps_raw__ = False


class DetectedObject(_Annotation):
    """An object seen in an image.

    Attributes:
        label: the object's name.
        confidence: how sure the annotator is, 0 to 1.
    """

    label: str | None = None
    confidence: float | None = None


class Scene(_Annotation):
    """Where an image was taken.

    Attributes:
        setting: such as `outdoor residential`.
        indoor: whether it is indoors.
    """

    setting: str | None = None
    indoor: bool | None = None


class DominantObject(_Annotation):
    """An object that fills much of an image.

    Attributes:
        label: the object's name.
        position: such as `center`.
        approximate_coverage: the share of the image, such as `25%`.
    """

    label: str | None = None
    position: str | None = None
    approximate_coverage: str | None = None


class TranscriptSegment(_Annotation):
    """A stretch of speech.

    Attributes:
        start: seconds from the beginning.
        end: seconds from the beginning.
        text: the words spoken.
        speaker: who says it.
    """

    start: float | None = None
    end: float | None = None
    text: str | None = None
    speaker: str | None = None


class VideoScene(_Annotation):
    """A scene of a video.

    Attributes:
        start: seconds from the beginning.
        end: seconds from the beginning.
        description: what happens.
    """

    start: float | None = None
    end: float | None = None
    description: str | None = None


class TrackedObject(_Annotation):
    """An object followed through a video.

    Attributes:
        label: the object's name.
        scenes: the scenes it is seen in; the contract does not say how they are named.
    """

    label: str | None = None
    scenes: Items[Any] | None = None


class Keyframe(_Annotation):
    """A frame that stands for a part of a video.

    Attributes:
        timestamp: seconds from the beginning.
        description: a description of the scene.
    """

    timestamp: float | None = None
    description: str | None = None


class ImageAnnotations(_Annotation):
    """What was recognized in an image (contract §3 "Annotations").

    Attributes:
        type: `image`.
        objects: labels, or in newer versions objects with `label` and `confidence`.
        scene: where it was taken.
        text_extraction: text seen in the image.
        color_palette: colors as `#rrggbb`.
        dominant_objects: what fills much of the image.
        composition: how the image is composed, in words.
        annotation_model: the model that made the annotations.
    """

    type: Literal["image"]
    # Left to right: the default mode weighs both for each item, which costs a tenth of the whole page.
    objects: Items[Annotated[str | DetectedObject, Field(union_mode="left_to_right")]] | None = None
    scene: Scene | None = None
    text_extraction: str | None = None
    color_palette: Items[str] | None = None
    dominant_objects: Items[DominantObject] | None = None
    composition: str | None = None
    annotation_model: str | None = None


class AudioAnnotations(_Annotation):
    """What was recognized in a recording (contract §3 "Annotations").

    Attributes:
        type: `audio`.
        speaker_count: number of speakers.
        language: ISO 639-1, such as `en`.
        topics: topics of the speech.
        keywords: words that stand out.
        noise_level: such as `low`.
        transcript_segments: the words spoken, with their times.
        annotation_model: the model that made the annotations.
    """

    type: Literal["audio"]
    speaker_count: int | None = None
    language: str | None = None
    topics: Items[str] | None = None
    keywords: Items[str] | None = None
    noise_level: str | None = None
    transcript_segments: Items[TranscriptSegment] | None = None
    annotation_model: str | None = None


class VideoAnnotations(_Annotation):
    """What was recognized in a video (contract §3 "Annotations").

    Attributes:
        type: `video`.
        scenes: its scenes, in order.
        actions: actions shown.
        tracked_objects: objects followed through the scenes.
        keyframes: frames that stand for their parts.
        transcript_segments: the words spoken, with their times.
        annotation_model: the model that made the annotations.
    """

    type: Literal["video"]
    scenes: Items[VideoScene] | None = None
    actions: Items[str] | None = None
    tracked_objects: Items[TrackedObject] | None = None
    keyframes: Items[Keyframe] | None = None
    transcript_segments: Items[TranscriptSegment] | None = None
    annotation_model: str | None = None


class UnknownAnnotations(Model):
    """Annotations of a type this version does not know, or that do not have their documented shape.

    A file is worth more than its annotations, so these never make it fail. Everything is kept as received: as
    attributes and in `model_extra`.

    Attributes:
        type: the type that the service named.
        annotation_model: the model that made the annotations.
        raw: the annotations themselves if they are not a JSON object, else None.
    """

    type: Any = None
    annotation_model: Any = None
    raw: Any = None


def _keep_raw(value: Any) -> Any:
    if isinstance(value, (dict, UnknownAnnotations)):
        return cast("Any", value)
    return {"raw": value}


TypedAnnotations = Annotated[
    ImageAnnotations | AudioAnnotations | VideoAnnotations,
    Field(discriminator="type"),
]
Annotations = Annotated[
    ImageAnnotations | AudioAnnotations | VideoAnnotations | UnknownAnnotations,
    Tolerant(TypedAnnotations, Annotated[UnknownAnnotations, BeforeValidator(_keep_raw)]),
]


def _plain_hash(value: str) -> str | None:
    """One spelling of a hash, so that two can be compared; an empty one says nothing."""
    return value.strip().lower() or None


class ContentCredentials(Model):
    """What a server of one's own read in the Content Credentials (C2PA) of a file before it changed it
    (contract §11 "Later decisions").

    Attributes:
        state: `none`, `invalid`, `valid`, or `trusted`. Absence proves nothing: few cameras sign.
        signer: who signed them.
        digital_source_type: what they say the file was made by, a URL of the IPTC list.
        original_sha256: the SHA-256 of the file as the worker sent it, in lower-case hex.
    """

    state: str | None = None
    signer: str | None = None
    digital_source_type: str | None = None
    original_sha256: Annotated[str, AfterValidator(_plain_hash)] | None = None


class File(Displayed, Model):
    """An approved file (contract §3 "File").

    Attributes:
        object: `file`; not checked.
        id: `file_` and a ULID.
        job_id: the job that it was submitted to.
        submission_id: the submission that brought it.
        content_type: its MIME type.
        size_bytes: its size, in bytes.
        duration_seconds: how long it plays, in seconds; audio and video only.
        width: in pixels; image and video only.
        height: in pixels; image and video only.
        content_hash: its SHA-256, in lower-case hex.
        original_filename: the worker's name for it. Never use it as a path.
        captured_at: when it was captured.
        ai_star_rating: the score, 1 to 5.
        device_info: the device that captured it.
        worker_region: where the worker is.
        download_url: a signed URL, valid for 7 days. Secret: whoever has it has the file.
        download_url_expires_at: when that URL ends.
        annotations: what the service recognized in the file; None for policy violations, stock photos, and
            scoring errors.
        keyframes: not documented; whatever the service sends.
        created_at: when it was created.
        consent_id: the consent that the worker gave; servers of one's own have it.
        license: what the worker granted, an id of the SPDX list; servers of one's own have it.
        content_credentials: what its Content Credentials said; servers of one's own have it.
        rated_by: who rated it: `person`, `rules` (a program), or `model:<name>`; None for the service's own ensemble.
        flags: what was noticed in it: `policy`, `stock`, `synthetic`, `addresses_rater`, or `unreadable`.
        simulated: True for a file of the bundled server, which a program has drawn for a test.
        task_id: the row of the study's tasks that it was made for; servers of one's own have it.
        task_text: what that row asked for, as the worker read it; servers of one's own have it.
    """

    object: Any = None
    id: str
    job_id: str | None = None
    submission_id: str | None = None
    content_type: OpenMediaFormat | None = None
    size_bytes: int | None = None
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    content_hash: Annotated[str, AfterValidator(_plain_hash)] | None = None
    original_filename: str | None = None
    captured_at: UtcDatetime | None = None
    ai_star_rating: int | None = None
    device_info: DeviceInfo | None = None
    worker_region: str | None = None
    download_url: str | None = None
    download_url_expires_at: UtcDatetime | None = None
    annotations: Annotations | None = None
    keyframes: Any = None
    created_at: UtcDatetime | None = None
    consent_id: str | None = None
    license: str | None = None
    content_credentials: ContentCredentials | None = None
    rated_by: str | None = None
    flags: Items[OpenFlag] | None = None
    simulated: bool | None = None
    task_id: str | None = None
    task_text: str | None = None


class DownloadUrl(Model):
    """A fresh download URL (contract §2 "Files").

    Attributes:
        object: not checked.
        download_url: a signed URL, valid for 7 days. Secret: whoever has it has the file.
        download_url_expires_at: when that URL ends.
    """

    object: Any = None
    download_url: str | None = None
    download_url_expires_at: UtcDatetime | None = None


class FileListParams(ListParams):
    """The filters of `files.list` (contract §2 "Files")."""

    min_score: int | None = Field(default=None, ge=1, le=5, description="an int from 1 to 5")
