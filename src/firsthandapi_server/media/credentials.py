"""What the Content Credentials (C2PA) of a file say. Reads what strangers sent, so it runs in a `Bounded` process.

Nothing is fetched: a file may name any address as the place of its credentials.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import json
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from .bounded import Bounded, BoundedError

# In a file that has credentials which do not hold, the library finds one of these.
_NONE = ("ManifestNotFound", "NotSupported", "Remote")
_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}


def is_installed() -> bool:
    """Whether there is a library that reads them."""
    return importlib.util.find_spec("c2pa") is not None


# Where the disk is busy, the library alone takes seconds to load.
_bounded = Bounded(f"{__name__}:read", megabytes=1000, seconds=60)
atexit.register(_bounded.close)


def verdict_of(source: str | bytes, content_type: str | None, trust: str | None = None) -> Any:
    """What `read` says of a file; None also if that took too much memory or time."""
    try:
        output = _bounded(source, content_type, trust)
    except BoundedError:
        return None
    return None if output is None else json.loads(output)


def read(source: str | bytes, content_type: str | None, trust: str | None) -> bytes | None:
    """The verdict on a file, as the JSON object of a File's `content_credentials`; None if its type has none.

    Args:
        source: the absolute path of the file, or its bytes.
        content_type: its MIME type.
        trust: certificates to trust, as PEM.
    """
    library: Any = importlib.import_module("c2pa")

    settings: dict[str, Any] = {"verify": dict(_OFFLINE)}
    if trust is not None:
        settings["trust"] = {"trust_anchors": trust}
        settings["verify"]["verify_trust"] = True
    if content_type not in library.Reader.get_supported_mime_types():
        return None
    try:
        with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            reader = library.Reader(content_type, file, context=library.Context.from_dict(settings))
            state = str(reader.get_validation_state()).lower()
            report = json.loads(reader.json())
    except library.C2paError as error:
        is_none = type(error).__name__.strip("_") in _NONE or str(error).startswith(_NONE)
        return _columns("none" if is_none else "invalid", {})
    return _columns(state if state in ("valid", "trusted") else "invalid", report)


def _columns(state: str, report: Any) -> bytes:
    signer = source = None
    if state in ("valid", "trusted"):  # what does not hold says nothing
        active: Any = report["manifests"][report["active_manifest"]]
        signature: Any = active.get("signature_info", {})
        signer = signature.get("common_name") or signature.get("issuer")
        source = next(_sources([active, *report["manifests"].values()]), None)
    return json.dumps({"state": state, "signer": signer, "digital_source_type": source}).encode()


def _sources(manifests: Iterable[Any]) -> Iterator[str]:
    """The kinds of source that actions name."""
    for manifest in manifests:
        for assertion in manifest.get("assertions", ()):
            if str(assertion.get("label")).startswith("c2pa.actions"):
                data: Any = assertion.get("data", {})
                for action in data.get("actions", ()):
                    if action.get("digitalSourceType"):
                        yield str(action["digitalSourceType"])
