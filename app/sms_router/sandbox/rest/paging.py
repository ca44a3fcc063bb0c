"""Lists in pages: absolute URLs in the ``/v1`` tree, relative ones in ``/2010-04-01`` (facts 6.1, 6.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse

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


class _Page(Generic[Item]):
    """The page of a list that a request selects with ``PageSize``, ``Page`` and ``PageToken``."""

    def __init__(self, items: Iterable[Item], request: Request, base: str) -> None:
        """``base`` is what its links begin with; they have the filters of the request."""
        query, all_items = request.query_params, tuple(items)
        self._base = base
        paging = ("PageSize", "Page", "PageToken")
        self._filters = [pair for pair in query.multi_items() if pair[0] not in paging]
        self.size = _size(request)
        self.number = _whole("Page", query.get("Page", "0"))
        self.start = _start(all_items, query.get("PageToken"), self.number, self.size)
        self.items = all_items[self.start : self.start + self.size]
        self.first_url = self._url(0)
        self.url = self._url(self.number, query.get("PageToken"))
        self.previous_url = self.next_url = None
        if self.items and self.start > 0:
            self.previous_url = self._url(max(0, self.number - 1), _BEFORE + self.items[0].sid)
        if self.items and self.start + self.size < len(all_items):
            self.next_url = self._url(self.number + 1, _AFTER + self.items[-1].sid)

    def _url(self, number: int, token: str | None = None) -> str:
        query = [*self._filters, ("PageSize", str(self.size)), ("Page", str(number))]
        if token:
            query.append(("PageToken", token))
        return f"{self._base}?{urlencode(query)}"


def v1_list(
    request: Request, key: str, items: Iterable[Item], render: Callable[[Item], Json]
) -> JSONResponse:
    """Return one page of a list as the ``/v1`` tree does."""
    page = _Page(items, request, origin(request) + request.url.path)
    meta = {
        "page": page.number,
        "page_size": page.size,
        "first_page_url": page.first_url,
        "previous_page_url": page.previous_url,
        "next_page_url": page.next_url,
        "key": key,
        "url": page.url,
    }
    return JSONResponse({"meta": meta, key: [render(item) for item in page.items]})


def classic_list(
    request: Request, key: str, items: Iterable[Item], render: Callable[[Item], Json]
) -> JSONResponse:
    """Return one page of a list as the ``/2010-04-01`` tree does."""
    page = _Page(items, request, request.url.path)
    return JSONResponse(
        {
            "first_page_uri": page.first_url,
            "previous_page_uri": page.previous_url,
            "next_page_uri": page.next_url,
            "uri": page.url,
            "page": page.number,
            "page_size": page.size,
            "start": page.start,
            "end": max(page.start, page.start + len(page.items) - 1),
            key: [render(item) for item in page.items],
        }
    )


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
