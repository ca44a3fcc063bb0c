"""Whether the configured tokens can prove what Twilio sends: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from sms_router.checks.finding import Finding, Severity
from sms_router.membership.admin import AccountState


def inspect_account(account_sid: str, state: AccountState, tokens: Sequence[str]) -> Iterator[Finding]:
    """Return what is wrong with an account or its tokens, the primary one first.

    Only the primary token signs; a new secondary one does not before it is promoted (facts 2.3).
    """
    if state.status != "active":
        yield Finding(
            Severity.ERROR,
            account_sid,
            f"The account is {state.status}: Twilio neither delivers nor sends for it.",
            "See the notice in the Twilio console.",
        )
    if state.signing_token is None or state.signing_token == tokens[0]:
        return
    if state.signing_token in tokens:
        yield Finding(
            Severity.NOTE,
            account_sid,
            "Twilio signs with the secondary token: it was promoted. Requests are proven all the same.",
            "Make it the auth_token (TWILIO_AUTH_TOKEN), and take the old one away.",
        )
        return
    yield Finding(
        Severity.ERROR,
        account_sid,
        "Twilio signs with another token than the configured ones: every request would be refused.",
        "Copy the primary auth token from the Twilio console into TWILIO_AUTH_TOKEN.",
    )


def inspect_public_url(public_url: str, *, configured: bool) -> Iterator[Finding]:
    """Return what keeps Twilio from reaching the router at its public URL."""
    if not configured:
        sentence = (
            f"PUBLIC_URL is not set: signatures are checked over {public_url}, which Twilio never calls."
        )
    elif not _public(public_url):
        sentence = f"PUBLIC_URL is {public_url}, which Twilio cannot reach."
    else:
        return
    remedy = "export PUBLIC_URL=https://sms.example.com, with the name that Twilio calls"
    yield Finding(Severity.ERROR, "PUBLIC_URL", sentence, remedy)


def inspect_callback_host(public_url: str) -> Iterator[Finding]:
    """Return what keeps Twilio from reporting deliveries to the router at its public URL (facts 1.5)."""
    host = urlsplit(public_url).hostname or ""
    if "_" in host:
        yield Finding(
            Severity.ERROR,
            "PUBLIC_URL",
            f"{host} has an underscore, and Twilio takes no such host for status callbacks: late answers are"
            " refused (21609), and nothing is learned of what did not arrive.",
            f"Give the router another name, such as {host.replace('_', '-')}, and set PUBLIC_URL to it.",
        )


def _public(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal"))
