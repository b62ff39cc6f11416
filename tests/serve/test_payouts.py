"""What people are owed and what was paid: nobody twice, nobody less than nothing."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from firsthandapi import ConfigurationError
from firsthandapi_server.serve.access import FILE, Access
from firsthandapi_server.serve.payouts import Payouts

from .conftest import Open, Team

ANA, BO = (f"wkr_{'0' * 25}{number}" for number in range(2))


@pytest.fixture
def payouts(team: Team) -> Payouts:
    """The payouts of a server that runs."""
    return Payouts(team.access, team.folder)


def approved(team: Team, worker: str, files: int = 1) -> None:
    """Somebody's files, approved for 50 cents each."""
    job = team.job(files_needed=files)
    for _ in range(files):
        team.score(team.sent(job, worker=worker), 5)


def test_every_cent_is_in_one_batch(team: Team, payouts: Payouts) -> None:
    """A batch takes what none has: each row stays as it was made, and all of them are what people have earned."""
    approved(team, ANA, 2)
    approved(team, BO)
    batch = payouts.make(100.0, "tok_1")
    assert payouts.make(101.0, "tok_1") is None
    approved(team, ANA)
    two = payouts.make(86_500.0, "tok_1")
    approved(team, BO)
    assert [(row.worker_id, row.files, row.cents, row.batch, row.date) for row in payouts.rows()] == [
        (ANA, 2, 100, batch, "1970-01-01"),
        (BO, 1, 50, batch, "1970-01-01"),
        (ANA, 1, 50, two, "1970-01-02"),
        (BO, 1, 50, None, None),
    ]
    assert [row.batch for row in payouts.rows(200.0, 90_000.0)] == [two]
    assert [payout.cents for payout in payouts.of(ANA)] == [50, 100]


def test_two_who_make_a_batch_at_once_share_nothing(team: Team, payouts: Payouts) -> None:
    """Each has a connection of its own, as two commands beside a server have."""
    approved(team, ANA, 3)

    def make(number: int) -> str | None:
        access = Access(team.folder / FILE)
        try:
            return Payouts(access, team.folder).make(float(number), "command line")
        finally:
            access.close()

    with ThreadPoolExecutor(4) as threads:
        batches = [*threads.map(make, range(8))]
    assert len([batch for batch in batches if batch]) == 1
    assert [(row.files, row.cents) for row in payouts.rows()] == [(3, 150)]


def test_a_batch_is_paid_once(team: Team, payouts: Payouts) -> None:
    """A second reference changes nothing, and only what was shown is marked."""
    approved(team, ANA)
    batch = str(payouts.make(100.0, "tok_1"))
    approved(team, ANA)
    two = str(payouts.make(200.0, "tok_1"))
    assert payouts.pay("SEPA 1", 300.0, "tok_1", [batch, "batch_0"]) == [batch]
    assert payouts.pay("SEPA 2", 400.0, "tok_1") == [two]
    assert payouts.pay("SEPA 3", 500.0, "tok_1") == []
    assert [(payout.reference, payout.paid_at) for payout in payouts.of(ANA)] == [
        ("SEPA 2", 400.0),
        ("SEPA 1", 300.0),
    ]
    with closing(sqlite3.connect(team.folder / FILE)) as rows:
        for sql in (
            "UPDATE batches SET reference = 'x'",
            "DELETE FROM batches",
            "UPDATE batch_rows SET cents = 0",
            "DELETE FROM batch_rows",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                rows.execute(sql)
    entries = team.access.look(
        "SELECT what, who, subject FROM activity WHERE what LIKE 'payout.%' ORDER BY position"
    )
    assert entries == [
        ("payout.batched", "tok_1", batch),
        ("payout.batched", "tok_1", two),
        ("payout.paid", "tok_1", batch),
        ("payout.paid", "tok_1", two),
    ]


def test_whoever_got_more_than_the_state_knows_is_owed_nothing(team: Team, payouts: Payouts) -> None:
    """A restored state may lack what was paid since: it is neither asked back, nor paid again when it comes again."""
    approved(team, ANA, 2)
    payouts.make(100.0, "tok_1")
    with team.access.transaction() as rows:
        rows.execute("INSERT INTO batches VALUES ('batch_1', 200, 'USD', 200, 'SEPA')")
        rows.execute("INSERT INTO batch_rows VALUES ('batch_1', ?, 1, 50)", (ANA,))
    assert payouts.owed() == []
    approved(team, ANA)
    assert (payouts.owed(), payouts.make(300.0, "tok_1")) == ([], None)
    approved(team, ANA)
    assert [(row.files, row.cents) for row in payouts.owed()] == [(1, 50)]


def test_a_time_limits_what_is_owed(team: Team, payouts: Payouts) -> None:
    """By when it was approved: batches have taken what was approved first."""
    team.access.create("worker", "Ana", 0)
    job = team.job()
    for at in (1000.0, 2000.0, 3000.0):
        submission = team.sent(job, worker=ANA)
        team.score(submission, 5)
        with team.world.lock:
            team.find(submission).scored_at = at
            team.world.state.query("UPDATE submissions SET scored_at = ? WHERE id = ?", at, submission)
    with team.access.transaction() as rows:
        rows.execute("INSERT INTO batches VALUES ('batch_1', 1500, 'USD', NULL, NULL)")
        rows.execute("INSERT INTO batch_rows VALUES ('batch_1', ?, 1, 50)", (ANA,))

    def owed(since: float, until: float) -> int:
        return sum(row.cents for row in payouts.owed(since, until))

    assert [
        owed(0, 1500),
        owed(0, 2500),
        owed(0, 3500),
        owed(1500, 2500),
        owed(2500, 9000),
        owed(500, 1500),
    ] == [
        0,
        50,
        100,
        50,
        50,
        0,
    ]


def test_whoever_was_erased_is_still_owed(team: Team, payouts: Payouts) -> None:
    """Under their number, without a name."""
    token, _ = team.access.create("worker", "Ana", 0)
    approved(team, token.id)
    assert [row.name for row in payouts.rows()] == ["Ana"]
    payouts.make(100.0, "tok_1")
    team.service.eraser.ask(token.id, "tok_1")
    team.service.eraser.run()
    assert [(row.worker_id, row.name, row.cents) for row in payouts.rows()] == [(token.id, "", 50)]
    assert payouts.owed() == []


def test_a_reviewers_own_files_are_paid_under_their_name(team: Team, payouts: Payouts) -> None:
    """Their files carry the id of their token with the prefix of workers."""
    token, _ = team.access.create("reviewer", "Rui", 0)
    approved(team, f"wkr_{token.id.partition('_')[2]}")
    assert [row.name for row in payouts.rows()] == ["Rui"]


def test_a_batch_keeps_its_currency(lab: Open) -> None:
    """Nobody is owed dollars that become euros: what is owed goes into a batch before a study changes its currency."""
    for currency, next_currency in (("EUR", "NGN"), ("NGN", "EUR")):
        with ExitStack() as running:
            study = lab(running, currency=currency)
            payouts = Payouts(study.access, study.folder)
            approved(study, ANA)
            assert [row.currency for row in payouts.owed()] == [currency]
        with ExitStack() as running, pytest.raises(ConfigurationError, match="put it into a batch first"):
            lab(running, currency=next_currency)
        with ExitStack() as running:
            study = lab(running, currency=currency)
            Payouts(study.access, study.folder).make(study.service.clock.now(), "tok_1")
    study = lab(currency="USD")
    assert [row.currency for row in Payouts(study.access, study.folder).rows()] == ["EUR", "NGN"]


def test_volunteers_are_owed_nothing(lab: Open) -> None:
    """Nor when their study pays for other jobs later; and what a study paid before, volunteers or not, stays paid."""
    with ExitStack() as running:
        study = lab(running, pay="none")
        payouts = Payouts(study.access, study.folder)
        approved(study, ANA)
        assert (payouts.rows(), payouts.make(100.0, "tok_1"), payouts.batches()) == ([], None, [])
    with ExitStack() as running:
        study = lab(running)
        payouts = Payouts(study.access, study.folder)
        assert payouts.rows() == []
        approved(study, BO)
        assert [(row.worker_id, row.cents) for row in payouts.owed()] == [(BO, 50)]
        payouts.make(200.0, "tok_1")
        approved(study, BO)
    study = lab(pay="none")
    assert [
        (row.worker_id, row.cents, bool(row.batch)) for row in Payouts(study.access, study.folder).rows()
    ] == [(BO, 50, True)]
