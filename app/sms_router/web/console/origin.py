"""Whether a form was sent from a page of ours, by what browsers say of it and pages cannot change."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


def is_same_origin(headers: Mapping[str, str], public_url: str) -> bool:
    """Tell whether a request may have come from the console itself.

    ``headers`` have names in lower case. A browser that comes over plain HTTP says little of it, since
    our pages have it send no referrer; then the token in the form alone decides.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin in {None, "null"}:
        return True
    ours = {headers.get("host", ""), urlsplit(public_url).netloc}
    _, _, authority = str(origin).partition("://")  # anybody may send it, so it may be no URL at all
    return authority in ours - {""}
