"""The checks of Redis, the data directory and the published rules, for ``sms-router check``."""

from __future__ import annotations

import contextlib
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
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.schema import SchemaError, check_data_dir, check_redis
from sms_router.store.server_check import find_directory_problem, find_problems
from sms_router.store.server_clock import server_time


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check the data directory and a configured Redis: versions, what Redis loses, the user's rights."""
    yield from _find_other_schema(settings)
    problems = {"data directory": [*find_directory_problem(settings.router.data_dir)]}
    if settings.redis.url:
        problems["redis"] = find_problems(settings.redis.url)
    for subject, found in problems.items():
        for problem in found:
            severity = Severity.ERROR if problem.is_error else Severity.WARNING
            yield Finding(severity, subject, problem.sentence, problem.remedy)


def _find_other_schema(settings: Settings) -> Iterator[Finding]:
    try:
        with contextlib.suppress(OSError):  # reported as a problem of the directory
            check_data_dir(settings.router.data_dir, create=False)
        if settings.redis.url:
            with (
                contextlib.suppress(*CLIENT_ERRORS),  # reported as a problem of Redis
                sync_client(settings.redis.url, 2.0, attempts=1) as client,
            ):
                check_redis(client)
    except SchemaError as error:
        remedy = error.remedy[0].upper() + error.remedy[1:]
        yield Finding(Severity.ERROR, "schema", f"{error.sentence}.", remedy)


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
        remedy = (
            "Look at its log and at its /readyz; it must reach the same Redis and have the same handlers."
        )
        yield Finding(Severity.WARNING, SUBJECT, f"Other rules are in use: {difference}.", remedy)
    if current is None or current.uses_files:
        return
    try:
        differs = read_files(settings.folder) != dict(current.files)
    except PublishError as error:
        yield Finding(Severity.NOTE, SUBJECT, f"{error}.", "It is not in use: a version is published.")
        return
    if differs:
        sentence = f"keywords.toml or its templates differ from version {current.number}, which is in use."
        remedy = "See sms-router keywords diff; publish them: sms-router keywords publish"
        yield Finding(Severity.NOTE, SUBJECT, sentence, remedy)
