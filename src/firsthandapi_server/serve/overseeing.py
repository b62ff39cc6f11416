"""The operators' page about reviewers: how far they agree, what stands still, and files whose rating is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi._base.agreement import alpha
from firsthandapi_server.console.face import PREFIX, Form, Page, PageError, no_page, whole
from firsthandapi_server.contract.text import iso
from firsthandapi_server.http.browsers import attachment
from firsthandapi_server.rules.calibration import TOLERATED, Pair, Tally, calibrations, kinds, pairs_of
from firsthandapi_server.rules.reviews import gold_score
from firsthandapi_server.state.model import File

from .opinions import Opinions
from .panel import Panel
from .ratings import Gold, Rating
from .reception import Reception
from .sheets import csv_line

_FILES = 48  # on a page of files to choose from
_MOST_LOOKED_AT = 500
_MOST_COMPARED = 10_000  # ratings of programs
# The picture of bands: its size, the share at its top, and how many points a line has.
_WIDTH, _HEIGHT, _MOST_SHOWN, _POINTS = 600, 200, 0.5, 100
_COLUMNS = (
    *("rating_id", "given_at", "reviewer", "submission_id", "attempt"),
    *("file_id", "stars", "known_stars", "undone_at"),
)


class Overseeing:
    """The pages under `/console/reviews`."""

    def __init__(self, reception: Reception, panel: Panel) -> None:
        self._reception = reception
        self._world = reception.world
        self._panel = panel
        self.pages: dict[str, Page] = {
            "/reviews": self._show,
            "/reviews/gold": self._choose,
            "/reviews/ratings.csv": self._export,
            "/reviews/programs": self._compare,
        }
        self.forms: dict[str, Form] = {
            "/reviews/gold": self._mark,
            "/reviews/gold/{file}/remove": self._unmark,
        }

    def _show(self, request: Request) -> Response:
        ratings = self._panel.ratings
        reviewers = self._panel.reviewers(is_open=not self._reception.is_guarded("reviewer"))
        units = ratings.units()
        return self._reception.page(
            request,
            "reviews.html",
            section=f"{PREFIX}/reviews",
            settings=self._panel.settings,
            reviewers=ratings.counts(),
            scores={who: gold_score(pairs) for who, pairs in ratings.gold_pairs().items()},
            people=len(reviewers),
            alpha=alpha(units),
            compared=len(units),
            stuck=sorted(self._panel.stuck(reviewers).items()),
            programs=Opinions(self._reception.access).figures(),
            golden=[(gold, file) for gold in ratings.gold() if (file := self._file(gold)) is not None],
        )

    def _compare(self, request: Request) -> Response:
        """How far programs agree with people, and how that changed."""
        ratings = self._panel.ratings
        stars, people = ratings.of_programs(_MOST_COMPARED), ratings.of_people(_MOST_COMPARED)
        deciding = self._panel.deciding
        curves = {key: _curves(pairs_of(ratings, people), key[2]) for key, ratings in kinds(stars).items()}
        return self._reception.page(
            request,
            "reviews_programs.html",
            section=f"{PREFIX}/reviews",
            figures=Opinions(self._reception.access).figures(),
            found=[
                (
                    calibration,
                    curves[calibration.rater, calibration.media, calibration.min_star_rating],
                    deciding.now(calibration.media, calibration.min_star_rating)
                    if deciding is not None and deciding.rater == calibration.rater
                    else (),
                )
                for calibration in calibrations(stars, people)
            ],
            tolerated=TOLERATED,
            height=_HEIGHT,
            width=_WIDTH,
            most=_MOST_SHOWN,
        )

    def _file(self, gold: Gold) -> File | None:
        submission = self._world.state.submissions.get(gold.submission)
        return next((file for file in submission.files if file.id == gold.file), None) if submission else None

    def _export(self, _request: Request) -> Response:
        return attachment("ratings.csv", _lines(self._panel.ratings.all()), "text/csv")

    # --- files whose rating is known --------------------------------------------------------------------

    def _choose(self, request: Request) -> Response:
        """The files that were rated, the latest first."""
        submissions = self._world.state.own.submissions
        most = len(submissions)
        end = min(whole(request.query_params.get("before"), "before", 0, 10**11, most), most)
        files: list[File] = []
        at = end
        for at in islice(range(end - 1, -1, -1), _MOST_LOOKED_AT):
            if submissions[at].status in ("approved", "rejected"):
                files += [file for file in submissions[at].files if file.rating and not file.is_erased]
            if len(files) >= _FILES:
                break
        stars_by_file = {gold.file: gold.stars for gold in self._panel.ratings.gold()}
        return self._reception.page(
            request,
            "reviews_gold.html",
            section=f"{PREFIX}/reviews",
            files=[(file, stars_by_file.get(file.id)) for file in files],
            older=at if at else None,
        )

    def _mark(self, request: Request, fields: dict[str, str]) -> str:
        stars = fields.get("stars", "")
        if stars not in ("1", "2", "3", "4", "5"):
            raise PageError(400, "Choose 1 to 5 stars.")
        with self._world.lock:
            submission = self._world.state.submissions.get(fields.get("submission", ""))
            files = () if submission is None or submission.job.account.is_sandbox else submission.files
            file = next((file for file in files if file.id == fields.get("file")), None)
            if file is None or submission is None:
                raise no_page()
            if submission.status not in ("approved", "rejected") or file.is_erased:
                raise PageError(409, "Only a file that was rated and is still there can be gold.")
            who, now = self._reception.who(request), self._world.clock.now()
            self._panel.ratings.mark(Gold(file.id, submission.id, int(stars), who, now))
        end = fields.get("before", "")
        return f"{PREFIX}/reviews/gold{f'?before={end}' if end.isdecimal() else ''}#{file.id}"

    def _unmark(self, request: Request, _fields: dict[str, str]) -> str:
        file = request.path_params["file"]
        self._panel.ratings.unmark(file, self._reception.who(request), self._world.clock.now())
        return f"{PREFIX}/reviews#gold"


def _curves(pairs: Sequence[Pair], bar: int) -> list[tuple[int, str, float]]:
    """How the bound of each number of stars went down or up, from pair to pair: the points of a line, and its end."""
    points: dict[int, list[tuple[float, float]]] = {}
    tally = Tally(bar)
    for number, pair in enumerate(pairs, 1):
        tally.add(pair)
        most = min(tally.bound(pair[1]), _MOST_SHOWN)
        at = number / len(pairs) * _WIDTH, (1 - most / _MOST_SHOWN) * _HEIGHT
        points.setdefault(pair[1], []).append(at)
    thin = {stars: [*line[:: len(line) // _POINTS + 1], line[-1]] for stars, line in points.items()}
    for line in thin.values():
        line.append((_WIDTH, line[-1][1]))
    return [
        (stars, " ".join(f"{x:.1f},{y:.1f}" for x, y in line), line[-1][1])
        for stars, line in sorted(thin.items())
    ]


def _lines(ratings: Iterable[Rating]) -> Iterator[str]:
    """A row for each file that was rated."""
    yield csv_line(_COLUMNS)
    for vote in ratings:
        undone = None if vote.undone_at is None else iso(vote.undone_at)
        for file, stars in zip(vote.files, vote.stars, strict=True):
            row: list[Any] = [vote.id, iso(vote.given_at), vote.reviewer, vote.submission, vote.attempt, file]
            yield csv_line([*row, stars, vote.gold, undone])
