"""Access to a Messaging Service at Twilio for commands: its client, errors, and changes that are audited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from typer import Option

from sms_router.checks.error_advice import advise
from sms_router.cli.context import START_COMMAND, settings_for_command
from sms_router.cli.output import CommandError, command_line, print_error, stderr
from sms_router.cli.store import store_client, store_url
from sms_router.config.settings import Settings
from sms_router.membership import audit_log
from sms_router.membership.admin import ServiceAdmin
from sms_router.membership.audit_log import AuditOutcome
from sms_router.membership.membership import Membership
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_store import SharedStateError
from sms_router.membership.source import PoolReadError, ServiceSource, twilio_source
from sms_router.store.redis_py import CLIENT_ERRORS, async_client
from sms_router.twilio.rest import ApiError

_Result = TypeVar("_Result")

ServiceOption = Annotated[
    str | None,
    Option("--service", metavar="MG...", help="The Messaging Service, if several are configured."),
]
YesOption = Annotated[bool, Option("--yes", "-y", help="Do not ask for confirmation.")]


@dataclass(frozen=True, slots=True)
class ServiceAccess:
    """A configured Service at Twilio."""

    settings: Settings
    admin: ServiceAdmin
    source: ServiceSource

    @property
    def service_sid(self) -> str:
        return self.admin.service_sid

    def read(self) -> Snapshot:
        """Read the Service from Twilio now; the caller reports a PoolReadError."""
        with stderr.status(f"Reading {self.service_sid} from Twilio ..."):
            return self.source.read(time.time())


def open_service(service_sid: str | None) -> ServiceAccess:
    """Load the settings and open the Service with this sid, or the only one."""
    settings = settings_for_command()
    return open_configured_service(settings, choose_service(settings, service_sid))


def open_configured_service(settings: Settings, service_sid: str) -> ServiceAccess:
    service = settings.service(service_sid)
    assert service is not None, "the sid is one of the configured ones"
    account, build = service.account, partial(settings.rest_client, service.account)
    source = twilio_source(build, account, service.sid, service.refresh_after)
    return ServiceAccess(settings, ServiceAdmin(build(), account, service.sid), source)


def choose_service(settings: Settings, service_sid: str | None) -> str:
    """Return the sid, if it is configured, or that of the only Service."""
    sids = [service.sid for service in settings.services]
    if not sids:
        raise CommandError(
            "No Messaging Service is configured.",
            "Configure one: export TWILIO_MESSAGING_SERVICE_SID=MG...",
        )
    if service_sid is None and len(sids) > 1:
        raise CommandError(
            "Several Messaging Services are configured; choose one:",
            *(f"{command_line()} --service {sid}" for sid in sids),
            code=2,
        )
    if service_sid is not None and service_sid not in sids:
        raise CommandError(
            f"{service_sid} is not one of the configured Messaging Services: {', '.join(sids)}.",
            "Add it under [[services]] in router.toml.",
            code=2,
        )
    return service_sid or sids[0]


def call_twilio(settings: Settings, activity: str, call: Callable[[], _Result]) -> _Result:
    """Make a call of Twilio's API, and show ``activity`` while it runs."""
    try:
        with stderr.status(f"{activity} ..."):
            return call()
    except (ApiError, PoolReadError) as error:
        raise api_error(settings, error) from error


def api_error(settings: Settings, error: ApiError | PoolReadError) -> CommandError:
    """Return the error of a failed call, with its remedy."""
    url, advice = settings.twilio.api_base_url, advise(error.failure)
    if not url or error.failure.status is not None:
        return CommandError(advice)
    hint = f"The request went to {url}; is the sandbox running? Start it: {START_COMMAND}"
    return CommandError(advice, hint)


def apply_change(
    service: ServiceAccess,
    action: str,
    subject: str,
    detail: str,
    call: Callable[[], _Result],
    difference: Callable[[_Result], str | None] = lambda _: None,
) -> _Result:
    """Change something at Twilio, record it in the audit log, and refresh every router.

    Without Redis nothing is changed, because the routers could not be notified. ``subject`` is the sid of
    what is changed; ``difference`` returns what the response has other than requested, None for nothing.
    """
    settings, service_sid = service.settings, service.service_sid
    with store_url(settings) as url, store_client(settings) as client:
        try:
            with stderr.status("Changing Twilio ..."):
                result = call()
        except ApiError as error:
            failure = api_error(settings, error)
            if not error.failure.may_have_been_processed:
                raise failure from error
            with _report_audit_failure("Twilio did not respond and may have made the change"):
                audit_log.record(client, service_sid, action, subject, detail, AuditOutcome.UNKNOWN)
            _refresh_routers(service, url)
            raise CommandError(
                *failure.lines, "The change may have been made: check it before you repeat the command."
            ) from error
        missing = difference(result)
        outcome = AuditOutcome.DONE if missing is None else AuditOutcome.UNKNOWN
        with _report_audit_failure("Twilio has made the change"):
            audit_log.record(client, service_sid, action, subject, detail, outcome)
        _refresh_routers(service, url)
        if missing is not None:
            raise CommandError(missing)
        return result


def refresh_everywhere(service: ServiceAccess, url: str) -> Snapshot:
    """Read the Service from Twilio now, and publish the snapshot to every router.

    Raises:
        PoolReadError: when Twilio cannot be read.
        SharedStateError: when Redis is not available.

    """

    async def read() -> Snapshot:
        async with async_client(url, connect_within=5) as client:
            return await Membership([service.source], client).refresh_after_change(service.service_sid)

    return asyncio.run(read())


def _refresh_routers(service: ServiceAccess, url: str) -> None:
    try:
        with stderr.status("Refreshing the routers ..."):
            refresh_everywhere(service, url)
    except PoolReadError as error:
        print_error(f"The routers are notified and will read the change themselves; for now {error}.")
    except SharedStateError as error:
        print_error(
            f"The routers could not be notified: {error}. They read the change themselves within"
            f" {service.source.refresh_after:.0f} seconds."
        )


@contextlib.contextmanager
def _report_audit_failure(what: str) -> Iterator[None]:
    try:
        yield
    except CLIENT_ERRORS as error:
        print_error(f"{what}, but the audit log could not be written: {type(error).__name__}.")
