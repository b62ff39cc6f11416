"""`firsthandapi annotate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.support import Cli
from dataset.support import folder_of
from firsthandapi.testing import FakeModels
from review.test_app import picture

MODEL = ("--model", "anthropic:claude-haiku-5-5")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return str(
        folder_of(tmp_path / "signs", [picture("red"), picture("blue")], width=[9, 9], height=[9, 9]).path
    )


def test_annotate(cli: Cli, folder: str) -> None:
    """A dry run needs no key; a failure is named, and the exit code is 1; a second run asks for the rest."""
    plan = cli("annotate", folder, *MODEL, "--dry-run")
    assert (plan.code, plan.out.splitlines()[0]) == (0, "2 files, 0 with a known answer")
    assert "cents" in plan.out
    assert "ANTHROPIC_API_KEY" in cli("annotate", folder, *MODEL).err
    with FakeModels() as models:
        address = ("--base-url", models.url)
        models.fail("refusal")
        first = cli("annotate", folder, *MODEL, *address, "--concurrency", "1")
        assert first.code == 1
        assert "file_0: anthropic:claude-haiku-5-5 refused" in first.out
        run = cli("annotate", folder, *MODEL, *address, "--max-cents", "0")
        assert "--max-cents left the others unasked" in run.out
        second = cli("annotate", folder, *MODEL, *address, "--json")
        assert (second.code, json.loads(second.out)["asked"]) == (0, 1)


def test_a_wrong_model_is_a_usage_error(cli: Cli, folder: str) -> None:
    assert cli("annotate", folder, "--model", "gpt-5").code == 2
