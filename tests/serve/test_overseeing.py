"""The operators' page about reviewers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from firsthandapi._base.agreement import alpha
from firsthandapi_server.serve.opinions import Opinions
from firsthandapi_server.serve.ratings import RatingSource

from .conftest import Team, pass_seconds, write


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Team]:
    """A server where three rate each file, and every next file of a reviewer is gold."""
    with ExitStack() as stack:
        yield Team(tmp_path / "data", stack, study=write(tmp_path, reviews={"overlap": 3, "gold": 1.0}))


def test_what_operators_see(three: Team) -> None:
    """What stands still and why, how far reviewers agree, how they rate gold, and every rating, as CSV."""
    new, buyer = three.visit, three.buyer
    job = three.job(files_needed=9)
    first_id, second_id = (three.sent(job, worker="wkr_x") for _ in range(2))
    operator, ana = new("operator", "Olga"), new("reviewer", "Ana")
    assert "Nobody has rated anything yet." in operator.get("/console/reviews").text
    # Olga, Ana, and the operator of the first start.
    assert "cannot be decided" not in operator.get("/console/reviews").text
    first = next(token for token in three.access.tokens() if token.name == "First operator")
    three.access.revoke(first.id, three.service.clock.now())
    page = operator.get("/console/reviews").text
    assert "2 submissions cannot be decided:</strong> 1 more reviewer is needed." in page
    people = ana, new("reviewer", "Ben"), new("reviewer", "Cara")
    assert "cannot be decided" not in operator.get("/console/reviews").text
    for visitor, stars in zip(people, (5, 4, 2), strict=True):
        assert visitor.rate(first_id, stars, reason="=1+1").status_code == 303
        assert visitor.rate(second_id, 1).status_code == 303
    assert [buyer.submissions.get(id).ai_star_rating for id in (first_id, second_id)] == [4, 1]
    page = operator.get("/console/reviews").text
    assert f"<dt>Agreement (alpha)</dt><dd>{alpha([[5, 4, 2], [1, 1, 1]]):.2f}</dd>" in page
    assert '<span dir="auto">Cara</span></td><td class="num">2</td><td class="num">0</td>' in page

    file = three.find(first_id).files[0].id
    assert file in operator.get("/console/reviews/gold").text
    gold = {"page": "/console/reviews", "submission": first_id, "file": file}
    assert operator.send("/console/reviews/gold", **gold, stars="6").status_code == 400
    assert operator.send("/console/reviews/gold", **{**gold, "file": "file_1"}, stars="4").status_code == 404
    waiting = three.sent(job, worker="wkr_x")
    (waiting_file,) = three.find(waiting).files
    early = {**gold, "submission": waiting, "file": waiting_file.id}
    assert operator.send("/console/reviews/gold", **early, stars="4").status_code == 409
    reply = operator.send("/console/reviews/gold", **gold, before="9", stars="4")
    assert reply.headers["location"] == f"/console/reviews/gold?before=9#{file}"
    assert "gold: 4 stars" in operator.get("/console/reviews/gold").text

    dan = new("reviewer", "Dan")
    page = dan.get("/review").text
    assert f'value="{first_id}"' in page
    assert "1 of 2" in page
    assert dan.rate(first_id, 2).status_code == 303
    assert f'value="{waiting}"' in dan.get("/review").text
    assert dan.rate(first_id, 2).status_code == 409
    assert buyer.submissions.get(first_id).ai_star_rating == 4
    page = operator.get("/console/reviews").text
    assert '0 of 1</td><td class="num">2.0 stars</td>' in page
    rows = [*csv.DictReader(io.StringIO(operator.get("/console/reviews/ratings.csv").text))]
    assert [(row["stars"], row["known_stars"]) for row in rows][-2:] == [("1", ""), ("2", "4")]
    assert len(rows) == 7
    assert rows[0]["file_id"] == file

    operator.send(f"/console/reviews/gold/{file}/remove", page="/console/reviews")
    assert "No gold files yet." in operator.get("/console/reviews").text
    noted = three.access.look("SELECT what FROM activity WHERE what LIKE 'review.gold%'")
    assert noted == [("review.gold_marked",), ("review.gold_removed",)]
    pass_seconds(three.service, 10)
    three.world.check_books()


def test_programs(shared: Team) -> None:
    """What each was asked, how far it agrees with people, and a picture of each number of stars; rows of the CSV."""
    team, olga = shared, shared.visit("operator", "Olga")
    assert "No program was asked yet." in olga.get("/console/reviews/programs").text
    ratings = team.service.site.panel.ratings
    asked = Opinions(team.access).begin("model:m", "0", "q", "f", 1.0, 2.5, None)
    assert asked is not None
    program, job = RatingSource("model:m", "1", "image", 3, counts=False), team.job(files_needed=60)
    for number in range(60):
        submission = team.find(team.sent(job, worker="wkr_x"))
        ratings.give_as(program, submission, submission.files, [4], "Clear.", float(number))
        ratings.give(submission, "tok_1", [5 if number else 1], None, float(number))
    page = olga.get("/console/reviews/programs").text
    assert "<code>model:m</code> · image, approved from 3 stars" in page
    assert '<td>4★</td><td class="num">60</td><td class="num">1</td>' in page
    assert page.count("<polyline") == 1
    assert "style=" not in page
    assert "model:m</code> was asked 1 times" in olga.get("/console/reviews").text
    assert ",model:m," in olga.get("/console/reviews/ratings.csv").text
