"""Whether a form was sent from a page of ours, by what browsers say of it and pages cannot change."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


def from_our_pages(headers: Mapping[str, str], public_url: str) -> bool:
    """Tell whether a request may have come from the console itself.

    ``headers`` have names in lower case. What says nothing of where it comes from is no browser of
    today, or no browser; the token in the form decides about it.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is None:
        return True
    ours = {headers.get("host", ""), urlsplit(public_url).netloc}
    return urlsplit(origin).netloc in ours - {""}
