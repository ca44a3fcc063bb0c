"""What the commands that speak with Twilio share: the Service, its errors, and changes with consequences."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sms_router.checks.error_advice import advise
from sms_router.cli.context import settings_for_command, store_client, store_url
from sms_router.cli.output import CommandError, command_line, plain, print_error, stderr, stdout
from sms_router.config.settings import Settings
from sms_router.membership import audit_log as journal
from sms_router.membership.admin import ServiceAdmin
from sms_router.membership.audit_log import AuditOutcome
from sms_router.membership.membership import Membership
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_store import SharedStateError
from sms_router.membership.source import PoolReadError, ServiceSource, twilio_source
from sms_router.store.redis_py import CLIENT_ERRORS, async_client
from sms_router.twilio.rest import ApiError, build_client

if TYPE_CHECKING:
    from twilio.rest import Client

_Result = TypeVar("_Result")

OfService = Annotated[
    str | None,
    typer.Option("--service", metavar="MG...", help="The Messaging Service, when there are several."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_MAY_BE_DONE = "It may have been done all the same: look before you repeat it."


@dataclass(frozen=True, slots=True)
class ServiceAccess:
    """What a command needs to work on one Service."""

    settings: Settings
    resources: ServiceAdmin
    source: ServiceSource

    @property
    def service_sid(self) -> str:
        """The Service's sid."""
        return self.resources.service_sid


def operation(service_sid: str | None) -> ServiceAccess:
    """Return the operation on the Service that was named, or on the only one.

    Raises:
        CommandError: when there is none, or several and none was named.

    """
    settings = settings_for_command()
    return operation_on(settings, chosen_service(settings, service_sid))


def operation_on(settings: Settings, service_sid: str) -> ServiceAccess:
    """Return the operation on a configured Service."""
    service = settings.service(service_sid)
    assert service is not None, "it was chosen among those that are configured"
    source = twilio_source(
        service.account,
        settings.account(service.account).tokens[0],
        service.sid,
        base_url=settings.twilio.api_base_url,
        refresh_after=service.refresh_after,
        timeout=settings.twilio.timeout,
    )
    client = client_for(settings, service.account)
    return ServiceAccess(settings, ServiceAdmin(client, service.account, service.sid), source)


def client_for(settings: Settings, account_sid: str) -> Client:
    """Return Twilio's client for a configured account."""
    token = settings.account(account_sid).tokens[0]
    return build_client(account_sid, token, settings.twilio.api_base_url, settings.twilio.timeout)


def chosen_service(settings: Settings, service_sid: str | None) -> str:
    """Return the sid of the Service that was named, or of the only one.

    Raises:
        CommandError: when there is none, or several and none was named.

    """
    sids = [service.sid for service in settings.services]
    if not sids:
        raise CommandError(
            "No Messaging Service is configured.",
            "Name yours: export TWILIO_MESSAGING_SERVICE_SID=MG...",
        )
    if service_sid is None and len(sids) > 1:
        raise CommandError(
            "There are several Messaging Services; say which one.",
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


def ask(settings: Settings, what: str, call: Callable[[], _Result]) -> _Result:
    """Make a call to Twilio, and show meanwhile what is being done.

    Raises:
        CommandError: when it fails, with the code, its meaning and its remedy.

    """
    try:
        with stderr.status(f"{what} ..."):
            return call()
    except ApiError as error:
        raise api_error(settings, error) from error


def api_error(settings: Settings, error: ApiError | PoolReadError) -> CommandError:
    """Return the message about a failed call."""
    hints = []
    if settings.twilio.api_base_url and error.failure.status is None:
        hints = [f"Calls go to {settings.twilio.api_base_url}; is the sandbox running? Start it: make run"]
    return CommandError(advise(error.failure), *hints)


def apply_change(
    operation: ServiceAccess, action: str, subject: str, detail: str, call: Callable[[], _Result]
) -> _Result:
    """Change something at Twilio, record who did it, and tell every router at once.

    Without Redis nothing is changed, since nobody could be told.

    Raises:
        CommandError: when Redis does not answer, or Twilio refuses.

    """
    settings, service_sid = operation.settings, operation.service_sid
    with store_url(settings) as url, store_client(settings) as client:
        try:
            with stderr.status("Changing it at Twilio ..."):
                result = call()
        except ApiError as error:
            told = api_error(settings, error)
            if not error.failure.may_have_been_processed:
                raise told from error
            with _told_if_lost("No answer came, so Twilio may have made the change"):
                journal.record(client, service_sid, action, subject, detail, AuditOutcome.UNKNOWN)
            _tell_routers(operation, url)
            raise CommandError(*told.lines, _MAY_BE_DONE) from error
        with _told_if_lost("Twilio has made the change"):
            journal.record(client, service_sid, action, subject, detail)
        _tell_routers(operation, url)
        return result


def read_everywhere(operation: ServiceAccess, url: str) -> Snapshot:
    """Read the Service from Twilio now, and hand it to every router at once.

    Raises:
        MembershipError: when Twilio cannot be read.
        SharedError: when Redis does not serve.

    """

    async def read() -> Snapshot:
        async with async_client(url, connect_within=5) as client:
            return await Membership([operation.source], client).refresh_after_change(operation.service_sid)

    return asyncio.run(read())


def print_line(sentence: str) -> None:
    """Tell people what was done."""
    stdout.print(plain(sentence), soft_wrap=True)


def _tell_routers(operation: ServiceAccess, url: str) -> None:
    try:
        with stderr.status("Telling the routers ..."):
            read_everywhere(operation, url)
    except PoolReadError as error:
        print_error(f"The routers know of the change and will read it themselves; for now {error}.")
    except SharedStateError as error:
        print_error(
            f"The routers could not be told: {error}. They look for themselves within"
            f" {operation.source.refresh_after:.0f} seconds."
        )


@contextlib.contextmanager
def _told_if_lost(what: str) -> Iterator[None]:
    try:
        yield
    except CLIENT_ERRORS as error:
        print_error(f"{what}, but it could not be journaled: {type(error).__name__}.")
