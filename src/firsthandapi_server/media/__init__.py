"""Identifies the files of workers, and removes from them whatever must not be kept.

Nothing a worker sends is kept as it came. `clean` writes a new file that contains only the parts a decoder needs: no
place, no name, no comment, and nothing behind the end of the picture.
"""

from .cleaning import clean
from .parts import Cleaned, MediaError
from .sniffing import LIMITS, LargeError, check_accepted, check_said, check_size, name_of, sniff, types_of
from .upright import is_like

__all__ = [
    "LIMITS",
    "Cleaned",
    "LargeError",
    "MediaError",
    "check_accepted",
    "check_said",
    "check_size",
    "clean",
    "is_like",
    "name_of",
    "sniff",
    "types_of",
]
