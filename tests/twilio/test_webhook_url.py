"""URLs of other applications: what is called, what is signed, and what people see of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.webhook_url import WebhookUrl


@pytest.mark.parametrize(
    ("text", "called", "origin", "shown"),
    [
        ("https://a.example", "https://a.example/", "https://a.example", "a.example/"),
        ("HTTPS://A.Example/Sms", "https://a.example/Sms", "https://a.example", "a.example/Sms"),
        ("https://a.example:443/x", "https://a.example:443/x", "https://a.example", "a.example/x"),
        ("http://a.example:8001/x", "http://a.example:8001/x", "http://a.example:8001", "a.example:8001/x"),
        ("https://u:p@a.example/x?k=v#rc=2", "https://a.example/x?k=v", "https://a.example", "a.example/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x", "http://[::1]", "[::1]/x"),
        (
            "https://a.example/é?q=ü%20",
            "https://a.example/%C3%A9?q=%C3%BC%20",
            "https://a.example",
            "a.example/%C3%A9",
        ),
    ],
)
def test_what_is_called_and_what_is_shown(text: str, called: str, origin: str, shown: str) -> None:
    url = WebhookUrl.parse(text)
    assert (url.called, url.origin, str(url)) == (called, origin, shown)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "must begin with https://"),
        ("a.example/sms", "must begin with https://"),
        ("ftp://a.example", "must begin with https://"),
        ("https:///sms", "must begin with https://"),
        ("https://a.example/a b", "must have no blanks"),
        ("https://a.example/\n", "must have no blanks"),
        ("https://a.example/" + "x" * 4000, "at most 4000 characters"),
        ("https://a.example:port/", "has a wrong port"),
        ("https://a.example:99999/", "has a wrong port"),
        ("https://[::1/", "has a wrong port"),
        ("https://a[::1]/", "brackets without an address"),
        ("https://[::1]a/", "brackets without an address"),
        ("https://a,[::1]:80/", "brackets without an address"),
        ("https://[v1.a]/", "brackets without an address"),
        ("https://a.example:0/", "has no host that can be called"),
        ("https://bücher.example/", "write an international one as xn--"),
        ("https://user@/x", "has no host that can be called"),
    ],
)
def test_what_cannot_be_called_is_told_without_repeating_it(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        WebhookUrl.parse(text)


@pytest.mark.parametrize(
    ("reference", "called", "keeps_credentials"),
    [
        ("", "https://a.example/b/c?d=e", True),
        ("f", "https://a.example/b/f", True),
        ("/f?g", "https://a.example/f?g", True),
        ("https://A.example:443/f", "https://a.example:443/f", True),
        ("http://a.example/f", "http://a.example/f", False),
        ("//other.example/f", "https://other.example/f", False),
    ],
)
def test_links_are_followed_and_credentials_stay_at_home(
    reference: str, called: str, keeps_credentials: bool
) -> None:
    url = WebhookUrl.parse("https://u:p@a.example/b/c?d=e").join(reference)
    assert url.called == called
    assert (url.credentials is not None) is keeps_credentials


_USERINFO = st.text(st.characters(exclude_characters="/?#\\"), max_size=12)
"""What ends the host would make a path of the secret."""


@given(_USERINFO, _USERINFO)
def test_secrets_are_in_no_text_that_is_made_of_it(user: str, word: str) -> None:
    try:
        url = WebhookUrl.parse(f"https://x{user}:secret{word}@a.example/x?key=secret")
    except ValueError as error:
        assert "secret" not in str(error)
    else:
        assert "secret" not in f"{url} {url!r}"
