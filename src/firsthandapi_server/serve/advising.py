"""A model that advises: it describes what people send, and its stars stand beside theirs, which alone count."""

from __future__ import annotations

import atexit
import json
from pathlib import Path

from firsthandapi.ai import Model, Opinion, Work
from firsthandapi.ai._media import Picture
from firsthandapi.errors import AnnotationError, ConfigurationError
from firsthandapi_server.media.bounded import Bounded, BoundedError
from firsthandapi_server.rules.world import World

from .access import Access
from .programs import MODEL, Program
from .study import Study

_look = Bounded("firsthandapi_server.media.looking:look", megabytes=1000, seconds=60)
atexit.register(_look.close)


def model_of(
    name: str, url: str | None, speech: str | None, cents_a_day: float | None, study: Study | None
) -> Model:
    """The model that `serve --ai` names, ready to be asked.

    Raises:
        InvalidArgumentError: the name, or the URL, is none.
        ConfigurationError: a key or the extra is missing, the price is unknown although the day has a budget, or people
            were not told that their files go beyond this machine.
    """
    model = _Model(name, speech=speech, base_url=url)
    if not model.is_here and (study is None or not study.processors):
        needs = "a study: pass --study FILE with processors" if study is None else "processors in the study"
        raise ConfigurationError(
            f"{model.name} is beyond this machine, so it needs {needs} that name who gets the files, such as "
            'processors: ["Example Inc., USA"]; people see them before they agree'
        )
    model.prepare()
    kinds = ["image/jpeg", *(["audio/mpeg"] if speech else [])]
    works = [Work(path=Path(), content_type=kind, sha256="") for kind in kinds]
    if cents_a_day is not None and None in [model.price(work, most=True) for work in works]:
        raise ConfigurationError(
            f"the price of {model.name} is unknown, so --ai-max-cents-a-day cannot be kept; leave it out, or use a "
            "model with a known price"
        )
    return model


class Adviser(Program):
    """What waits for a model, and what it says. People see it once they have rated."""

    threads = 8

    def __init__(
        self,
        world: World,
        access: Access,
        folder: Path,
        model: Model,
        cents_a_day: float | None,
        *,
        decides: bool = False,
    ) -> None:
        super().__init__(world, access, folder, f"{MODEL}{model.name}", cents_a_day)
        self._model = model
        self.decides = decides

    def stop(self) -> None:
        super().stop()
        self._model.close()

    def takes(self, content_type: str) -> bool:
        return self._model.takes(content_type)

    def question(self, work: Work) -> str:
        return self._model.question(work)

    def most(self, work: Work) -> float | None:
        return self._model.price(work, most=True)

    def look(self, work: Work) -> Opinion | None:
        return self._model.look(work)


class _Model(Model):
    """A model that sees strangers' files as a process of its own has decoded them."""

    def _picture(self, work: Work) -> Picture:
        head, _, content = _decoded(work, is_heard=False).partition(b"\n")
        width, height, seconds, palette = json.loads(head)
        return Picture(content, width, height, tuple(seconds), tuple(palette))

    def _sound(self, work: Work) -> bytes | None:
        return _decoded(work, is_heard=True) or None


def _decoded(work: Work, *, is_heard: bool) -> bytes:
    try:
        content = _look(str(work.path), work.content_type, is_heard)
    except BoundedError:
        content = None
    if content is None:
        raise AnnotationError("the file cannot be decoded", cents=0.0)
    return content
