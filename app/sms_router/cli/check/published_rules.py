"""The check of the published rules, for ``sms-router check``."""

from __future__ import annotations

from collections.abc import Iterator

from redis.exceptions import RedisError

from sms_router.checks.finding import Finding, Severity
from sms_router.cli.context import store_is_running
from sms_router.cli.output import CommandError
from sms_router.cli.store import store_client
from sms_router.config.settings import Settings
from sms_router.routing.dispatch.published import (
    PublishError,
    describe_differences,
    read_current,
    read_files,
    read_workers,
)
from sms_router.store.server_clock import server_time

SUBJECT = "rules"


def check_published_rules(settings: Settings) -> Iterator[Finding]:
    """Name the published version in use, the workers with other rules, and files that differ from it."""
    if not store_is_running(settings):
        return
    try:
        with store_client(settings) as client:
            current = read_current(client)
            workers = read_workers(client, server_time(client))
    except (CommandError, RedisError):
        return  # reported by check_store
    if current is not None:
        remedy = "List the versions: sms-router keywords history"
        yield Finding(Severity.NOTE, SUBJECT, f"The rules are {current}.", remedy)
    for difference in describe_differences(workers, current.identity if current is not None else ""):
        yield Finding(
            Severity.WARNING,
            SUBJECT,
            f"Other rules are in use: {difference}.",
            "Look at its log and at its /readyz; it must reach the same Redis and have the same handlers.",
        )
    if current is None or current.uses_files:
        return
    try:
        differs = read_files(settings.folder) != dict(current.files)
    except PublishError as error:
        yield Finding(Severity.NOTE, SUBJECT, f"{error}.", "It is not in use: a version is published.")
        return
    if differs:
        yield Finding(
            Severity.NOTE,
            SUBJECT,
            f"keywords.toml or its templates differ from version {current.number}, which is in use.",
            "See sms-router keywords diff; publish them: sms-router keywords publish",
        )
