"""Twilio's REST API: the official client with time limits, single resources, and failures as sentences.

The client and ``requests`` are imported on first use: the import takes longer than the rest of the
router's start, and many commands never call Twilio. Call what imports them in a thread, not on the event
loop.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from twilio.base.page import Page
    from twilio.base.version import Version
    from twilio.http.http_client import TwilioHttpClient
    from twilio.http.response import Response
    from twilio.rest import Client

_SILENT = logging.Logger("twilio", level=logging.CRITICAL + 1)
"""Discards log records: the official client logs the query of every request, with the contacts' numbers."""

_MAX_DETAIL_LENGTH = 300
_NOT_FOUND = frozenset({20404, 21701})
_UNAUTHORIZED = frozenset({20003})
_RATE_LIMITED = frozenset({20429, 21611})
"""Too many concurrent requests, and a full queue. Twilio has not processed the call (facts 6.3, 7.1)."""


class FailureKind(Enum):
    """What a failed call means to its caller."""

    NOT_FOUND = "not found"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate limited"
    UNAVAILABLE = "unavailable"
    UNREADABLE = "unreadable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """A failed call of Twilio's API."""

    kind: FailureKind
    code: int | None
    """Twilio's error code; None where the response has none."""
    status: int | None
    """The HTTP status; None where there was no response."""
    sentence: str
    """For people and logs; contains no secret."""
    detail: str = ""
    """The message in Twilio's response."""
    is_connected: bool = True
    """False when no connection was established, so that Twilio has not received the call."""

    @property
    def may_have_been_processed(self) -> bool:
        """True when it is unknown whether Twilio processed the call before it failed."""
        return self.is_connected and self.kind in {FailureKind.UNAVAILABLE, FailureKind.UNREADABLE}


class ApiError(RuntimeError):
    """A call through the client failed; the text is one sentence for people."""

    def __init__(self, failure: ApiFailure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


@contextmanager
def api_errors() -> Iterator[None]:
    """Raise `ApiError` for any exception that a call through the client raises."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        raise ApiError(describe_error(error)) from error


def build_client(account_sid: str, auth_token: str, base_url: str, timeout: float) -> Client:
    """Return the official client with a time limit on every request.

    Args:
        account_sid: the account whose resources are used.
        auth_token: its token.
        base_url: ``TWILIO_API_BASE_URL``, a scheme and a host that replace those of every request;
            empty for Twilio's own hosts.
        timeout: seconds, for connecting and for each wait for data. Without one the official client
            waits without limit (facts 6.3).

    Raises:
        ValueError: when the base URL is not a scheme and a host.

    """
    from twilio.http.http_client import TwilioHttpClient  # noqa: PLC0415 - slow to import
    from twilio.rest import Client  # noqa: PLC0415 - slow to import

    from sms_router.twilio.bounded_adapter import BoundedAdapter  # noqa: PLC0415 - slow to import

    http = TwilioHttpClient(timeout=timeout, logger=_SILENT)
    adapter = BoundedAdapter(2 * timeout)
    http.session.mount("https://", adapter)
    http.session.mount("http://", adapter)
    if base_url:
        origin = _origin(base_url)
        http.session.trust_env = False  # no proxy of the environment for a host that is configured
        return Client(account_sid, auth_token, http_client=_FixedHostClient(http, origin))
    return Client(account_sid, auth_token, http_client=http)


def describe_error(error: Exception) -> ApiFailure:
    """Describe any exception of a call through the client.

    The client has three families of exceptions (facts 6.3) and does not catch those of ``requests`` and
    of the JSON parser. The sentence quotes Twilio's message, never an address or a header.
    """
    from requests import RequestException  # noqa: PLC0415 - slow to import
    from twilio.base import exceptions as twilio  # noqa: PLC0415 - slow to import

    if isinstance(error, twilio.TwilioRestException):
        return _from_response(error.status, error.code, error.msg)
    if isinstance(error, twilio.TwilioServiceException):
        return _from_response(error.status, error.code, error.detail or error.title)
    if isinstance(error, twilio.TwilioException):
        return _from_list_error(error)
    if isinstance(error, RequestException):
        return _no_response(error)
    return _invalid_response(None)


class _FixedHostClient:
    """Sends every request to one host; the links to a next page contain Twilio's own (facts 6.1)."""

    is_async = False

    def __init__(self, http: TwilioHttpClient, origin: tuple[str, str]) -> None:
        self.session = http.session  # as the official client has it
        self._http = http
        self._origin = origin

    def request(self, method: str, url: str, **options: Any) -> Response:
        return self._http.request(method, urlunsplit((*self._origin, *urlsplit(url)[2:4], "")), **options)


def _origin(base_url: str) -> tuple[str, str]:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("the base URL of Twilio's API is a scheme and a host, such as http://127.0.0.1:8900")
    return parts.scheme, parts.netloc


def _from_list_error(error: Exception) -> ApiFailure:
    """Describe what ``list()`` raises: a plain exception with the response as an argument (facts 6.3)."""
    response = error.args[1] if len(error.args) > 1 else None
    if response is None:
        return _invalid_response(None)
    try:
        body = json.loads(response.text)
        message = str(body.get("message") or body.get("detail") or body.get("title") or "")
        return _from_response(response.status_code, int(body["code"]), message)
    except (ValueError, TypeError, KeyError, AttributeError):
        return _from_response(response.status_code, None, "")


def _from_response(status: int, code: int | None, message: str) -> ApiFailure:
    if code == status:
        code = None  # the client repeats the status where the body is not JSON
    if 200 <= status < 400:
        return _invalid_response(status)
    kind = _kind(status, code)
    detail = " ".join(message.split())[:_MAX_DETAIL_LENGTH]
    error = f", error {code}" if code else ""
    sentence = f"Twilio responded with {status}{error} ({kind.value})" + (f": {detail}" if detail else "")
    return ApiFailure(kind, code, status, sentence, detail)


def _kind(status: int, code: int | None) -> FailureKind:
    if status == 429 or code in _RATE_LIMITED:
        return FailureKind.RATE_LIMITED
    if status >= 500:
        return FailureKind.UNAVAILABLE
    if status in {401, 403} or code in _UNAUTHORIZED:
        return FailureKind.UNAUTHORIZED
    if status == 404 or code in _NOT_FOUND:
        return FailureKind.NOT_FOUND
    return FailureKind.REFUSED


def _no_response(error: Exception) -> ApiFailure:
    from requests.exceptions import ConnectTimeout, SSLError, Timeout  # noqa: PLC0415 - slow to import
    from urllib3.exceptions import NewConnectionError  # noqa: PLC0415 - slow to import

    cause = getattr(error.args[0], "reason", None) if error.args else None
    is_connected = not isinstance(error, ConnectTimeout) and not isinstance(cause, NewConnectionError)
    sentence = "the connection to Twilio's API failed"
    if isinstance(error, Timeout):
        sentence = "Twilio's API did not respond in time"
    elif isinstance(error, SSLError):
        sentence = "the certificate of Twilio's API is not valid"
    return ApiFailure(FailureKind.UNAVAILABLE, None, None, sentence, is_connected=is_connected)


def _invalid_response(status: int | None) -> ApiFailure:
    sentence = "the response of Twilio's API is not the expected JSON"
    return ApiFailure(FailureKind.UNREADABLE, None, status, sentence)


class ApiRecord:
    """One object of Twilio's API, with the API's own field names; None for a field that is missing."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        return self._fields.get(name)


@dataclass(frozen=True, slots=True)
class ApiResource:
    """A resource of Twilio's API, or a list of them. Every call blocks and raises what the client raises.

    ``client.api`` and ``client.messaging`` import all products of Twilio: over a hundred modules and 9 MB
    in each worker. This uses the part of the client below them: requests, pages and exceptions.
    """

    version: Version
    path: str

    def child(self, name: str) -> ApiResource:
        """Return the resource at a path below this one."""
        return ApiResource(self.version, f"{self.path}/{name}")

    def fetch(self) -> ApiRecord:
        return ApiRecord(self.version.fetch("GET", self.path))

    def page(self, *, page_size: int, **filters: str) -> Page:
        """GET the first page of a list; its ``next_page()`` returns the following ones."""
        response = self.version.page("GET", self.path, params={"PageSize": page_size, **filters})
        return _record_page_class()(self.version, response)

    def create(self, values: Mapping[str, object]) -> ApiRecord:
        """POST to a list; ``values`` have the API's parameter names, and None is not sent."""
        return ApiRecord(self.version.create("POST", self.path, data=dict(values)))

    def update(self, values: Mapping[str, object]) -> ApiRecord:
        """POST to one resource; ``values`` have the API's parameter names."""
        return ApiRecord(self.version.update("POST", self.path, data=dict(values)))

    def delete(self) -> None:
        self.version.delete("DELETE", self.path)


@cache
def _record_page_class() -> type[Page]:
    from twilio.base.page import Page  # noqa: PLC0415 - slow to import

    class ApiPage(Page):
        def get_instance(self, payload: Mapping[str, Any]) -> ApiRecord:
            return ApiRecord(payload)

    return ApiPage


def service_resource(client: Client, sid: str) -> ApiResource:
    return ApiResource(_version(client, "https://messaging.twilio.com", "v1"), f"/Services/{sid}")


def account_resource(client: Client, sid: str) -> ApiResource:
    return ApiResource(_version(client, "https://api.twilio.com", "2010-04-01"), f"/Accounts/{sid}")


def numbers_resource(client: Client) -> ApiResource:
    """Return the root of the phone number API, to which porting belongs."""
    return ApiResource(_version(client, "https://numbers.twilio.com", "v1"), "")


def monitor_resource(client: Client) -> ApiResource:
    """Return the root of the Monitor API, which has the debugger's alerts."""
    return ApiResource(_version(client, "https://monitor.twilio.com", "v1"), "")


def _version(client: Client, base_url: str, version: str) -> Version:
    from twilio.base.domain import Domain  # noqa: PLC0415 - slow to import
    from twilio.base.version import Version  # noqa: PLC0415 - slow to import

    return Version(Domain(client, base_url), version)
