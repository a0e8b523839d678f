"""The alphabet of SMS: GSM 03.38, of which 160 fit into one; anything else halves that and more."""

from __future__ import annotations

import unicodedata

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€")  # each takes the place of two
_LIKE = str.maketrans(
    {
        **dict.fromkeys("‘’‚`´′", "'"),
        **dict.fromkeys("“”„″«»", '"'),
        **dict.fromkeys("‐‑‒–—−", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f\t", " "),
        "…": "...",
        "·": "-",
        "•": "-",
        "×": "x",
        "→": "->",
        "≥": ">=",
        "≤": "<=",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)


def units(text: str) -> int:
    """How many of an SMS's 160 places a GSM text takes."""
    return sum(2 if character in _EXTENDED else 1 for character in text)


def to_gsm(text: str) -> str | None:
    """`text` in the GSM alphabet, letters without accents that it lacks; None if that would lose letters."""
    letters = [_letter(character) for character in text.translate(_LIKE)]
    return None if None in letters else "".join(letter for letter in letters if letter)


def _letter(character: str) -> str | None:
    if character in _BASIC or character in _EXTENDED:
        return character
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    if plain and all(c in _BASIC or c in _EXTENDED for c in plain):
        return plain
    # Signs may go, e.g. an emoji; letters of another script may not.
    return None if unicodedata.category(character).startswith(("L", "N")) else "?"
