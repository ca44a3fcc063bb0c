"""The checks of Redis and of the data directory, for ``sms-router check``."""

from __future__ import annotations

from collections.abc import Iterator

from sms_router.checks.finding import Finding, Severity
from sms_router.config.settings import Settings
from sms_router.store.server_check import find_directory_problem, find_problems


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check the data directory, and a configured Redis: what it cannot keep, and the rights of its user."""
    problems = {"data directory": [*find_directory_problem(settings.router.data_dir)]}
    if settings.redis.url:
        problems["redis"] = find_problems(settings.redis.url)
    for subject, found in problems.items():
        for problem in found:
            severity = Severity.ERROR if problem.is_error else Severity.WARNING
            yield Finding(severity, subject, problem.sentence, problem.remedy)
