"""What questions cost, by a price list that comes with the extra: nothing is fetched."""

from __future__ import annotations

import math
from collections import Counter
from importlib import import_module
from typing import Any

# Of an answer about a file: at most, and as a rule.
MOST_TOKENS = 2048
_USUAL_TOKENS = 300
# Of a recording whose length is unknown.
_UNKNOWN_SECONDS = 1800.0

# What is billed, by the price list's names: tokens in and out, and seconds of sound.
Usage = Counter[str]


def cents(provider: str, model: str, usage: Usage, *, is_here: bool) -> float | None:
    """The price, in cents; None if it is unknown. A model on this machine that is in no list costs nothing."""
    listing: Any = import_module("genai_prices")
    try:
        price = listing.calc_price(listing.Usage(**usage), model_ref=model, provider_id=provider).total_price
    except LookupError:
        price = 0
    # The list says 0 of a model that it only names.
    return float(price * 100) if price else 0.0 if is_here else None


def usage_of_question(words: str, width: int, height: int, *, most: bool) -> Usage:
    """What a question of so many words with a picture of so many pixels takes: as a rule, or at most.
    At most, a token is a byte, and a picture as many tokens as with the costliest of the usual models.
    """
    size = len(words.encode("utf-8", "replace"))
    pixels = width * height
    if most:
        return Counter(input_tokens=size + math.ceil(pixels / 400) + 200, output_tokens=MOST_TOKENS)
    return Counter(input_tokens=size // 4 + math.ceil(pixels / 750), output_tokens=_USUAL_TOKENS)


def usage_of_speech(seconds: float | None, *, most: bool) -> Usage:
    """What a recording takes: as a rule, or at most."""
    length = math.ceil(_UNKNOWN_SECONDS if seconds is None else max(seconds, 1.0))
    tokens = length * (25 if most else 10)
    return Counter(
        audio_seconds=length,
        input_audio_seconds=length,
        input_tokens=tokens,
        input_audio_tokens=tokens,
        output_tokens=length * (15 if most else 4),
    )
