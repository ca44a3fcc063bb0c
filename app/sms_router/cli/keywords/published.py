"""``sms-router keywords publish``, ``history``, ``diff`` and ``rollback``: versions of the rules in Redis."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

import redis
import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    plain,
    print_json,
    print_line,
    print_table,
    program,
    stdout,
)
from sms_router.cli.rules import load_published_rules
from sms_router.cli.store import store_client
from sms_router.cli.times import format_time
from sms_router.config.settings import Settings
from sms_router.membership.audit_log import current_operator
from sms_router.routing.dispatch.published import (
    PublishedRules,
    PublishError,
    describe_differences,
    publish,
    read_current,
    read_files,
    read_history,
    read_version,
    read_workers,
)
from sms_router.routing.history.timeline import format_iso
from sms_router.store.server_clock import server_time

REPORT_TIMEOUT = 3.0
"""Seconds that a command waits until every worker has reported the new version."""

_POLL_INTERVAL = 0.1

NONE_PUBLISHED = "No version was published; every router uses its own files."

NoteOption = Annotated[str, Option("--note", metavar="TEXT", help="Why; shown in the history.")]


def publish_rules(note: NoteOption = "", as_json: JsonOption = False) -> None:
    """Publish keywords.toml and its templates: every router uses them within a second.

    They are checked first, with the handlers of this configuration; with mistakes nothing is stored. From
    then on this version counts on every replica. A change of the files has no effect until it is published.

    Exits with 1 when there are mistakes, or when somebody else has published meanwhile.
    """
    settings = settings_for_command()
    files = _read_files(settings)
    with store_client(settings) as client:
        current = read_current(client)
        if current is not None and dict(current.files) == files:
            _report(client, current, as_json, f"Nothing has changed since version {current.number}.")
            return
        version = _publish(settings, client, current, files, note, str(settings.folder / "keywords.toml"))
        _report(client, version, as_json, f"Published version {version.number}.")


def show_history(
    limit: Annotated[int, Option(min=1, max=100, help="Maximum number of versions.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the published versions, the newest first: when, by whom and why.

    Exits with 1 when none was published.
    """
    settings = settings_for_command()
    with store_client(settings) as client:
        history = read_history(client)[:limit]
        current = read_current(client)
    in_use = current.number if current is not None else 0
    if as_json:
        print_json([_as_json(version, in_use) for version in history])
    elif history:
        rows = [
            (
                f"{version.number} (in use)" if version.number == in_use else str(version.number),
                format_time(version.at * 1000),
                version.author,
                "the files" if version.uses_files else f"{len(version.files)}",
                version.note,
            )
            for version in history
        ]
        print_table(("version", "published", "by", "files", "note"), rows, optional=["files"])
    else:
        print_line(NONE_PUBLISHED)
    if not history:
        raise typer.Exit(1)


def show_difference(
    old: Annotated[
        int | None, Argument(metavar="[VERSION]", help="A version; default: the one in use.", min=1)
    ] = None,
    new: Annotated[
        int | None, Argument(metavar="[OTHER]", help="Another version; default: the files.", min=1)
    ] = None,
) -> None:
    """Show how the files differ from the published version, or two versions from each other.

    Exits with 1 when they differ.
    """
    settings = settings_for_command()
    with store_client(settings) as client:
        before = _find_current(client) if old is None else _find(client, old)
        after = None if new is None else _find(client, new)
    here = _read_files(settings)
    files = here if after is None or after.uses_files else after.files
    name = f"version {after.number}" if after is not None else str(settings.folder)
    published = here if before.uses_files else before.files
    lines = list(_diff(published, f"version {before.number}", files, name))
    for line in lines:
        colour = {"+": "green", "-": "red"}.get(line[:1], "")
        stdout.print(plain(line, colour), soft_wrap=True)
    if lines:
        raise typer.Exit(1)
    print_line(f"version {before.number} and {name} are the same.")


def roll_back(
    number: Annotated[
        int | None,
        Argument(metavar="[VERSION]", help="The version to go back to; default: the one before.", min=1),
    ] = None,
    to_files: Annotated[
        bool, Option("--to-files", help="Let the files of each replica count again.")
    ] = False,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Go back to an earlier published version, or to the files; that is a new version in the history.

    It is checked first, with the handlers of this configuration. Exits with 1 when it has mistakes, or when
    somebody else has published meanwhile.
    """
    if to_files and number is not None:
        raise CommandError("Give either a version or --to-files.", code=2)
    settings = settings_for_command()
    with store_client(settings) as client:
        current = _find_current(client)
        files: Mapping[str, str] = {}
        target = "the files"
        if not to_files:
            earlier = _find(client, current.number - 1 if number is None else number)
            files, target = earlier.files, f"version {earlier.number}"
        version = _publish(settings, client, current, files, note or f"back to {target}")
        _report(client, version, as_json, f"Published version {version.number}: back to {target}.")


def _read_files(settings: Settings) -> dict[str, str]:
    try:
        return read_files(settings.folder)
    except PublishError as error:
        raise CommandError(str(error)) from error


def _publish(
    settings: Settings,
    client: redis.Redis,
    current: PublishedRules | None,
    files: Mapping[str, str],
    note: str,
    label: str = "",
) -> PublishedRules:
    """Check files and store them; ``label`` stands for keywords.toml in messages to people."""
    number = current.number + 1 if current is not None else 1
    author, now = current_operator(), server_time(client)
    load_published_rules(settings, PublishedRules(number, author, now, note, files), label=label)
    try:
        return publish(client, current, files, author, " ".join(note.split()), now)
    except PublishError as error:
        raise CommandError(str(error)) from error


def _find_current(client: redis.Redis) -> PublishedRules:
    current = read_current(client)
    if current is None:
        raise CommandError(NONE_PUBLISHED, "Publish: sms-router keywords publish")
    return current


def _find(client: redis.Redis, number: int) -> PublishedRules:
    if (version := read_version(client, number)) is not None:
        return version
    if number == 0:
        remedy = f"Use the files again: {program()} keywords rollback --to-files"
        raise CommandError("Version 1 is the first one.", remedy)
    raise CommandError(f"There is no version {number}.", "List them: sms-router keywords history")


def _report(client: redis.Redis, version: PublishedRules, as_json: bool, sentence: str) -> None:
    """Wait until every worker has reported the version, and print which have not."""
    deadline = time.monotonic() + REPORT_TIMEOUT
    while True:
        workers = read_workers(client, server_time(client))
        others = describe_differences(workers, version.identity)
        if not others or time.monotonic() >= deadline:
            break
        time.sleep(_POLL_INTERVAL)
    using = len(workers) - len(others)
    if as_json:
        print_json({**_as_json(version, version.number), "workers": using, "differing": others})
        return
    counted = f"{using} of {len(workers)} running workers use it."
    print_line(sentence)
    print_line(counted if workers else "No router runs; the next one that starts uses it.")
    for other in others:
        print_line(f"warning: {other}")


def _diff(
    before: Mapping[str, str], before_name: str, after: Mapping[str, str], after_name: str
) -> Iterator[str]:
    for path in sorted({*before, *after}):
        old, new = (files.get(path, "").splitlines() for files in (before, after))
        yield from difflib.unified_diff(
            old, new, f"{path} ({before_name})", f"{path} ({after_name})", lineterm=""
        )


def _as_json(version: PublishedRules, in_use: int) -> dict[str, object]:
    return {
        "version": version.number,
        "published": format_iso(int(version.at * 1000)),
        "by": version.author,
        "note": version.note,
        "files": sorted(version.files),
        "in_use": version.number == in_use,
    }
