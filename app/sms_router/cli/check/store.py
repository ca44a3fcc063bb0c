"""The checks of Redis and of the data directory, for ``sms-router check``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sms_router.checks.finding import Finding, Severity
from sms_router.config.settings import Settings
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.schema import SchemaError, check_data_dir, check_redis
from sms_router.store.server_check import find_directory_problem, find_problems


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
