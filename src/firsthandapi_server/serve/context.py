"""What a browser says of what it sends: the device, the time zone, and the place, which a job may ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from firsthandapi_server.media.exif import printable
from firsthandapi_server.rules.places import lies_within
from firsthandapi_server.state.model import Location

_ANDROID = re.compile(r"Android ([0-9.]{1,10})(?:; ([^;)]{1,60}))?")
_IPHONE = re.compile(r"(iPhone|iPad)\b.{0,40}? OS ([0-9]{1,3})_([0-9]{1,3})")
_SYSTEMS = (("Windows", "Windows"), ("Macintosh", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))


def device_of(agent: str) -> dict[str, str]:
    """The device, as the browser names it."""
    agent = agent[:500]
    device = {"app_version": "web"}
    iphone, android = _IPHONE.search(agent), _ANDROID.search(agent)
    if iphone is not None:
        device |= {"device_model": iphone[1], "device_os": f"iOS {iphone[2]}.{iphone[3]}"}
    elif android is not None:
        model = printable(android[2])
        device |= {"device_os": f"Android {android[1]}"}
        if model and model != "K":  # Chrome reports K for every phone
            device["device_model"] = model
    else:
        system = next((name for word, name in _SYSTEMS if word in agent), None)
        if system is not None:
            device["device_os"] = system
    return device


def utc_offset_of(fields: Mapping[str, str]) -> float:
    """Seconds east of UTC, as the browser reports them, or 0."""
    minutes = _number(fields.get("utc_offset"), 14 * 60)
    return 0.0 if minutes is None else minutes * 60


def location_of(place: object, fields: Mapping[str, str]) -> Location | None:
    """The location that a browser reports with its owner's consent; only for a job that names a place."""
    latitude, longitude = _number(fields.get("latitude"), 90), _number(fields.get("longitude"), 180)
    if place is None or latitude is None or longitude is None:
        return None
    return Location(latitude, longitude, lies_within(place, latitude, longitude))


def _number(text: str | None, most: float) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) <= most else None
