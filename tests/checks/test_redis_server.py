"""Each reason why a Redis server loses what the router stores is a finding with its own remedy."""

from __future__ import annotations

import pytest

from sms_router.checks.redis_server import check_servers

GOOD = {"redis_version": "7.2.4", "role": "master", "aof_enabled": 1, "maxmemory": 0}


def test_a_server_that_keeps_everything_has_no_findings() -> None:
    assert list(check_servers([GOOD], "")) == []
    assert list(check_servers([{**GOOD, "aof_enabled": 0}], "3600 1")) == []
    assert list(check_servers([{**GOOD, "aof_enabled": 0}], None)) == []


@pytest.mark.parametrize(
    ("info", "severity", "sentence", "remedy"),
    [
        ({"redis_version": "5.0.14"}, "error", "Redis 5.0.14 is too old", "Upgrade the server"),
        ({"role": "slave"}, "error", "Redis is a replica", "Name the master in REDIS_URL"),
        ({"aof_enabled": 0}, "warning", "Redis keeps nothing on disk", "CONFIG SET appendonly yes"),
        (
            {"maxmemory": 1, "maxmemory_policy": "allkeys-lru"},
            "error",
            "Redis evicts opt-outs and answers",
            "CONFIG SET maxmemory-policy noeviction",
        ),
    ],
)
def test_each_reason_has_its_remedy(
    info: dict[str, object], severity: str, sentence: str, remedy: str
) -> None:
    (finding,) = check_servers([{**GOOD, **info}], "")
    assert finding.severity.value == severity
    assert finding.sentence.startswith(sentence)
    assert finding.remedy.startswith(remedy)
