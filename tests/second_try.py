"""A failed test gets one more try, alone: what the gates use, and `make test` does not.

`FIRSTHAND_UNSTEADY` names the file that collects, over all steps of a gate, the tests that failed and then passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# More unsteady tests than these in one gate are a fault of the change, not of a busy machine.
MOST = 5
_LONGEST_SECONDS = 900


class SecondTry:
    """Remembers the tests that fail, and in the end runs each of them again in a process of its own."""

    def __init__(self, unsteady: Path) -> None:
        self.unsteady = unsteady
        self.failed: dict[str, None] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield  # the summary of the first try is printed here
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and self.failed:
            session.exitstatus = self._try_again(session.config)
        return result

    def _try_again(self, config: pytest.Config) -> pytest.ExitCode:
        earlier = len(self.unsteady.read_text(encoding="utf-8").splitlines()) if self.unsteady.exists() else 0
        if earlier + len(self.failed) > MOST:
            print(
                f"\n{len(self.failed)} failed, {earlier} before them: more than {MOST} are not tried again."
            )
            return pytest.ExitCode.TESTS_FAILED
        outcome = pytest.ExitCode.OK
        for name in self.failed:
            print(f"\n{name} failed, and is tried again alone.", flush=True)
            if self._passes(config, name):
                with self.unsteady.open("a", encoding="utf-8") as file:
                    file.write(f"{name}\n")
            else:
                outcome = pytest.ExitCode.TESTS_FAILED
        return outcome

    def _passes(self, config: pytest.Config, name: str) -> bool:
        environment = {key: value for key, value in os.environ.items() if key != "FIRSTHAND_UNSTEADY"}
        command = [sys.executable, "-m", "pytest", "-q", *_options(config), name]
        try:
            done = subprocess.run(
                command, cwd=config.rootpath, env=environment, timeout=_LONGEST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{name} still ran after {_LONGEST_SECONDS} s.")
            return False
        return done.returncode == pytest.ExitCode.OK


def _options(config: pytest.Config) -> list[str]:
    """The plugins and settings of the first try, without its workers and its choice of tests."""
    options = [part for plugin in config.option.plugins for part in ("-p", plugin)]
    options += [part for setting in config.option.override_ini or () for part in ("-o", setting)]
    return [*options, "--noconftest"] if config.option.noconftest else options


def pytest_configure(config: pytest.Config) -> None:
    """Only in the process that reports, and only if a gate asks for it."""
    path = os.environ.get("FIRSTHAND_UNSTEADY")
    if path and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(SecondTry(Path(path)))
