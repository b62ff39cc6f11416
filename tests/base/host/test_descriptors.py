"""How many files and connections a process may have open."""

from __future__ import annotations

import sys

import pytest

from firsthandapi._base.host import descriptors

if sys.platform == "win32":
    pytest.skip("Windows has no such limit", allow_module_level=True)

import resource


class Limit:
    """The limit of this process, as the system keeps it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.now = soft, hard
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(resource, "setrlimit", self._set)

    def _set(self, _: int, limits: tuple[int, int]) -> None:
        if limits[0] == 666:
            raise ValueError("not allowed")
        self.now = limits


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 524_288, 10_240),
        (1024, 4096, 4096),
        (256, resource.RLIM_INFINITY, 10_240),
        (65_536, 524_288, 65_536),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        (256, 666, 256),
    ],
)
def test_the_soft_limit_is_raised(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int) -> None:
    """As far as the hard one allows, never lowered, and left alone where the system refuses."""
    limit = Limit(monkeypatch, soft, hard)
    descriptors.raise_limit()
    assert limit.now == (raised, hard)
    assert descriptors.most() == (10_240 if raised == resource.RLIM_INFINITY else raised)


def test_windows_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to raise."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(resource, "getrlimit")
    descriptors.raise_limit()
    assert descriptors.most() == 10_240
