from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.web.console.sessions import Sessions

NOW = 1_700_000_000.0
SESSIONS = Sessions("the password")


def test_a_session_is_read_by_every_worker_that_has_the_password() -> None:
    session = SESSIONS.open(NOW)
    assert Sessions("the password").read(session.token, NOW) == session


def test_a_changed_password_ends_all_sessions() -> None:
    assert Sessions("another password").read(SESSIONS.open(NOW).token, NOW) is None


@pytest.mark.parametrize(("later", "good"), [(0, True), (43_199, True), (43_200, False), (432_000, False)])
def test_a_session_expires(later: float, good: bool) -> None:
    assert (SESSIONS.read(SESSIONS.open(NOW).token, NOW + later) is not None) is good


@given(st.integers(min_value=0, max_value=200), st.characters())
def test_a_changed_token_is_no_session(place: int, letter: str) -> None:
    token = SESSIONS.open(NOW).token
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or SESSIONS.read(changed, NOW) is None


def test_the_cookie_of_a_browser_is_valid_until_the_password_changes() -> None:
    cookie = SESSIONS.new_device()
    assert SESSIONS.is_device(cookie)
    assert not Sessions("another password").is_device(cookie)
    assert not any(
        map(SESSIONS.is_device, ("", ".", cookie[:-1], f"x{cookie}", SESSIONS.open(NOW).token, "é"))
    )


@given(st.text())
def test_an_arbitrary_cookie_is_no_session(text: str) -> None:
    assert SESSIONS.read(text, NOW) is None
    assert not SESSIONS.check_csrf(SESSIONS.open(NOW), text)


def test_a_postponed_expiry_is_no_session() -> None:
    expires, nonce, signature = SESSIONS.open(NOW).token.split(".")
    assert SESSIONS.read(f"{int(expires) + 1}.{nonce}.{signature}", NOW) is None


def test_a_form_belongs_to_one_session() -> None:
    first, second = SESSIONS.open(NOW), SESSIONS.open(NOW)
    assert SESSIONS.check_csrf(first, first.csrf)
    assert not SESSIONS.check_csrf(second, first.csrf)
    assert first.csrf not in first.token


@given(st.text())
def test_a_notice_is_shown_in_the_session_that_signed_it(notice: str) -> None:
    notice = notice.encode("utf-8", "replace").decode()
    first, second = SESSIONS.open(NOW), SESSIONS.open(NOW)
    assert first.read_notice(first.sign_notice(notice)) == notice
    forged = (
        second.sign_notice(notice),
        notice,
        first.sign_notice(notice)[:-1],
        f"x{first.sign_notice(notice)}",
    )
    assert {first.read_notice(cookie) for cookie in forged} == {""}


@given(st.text())
def test_only_the_password_is_accepted(text: str) -> None:
    assert SESSIONS.check_password(text) == (text == "the password")
