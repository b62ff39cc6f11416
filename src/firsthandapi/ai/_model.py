"""A model as an annotator: Anthropic's Messages, OpenAI's Chat Completions, and whoever speaks one of the two."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._base.masking import mask_secrets
from firsthandapi._core.files.kinds import Kind, kind_of
from firsthandapi.errors import AnnotationError, ConfigurationError, InvalidArgumentError

from ._media import SIDE, Picture, missing, picture, sound
from ._opinion import Opinion, Work
from ._prices import MOST_TOKENS, Usage, cents, usage_of_question, usage_of_speech
from ._question import RUBRIC, key, opinion, prompt, schema

# Both libraries honor Retry-After, and wait longer after each failure.
_TRIES_AGAIN = 5
_SECONDS = 60.0
_MOST_BYTES = 16 << 20
_FORMS = 'as "anthropic:claude-haiku-5-5" or "openai:gpt-5-mini"'
# What no other file would get either.
_HOPELESS = (401, 403, 404)
# Also while an account has no credit.
_BUSY = (402, 408, 409, 429)
_NOT_SENT = ("ConnectError", "ConnectTimeout")
# The text, a refusal, and the tokens in and out.
_Answer = tuple[str, str, tuple[int, int] | None]


class _Service(NamedTuple):
    """One of the two services whose API is spoken, or a server that speaks it.

    Attributes:
        keys: the variables that may hold its key; errors name the first.
    """

    provider: str
    model: str
    base_url: str | None
    keys: tuple[str, ...]

    @property
    def is_here(self) -> bool:
        host = urlsplit(self.base_url or "").hostname
        return host is not None and is_loopback(host)

    def client(self) -> Any:
        """Its client, which several threads may use.
        Raises ConfigurationError: it has no key, or the extra is not installed.
        """
        key: dict[str, Any] = {}
        if not any(os.environ.get(name) for name in self.keys):
            if not self.is_here:
                raise ConfigurationError(
                    f"{self.provider}:{self.model} needs a key: set {self.keys[0]} to the one of your account there"
                )
            key = {"api_key": "none"}
        library = self._library()
        make = library.Anthropic if self.provider == "anthropic" else library.OpenAI
        # No picture goes elsewhere: to where a redirect leads, or, from this machine, through a proxy.
        client = library.DefaultHttpxClient(
            follow_redirects=False, trust_env=not self.is_here, event_hooks={"response": [_bound]}
        )
        return make(
            base_url=self.base_url, timeout=_SECONDS, max_retries=_TRIES_AGAIN, http_client=client, **key
        )

    def _library(self) -> Any:
        try:
            return import_module("anthropic") if self.provider == "anthropic" else import_module("openai")
        except ImportError:
            raise missing() from None

    def cents(self, usage: Usage) -> float | None:
        return cents(self.provider, self.model, usage, is_here=self.is_here)

    @contextmanager
    def reading(self) -> Generator[None]:
        """Ask, and read what comes.
        Raises ConfigurationError: the service would refuse every other file too.
        Raises AnnotationError: it refused, the request did not arrive, or the response is none.
        """
        library = self._library()
        name = f"{self.provider}:{self.model}"
        try:
            yield
        except library.APIStatusError as error:
            message = error.message
            if error.status_code < 400:
                message = f"a redirect to {error.response.headers.get('location')}, which is not followed"
            words = mask_secrets(f"{name} responded with {error.status_code}: {message}"[:500])
            if error.status_code in _HOPELESS:
                raise ConfigurationError(f"{words}; check {self.keys[0]} and the name of the model") from None
            is_temporary = error.status_code in _BUSY or not 400 <= error.status_code < 500
            raise AnnotationError(words, cents=0.0, is_temporary=is_temporary) from None
        except library.APIConnectionError as error:
            # Of a request that may have arrived, nobody knows the cost.
            cost = 0.0 if type(error.__cause__).__name__ in _NOT_SENT else None
            words = mask_secrets(f"{name}: {error}"[:500])
            raise AnnotationError(words, cents=cost, is_temporary=True) from None
        except library.APIError as error:
            raise AnnotationError(mask_secrets(f"{name}: {error}"[:500])) from None
        except (AttributeError, IndexError, TypeError, ValueError):  # the libraries check no shape
            raise AnnotationError(f"{name} responded with what is no answer") from None


def _check_url(url: object) -> None:
    """Raises InvalidArgumentError: a server cannot be asked there."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is not None and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return
    except ValueError:  # a bracket too few, or a port that no machine has
        pass
    raise InvalidArgumentError(
        "base_url must be a URL with a host that begins with http or https", field="base_url"
    )


def _service_of(name: object, field: str, base_url: str | None) -> _Service:
    provider, _, model = name.partition(":") if isinstance(name, str) else ("", "", "")
    providers = {"anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"), "openai": ("OPENAI_API_KEY",)}
    if provider not in providers or not model.strip():
        raise InvalidArgumentError(
            f"{field} must name a provider and one of its models, {_FORMS}, and is {name!r:.100}", field=field
        )
    url = base_url or os.environ.get(f"{provider.upper()}_BASE_URL") or None
    return _Service(provider, model.strip(), url, providers[provider])


class Model:
    """A model that looks at files: pictures reduced and without metadata, videos as a sheet of frames, and sounds by
    their transcript. It is sent these and the job's words: no id, no name, no place.

        Model("anthropic:claude-haiku-5-5")
        Model("openai:qwen2.5vl", base_url="http://127.0.0.1:11434/v1")

    Keys come from the variables of their libraries: ANTHROPIC_API_KEY, OPENAI_API_KEY. Needs the extra `ai`.

    Args:
        model: `anthropic:` or `openai:` with the name of a model; `openai:` also means any server that speaks its API.
        speech: `openai:` with the name of a model that transcribes; without one, sounds are not looked at.
        base_url: the address of the server that the model is asked at; by default the library's own. `speech` is asked
            at the address of its library.

    Raises:
        InvalidArgumentError: an argument is not allowed.

    Attributes:
        name: the model, and the one for speech if there is one.
    """

    def __init__(self, model: str, *, speech: str | None = None, base_url: str | None = None) -> None:
        if base_url is not None:
            _check_url(base_url)
        self._service = _service_of(model, "model", base_url)
        self._speech = None if speech is None else _service_of(speech, "speech", None)
        if self._speech is not None and self._speech.provider != "openai":
            raise InvalidArgumentError(
                'speech must be a model of openai, as "openai:gpt-4o-transcribe"', field="speech"
            )
        self.name = model if speech is None else f"{model}+{speech}"

    def __repr__(self) -> str:
        return f"Model({self.name!r})"

    @cached_property
    def _client(self) -> Any:
        return self._service.client()

    @cached_property
    def _listener(self) -> Any:
        assert self._speech is not None  # noqa: S101 - whoever calls has looked
        return self._speech.client()

    def prepare(self) -> None:
        """Make ready to look.

        Raises:
            ConfigurationError: a key or the extra is missing.
        """
        _ = self._client
        if self._speech is not None:
            _ = self._listener

    def close(self) -> None:
        """Close its connections. It may be used again."""
        for name in ("_client", "_listener"):
            if (client := vars(self).pop(name, None)) is not None:
                client.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_here(self) -> bool:
        """Whether it is asked on this machine alone, so that nothing leaves it."""
        return all(service.is_here for service in (self._service, self._speech) if service is not None)

    def takes(self, content_type: str) -> bool:
        """Whether it can look at files of a type: sounds take a model for speech.

        Args:
            content_type: a MIME type.
        """
        return kind_of(content_type) in (
            ("image", "video") if self._speech is None else ("image", "video", "audio")
        )

    def question(self, work: Work) -> str:
        """The key of what it would be asked about a file. Another rubric, schema, or job makes another key.

        Args:
            work: the file.
        """
        return key(self.name, work.job, kind_of(work.content_type))

    def price(self, work: Work, *, most: bool = False) -> float | None:
        """The price of looking at a file, in cents; None if it is unknown.

        Args:
            work: the file.
            most: the highest price instead of the usual one.
        """
        kind = kind_of(work.content_type)
        width, height = work.width or SIDE, work.height or SIDE
        share = min(1, SIDE / max(width, height)) if kind == "image" else 1
        if kind == "audio":
            width = height = 0
        elif kind == "video":
            width = height = SIDE
        words = RUBRIC + str(schema(kind or "image")) + prompt(work.job)
        usage = usage_of_question(words, round(width * share), round(height * share), most=most)
        if self._speech is None or kind == "image":
            return self._service.cents(usage)
        speech = self._speech.cents(usage_of_speech(work.duration_seconds, most=most))
        # The words that are spoken are part of the question.
        usage += Usage(input_tokens=5 * round(work.duration_seconds or 1800))
        vision = self._service.cents(usage)
        return None if vision is None or speech is None else vision + speech

    def look(self, work: Work) -> Opinion | None:
        """Ask the model about a file.

        Args:
            work: the file.

        Returns:
            Its opinion; None for a file of a type that it cannot look at.

        Raises:
            AnnotationError: it gave none: the file cannot be decoded, the model refused, its answer does not fit the
                schema, or the service could not be reached.
            ConfigurationError: the service refuses the key or the model, or the extra is not installed.
        """
        kind = kind_of(work.content_type)
        if kind is None or not self.takes(work.content_type):
            return None
        cost: float | None = 0.0
        more: dict[str, Any] = {}
        notes: list[str] = []
        shot = None if kind == "audio" else self._picture(work)
        if self._speech is not None and kind != "image" and (recording := self._sound(work)) is not None:
            more["transcript_segments"], cost = self._heard(self._speech, recording)
            spoken = "\n".join(
                f"[{segment['start']}-{segment['end']}] {segment['speaker'] or ''}: {segment['text']}"
                for segment in more["transcript_segments"]
            )
            # Whoever speaks, or names a voice, cannot end the transcript and begin a job.
            spoken = spoken.replace("<", "‹")
            notes.append(f"<transcript>\n{spoken}\n</transcript>")
        if shot is not None and shot.palette:
            more["color_palette"] = [*shot.palette]
        if shot is not None and shot.seconds:
            times = ", ".join(f"{second:g}" for second in shot.seconds)
            notes.append(f"The picture shows frames of a video, row by row, at these seconds: {times}.")
        try:
            text, spent = self._answer(kind, prompt(work.job, *notes), shot)
            total = None if spent is None or cost is None else spent + cost
            return opinion(text, kind, more, self.name, total)
        except AnnotationError as error:
            if error.cents is not None:
                error.cents += cost or 0.0
            raise

    def _picture(self, work: Work) -> Picture:
        return picture(work.path, work.content_type)

    def _sound(self, work: Work) -> bytes | None:
        return sound(work.path)

    def _answer(self, kind: Kind, words: str, shot: Picture | None) -> tuple[str, float | None]:
        ask = self._ask_anthropic if self._service.provider == "anthropic" else self._ask_openai
        data = None if shot is None else base64.b64encode(shot.content).decode()
        with self._service.reading():
            text, refusal, counts = ask(kind, words, data)
        tokens_in, tokens_out = counts or (0, 0)
        spent = self._service.cents(Usage(input_tokens=tokens_in or 1, output_tokens=tokens_out))
        if counts is None and spent:
            spent = None
        if refusal:
            raise AnnotationError(f"{self.name} refused: {mask_secrets(refusal[:300])}", cents=spent)
        return text, spent

    def _ask_anthropic(self, kind: Kind, words: str, data: str | None) -> _Answer:
        parts: list[dict[str, Any]] = [{"type": "text", "text": words}]
        if data is not None:
            source = {"type": "base64", "media_type": "image/jpeg", "data": data}
            parts.insert(0, {"type": "image", "source": source})
        message = self._client.messages.create(
            model=self._service.model,
            max_tokens=MOST_TOKENS,
            system=RUBRIC,
            output_config={"format": {"type": "json_schema", "schema": schema(kind)}},
            messages=[{"role": "user", "content": parts}],
        )
        _check_answers(self.name, message)
        text = "".join(getattr(block, "text", None) or "" for block in message.content or ())
        refusal = "it does not answer" if message.stop_reason == "refusal" else ""
        return text, refusal, _counts(message.usage, "input_tokens", "output_tokens")

    def _ask_openai(self, kind: Kind, words: str, data: str | None) -> _Answer:
        parts: list[dict[str, Any]] = [{"type": "text", "text": words}]
        if data is not None:
            parts.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}})
        form = {"name": kind, "schema": schema(kind), "strict": True}
        completion = self._client.chat.completions.create(
            model=self._service.model,
            max_completion_tokens=MOST_TOKENS,
            response_format={"type": "json_schema", "json_schema": form},
            messages=[{"role": "system", "content": RUBRIC}, {"role": "user", "content": parts}],
        )
        _check_answers(self.name, completion)
        message = completion.choices[0].message
        counts = _counts(completion.usage, "prompt_tokens", "completion_tokens")
        # What is no text raises TypeError.
        return "".join([message.content or ""]), "".join([getattr(message, "refusal", None) or ""]), counts

    def _heard(self, service: _Service, recording: bytes) -> tuple[list[dict[str, Any]], float | None]:
        is_diarized = "diarize" in service.model
        # Of OpenAI's own, only the oldest knows the verbose form beside the diarized one.
        plain = "json" if service.model.startswith("gpt-") else "verbose_json"
        with service.reading():
            transcript = self._listener.audio.transcriptions.create(
                model=service.model,
                file=("speech.mp3", recording, "audio/mpeg"),
                response_format="diarized_json" if is_diarized else plain,
                **({"chunking_strategy": "auto"} if is_diarized else {}),
            )
            segments = [
                {
                    "start": segment.start,
                    "end": segment.end,
                    "text": segment.text,
                    "speaker": getattr(segment, "speaker", None),
                }
                for segment in getattr(transcript, "segments", None) or ()
            ]
            if not segments and transcript.text:
                segments = [{"start": None, "end": None, "text": transcript.text, "speaker": None}]
            return segments, service.cents(_usage_of(transcript))


def _bound(response: Any) -> None:
    """Have a response end: `timeout` is that of each piece, and there may be any number."""
    source, ends = response.stream, time.monotonic() + _SECONDS
    library: Any = sys.modules[type(response).__module__.partition(".")[0]]  # under those of both services

    class Stream(type(source)):  # type: ignore[misc] # it takes no other
        def __init__(self) -> None:
            pass

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for piece in source:
                size += len(piece)
                if size > _MOST_BYTES or time.monotonic() > ends:
                    raise library.ReadTimeout("the response does not end")
                yield piece

        def close(self) -> None:
            source.close()

    response.stream = Stream()


def _check_answers(name: str, response: Any) -> None:
    """Raises AnnotationError: a proxy's page, or an error of whoever it asks, came with the status 200."""
    error = response if isinstance(response, str) else getattr(response, "error", None)
    if error:
        words = mask_secrets(f"{name} responded with 200 and an error: {error}"[:500])
        raise AnnotationError(words, is_temporary=True)


def _counts(usage: Any, *names: str) -> tuple[int, int] | None:
    """The tokens in and out; None where a server of one's own does not count."""
    read, written = (getattr(usage, name, None) for name in names)
    is_counted = all(isinstance(count, int) and count >= 0 for count in (read, written))
    return (read, written) if is_counted else None  # type: ignore[return-value] # two numbers, then


def _usage_of(transcript: Any) -> Usage:
    """What a transcript took: tokens, or seconds of sound."""
    usage: Any = getattr(transcript, "usage", None)
    if tokens := getattr(usage, "input_tokens", None):
        audio_tokens = getattr(getattr(usage, "input_token_details", None), "audio_tokens", None) or tokens
        return Usage(input_tokens=tokens, input_audio_tokens=audio_tokens, output_tokens=usage.output_tokens)
    seconds = getattr(usage, "seconds", None) or getattr(transcript, "duration", None) or 0
    return Usage(audio_seconds=round(seconds), input_audio_seconds=round(seconds))
