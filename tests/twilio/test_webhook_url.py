"""URLs of other applications: how they are parsed, requested and displayed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.webhook_url import WebhookUrl


@pytest.mark.parametrize(
    ("text", "called", "origin", "displayed"),
    [
        ("https://a.example", "https://a.example/", "https://a.example", "a.example/"),
        ("HTTPS://A.Example/Sms", "https://a.example/Sms", "https://a.example", "a.example/Sms"),
        ("https://a.example:443/x", "https://a.example:443/x", "https://a.example", "a.example/x"),
        ("http://a.example:8001/x", "http://a.example:8001/x", "http://a.example:8001", "a.example:8001/x"),
        ("https://u:p@a.example/x?k=v#rc=2", "https://a.example/x?k=v", "https://a.example", "a.example/x"),
        ("https://u@[::1]/x", "https://[::1]/x", "https://[::1]", "[::1]/x"),
        ("https://a.example/a;b=(c)@d,e", "https://a.example/a;b=(c)@d,e", "https://a.example",
         "a.example/a;b=(c)@d,e"),
        ("http://[::1]:80/x", "http://[::1]:80/x", "http://[::1]", "[::1]/x"),
        ("https://a.example/é?q=ü%20", "https://a.example/%C3%A9?q=%C3%BC%20", "https://a.example",
         "a.example/%C3%A9"),
    ],
)  # fmt: skip
def test_a_url_is_parsed(text: str, called: str, origin: str, displayed: str) -> None:
    url = WebhookUrl.parse(text)
    assert (url.called, url.origin, str(url)) == (called, origin, displayed)


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
def test_an_invalid_url_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        WebhookUrl.parse(text)


def test_a_url_of_4000_characters_is_accepted() -> None:
    assert len(WebhookUrl.parse("https://a.example/".ljust(4000, "x")).called) == 4000


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [("", None), ("u@", "Basic dTo="), ("u:@", "Basic dTo="), ("u:p%40@", "Basic dTpwQA==")],
)
def test_a_user_name_and_a_password_are_sent_as_a_header(userinfo: str, credentials: str | None) -> None:
    assert WebhookUrl.parse(f"https://{userinfo}a.example/x").credentials == credentials


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
def test_a_link_keeps_the_credentials_on_the_same_origin_only(
    reference: str, called: str, keeps_credentials: bool
) -> None:
    url = WebhookUrl.parse("https://u:p@a.example/b/c?d=e").join(reference)
    assert url.called == called
    assert (url.credentials is not None) is keeps_credentials


_USERINFO = st.text(st.characters(exclude_characters="/?#\\"), max_size=12)
"""Without the characters that end the host, behind which the secret would be a path."""


@given(_USERINFO, _USERINFO)
def test_secrets_are_in_no_text_of_the_url(user: str, password: str) -> None:
    try:
        url = WebhookUrl.parse(f"https://x{user}:secret{password}@a.example/x?key=secret")
    except ValueError as error:
        assert "secret" not in str(error)
    else:
        assert "secret" not in f"{url} {url!r}"


@pytest.mark.parametrize(
    ("text", "port", "host", "with_query"),
    [
        ("https://a.example/x", 443, "a.example", "https://a.example/x?k=v"),
        ("http://a.example/x?a=b", 80, "a.example", "http://a.example/x?a=b&k=v"),
        ("http://[::1]:8443/", 8443, "::1", "http://[::1]:8443/?k=v"),
    ],
)
def test_a_url_has_a_port_and_takes_a_query(text: str, port: int, host: str, with_query: str) -> None:
    url = WebhookUrl.parse(text)
    assert (url.port, url.host, url.with_query("k=v"), url.with_query("")) == (port, host, with_query, text)
