"""Twilio's REST API through the official client, and its failures in words.

The client and ``requests`` are imported on first use: they take longer than the rest of the
router's start, and many commands never call Twilio.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from twilio.http.http_client import TwilioHttpClient
    from twilio.http.response import Response
    from twilio.rest import Client

_SILENT = logging.Logger("twilio", level=logging.CRITICAL + 1)
"""The official client logs the query of every request, and with it people's numbers."""

_LONGEST_MESSAGE = 300
_NOT_FOUND = frozenset({20404, 21701})
_UNAUTHORIZED = frozenset({20003})
_RATE_LIMITED = frozenset({20429, 21611})
"""Too many at once, and a full queue: nothing was done, whatever the status says (facts 6.3, 7.1)."""


class FailureKind(Enum):
    """What a failed call means for its caller."""

    NOT_FOUND = "not found"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate limited"
    UNAVAILABLE = "unavailable"
    UNREADABLE = "unreadable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """One failed call."""

    kind: FailureKind
    code: int | None
    """Twilio's error code, where it gave one."""
    status: int | None
    """The HTTP status; None when there was no answer."""
    sentence: str
    """For people and logs; holds no secret."""
    detail: str = ""
    """Twilio's own words."""
    reached: bool = True
    """False when no connection came about, so that Twilio has surely not seen the call."""

    @property
    def may_have_been_done(self) -> bool:
        """True when nobody knows whether Twilio carried the call out before it failed."""
        return self.reached and self.kind in {FailureKind.UNAVAILABLE, FailureKind.UNREADABLE}


class ApiError(RuntimeError):
    """A call through the client failed; the text is one sentence for people."""

    def __init__(self, failure: ApiFailure) -> None:
        """Keep what is known of the failure."""
        super().__init__(failure.sentence)
        self.failure = failure


@contextmanager
def api_errors() -> Iterator[None]:
    """Turn whatever a call through the client raises into `ApiError`."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        raise ApiError(describe_error(error)) from error


def build_client(account_sid: str, auth_token: str, base_url: str, timeout: float) -> Client:
    """Return the official client with a time limit on every request.

    ``base_url`` (``TWILIO_API_BASE_URL``) is a scheme and a host to which everything goes, paths
    unchanged; empty means Twilio's own hosts. ``timeout`` is in seconds, for connecting
    and for each wait on the answer; without one the official client waits for ever (facts 6.3).

    Raises:
        ValueError: when the base URL is more or less than a scheme and a host.

    """
    from twilio.http.http_client import TwilioHttpClient  # noqa: PLC0415 - slow to import
    from twilio.rest import Client  # noqa: PLC0415 - slow to import

    http = TwilioHttpClient(timeout=timeout, logger=_SILENT)
    if base_url:
        origin = _origin(base_url)
        http.session.trust_env = False  # a host that was named is reached without anybody's proxy
        return Client(account_sid, auth_token, http_client=_Redirected(http, origin))
    return Client(account_sid, auth_token, http_client=http)


def describe_error(error: Exception) -> ApiFailure:
    """Put any failure of a call through the client into one sentence.

    The client has three families of its own (facts 6.3) and lets through those of ``requests``
    and of the JSON parser. Only Twilio's own words are quoted, never an address or a header.
    """
    from requests import RequestException  # noqa: PLC0415 - slow to import
    from twilio.base import exceptions as twilio  # noqa: PLC0415 - slow to import

    if isinstance(error, twilio.TwilioRestException):
        return _answered(error.status, error.code, error.msg)
    if isinstance(error, twilio.TwilioServiceException):
        return _answered(error.status, error.code, error.detail or error.title)
    if isinstance(error, twilio.TwilioException):
        return _half_told(error)
    if isinstance(error, RequestException):
        return _unanswered(error)
    return _unreadable(None)


class _Redirected:
    """Sends everything to one host; links to a next page name any host they like (facts 6.1)."""

    is_async = False

    def __init__(self, http: TwilioHttpClient, origin: tuple[str, str]) -> None:
        self._http = http
        self._origin = origin

    def request(self, method: str, url: str, **options: Any) -> Response:
        return self._http.request(method, urlunsplit((*self._origin, *urlsplit(url)[2:4], "")), **options)


def _origin(base_url: str) -> tuple[str, str]:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("the base URL of Twilio's API is a scheme and a host, such as http://127.0.0.1:8900")
    return parts.scheme, parts.netloc


def _half_told(error: Exception) -> ApiFailure:
    """Read what ``list()`` raises: a plain exception that carries the response (facts 6.3)."""
    response = error.args[1] if len(error.args) > 1 else None
    if response is None:
        return _unreadable(None)
    try:
        told = json.loads(response.text)
        message = str(told.get("message") or told.get("detail") or told.get("title") or "")
        return _answered(response.status_code, int(told["code"]), message)
    except (ValueError, TypeError, KeyError, AttributeError):
        return _answered(response.status_code, None, "")


def _answered(status: int, code: int | None, message: str) -> ApiFailure:
    if code == status:
        code = None  # the client's filler for answers that are not JSON
    if 200 <= status < 400:
        return _unreadable(status)
    kind = _kind(status, code)
    detail = " ".join(message.split())[:_LONGEST_MESSAGE]
    error = f", error {code}" if code else ""
    sentence = f"Twilio answered {status}{error} ({kind.value})" + (f": {detail}" if detail else "")
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


def _unanswered(error: Exception) -> ApiFailure:
    from requests.exceptions import ConnectTimeout, SSLError, Timeout  # noqa: PLC0415 - slow to import
    from urllib3.exceptions import NewConnectionError  # noqa: PLC0415 - slow to import

    cause = getattr(error.args[0], "reason", None) if error.args else None
    reached = not isinstance(error, ConnectTimeout) and not isinstance(cause, NewConnectionError)
    why = "the connection to Twilio's API failed"
    if isinstance(error, Timeout):
        why = "Twilio's API did not answer in time"
    elif isinstance(error, SSLError):
        why = "the certificate of Twilio's API was not accepted"
    return ApiFailure(FailureKind.UNAVAILABLE, None, None, why, reached=reached)


def _unreadable(status: int | None) -> ApiFailure:
    sentence = "Twilio's API answered something that is not its JSON"
    return ApiFailure(FailureKind.UNREADABLE, None, status, sentence)
