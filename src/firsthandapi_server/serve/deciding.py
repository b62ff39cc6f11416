"""A model that decides alone, as far as people who rate blind have found it right."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from firsthandapi.ai import Work
from firsthandapi_server.rules.calibration import Trust
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.state.model import Submission

from .access import Access
from .activity import note
from .opinions import one_reason
from .programs import Program

# What it would decide goes to people this often, so that they notice when it becomes worse.
_BLIND = 0.05
# A version of the program, the family of media, and the stars from which files are approved.
Kind = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Rated:
    rating: str
    kind: Kind
    stars: int
    reason: str | None


class Deciding:
    """What one model may decide. Whoever calls a method holds the lock of the world."""

    def __init__(self, access: Access, program: Program) -> None:
        self._access = access
        self._program = program
        # Nobody foresees what people will look at.
        self._secret = access.first_value("blind", secrets.token_hex())
        self._trusts: dict[Kind, Trust] = {}
        sql = (
            "SELECT version, media, bar, blind.stars, json_extract(ratings.stars, '$[0]') FROM blind "
            "JOIN programs USING (rating) JOIN ratings ON ratings.id = rating WHERE reviewer = ? ORDER BY position"
        )
        for version, media, bar, people, stars in access.look(sql, program.rater):
            self._trust((version, media, bar)).add((people, stars))

    @property
    def rater(self) -> str:
        """Its name."""
        return self._program.rater

    @property
    def is_on(self) -> bool:
        """Whether any stars decide alone now."""
        return self._program.decides and any(trust.deciding for trust in self._trusts.values())

    def now(self, media: str, bar: int) -> frozenset[int]:
        """The stars that decide alone now about files of a family of media, where so many stars are approved."""
        kind = self._version(f"{media}/*"), media, bar
        return self._trust(kind).deciding if self._program.decides else frozenset()

    def decision(self, submission: Submission) -> Verdict | None:
        """What it decides about a submission that waits for its first rating; None if people decide."""
        if (
            not self.is_on
            or not self._may(submission)
            or random.Random(f"{self._secret} {submission.id}").random() < _BLIND  # noqa: S311 - the seed is secret
        ):
            return None
        rated = self._rated(submission)
        trusted = [
            rating
            for file in submission.files
            if (rating := rated.get(file.id)) is not None
            and rating.kind[0] == self._version(file.content_type)
            and rating.stars in self._trust(rating.kind).deciding
        ]
        if len(trusted) < len(submission.files):
            return None
        stars, reason = [rating.stars for rating in trusted], one_reason(rating.reason for rating in trusted)
        return Verdict(stars, reason, actor=self.rater, rated_by=self.rater)

    def learn(self, submission: Submission, ratings: Sequence[Sequence[int]], at: float) -> bool:
        """Compare it with people's ratings of a submission, which count now; once.
        Returns whether stars began to decide."""
        if not ratings or not self._may(submission):
            return False
        rated, has_begun = self._rated(submission), False
        for file, *stars in zip(submission.files, *ratings, strict=True):
            rating = rated.get(file.id)
            if rating is not None:
                has_begun |= self._learn(rating, median_low(stars), at)
        return has_begun

    def _learn(self, rated: _Rated, people: int, at: float) -> bool:
        trust = self._trust(rated.kind)
        earlier = trust.deciding
        with self._access.transaction() as rows:
            sql = "INSERT OR IGNORE INTO blind (rating, stars) VALUES (?, ?)"
            if not rows.execute(sql, (rated.rating, people)).rowcount:
                return False
            trust.add((people, rated.stars))
            if trust.deciding != earlier and self._program.decides:
                event = "review.model_trusted" if trust.deciding > earlier else "review.model_distrusted"
                _, media, bar = rated.kind
                note(rows, event, at, self._program.rater, media=media, bar=bar, stars=rated.stars)
        return trust.deciding > earlier

    def _may(self, submission: Submission) -> bool:
        """Whether it might decide about this, whatever its stars are. It is not shown what looks the same, as people
        are: it would approve a good file as often as it is sent."""
        return (
            submission.attempt == 1
            and not submission.flags
            and not any(file.is_erased or self._program.is_copy(file) for file in submission.files)
        )

    def _trust(self, kind: Kind) -> Trust:
        return self._trusts.setdefault(kind, Trust(kind[2]))

    def _version(self, content_type: str) -> str:
        return self._program.question(Work(path=Path(), content_type=content_type, sha256=""))

    def _rated(self, submission: Submission) -> Mapping[str, _Rated]:
        """What it gave to each file, by the file's id."""
        sql = (
            "SELECT id, files, stars, reason, version, media, bar FROM ratings JOIN programs ON id = rating "
            "WHERE submission = ? AND reviewer = ? AND attempt = ? AND undone_at IS NULL"
        )
        ratings = self._access.look(sql, submission.id, self._program.rater, submission.attempt)
        return {
            json.loads(files)[0]: _Rated(rating, (version, media, bar), json.loads(stars)[0], reason)
            for rating, files, stars, reason, version, media, bar in ratings
        }
