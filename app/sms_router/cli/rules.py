"""The rules as commands load them: from the files, or the published version."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sms_router.cli.context import store_is_running
from sms_router.cli.output import CommandError, program
from sms_router.cli.store import read_store
from sms_router.config.settings import DEFAULT_FOLDER, DEMO_FOLDER, DEMO_HANDLERS, Settings
from sms_router.errors import ConfigurationError
from sms_router.membership.snapshot import Snapshot
from sms_router.routing.contacts.contact import UNKNOWN, ContactSummary
from sms_router.routing.dispatch.conversation_steps import ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.rule_loader import load_rules as load_keywords
from sms_router.routing.dispatch.ruleset import RuleSetReader
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.events import EventRecorder
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import read_stored_contact
from sms_router.routing.upstream.number_urls import NumberForwards
from sms_router.senders.error_table import load_error_table
from sms_router.senders.pool import Pool, find_pool, own_numbers

if TYPE_CHECKING:
    from sms_router.routing.dispatch.published import PublishedRules


@contextlib.contextmanager
def report_all_errors() -> Iterator[None]:
    """Add the mistakes of the other files to a ConfigurationError of the body.

    Handlers are named in ``router.toml``: conflicts with them are reported once that file is correct.
    """
    try:
        yield
    except ConfigurationError as error:
        folder = Path(os.environ.get("SMS_ROUTER_CONFIG") or DEFAULT_FOLDER)
        if not folder.is_dir():
            raise
        reader = RuleSetReader(folder, HandlerRegistry([], []), frozenset(), ForwardConfig(), TimeZones())
        try:
            reader.read()
        except ConfigurationError as others:
            raise ConfigurationError(list(dict.fromkeys([*error.mistakes, *others.mistakes]))) from error
        raise


def load_rules(
    settings: Settings, forwards: ForwardConfig | None = None, file: Path | None = None
) -> Dispatcher:
    """Load a keywords file (default: keywords.toml), with the handlers and templates of the configuration.

    Raises:
        ConfigurationError: with every mistake in the file and the handlers.

    """
    file = file or settings.folder / "keywords.toml"
    return _load_rules(settings, forwards, file, settings.folder / "templates", str(file))


def event_recorder(settings: Settings, dispatcher: Dispatcher) -> EventRecorder:
    """Return what makes the events of changes that a command stores, for the handlers of the rules."""
    accounts = {service.sid: service.account for service in settings.services}
    return EventRecorder(tuple(dispatcher.events), accounts, settings.router.retention_days)


def load_rules_in_use(settings: Settings, forwards: ForwardConfig | None = None) -> Dispatcher:
    """Load the rules that the routers use: the published version, or else the files."""
    version = published_rules(settings)
    if version is None or version.uses_files:
        return load_rules(settings, forwards)
    return load_published_rules(settings, version, forwards)


def published_rules(settings: Settings) -> PublishedRules | None:
    """Return the published version, from the store or this machine's copy; None for none."""
    # redis-py is slow to import, and the commands about the files need no Redis
    from sms_router.cli.store import store_url  # noqa: PLC0415
    from sms_router.routing.dispatch.published import PublishedRulesFile, read_current  # noqa: PLC0415
    from sms_router.store.redis_py import CLIENT_ERRORS, sync_client  # noqa: PLC0415

    version = None
    if store_is_running(settings):
        with (
            contextlib.suppress(*CLIENT_ERRORS, CommandError),
            store_url(settings) as url,
            sync_client(url, seconds=2, attempts=2) as client,
        ):
            version = read_current(client)
    return version or PublishedRulesFile(settings.router.data_dir).read()


def describe_published(settings: Settings) -> str:
    """Return which published version a router here has last used in place of the files, with the remedy.

    Empty for none. It is read from this machine's copy: a start does not wait for Redis.
    """
    from sms_router.routing.dispatch.published import PublishedRulesFile  # noqa: PLC0415 (as below)

    version = PublishedRulesFile(settings.router.data_dir).read()
    if version is None or version.uses_files:
        return ""
    return (
        f"the rules are {version}. Use the file: {program()} keywords rollback --to-files,"
        f" or publish it: {program()} keywords publish"
    )


def load_published_rules(
    settings: Settings, version: PublishedRules, forwards: ForwardConfig | None = None, label: str = ""
) -> Dispatcher:
    """Load the rules of a published version, as `load_rules` does."""
    if version.uses_files:
        return load_rules(settings, forwards)
    with version.unpacked() as folder:
        file, templates = folder / "keywords.toml", folder / "templates"
        return _load_rules(settings, forwards, file, templates, label or version.label)


def _load_rules(
    settings: Settings, forwards: ForwardConfig | None, file: Path, templates: Path, label: str
) -> Dispatcher:
    """Load rules, whose file is called ``label`` in messages to people.

    Handlers can be modules in the current folder, which follows the libraries in ``sys.path``, so that a
    team's ``queue.py`` does not replace the standard library's, and precedes the handlers of a clone that the
    program runs from. Worker processes inherit the path.
    """
    current_folder, demo = str(Path.cwd()), str(DEMO_HANDLERS.parent)
    if current_folder not in sys.path and "" not in sys.path:
        is_clone = demo in sys.path and demo not in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path.insert(sys.path.index(demo) if is_clone else len(sys.path), current_folder)
    if settings.folder == DEMO_FOLDER:  # first: the current folder may have a package of the same name
        sys.path.insert(0, demo)
    opt_outs = load_opt_out_keywords(settings.folder, settings.twilio_opt_outs)
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints is not the command's output
        handlers = HandlerRegistry.load(
            settings.router.handlers,
            None,
            settings.router.middleware_names,
            ConversationPolicy(**settings.conversations.model_dump()),
        )
    forwards, zones = forwards or ForwardConfig(public_url=settings.public_url), settings.time_zones
    dispatcher = load_keywords(file, templates, handlers, opt_outs, forwards, zones, label=label)
    dispatcher.use_replies(settings.own_replies)
    return dispatcher


def rules_and_pools(
    settings: Settings, snapshots: Iterable[Snapshot]
) -> tuple[Dispatcher, Mapping[str, Pool]]:
    """Load the rules, which know the numbers' own URLs but forward nothing, and the pools by Service sid."""
    by_sid = {snapshot.service_sid: snapshot for snapshot in snapshots}
    pools = {service_sid: snapshot.pool() for service_sid, snapshot in by_sid.items()}
    numbers = NumberForwards(
        lambda service, texted, _: find_pool(pools, service, texted),
        lambda service_sid, sid: by_sid[service_sid].number_urls.get(sid),
        settings.number_urls,
        settings.public_url,
    )
    forwards = ForwardConfig(None, numbers.forward_for, settings.public_url)
    return load_rules_in_use(settings, forwards), pools


def build_composer(settings: Settings, pools: Mapping[str, Pool]) -> Composer:
    """Return what selects senders as a router with these pools would."""
    return Composer(
        lambda service, texted, _: find_pool(pools, service, texted),
        settings.reply_from,
        "",
        own_numbers=own_numbers(pools),
        answer_groups=settings.groups.answer,
    )


def load_contact(
    settings: Settings, scope: str, number: str, at: int
) -> tuple[ContactSummary, StoredConversation | None]:
    """Read what is stored of a contact at a time (milliseconds since the epoch), and their conversation."""
    table = load_error_table(settings.folder)
    nothing = ContactSummary(UNKNOWN, table, at), None
    return read_store(settings, lambda client: read_stored_contact(client, scope, number, table, at), nothing)
