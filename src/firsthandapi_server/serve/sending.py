"""What somebody sends as one submission, and what their browser says of it: device, time zone, and place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from firsthandapi_server.media.exif import printable
from firsthandapi_server.rules.places import lies_within
from firsthandapi_server.state.model import Job, Location

_ANDROID = re.compile(r"Android ([0-9.]{1,10})(?:; ([^;)]{1,60}))?")
_IPHONE = re.compile(r"(iPhone|iPad)\b.{0,40}? OS ([0-9]{1,3})_([0-9]{1,3})")
_SYSTEMS = (("Windows", "Windows"), ("Macintosh", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))


@dataclass(frozen=True, slots=True)
class Sending:
    """What somebody submits as one act.

    Attributes:
        act: names it: the same one, sent again, is done once.
        retry: the id of the submission that they try again, or None.
        task_id: the row that they made it for; None for the one that they have, if the job has some.
        device: what they send it with.
        utc_offset: seconds east of UTC, or 0.
        location: where they are, if the job asks for it.
    """

    job: Job
    worker: str
    act: str
    retry: str | None
    task_id: str | None
    device: Mapping[str, str]
    utc_offset: float
    location: Location | None


def sending_of(job: Job, worker: str, act: str, fields: Mapping[str, str], agent: str) -> Sending:
    """What somebody sends, by the fields of a form and the name of the browser."""
    minutes = _number(fields.get("utc_offset"), 14 * 60) or 0.0
    location = _location(job.fields.get("location"), fields)
    retry, task = fields.get("retry") or None, fields.get("task_id") or None
    return Sending(job, worker, act, retry, task, device_of(agent), minutes * 60, location)


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


def _location(place: object, fields: Mapping[str, str]) -> Location | None:
    """The location that a browser reports with its owner's consent; only for a job that names a place."""
    latitude, longitude = _number(fields.get("latitude"), 90), _number(fields.get("longitude"), 180)
    if place is None or latitude is None or longitude is None:
        return None
    return Location(latitude, longitude, lies_within(place, latitude, longitude))


def _number(text: str | None, most: float) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= most else None
