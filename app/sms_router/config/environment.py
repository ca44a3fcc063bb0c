"""What the environment says, laid over the tables of ``router.toml`` before they are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sms_router.toml import Location, RawTable, format_location

VARIABLES = {
    "PUBLIC_URL": ("router", "public_url"),
    "REDIS_URL": ("redis", "url"),
    "TWILIO_API_BASE_URL": ("twilio", "api_base_url"),
    "HOST": ("server", "host"),
    "PORT": ("server", "port"),
    "WORKERS": ("server", "workers"),
    "SANDBOX_PORT": ("sandbox", "port"),
    "PRIVATE_HOST": ("server", "private_host"),
    "PRIVATE_PORT": ("server", "private_port"),
    "CONSOLE_PASSWORD": ("console", "password"),
}
"""Variables that stand for one key each; those of the credentials make or complete whole tables."""

_SID, _TOKEN, _SECONDARY = "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_SECONDARY"
_SERVICE = "TWILIO_MESSAGING_SERVICE_SID"


@dataclass(slots=True)
class EnvironmentOverlay:
    """The tables of a file, what the environment put into them, and what was wrong with that."""

    file: Path
    tables: RawTable
    environment: Mapping[str, str]
    variables: dict[Location, str] = field(default_factory=dict)
    """Which variable a value came from, by location."""
    reported: set[Location] = field(default_factory=set)
    """Locations whose mistake is reported already, such as ``env:NAME`` without that variable."""
    mistakes: list[str] = field(default_factory=list)

    def apply(self) -> None:
        """Resolve ``env:NAME``, then let the variables win over the file."""
        self.tables = {name: self._resolved(value, (name,)) for name, value in self.tables.items()}
        for variable, (table, key) in VARIABLES.items():
            if value := self.environment.get(variable):
                self._put(self.tables.setdefault(table, {}), (table, key), value, variable)
        self._lay_service(self._lay_account())

    def _resolved(self, value: Any, location: Location) -> Any:
        """Replace every ``env:NAME`` by the variable; only a secondary token may be left unset."""
        if isinstance(value, dict):
            return {name: self._resolved(inner, (*location, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._resolved(inner, (*location, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or not value.startswith("env:"):
            return value
        variable = value.removeprefix("env:")
        self.variables[location] = variable
        if variable not in self.environment and location[-1] != "auth_token_secondary":
            self.reported.add(location)
            self.mistakes.append(
                f"{self.file}: {format_location(location)}: the environment variable {variable} is not set; "
                f"export {variable}=..."
            )
        return self.environment.get(variable, "")

    def _lay_account(self) -> str | None:
        """Make or complete the table of the account that the variables speak of; return its sid."""
        given = self.environment.get
        tables = self.tables.setdefault("accounts", [])
        known = _with_places(tables)
        if sid := given(_SID):
            place, account = next(((n, each) for n, each in known if each.get("sid") == sid), (None, None))
        else:
            place, account = known[0] if len(known) == 1 else (None, None)
        if account is None and sid and not given(_TOKEN):
            self.mistakes.append(f"{_SID}: is set without {_TOKEN}; export {_TOKEN}=...")
        elif account is None and sid and isinstance(tables, list):
            place, account = len(tables), {}
            tables.append(account)
            self._put(account, ("accounts", place, "sid"), sid, _SID)
        elif account is None and not known:
            self._miss_the_account()
        if account is not None:
            for key, variable in (("auth_token", _TOKEN), ("auth_token_secondary", _SECONDARY)):
                if value := given(variable):
                    self._put(account, ("accounts", place or 0, key), value, variable)
        return sid or (known[0][1].get("sid") if known else None)

    def _miss_the_account(self) -> None:
        for variable in (_TOKEN, _SECONDARY, _SERVICE):
            if self.environment.get(variable):
                self.mistakes.append(f"{variable}: is set without {_SID}; export {_SID}=AC...")

    def _lay_service(self, account_sid: str | None) -> None:
        """Add the table of the Service that the variable names, unless the file has it."""
        services = self.tables.setdefault("services", [])
        sid = self.environment.get(_SERVICE)
        if not sid or not account_sid or not isinstance(services, list):
            return
        if all(each.get("sid") != sid for _, each in _with_places(services)):
            service = {"account": account_sid}
            if account_sid == self.environment.get(_SID):  # what is wrong with it is told there
                self.reported.add(("services", len(services), "account"))
            self._put(service, ("services", len(services), "sid"), sid, _SERVICE)
            services.append(service)

    def _put(self, table: Any, location: Location, value: str, variable: str) -> None:
        if isinstance(table, dict):  # what is no table is told when the tables are checked
            table[location[-1]] = value
            self.variables[location] = variable
            self.reported.discard(location)


def contradictions(layers: EnvironmentOverlay) -> list[str]:
    """Say which tables contradict each other, whatever else is wrong with them."""
    accounts, services = (_with_places(layers.tables.get(name)) for name in ("accounts", "services"))
    found = [*_repeated("accounts", accounts), *_repeated("services", services)]
    known = {str(each.get("sid")) for _, each in accounts}
    for place, service in services:
        account = str(service.get("account", ""))
        told = ("services", place, "account") in layers.reported
        if account.startswith("AC") and account not in known and not told:
            found.append(
                f"services[{place + 1}].account: {account} has no [[accounts]] table; "
                "add one with its auth_token"
            )
    return [f"{layers.file}: {each}" for each in found]


def _repeated(name: str, tables: list[tuple[int, RawTable]]) -> list[str]:
    first: dict[str, int] = {}
    found = []
    for place, table in tables:
        sid = table.get("sid")
        if isinstance(sid, str) and first.setdefault(sid, place) != place:
            found.append(
                f"{name}[{place + 1}].sid: {name}[{first[sid] + 1}] has the same one; keep one of them"
            )
    return found


def _with_places(tables: Any) -> list[tuple[int, RawTable]]:
    """Return the tables of a list with their places; nothing for what is no list of tables."""
    listed = tables if isinstance(tables, list) else []
    return [(place, each) for place, each in enumerate(listed) if isinstance(each, dict)]
