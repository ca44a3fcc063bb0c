"""How people's numbers and words look where others may read them."""

from __future__ import annotations


def masked_number(number: str) -> str:
    """Shorten a person's number: ``+1415•••0123``. Short codes and names are ours, and stay."""
    if len(number) < 9:
        return number
    return f"{number[:5]}•••{number[-4:]}"


def masked_text(text: str) -> str:
    """Say only how long a text is."""
    return f"({len(text)} characters)" if text else ""
