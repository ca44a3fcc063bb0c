"""Environment variables over the tables of ``router.toml``, before they are validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sms_router.toml import RawTable, format_location, read_toml
from sms_router.toml_positions import Location, format_place

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
    "API_TOKEN": ("api", "token"),
}
"""Variables of one key each; those of the credentials add or complete whole tables."""

_SID, _TOKEN, _SECONDARY = "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_SECONDARY"
_SERVICE = "TWILIO_MESSAGING_SERVICE_SID"

SANDBOX_ACCOUNT = "AC00000000000000000000000000000001"
"""Of a ``sandbox.toml`` that names none, and of the one that is included."""


@dataclass(slots=True)
class EnvironmentOverlay:
    """The tables of a file with the environment variables applied, and the mistakes found on the way."""

    file: Path
    tables: RawTable
    environment: Mapping[str, str]
    variables: dict[Location, str] = field(default_factory=dict)
    """By location, the variable that its value comes from."""
    reported: set[Location] = field(default_factory=set)
    """Locations whose mistake is reported already, such as ``env:NAME`` without the variable."""
    mistakes: list[str] = field(default_factory=list)

    def apply(self) -> None:
        """Resolve ``env:NAME``, then replace values of the file by those of the variables."""
        self.tables = {name: self._resolve(value, (name,)) for name, value in self.tables.items()}
        for variable, (table, key) in VARIABLES.items():
            if value := self.environment.get(variable):
                self._set(self.tables.setdefault(table, {}), (table, key), value, variable)
        self._apply_service(self._apply_account())

    def _resolve(self, value: Any, location: Location) -> Any:
        """Replace every ``env:NAME`` by the variable; only that of a secondary token may be unset."""
        if isinstance(value, dict):
            return {name: self._resolve(inner, (*location, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._resolve(inner, (*location, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or not value.startswith("env:"):
            return value
        variable = value.removeprefix("env:")
        self.variables[location] = variable
        if variable not in self.environment and location[-1] != "auth_token_secondary":
            self.reported.add(location)
            sentence = f"the environment variable {variable} is not set; export {variable}=..."
            self.mistakes.append(self.mistake_at(location, sentence))
        return self.environment.get(variable, "")

    def mistake_at(self, location: Location, sentence: str) -> str:
        """Return a mistake with its place in the file."""
        return f"{format_place(self.file, location)}: {format_location(location)}: {sentence}"

    def _apply_account(self) -> str | None:
        """Add or complete the table of the account in the variables; return its sid."""
        value_of = self.environment.get
        tables = self.tables.setdefault("accounts", [])
        known = _indexed(tables)
        if sid := value_of(_SID):
            matching = [(index, table) for index, table in known if table.get("sid") == sid]
        else:
            matching = known if len(known) == 1 else []
        index, account = matching[0] if matching else (None, None)
        if account is None and sid and not value_of(_TOKEN):
            self.mistakes.append(f"{_SID}: is set without {_TOKEN}; export {_TOKEN}=...")
        elif account is None and sid and isinstance(tables, list):
            index, account = len(tables), {}
            tables.append(account)
            self._set(account, ("accounts", index, "sid"), sid, _SID)
        elif account is None and not known:
            self.mistakes += [
                f"{variable}: is set without {_SID}; export {_SID}=AC..."
                for variable in (_TOKEN, _SECONDARY, _SERVICE)
                if value_of(variable)
            ]
        if account is not None:
            for key, variable in (("auth_token", _TOKEN), ("auth_token_secondary", _SECONDARY)):
                if value := value_of(variable):
                    self._set(account, ("accounts", index or 0, key), value, variable)
        return sid or (known[0][1].get("sid") if known else None)

    def _apply_service(self, account_sid: str | None) -> None:
        """Add the table of the Service in the variable, unless the file has it."""
        services = self.tables.setdefault("services", [])
        if not isinstance(services, list):
            return
        if not _indexed(self.tables.get("accounts")):
            account_sid = self.sandbox_account
        for _, table in _indexed(services) if account_sid == self.sandbox_account else ():
            table.setdefault("account", account_sid)
        for sid in service_sids(self.environment) if account_sid else ():
            if all(table.get("sid") != sid for _, table in _indexed(services)):
                service = {"account": account_sid}
                if account_sid == self.environment.get(_SID):  # its mistakes are reported there
                    self.reported.add(("services", len(services), "account"))
                self._set(service, ("services", len(services), "sid"), sid, _SERVICE)
                services.append(service)

    @property
    def sandbox_account(self) -> str:
        """The account of the sandbox, which is used where there is no other."""
        table = read_toml(self.file.with_name("sandbox.toml")).get("account")
        sid = table.get("sid") if isinstance(table, dict) else None
        return sid if isinstance(sid, str) else SANDBOX_ACCOUNT

    def _set(self, table: Any, location: Location, value: str, variable: str) -> None:
        if isinstance(table, dict):  # other values are reported by the validation
            table[location[-1]] = value
            self.variables[location] = variable
            self.reported.discard(location)


def service_sids(environment: Mapping[str, str]) -> list[str]:
    """Return the Services in the variable: one, or several with commas between them."""
    return [sid.strip() for sid in environment.get(_SERVICE, "").split(",") if sid.strip()]


def find_conflicts(overlay: EnvironmentOverlay) -> list[str]:
    """Return which tables contradict each other, whether or not they are valid by themselves."""
    accounts, services = (_indexed(overlay.tables.get(name)) for name in ("accounts", "services"))
    mistakes = [*_find_duplicates("accounts", accounts), *_find_duplicates("services", services)]
    known = {str(account.get("sid")) for _, account in accounts} or {overlay.sandbox_account}
    for index, service in services:
        account, location = str(service.get("account", "")), ("services", index, "account")
        if account.startswith("AC") and account not in known and location not in overlay.reported:
            mistakes.append((location, f"{account} has no [[accounts]] table; add one with its auth_token"))
    return [overlay.mistake_at(location, sentence) for location, sentence in mistakes]


def _find_duplicates(name: str, tables: list[tuple[int, RawTable]]) -> list[tuple[Location, str]]:
    first: dict[str, int] = {}
    mistakes: list[tuple[Location, str]] = []
    for index, table in tables:
        sid = table.get("sid")
        if isinstance(sid, str) and first.setdefault(sid, index) != index:
            sentence = f"{name}[{first[sid] + 1}] has the same one; keep one of them"
            mistakes.append(((name, index, "sid"), sentence))
    return mistakes


def _indexed(tables: Any) -> list[tuple[int, RawTable]]:
    """Return the tables of a list with their indexes; none when the value is not a list of tables."""
    values = tables if isinstance(tables, list) else []
    return [(index, value) for index, value in enumerate(values) if isinstance(value, dict)]
