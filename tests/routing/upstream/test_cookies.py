"""Which cookies are sent to an upstream, and how long they are stored."""

from __future__ import annotations

from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.routing.upstream.cookies import Cookie, CookieJar, CookieStore
from sms_router.store.keys import bucket_of
from sms_router.twilio.webhook_url import WebhookUrl
from tests.routing.workers import worker
from tests.store.private_valkey import PrivateValkey

NOW = 1_700_000_000.0
CONTACT, NUMBER = "+14155550123", "12345"
HOME = WebhookUrl.parse("https://votes.example.com/a/sms")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


def jar(*lines: str, url: WebhookUrl = HOME, clock: Clock | None = None) -> CookieJar:
    """Return a jar with the cookies of these ``Set-Cookie`` headers."""
    cookies = CookieJar(clock=clock or Clock())
    for line in lines:
        cookies.update(SimpleCookie(line), url)
    return cookies


TIMES = st.one_of(
    st.text(max_size=20),
    st.from_regex(r"\A[-+]{0,3}[0-9]{1,400}\Z"),
    st.from_regex(r"\A(Fri, )?[0-9]{1,2}[- ](Jan|Dec)[- ][0-9]{1,20} [0-9:]{1,8} (GMT|[-+][0-9]{1,20})?\Z"),
)


@example("--1", "")
@example("", "Mon, 01 Jan 0001 00:00:00 +2359")
@example("", "Fri, 31 Dec 9999 23:59:59 +" + "9" * 400)
@given(TIMES, TIMES)
def test_a_cookie_with_any_expiry_is_stored_or_ignored(max_age: str, expires: str) -> None:
    cookies = SimpleCookie({"a": "1"})
    # Patched Pythons have a Morsel refuse control characters. The HTTP client does not check, as here.
    dict.update(cookies["a"], {"max-age": max_age, "expires": expires})
    updated = CookieJar(clock=Clock())
    updated.update(cookies, HOME)
    assert updated.header(HOME) in ("a=1", "")


@pytest.mark.parametrize(
    ("line", "url", "header"),
    [
        ("a=1", "https://votes.example.com/a/sms", "a=1"),
        ("a=1", "https://votes.example.com/a/other", "a=1"),
        ("a=1", "https://votes.example.com/b", ""),
        ("a=1; Path=/", "https://votes.example.com:8443/b", "a=1"),
        ("a=1; Path=/b", "https://votes.example.com/bc", ""),
        ("a=1; Path=/", "https://other.example.com/", ""),
        ("a=1; Path=/; Domain=example.com", "https://other.example.com/", ""),
        ("a=1; Path=/; Secure", "http://votes.example.com/", ""),
        ("a=1; Path=/; Secure", "https://votes.example.com/", "a=1"),
        ("a=1; Path=/; Max-Age=10", "https://votes.example.com/", "a=1"),
        ("a=1; Path=/; Max-Age=0", "https://votes.example.com/", ""),
        ("a=1; Path=/; Max-Age=-1", "https://votes.example.com/", ""),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://votes.example.com/", ""),
        ("a=1; Path=/; Expires=Thu, 01-Jan-2099 00:00:00 GMT", "https://votes.example.com/", "a=1"),
        ("a=1; Path=/; Expires=never", "https://votes.example.com/", "a=1"),
        ("a=" + "x" * 5000 + "; Path=/", "https://votes.example.com/", ""),
    ],
)
def test_a_cookie_is_sent_to_its_host_and_path(line: str, url: str, header: str) -> None:
    assert jar(line).header(WebhookUrl.parse(url)) == header


def test_cookies_are_replaced_deleted_bounded_and_expire() -> None:
    clock = Clock()
    assert jar("a=1", "b=2", "a=3").header(HOME) == "b=2; a=3"
    assert jar("a=1", "a=; Max-Age=0").header(HOME) == ""
    many = jar(*(f"c{number}={number}" for number in range(35)), clock=clock)
    assert len(many.header(HOME).split("; ")) == 30
    short = jar("a=1; Max-Age=60", clock=clock)
    clock.seconds += 61
    assert short.header(HOME) == ""


def test_only_a_new_value_is_a_change() -> None:
    stored = CookieJar([Cookie("votes.example.com", "/", "a", "1")], Clock())
    stored.update(SimpleCookie("a=1; Path=/"), HOME)
    assert not stored.has_changed
    stored.update(SimpleCookie("a=2; Path=/"), HOME)
    assert stored.has_changed


async def test_cookies_are_kept_for_four_hours_after_the_last_text(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path
) -> None:
    key = bucket_of(CONTACT).cookies(CONTACT, NUMBER)
    async with worker(valkey_url, tmp_path) as one:
        cookies = CookieStore(one.store)
        await cookies.save(CONTACT, NUMBER, CookieJar())
        assert not valkey.exists(key), "nothing is stored without cookies"
        await cookies.save(CONTACT, NUMBER, jar("a=1; Path=/"))
        valkey.pexpire(key, 1000)
        assert (await cookies.load(CONTACT, NUMBER)).header(HOME) == "a=1"
        assert 14_340 < valkey.ttl(key) <= 14_400
        assert (await cookies.load(CONTACT, "54321")).header(HOME) == ""
        valkey.set(key, b"\xff not ours")
        assert (await cookies.load(CONTACT, NUMBER)).header(HOME) == ""


async def test_cookies_are_kept_in_memory_while_redis_is_unavailable(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    clock = Clock()
    async with worker(private_valkey.url, tmp_path) as one:
        cookies = CookieStore(one.store, clock)
        private_valkey.kill()
        await cookies.save(CONTACT, NUMBER, jar("a=1; Path=/"))
        assert (await cookies.load(CONTACT, NUMBER)).header(HOME) == "a=1"
        clock.seconds += 14_400
        assert (await cookies.load(CONTACT, NUMBER)).header(HOME) == ""
