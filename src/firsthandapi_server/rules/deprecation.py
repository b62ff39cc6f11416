"""Endpoints on their way out, and the patterns that name them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from fnmatch import fnmatchcase


def path_matches(pattern: str, path: str) -> bool:
    """Whether `pattern` is the path, a folder above it, or a glob that fits it."""
    return path == pattern or path.startswith(pattern.rstrip("/") + "/") or fnmatchcase(path, pattern)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """An endpoint on its way out."""

    path: str
    method: str | None
    sunset: datetime | None
    link: str | None

    def headers(self) -> dict[str, str]:
        headers = {"deprecation": "true"}
        if self.sunset is not None:
            headers["sunset"] = format_datetime(self.sunset.astimezone(UTC), usegmt=True)
        if self.link is not None:
            headers["link"] = f'<{self.link}>; rel="successor-version"'
        return headers
