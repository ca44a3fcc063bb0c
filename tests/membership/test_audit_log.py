"""Who has changed what, in a bounded stream."""

from __future__ import annotations

import getpass

import pytest
import redis

from sms_router.membership import audit_log
from sms_router.store.keys import AUDIT_LOG
from tests.store.private_valkey import client_of


@pytest.fixture
def store(valkey_url: str) -> redis.Redis:
    return client_of(valkey_url)


def test_the_newest_change_comes_first_with_who_made_it(store: redis.Redis) -> None:
    with store:
        audit_log.record(store, "MG1", "add", "SC1", "short code 12345")
        audit_log.record(store, "MG1", "remove", "SC1", "short code 12345", audit_log.AuditOutcome.UNKNOWN)
        newest, oldest = audit_log.recent(store, 10)
    assert (oldest.action, oldest.service_sid, oldest.subject, oldest.detail, oldest.outcome) == (
        "add",
        "MG1",
        "SC1",
        "short code 12345",
        audit_log.AuditOutcome.DONE,
    )
    assert newest.outcome is audit_log.AuditOutcome.UNKNOWN
    assert newest.at >= oldest.at > 1_600_000_000
    assert newest.who == oldest.who == getpass.getuser()


def test_the_stream_is_bounded(store: redis.Redis) -> None:
    with store:
        for _ in range(3 * 1000):
            store.xadd(AUDIT_LOG, {"who": "somebody"}, maxlen=1000)
        audit_log.record(store, "MG1", "add", "SC1", "one more")
        assert store.xlen(AUDIT_LOG) < 2 * 1000
        assert audit_log.recent(store, 1)[0].detail == "one more"


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert audit_log.current_operator().startswith("user ")
