"""Where a job wants its files captured, and whether a place is there."""

from __future__ import annotations

import math
from typing import Any, cast

_EARTH_KM = 6371.0


def lies_within(place: object, latitude: float, longitude: float) -> bool | None:
    """Whether a point lies within the radius of a job's place; None for a place without coordinates or radius."""
    area = area_of(place)
    return None if area is None else _kilometers(latitude, longitude, *area[:2]) <= area[2]


def area_of(place: object) -> tuple[float, float, float] | None:
    """Latitude, longitude, and radius in kilometers of a job's place, or None: buyers may write anything."""
    if not isinstance(place, dict):
        return None
    fields = cast("dict[str, Any]", place)
    numbers: tuple[Any, ...] = (
        fields.get("latitude", fields.get("lat")),
        fields.get("longitude", fields.get("lng")),
        fields.get("radius_km"),
    )
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return None
    try:
        latitude, longitude, radius = map(float, numbers)
    except OverflowError:  # JSON has integers of any size
        return None
    return latitude, longitude, radius


def _kilometers(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """The distance between two points on a sphere."""
    north, to_north = math.radians(latitude), math.radians(to_latitude)
    east = math.radians(to_longitude - longitude)
    part = math.sin((to_north - north) / 2) ** 2
    part += math.cos(north) * math.cos(to_north) * math.sin(east / 2) ** 2
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, max(0.0, part))))
