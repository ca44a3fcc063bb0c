"""Lists of Twilio's API, page after page, to their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_PAGE_SIZE = 1000
"""The most that Twilio gives at once (facts 6.1)."""
_MOST_PAGES = 200
"""A list that is longer than any account's links to itself."""


class IncompleteListError(ValueError):
    """Twilio answered with JSON that is not a whole list; the text says what is wrong with it."""


def iter_records(listing: Any, **filters: str) -> Iterator[Any]:
    """Yield every record of a list of the official client that passes Twilio's own filters.

    Raises:
        HalfReadError: when the pages do not end.
        Exception: whatever the client raises for a page that fails.

    """
    page = listing.page(page_size=_PAGE_SIZE, **filters)
    for _ in range(_MOST_PAGES):
        yield from page
        page = page.next_page()
        if page is None:
            return
    raise IncompleteListError(f"more than {_MOST_PAGES} pages")
