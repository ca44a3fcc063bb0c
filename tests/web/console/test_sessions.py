from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.web.console.sessions import LASTS, Sessions

NOW = 1_700_000_000.0
OURS = Sessions("the password")


def test_a_session_is_read_by_every_worker_that_has_the_password() -> None:
    session = OURS.open(NOW)
    assert Sessions("the password").read(session.token, NOW) == session


def test_a_changed_password_ends_all_sessions() -> None:
    assert Sessions("another password").read(OURS.open(NOW).token, NOW) is None


@pytest.mark.parametrize(
    ("later", "good"), [(0, True), (LASTS - 1, True), (LASTS, False), (LASTS * 9, False)]
)
def test_a_session_expires(later: float, good: bool) -> None:
    assert (OURS.read(OURS.open(NOW).token, NOW + later) is not None) is good


@given(st.integers(min_value=0, max_value=200), st.characters())
def test_a_changed_token_is_no_session(place: int, letter: str) -> None:
    token = OURS.open(NOW).token
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or OURS.read(changed, NOW) is None


@given(st.text())
def test_whatever_a_cookie_holds_is_no_session(text: str) -> None:
    assert OURS.read(text, NOW) is None
    assert not OURS.check_csrf(OURS.open(NOW), text)


def test_an_expiry_that_was_put_off_is_no_session() -> None:
    expires, nonce, signature = OURS.open(NOW).token.split(".")
    assert OURS.read(f"{int(expires) + 1}.{nonce}.{signature}", NOW) is None


def test_a_form_belongs_to_one_session() -> None:
    first, second = OURS.open(NOW), OURS.open(NOW)
    assert OURS.check_csrf(first, first.csrf)
    assert not OURS.check_csrf(second, first.csrf)
    assert first.csrf not in first.token


@given(st.text())
def test_only_the_password_is_the_password(text: str) -> None:
    assert OURS.check_password(text) == (text == "the password")
