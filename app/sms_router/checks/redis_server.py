"""What a Redis server cannot keep, by its INFO: one finding with its own remedy for each reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sms_router.checks.finding import Finding, Severity

SUBJECT = "redis"

MIN_VERSION = (6, 2)
"""The first with exclusive ranges of streams, which the scripts use."""

_NO_EVICTION = "noeviction"


def check_servers(servers: Sequence[Mapping[str, object]], save: str | None) -> Iterator[Finding]:
    """Check the servers of a deployment.

    Args:
        servers: what INFO returns, of each node.
        save: the setting of the same name; None where the user may not read it.

    """
    for version in sorted({str(server.get("redis_version", "")) for server in servers}):
        if version and _parse(version) < MIN_VERSION:
            sentence = f"Redis {version} is too old: the router needs 6.2 or later, or Valkey."
            yield Finding(Severity.ERROR, SUBJECT, sentence, "Upgrade the server.")
    if any(server.get("role") == "slave" and not server.get("cluster_enabled") for server in servers):
        yield Finding(
            Severity.ERROR,
            SUBJECT,
            "Redis is a replica, which refuses writes: messages are not journaled, and answered twice.",
            "Name the master in REDIS_URL, or the Sentinels: redis+sentinel://host:26379/MASTER",
        )
    if save == "" and any(str(server.get("aof_enabled")) == "0" for server in servers):
        yield Finding(
            Severity.WARNING,
            SUBJECT,
            "Redis keeps nothing on disk: a restart loses the journal, answers and late replies.",
            "CONFIG SET appendonly yes, and the same in its configuration file",
        )
    policies = {str(server["maxmemory_policy"]) for server in servers if server.get("maxmemory")}
    for policy in sorted(policies - {_NO_EVICTION}):
        evicts_all = policy.startswith("allkeys")
        lost = "opt-outs and answers" if evicts_all else "answers, so that messages are answered twice"
        yield Finding(
            Severity.ERROR,
            SUBJECT,
            f"Redis evicts {lost} when its memory is full: maxmemory-policy is {policy}.",
            f"CONFIG SET maxmemory-policy {_NO_EVICTION}, and the same in its configuration file",
        )


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
