"""The names of licenses."""

from __future__ import annotations

# Hugging Face's names of licenses, with their SPDX ids; any other license is `other`, with its name.
LICENSES = {
    **{name: name.upper() for name in (
        "mit", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    )},
    "apache-2.0": "Apache-2.0",
    "cdla-sharing-1.0": "CDLA-Sharing-1.0",
    "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0",
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "unlicense": "Unlicense",
    **dict.fromkeys(("cc", "unknown", "other"), ""),
}  # fmt: skip
# The SPDX id by either name, in lower case.
SPDX = {
    name: id_
    for hub, id_ in {**LICENSES, "c-uda-1.0": "C-UDA-1.0"}.items()
    if id_
    for name in (hub, id_.lower())
}


def is_same_license(name: str, other: object) -> bool:
    """Whether two names are of one license, which Hugging Face and SPDX may name differently."""
    return isinstance(other, str) and spdx_or_name(name).lower() == spdx_or_name(other).lower()


def spdx_or_name(name: str) -> str:
    """The SPDX id of a license; of any other license its name, without the space around it."""
    return SPDX.get(name.strip().lower(), name.strip())
