"""Which cookies go back to an upstream, and how long they are kept."""

from __future__ import annotations

from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st

from sms_router.routing.upstream.cookies import LIFE, MOST_COOKIES, Cookie, CookieJar, CookieStore
from sms_router.store.keys import bucket_of
from sms_router.twilio.webhook_url import WebhookUrl
from tests.routing.workers import worker
from tests.store.private_valkey import PrivateValkey

NOW = 1_700_000_000.0
PERSON, NUMBER = "+14155550123", "12345"
HOME = WebhookUrl.parse("https://votes.example.com/a/sms")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


def jar(*lines: str, url: WebhookUrl = HOME, clock: Clock | None = None) -> CookieJar:
    """Return a jar that has taken in these ``Set-Cookie`` lines."""
    taken = CookieJar(clock=clock or Clock())
    for line in lines:
        taken.take(SimpleCookie(line), url)
    return taken


TIMES = st.one_of(
    st.text(max_size=20),
    st.from_regex(r"\A[-+]{0,3}[0-9]{1,400}\Z"),
    st.from_regex(r"\A(Fri, )?[0-9]{1,2}[- ](Jan|Dec)[- ][0-9]{1,20} [0-9:]{1,8} (GMT|[-+][0-9]{1,20})?\Z"),
)


@example("--1", "")
@example("", "Mon, 01 Jan 0001 00:00:00 +2359")
@example("", "Fri, 31 Dec 9999 23:59:59 +" + "9" * 400)
@given(TIMES, TIMES)
def test_a_cookie_with_any_end_at_all_is_taken_or_left(max_age: str, expires: str) -> None:
    cookies = SimpleCookie({"a": "1"})
    # Patched Pythons have a Morsel refuse control characters. The HTTP client goes round it, as here.
    dict.update(cookies["a"], {"max-age": max_age, "expires": expires})
    taken = CookieJar(clock=Clock())
    taken.take(cookies, HOME)
    assert taken.header(HOME) in ("a=1", "")


@pytest.mark.parametrize(
    ("line", "url", "carried"),
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
def test_a_cookie_goes_back_where_it_belongs(line: str, url: str, carried: str) -> None:
    assert jar(line).header(WebhookUrl.parse(url)) == carried


def test_cookies_are_replaced_deleted_bounded_and_age() -> None:
    clock = Clock()
    assert jar("a=1", "b=2", "a=3").header(HOME) == "b=2; a=3"
    assert jar("a=1", "a=; Max-Age=0").header(HOME) == ""
    many = jar(*(f"c{number}={number}" for number in range(MOST_COOKIES + 5)), clock=clock)
    assert len(many.header(HOME).split("; ")) == MOST_COOKIES
    short = jar("a=1; Max-Age=60", clock=clock)
    clock.seconds += 61
    assert short.header(HOME) == ""


def test_only_what_is_new_is_a_change() -> None:
    kept = CookieJar([Cookie("votes.example.com", "/", "a", "1")], Clock())
    kept.take(SimpleCookie("a=1; Path=/"), HOME)
    assert not kept.changed
    kept.take(SimpleCookie("a=2; Path=/"), HOME)
    assert kept.changed


async def test_they_live_for_four_hours_after_the_last_text(
    valkey_url: str, valkey: redis.Redis, tmp_path: Path
) -> None:
    key = bucket_of(PERSON).cookies(PERSON, NUMBER)
    async with worker(valkey_url, tmp_path) as one:
        cookies = CookieStore(one.store)
        await cookies.keep(PERSON, NUMBER, CookieJar())
        assert not valkey.exists(key), "nothing is kept for those who set none"
        await cookies.keep(PERSON, NUMBER, jar("a=1; Path=/"))
        valkey.pexpire(key, 1000)
        assert (await cookies.of(PERSON, NUMBER)).header(HOME) == "a=1"
        assert LIFE - 60 < valkey.ttl(key) <= LIFE
        assert (await cookies.of(PERSON, "54321")).header(HOME) == ""
        valkey.set(key, b"\xff not ours")
        assert (await cookies.of(PERSON, NUMBER)).header(HOME) == ""


async def test_without_redis_the_worker_remembers(private_valkey: PrivateValkey, tmp_path: Path) -> None:
    clock = Clock()
    async with worker(private_valkey.url, tmp_path) as one:
        cookies = CookieStore(one.store, clock)
        private_valkey.kill()
        await cookies.keep(PERSON, NUMBER, jar("a=1; Path=/"))
        assert (await cookies.of(PERSON, NUMBER)).header(HOME) == "a=1"
        clock.seconds += LIFE
        assert (await cookies.of(PERSON, NUMBER)).header(HOME) == ""
