"""A stand-in of hosted models, for tests: Anthropic's Messages, OpenAI's Chat Completions and transcriptions."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from firsthandapi.errors import InvalidArgumentError

from ._raw import RawRequest, RawServer, Reply, json_response

Effect = Literal["busy", "refusal", "cut", "misshapen", "error", "drop"]
_EFFECTS = ("busy", "refusal", "cut", "misshapen", "error", "drop")
_ANSWER: dict[str, Any] = {"stars": 4, "reason": "Seen by a stand-in.", "text_extraction": "STOP"}


@dataclass(frozen=True)
class Asked:
    """A request that the stand-in has received.

    Attributes:
        path: its path.
        model: the model that was asked.
        words: the text of the question.
        picture: the bytes of the picture, or of the sound; None without one.
        schema: the JSON schema that the answer must have.
    """

    path: str
    model: str
    words: str
    picture: bytes | None
    schema: Mapping[str, Any] | None


class FakeModels:
    """A server on loopback that speaks as hosted models do; the clients of `anthropic` and `openai` speak to it.

        with FakeModels() as models:
            dataset.annotate("openai:any", base_url=models.url)

    Args:
        answer: the fields of each answer, or a function of an `Asked` that returns them. Other fields of the schema
            are null or empty.
        busy_first: whether each question is refused once with 429 and `Retry-After: 1`.
        seconds: how long an answer takes.
        tokens: the tokens in and out that each answer counts.

    Raises:
        InvalidArgumentError: an argument is not allowed.

    Attributes:
        url: its address, for `base_url`.
        requests: what was asked, oldest first, those refused included.
    """

    def __init__(
        self,
        answer: Mapping[str, Any] | Callable[[Asked], Mapping[str, Any]] | None = None,
        *,
        busy_first: bool = False,
        seconds: float = 0.0,
        tokens: tuple[int, int] = (1500, 250),
    ) -> None:
        if answer is not None and not callable(answer) and not isinstance(cast("object", answer), Mapping):
            raise InvalidArgumentError("answer must be a mapping or a function", field="answer")
        self.requests: list[Asked] = []
        self._answer = _ANSWER if answer is None else answer
        self._busy_first = busy_first
        self._seconds = seconds
        self._tokens = tokens
        self._effects: deque[str] = deque()
        self._seen: set[tuple[str, bytes | None]] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = RawServer(self._reply)
        self.url = self._server.base_url

    def fail(self, effect: Effect, times: int = 1) -> None:
        """Have the next answers fail.

        Args:
            effect: `busy` (429), `error` (500), `refusal`, `cut` (half of an answer), `misshapen` (it fits no schema),
                or `drop` (the connection ends without an answer).
            times: for how many answers, 1 or more.

        Raises:
            InvalidArgumentError: an argument is not allowed.
        """
        if effect not in _EFFECTS:
            raise InvalidArgumentError(f"effect must be one of {', '.join(_EFFECTS)}", field="effect")
        if isinstance(times, bool) or not isinstance(cast("object", times), int) or times < 1:
            raise InvalidArgumentError("times must be an int, 1 or more", field="times")
        with self._lock:
            self._effects.extend([effect] * times)

    def close(self) -> None:
        """Stop."""
        self._over.set()
        self._server.close()

    def __enter__(self) -> FakeModels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reply(self, request: RawRequest) -> Reply:
        question = _question_of(request.target, request.headers.get("content-type"), request.body)
        with self._lock:
            self.requests.append(question)
            effect = self._effects.popleft() if self._effects else None
            first = (question.words, question.picture) not in self._seen
            self._seen.add((question.words, question.picture))
        if effect == "busy" or (effect is None and self._busy_first and first):
            return json_response(_error("rate_limit_error"), 429, Retry_After="1")
        if effect == "error":
            return json_response(_error("api_error"), 500)
        self._over.wait(self._seconds)
        if effect == "drop":
            return Reply(b"", "close")
        text = json.dumps(self._fields(question))
        if effect == "cut":
            text = text[: len(text) // 2]
        elif effect == "misshapen":
            text = json.dumps({"stars": 9})
        return json_response(_body(question, text, self._tokens, refuses=effect == "refusal"))

    def _fields(self, question: Asked) -> dict[str, Any]:
        answer = self._answer(question) if callable(self._answer) else self._answer
        properties: dict[str, Any] = {} if question.schema is None else question.schema.get("properties", {})
        empty: dict[str, Any] = {
            name: [] if rule.get("type") == "array" else None for name, rule in properties.items()
        }
        fields = {name: value for name, value in answer.items() if not properties or name in properties}
        return {**empty, **fields}


def _question_of(path: str, content_type: str | None, content: bytes) -> Asked:
    if path.endswith("/transcriptions"):
        from email import message_from_bytes

        form = message_from_bytes(b"content-type: " + (content_type or "").encode() + b"\r\n\r\n" + content)
        fields: dict[object, Any] = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in form.walk()
        }
        return Asked(path, fields.get("model", b"").decode(), "", fields.get("file"), None)
    body: Any = json.loads(content)
    parts: list[Any] = [
        part
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    words = "\n".join(part["text"] for part in parts if part["type"] == "text")
    data = next((part["source"]["data"] for part in parts if part["type"] == "image"), None) or next(
        (part["image_url"]["url"].partition(",")[2] for part in parts if part["type"] == "image_url"), None
    )
    output: dict[str, Any] = body.get("output_config") or body.get("response_format") or {}
    json_format: dict[str, Any] = output.get("format") or output.get("json_schema") or {}
    return Asked(
        path,
        body["model"],
        words,
        None if data is None else base64.b64decode(data),
        json_format.get("schema"),
    )


def _error(kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": "try again later"}}


def _body(question: Asked, text: str, tokens: tuple[int, int], *, refuses: bool) -> dict[str, Any]:
    read, written = tokens
    if question.path.endswith("/transcriptions"):
        spoken = {"id": "0", "start": 0.0, "end": 2.0, "text": "Turn left at the stop sign.", "speaker": "A"}
        return {
            "text": spoken["text"],
            "task": "transcribe",
            "language": "english",
            "duration": 2.0,
            "segments": [{**spoken, "type": "transcript.text.segment"}],
            "usage": {"type": "duration", "seconds": 2},
        }
    if question.path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": None if refuses else text}
        if refuses:
            message["refusal"] = "I cannot help with that."
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": question.model,
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        }
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [] if refuses else [{"type": "text", "text": text}],
        "stop_reason": "refusal" if refuses else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": read, "output_tokens": written},
    }
