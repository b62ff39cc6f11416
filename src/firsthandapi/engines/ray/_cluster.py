"""What reading and writing share: Ray itself, and its errors made ours."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

from typing import Any

from firsthandapi.errors import ConfigurationError, DownloadError, FirstHandError

# A request may wait for the next minute, behind those of other workers.
_ANSWERS_WITHIN = 600.0


def ray_data() -> Any:
    """The module `ray.data`. Raises ConfigurationError: the extra is missing."""
    try:
        # A folder of that name beside the script imports as an empty module.
        from ray.data import Dataset  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise ConfigurationError("firsthandapi.ray needs an extra: pip install 'firsthandapi[ray]'") from None
    import ray.data

    return ray.data


def result_of(reference: Any) -> Any:
    """What an actor's method returns, or raises.
    Raises DownloadError: the actor does not respond.
    """
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(reference, timeout=_ANSWERS_WITHIN)
    except RayError as error:
        if (own_error := ours(error)) is not None:
            raise own_error from None
        raise DownloadError(
            f"the actor that holds the API key does not respond ({type(error).__name__}); run the pipeline again"
        ) from None


def ours(error: BaseException | None) -> FirstHandError | None:
    """The error of ours that Ray has wrapped, or None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        # A wrapped error is of our class and of Ray's at once; the plain one pickles, and says less about Ray.
        if isinstance(error, FirstHandError) and not hasattr(error, "cause"):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
