"""Area codes of the US and Canada that serve the same place, for Area Code Geomatch (facts 5.2).

INFERENCE: the groups, which hold the larger cities only; elsewhere only the same code matches.
"""

from __future__ import annotations

_OVERLAYS = tuple(
    frozenset(group.split())
    for group in (
        "212 332 646 917",
        "213 323 738",
        "214 469 945 972",
        "215 267 445",
        "206 564",
        "281 346 713 832",
        "303 720 983",
        "305 645 786",
        "312 872",
        "347 718 917 929",
        "404 470 678 770 943",
        "408 669",
        "415 628",
        "416 437 647",
        "438 514",
        "512 737",
        "604 236 672 778",
        "617 857",
        "702 725",
        "202 771",
    )
)


def same_area(first: str, second: str) -> bool:
    """Say whether two numbers of +1 have the same area code, or overlaid ones; no proximity counts."""
    if not (first.startswith("+1") and second.startswith("+1")):
        return False
    codes = {first[2:5], second[2:5]}
    return len(codes) == 1 or any(codes <= group for group in _OVERLAYS)
