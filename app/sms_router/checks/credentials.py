"""Checks of the account, its auth tokens and the public URL; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from sms_router.checks.finding import Finding, Severity
from sms_router.membership.admin import AccountState


def check_account(account_sid: str, state: AccountState, tokens: Sequence[str]) -> Iterator[Finding]:
    """Yield what is wrong with an account or its configured auth tokens, the primary one first.

    Twilio signs with the primary token; a new secondary one does not sign before it is promoted.
    """
    if state.status != "active":
        sentence = f"The account is {state.status}: Twilio delivers and sends no messages for it."
        yield Finding(Severity.ERROR, account_sid, sentence, "See the notice in the Twilio console.")
    if state.signing_token is None or state.signing_token == tokens[0]:
        return
    if state.signing_token in tokens:
        sentence = "Twilio signs with the secondary token, which was promoted. Requests are still verified."
        remedy = "Set auth_token (TWILIO_AUTH_TOKEN) to it, and remove the old token."
        yield Finding(Severity.NOTE, account_sid, sentence, remedy)
        return
    sentence = "Twilio signs with a token that is not configured: every request is refused."
    remedy = "Copy the primary auth token from the Twilio console into TWILIO_AUTH_TOKEN."
    yield Finding(Severity.ERROR, account_sid, sentence, remedy)


def check_public_url(public_url: str, *, configured: bool) -> Iterator[Finding]:
    """Yield what prevents Twilio from reaching the router at its public URL."""
    if not configured:
        sentence = (
            f"PUBLIC_URL is not set: signatures are verified for {public_url}, which Twilio does not call."
        )
    elif not _is_public(public_url):
        sentence = f"PUBLIC_URL is {public_url}, which Twilio cannot reach."
    else:
        return
    remedy = "export PUBLIC_URL=https://sms.example.com, with the host that Twilio calls"
    yield Finding(Severity.ERROR, "PUBLIC_URL", sentence, remedy)


def check_callback_host(public_url: str) -> Iterator[Finding]:
    """Yield what prevents Twilio from sending status callbacks to the public URL."""
    host = urlsplit(public_url).hostname or ""
    if "_" in host:
        yield Finding(
            Severity.ERROR,
            "PUBLIC_URL",
            f"{host} contains an underscore, and Twilio accepts no such host for status callbacks: late"
            " replies are refused (21609), and the router gets no reports of failed deliveries.",
            f"Give the router another host name, such as {host.replace('_', '-')}, and set PUBLIC_URL to it.",
        )


def _is_public(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal"))
