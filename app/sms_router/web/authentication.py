"""Verifies the signature of each webhook before anything else reads it, and logs why one does not match."""

from __future__ import annotations

import logging
from typing import NamedTuple

from starlette.types import Receive, Scope

from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.twilio.signature import SignatureVerdict, SignatureVerifier, SignedRequest
from sms_router.twilio.signature_diagnosis import describe_redirect, diagnose, has_no_parameters
from sms_router.web import metrics
from sms_router.web.http import MAX_BODY_BYTES, Headers, Rejection, is_form, read_body, read_headers
from sms_router.web.rejections import RejectionLog

log = logging.getLogger("sms_router.gate")

MAX_DIAGNOSES_PER_SECOND = 3


class VerifiedRequest(NamedTuple):
    """A request of Twilio, or one that ``signature = "warn"`` lets through."""

    raw: bytes
    """The parameters as received: the body of a POST, the query of a GET."""
    parameters: dict[str, str]
    """The first value of each name."""
    description: str = "a signed request"
    """For the log: ``signature = "warn"`` lets in requests with a wrong signature or none."""


class WebhookAuthenticator:
    """Reads webhooks and verifies their signatures.

    Args:
        verifier: checks signatures.
        rejections: counts what is refused.
        enforce: whether a wrong signature is refused, not only logged and counted.

    """

    def __init__(self, verifier: SignatureVerifier, rejections: RejectionLog, *, enforce: bool) -> None:
        self.rejections = rejections
        self._verifier = verifier
        self._enforce = enforce
        self._second = 0
        self._diagnoses = 0
        accounts = tuple(verifier.credentials)
        self._only_account = accounts[0] if len(accounts) == 1 else ""

    async def authenticate(self, scope: Scope, receive: Receive) -> VerifiedRequest | Rejection:
        """Return the parameters of a webhook, or why it is refused."""
        headers = read_headers(scope)
        method = scope["method"]
        raw: bytes | Rejection = Rejection.WRONG_METHOD
        if method == "POST":
            is_readable = is_form(headers) or _has_lost_its_form(headers)
            raw = await read_body(headers, receive) if is_readable else Rejection.WRONG_MEDIA_TYPE
        elif method == "GET":
            query = scope["query_string"]
            raw = query if len(query) <= MAX_BODY_BYTES else Rejection.TOO_LARGE
        if isinstance(raw, Rejection):
            return raw
        try:
            pairs = parse_form(raw)
        except MalformedFormError:
            return Rejection.MALFORMED
        parameters = first_values(pairs)
        settings = headers.get(b"x-twilio-webhooks-signature-settings")
        signed = SignedRequest(
            scope.get("raw_path") or scope["path"].encode(),
            scope["query_string"],
            pairs if method == "POST" else (),
            headers.get(b"x-twilio-signature", b"").decode("latin-1"),
            None,
            settings.decode("latin-1") if settings else None,
            headers.get(b"host", b"").decode("latin-1"),
            method,
        )
        account_sid = parameters.get("AccountSid") or self._only_account
        verdict = self._verifier.verify(signed, account_sid)
        if verdict.is_valid:
            if "AccountSid" not in parameters and has_no_parameters(signed):
                self._log_redirect(method)
                return Rejection.MALFORMED
            return VerifiedRequest(raw, parameters)
        self._log_diagnosis(signed, account_sid, verdict)
        if self._enforce:
            return Rejection.BAD_SIGNATURE
        metrics.UNSIGNED.labels(verdict.name.lower()).inc()
        kind = "an unverified request" if signed.signature else "an unsigned request"
        return VerifiedRequest(raw, parameters, kind)

    def _log_diagnosis(self, signed: SignedRequest, account_sid: str, verdict: SignatureVerdict) -> None:
        if not self._may_log():
            return
        kind = "a request" if signed.signature else "an unsigned request"
        result = "refused" if self._enforce else 'would be refused (signature = "warn" lets it in)'
        sentence, diagnosis = verdict.sentence, diagnose(self._verifier, signed, account_sid)
        reason = diagnosis if diagnosis.startswith(sentence) else f"{sentence}; {diagnosis}"
        log.warning("%s %s: %s", kind, result, reason)
        if self._enforce:
            self.rejections.record_reason(Rejection.BAD_SIGNATURE.word, reason)

    def _log_redirect(self, method: str) -> None:
        """Log why a signed request has no parameters; without several accounts its signature is valid."""
        reason = describe_redirect(self._verifier, method)
        self.rejections.record_reason(Rejection.MALFORMED.word, reason)
        if self._may_log():
            log.warning("a signed request is refused: %s", reason)

    def _may_log(self) -> bool:
        """Bound the log lines and their cost, so that a flood of forged requests stays cheap."""
        second = int(self.rejections.clock())
        if second != self._second:
            self._second, self._diagnoses = second, 0
        self._diagnoses += 1
        return self._diagnoses <= MAX_DIAGNOSES_PER_SECOND


def _has_lost_its_form(headers: Headers) -> bool:
    """Return whether a POST of Twilio's has no body, so that its media type does not matter."""
    is_empty = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers
    return is_empty and b"x-twilio-signature" in headers
