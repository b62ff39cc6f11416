"""`firsthandapi summary`, and `collect --name`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.support import Cli
from dataset.support import ORDER, completed_job, jobs_bought
from firsthandapi import Campaign, CampaignJob, ConfigurationError, Dataset
from firsthandapi.cli.spec import job_fields
from firsthandapi.testing import MockServer

JOB: dict[str, Any] = {
    "description": "Photos of street signs in daylight",
    "files_needed": 1,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 10,
}


def key_of(folder: Path, name: str, **changed: Any) -> str:
    """The key that `--name` makes of a spec."""
    (folder / "job.json").write_text(json.dumps({**JOB, **changed}), encoding="utf-8")
    fields = job_fields(folder / "job.json", idempotency_key=None, max_spend_cents=None, name=name)
    return str(fields["idempotency_key"])


def test_a_name_and_a_spec_make_a_key(tmp_path: Path) -> None:
    """The same for the same job however it is written; another for another name or job. It never changes."""
    key = key_of(tmp_path, "signs")
    assert key == "fh-b04f182b543d58636aeea2536e246232ed88fe02c72bba39efe9287d10fff319"
    assert key_of(tmp_path, "signs", max_spend_cents=10) == key
    (tmp_path / "job.yaml").write_text(
        "# the same\nprice_per_file_cents: 10\naccepted_formats: [image/jpeg]\nfiles_needed: 1\n"
        "description: Photos of street signs in daylight\n"
    )
    fields = job_fields(tmp_path / "job.yaml", idempotency_key=None, max_spend_cents=5, name="signs")
    assert fields["idempotency_key"] == key
    other_keys = [
        key_of(tmp_path, "signs-2"),
        key_of(tmp_path, "signs", files_needed=2),
        key_of(tmp_path, "signs", location={"latitude": 1.5, "longitude": 2, "radius_km": 3}),
    ]
    assert len({key, *other_keys}) == 4


@pytest.mark.parametrize(
    ("name", "argument", "in_spec"), [(" ", None, None), ("signs", "a-key", None), ("signs", None, "a-key")]
)
def test_a_name_that_makes_no_key_is_refused(
    tmp_path: Path, name: str, argument: str | None, in_spec: str | None
) -> None:
    """An empty one, and one beside a key, of which nobody knows which counts."""
    more = {} if in_spec is None else {"idempotency_key": in_spec}
    (tmp_path / "job.json").write_text(json.dumps({**JOB, **more}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="--name"):
        job_fields(tmp_path / "job.json", idempotency_key=argument, max_spend_cents=None, name=name)


def test_a_folder_in_a_few_lines(cli: Cli, fresh_server: MockServer, tmp_path: Path) -> None:
    """Markdown in which the text of strangers is only text; the page shows the files; JSON says the same."""
    title = "Signs | [here](https://evil.example) <img src=x> @all www.evil.example"
    job_id = completed_job(fresh_server, 2, title=title)
    with fresh_server.client() as client:
        client.files.download_all(job_id, tmp_path / "signs")
    ran = cli("summary", str(tmp_path / "signs"), "--gallery", str(tmp_path / "signs.html"))
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert (
        lines[0]
        == r"### Signs \| \[here\]\(https\://evil\.example\) &lt;img src=x&gt; \@all www\.evil\.example"
    )
    assert f"| Job | `{job_id}`, completed |" in lines
    assert "| Files | 2 of 2 |" in lines
    assert "| Cost | $0.20 |" in lines
    page = (tmp_path / "signs.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("data:image/jpeg;base64,") == 2
    about = json.loads(cli("summary", str(tmp_path / "signs"), "--json").out)
    assert (about["job_id"], about["files"], about["cost_cents"]) == (job_id, 2, 20)
    assert sum(about["stars"].values()) == 2
    assert jobs_bought(fresh_server) == 1


def test_a_campaign_costs_what_its_ledger_says(cli: Cli, tmp_path: Path) -> None:
    """With its labels and the number of its jobs; a job that was added beside it costs its approved files."""
    fields: CampaignJob = {
        "description": "Photos of street signs",
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": 10,
    }
    jobs: dict[str, CampaignJob] = {"stop": {"files_needed": 2}, "give way": {"files_needed": 1}}
    with MockServer(speed=300) as server, server.client() as client:
        client.campaigns.run(Campaign(dest=tmp_path / "a", budget_cents=90, defaults=fields, jobs=jobs))
        about = json.loads(cli("summary", str(tmp_path / "a"), "--json").out)
        assert (about["job_id"], len(about["jobs"]), about["files"]) == (None, 2, 3)
        assert (about["labels"], about["cost_cents"]) == ({"give way": 1, "stop": 2}, 30)
        lines = cli("summary", str(tmp_path / "a")).out.splitlines()
        assert {"| Jobs | 2 |", "| Labels | give way 1 · stop 2 |", "| Cost | $0.30 |"} <= {*lines}
        job = client.jobs.create_and_wait(
            description="Photos of street signs",
            files_needed=1,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=10,
        )
        client.files.download_all(job.id, tmp_path / "a", label="stop")
        card = Dataset.open(tmp_path / "a").write_card().path.read_text("utf-8")
    assert "from 3 jobs on `http://127.0.0.1:" in card
    assert "for $" not in card, "what a program drew costs nothing"
    assert json.loads(cli("summary", str(tmp_path / "a"), "--json").out)["cost_cents"] == 40


def test_a_folder_without_a_job_has_no_cost(cli: Cli, fresh_server: MockServer, tmp_path: Path) -> None:
    """What is not known is left out."""
    with fresh_server.client() as client:
        client.files.download_all(completed_job(fresh_server, 1), tmp_path / "signs")
    (tmp_path / "signs" / ORDER).unlink()
    ran = cli("summary", str(tmp_path / "signs"))
    assert ran.out.startswith("### signs\n")
    assert "| Files | 1 |" in ran.out
    assert "Cost" not in ran.out
    assert "Job" not in ran.out
