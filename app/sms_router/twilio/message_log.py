"""Twilio's log of an account: the messages to a number, and the errors of their webhooks (facts 3, 6.2)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from sms_router.twilio.phone_numbers import contact_of
from sms_router.twilio.rest import (
    ApiError,
    ApiFailure,
    ApiRecord,
    ApiResource,
    FailureKind,
    account_resource,
    api_errors,
    monitor_resource,
)

if TYPE_CHECKING:
    from twilio.rest import Client

PAGE_SIZE = 1000
"""The largest page of Twilio's API."""

MAX_PAGES = 10_000
"""More than a number's messages of a day: a longer list links to itself."""

MAX_ATTEMPTS = 5
"""Of a request that Twilio refuses for its rate, or cannot serve; the pause doubles from one second on.
Without a response there are two."""

_NOT_FINAL = 20009
"""Twilio's error about a message that is not final (facts 11)."""

_WEBHOOK_ERROR = r"11\d{3}|1210\d|12300"
"""The errors after which Twilio has no answer (facts 3); others are about the messages of an answer."""

_MEANINGS = {
    "11200": "no valid HTTP response",
    "11205": "no connection",
    "11210": "the host name was not found",
    "11215": "too many redirects",
    "11220": "the TLS handshake failed",
    "11237": "the certificate is not trusted",
    "12100": "the response was no TwiML",
}

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """An inbound message as Twilio's log has it."""

    sid: str
    account_sid: str
    service_sid: str | None
    sender: str
    recipient: str
    body: str
    segments: str
    media_count: int
    received: int
    """Milliseconds since the epoch; the log has whole seconds."""

    @property
    def contact(self) -> str:
        return contact_of(self.sender)

    def parameters(self, service_sid: str | None, media: list[tuple[str, str]]) -> dict[str, str]:
        """Return the parameters of its webhook, but for the contact's place, which the log does not have."""
        service_sid = self.service_sid or service_sid
        return {
            **dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid"), self.sid),
            "AccountSid": self.account_sid,
            **({"MessagingServiceSid": service_sid} if service_sid else {}),
            "From": self.sender,
            "To": self.recipient,
            "Body": self.body,
            "NumSegments": self.segments,
            "NumMedia": str(len(media)),
            **{f"MediaUrl{index}": url for index, (url, _) in enumerate(media)},
            **{f"MediaContentType{index}": kind for index, (_, kind) in enumerate(media)},
        }


class ErasureResult(StrEnum):
    """What became of a message that was to be erased."""

    DELETED = "deleted"
    REDACTED = "text and media deleted"
    GONE = "not there"
    NOT_FINAL = "not final yet"
    """Twilio refuses it until the message has its final status, for up to 14 days (facts 11)."""


class MessageLog:
    """Reads and erases the log of one account, with pauses between the requests; every method blocks.

    Args:
        client: Twilio's.
        account_sid: the account.
        base_url: ``TWILIO_API_BASE_URL``, which the URLs of media begin with; empty for Twilio's own.
        pause: seconds between two requests.
        sleep: waits; raises where the reading is to end.

    """

    def __init__(
        self,
        client: Client,
        account_sid: str,
        base_url: str = "",
        pause: float = 0.1,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._account = account_resource(client, account_sid)
        self._alerts = monitor_resource(client).child("Alerts")
        self._base_url = base_url or "https://api.twilio.com"
        self._pause = pause
        self._sleep = sleep

    def inbound(self, number: str, since: int) -> Iterator[list[LoggedMessage]]:
        """Yield the messages to a number page by page, the newest first.

        Args:
            number: one of the account's.
            since: milliseconds since the epoch.

        Raises:
            ApiError: when a page cannot be read.

        """
        filters = {"To": number, "DateSent>": _iso(since)}
        for page in self._pages(self._account.child("Messages.json"), filters):
            messages = [_parse(record) for record in page if record.direction == "inbound"]
            yield [message for message in messages if message and message.received >= since]

    def sids_of(self, contact: str) -> list[str]:
        """Return the sids of all messages from and to a contact, by SMS, MMS and RCS. Raises `ApiError`."""
        addresses = [contact, f"rcs:{contact}"] if contact.startswith("+") else [contact]
        found = (
            str(record.sid)
            for address in addresses
            for direction in ("From", "To")
            for page in self._pages(self._account.child("Messages.json"), {direction: address})
            for record in page
        )
        return list(dict.fromkeys(found))

    def erase(self, sid: str, *, keep_record: bool) -> ErasureResult:
        """Delete a message with its media, or with ``keep_record`` its text and media alone (facts 11).

        Raises:
            ApiError: when Twilio fails, or refuses it for another reason than that it is not final.

        """
        message = self._account.child(f"Messages/{sid}")
        try:
            for page in self._pages(message.child("Media.json"), {}):
                for media in page:
                    self._request(message.child(f"Media/{media.sid}.json").delete)
            one = self._account.child(f"Messages/{sid}.json")
            self._request((lambda: one.update({"Body": ""})) if keep_record else one.delete)
        except ApiError as error:
            if error.failure.kind is FailureKind.NOT_FOUND:
                return ErasureResult.GONE
            if error.failure.code == _NOT_FINAL:
                return ErasureResult.NOT_FINAL
            raise
        return ErasureResult.REDACTED if keep_record else ErasureResult.DELETED

    def media(self, message: LoggedMessage) -> list[tuple[str, str]]:
        """Return the URL and the content type of each of a message's media. Raises `ApiError`."""
        if not message.media_count:
            return []
        pages = self._pages(self._account.child(f"Messages/{message.sid}/Media.json"), {})
        return [
            (f"{self._base_url}{str(record.uri).removesuffix('.json')}", str(record.content_type))
            for page in pages
            for record in page
        ]

    def webhook_errors(self, since: int) -> dict[str, str]:
        """Return why webhooks have failed since a time, by the sid of their message. Raises `ApiError`.

        Of several errors of a message it is the first: later ones are about the fallback URL.
        """
        filters = {"LogLevel": "error", "StartDate": _iso(since)}
        return {
            str(alert.resource_sid): describe_webhook_error(str(alert.error_code))
            for page in self._pages(self._alerts, filters)  # the newest first
            for alert in page
            if re.fullmatch(_WEBHOOK_ERROR, str(alert.error_code))
        }

    def _pages(self, resource: ApiResource, filters: Mapping[str, str]) -> Iterator[Any]:
        page = self._request(lambda: resource.page(page_size=PAGE_SIZE, **filters))
        for _ in range(MAX_PAGES):
            yield page
            page = self._request(page.next_page)
            if page is None:
                return
        sentence = f"Twilio's API returned more than {MAX_PAGES} pages"
        raise ApiError(ApiFailure(FailureKind.UNREADABLE, None, None, sentence))

    def _request(self, request: Callable[[], _Result]) -> _Result:
        for attempt in range(MAX_ATTEMPTS):
            self._sleep(self._pause)
            try:
                with api_errors():
                    return request()
            except ApiError as error:
                kind, has_response = error.failure.kind, error.failure.status is not None
                may_pass = kind in {FailureKind.RATE_LIMITED, FailureKind.UNAVAILABLE}
                if not may_pass or attempt == (MAX_ATTEMPTS - 1 if has_response else 1):
                    raise
                self._sleep(2.0**attempt)
        raise AssertionError("the last attempt returns or raises")


def describe_webhook_error(code: str) -> str:
    """Return an error of Twilio's about a webhook for people."""
    meaning = _MEANINGS.get(code)
    return f"error {code} ({meaning})" if meaning else f"error {code}"


def _parse(record: ApiRecord) -> LoggedMessage | None:
    """Return None for a record without what a webhook has at least."""
    values = [getattr(record, name) for name in ("sid", "account_sid", "from", "to", "date_sent")]
    if not all(isinstance(value, str) and value for value in values):
        return None
    sid, account_sid, sender, recipient, date_sent = values
    return LoggedMessage(
        sid,
        account_sid,
        record.messaging_service_sid or None,
        sender,
        recipient,
        record.body or "",
        str(record.num_segments or 1),
        int(record.num_media or 0),
        int(parsedate_to_datetime(date_sent).timestamp() * 1000),
    )


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
