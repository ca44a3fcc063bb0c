"""Lists in pages: absolute URLs in the ``/v1`` tree, relative ones in ``/2010-04-01`` (facts 6.1, 6.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from sms_router.sandbox.rest.parameters import invalid
from sms_router.sandbox.rest.responses import Json, origin
from sms_router.sandbox.world.errors import RejectedError, rejection

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_AFTER, _BEFORE = "PA", "PB"


class HasSid(Protocol):
    """An item of a list: the token of a page is the sid of its first or last item."""

    @property
    def sid(self) -> str: ...


Item = TypeVar("Item", bound=HasSid)


@dataclass(frozen=True, slots=True)
class ListPage(Generic[Item]):
    """One page of a list; a token is None where there is no further page."""

    items: Sequence[Item]
    number: int
    size: int
    start: int
    next_token: str | None
    previous_token: str | None


def paginate(items: Iterable[Item], request: Request) -> ListPage[Item]:
    """Return the page that a request selects with ``PageSize``, ``Page`` and ``PageToken``."""
    all_items = tuple(items)
    size = _size(request)
    number = _whole("Page", request.query_params.get("Page", "0"))
    start = _start(all_items, request.query_params.get("PageToken"), number, size)
    selected = all_items[start : start + size]
    has_more = start + size < len(all_items)
    return ListPage(
        items=selected,
        number=number,
        size=size,
        start=start,
        next_token=_AFTER + selected[-1].sid if selected and has_more else None,
        previous_token=_BEFORE + selected[0].sid if selected and start > 0 else None,
    )


def v1_list(request: Request, key: str, page: ListPage[Item], render: Callable[[Item], Json]) -> Json:
    """Return a list as the ``/v1`` tree does."""
    base = origin(request) + request.url.path
    links = _Links(base, request, page.size)
    return {
        "meta": {
            "page": page.number,
            "page_size": page.size,
            "first_page_url": links.page(0),
            "previous_page_url": links.previous(page.number, page.previous_token),
            "next_page_url": links.next(page.number, page.next_token),
            "key": key,
            "url": links.page(page.number, request.query_params.get("PageToken")),
        },
        key: [render(item) for item in page.items],
    }


def classic_list(request: Request, key: str, page: ListPage[Item], render: Callable[[Item], Json]) -> Json:
    """Return a list as the ``/2010-04-01`` tree does."""
    links = _Links(request.url.path, request, page.size)
    return {
        "first_page_uri": links.page(0),
        "previous_page_uri": links.previous(page.number, page.previous_token),
        "next_page_uri": links.next(page.number, page.next_token),
        "uri": links.page(page.number, request.query_params.get("PageToken")),
        "page": page.number,
        "page_size": page.size,
        "start": page.start,
        "end": max(page.start, page.start + len(page.items) - 1),
        key: [render(item) for item in page.items],
    }


class _Links:
    """Links to the pages of one list, with its filters."""

    def __init__(self, base: str, request: Request, size: int) -> None:
        self._base = base
        self._size = size
        paging = ("PageSize", "Page", "PageToken")
        self._filters = [pair for pair in request.query_params.multi_items() if pair[0] not in paging]

    def page(self, number: int, token: str | None = None) -> str:
        query = [*self._filters, ("PageSize", str(self._size)), ("Page", str(number))]
        if token:
            query.append(("PageToken", token))
        return f"{self._base}?{urlencode(query)}"

    def next(self, number: int, token: str | None) -> str | None:
        return self.page(number + 1, token) if token else None

    def previous(self, number: int, token: str | None) -> str | None:
        return self.page(max(0, number - 1), token) if token else None


def _size(request: Request) -> int:
    size = _whole("PageSize", request.query_params.get("PageSize", str(DEFAULT_PAGE_SIZE)))
    if size > MAX_PAGE_SIZE:
        raise RejectedError(rejection(20007))
    if size < 1:
        raise invalid("PageSize must be at least 1")
    return size


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid(f"{name} must be a whole number, not {text}")
    return int(text)


def _start(items: Sequence[Item], token: str | None, number: int, size: int) -> int:
    """Return the index of a page's first item; a token whose item was deleted is ignored."""
    if not token:
        return number * size
    direction, sid = token[:2], token[2:]
    if direction not in (_AFTER, _BEFORE):
        raise invalid(f"PageToken {token} is not one of this list's")
    index = next((position for position, item in enumerate(items) if item.sid == sid), None)
    if index is None:
        return number * size
    return index + 1 if direction == _AFTER else max(0, index - size)
