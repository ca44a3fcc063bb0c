"""Settings: their precedence, what is refused, and that all mistakes are reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.config.models import OnError, Privacy, SignatureMode
from sms_router.config.settings import Settings, load_settings
from sms_router.errors import ConfigurationError
from sms_router.senders.models import ReplyFrom, SenderKind
from sms_router.senders.rate_limits import RateLimits, SenderLimit
from sms_router.store.url import URL_FORMATS
from tests.places import without_place

AC, AC2 = "AC" + "0a" * 16, "AC" + "0b" * 16
MG, MG2 = "MG" + "0a" * 16, "MG" + "0b" * 16
ACCOUNT = f'[[accounts]]\nsid = "{AC}"\nauth_token = "file-token"\n'
SERVICE = f'[[services]]\nsid = "{MG}"\naccount = "{AC}"\n'

NO_REDIS = f"must be {URL_FORMATS}"
NO_ACCOUNT_SID = "must be AC and 32 hex digits, as the Twilio console shows it"
NO_SERVICE_SID = "must be MG and 32 hex digits, as the Twilio console shows it"
NO_SECRET = "has spaces around it, or characters that Twilio does not use: copy it again"
NO_ZONE = "must be a name of the IANA time zone database, like Europe/Oslo"
NO_ORIGIN = "must be a scheme and a host, such as http://127.0.0.1:8900, or empty"
NO_QUERY = "must not contain a query or fragment: only scheme, host and path"
TOO_SHORT = "has fewer than 8 characters, which is too easy to guess"
TWO_DOORS = "private_port must differ from port, which everybody can reach"
NO_SCHEME = "must start with https:// or http://, like https://sms.example.com"
NO_TABLES = "must be a list of tables; write [[accounts]], with two brackets"
EMPTY = "is empty: with an empty secret anybody could sign webhooks"
NO_ROOM = (
    "known ones are accounts, api, console, conversations, failures, groups, loop_guard, reconcile, redis,"
    " replies,"
    " router, sandbox, senders, server, services, twilio"
)

NO_ACCOUNT = "is set without TWILIO_ACCOUNT_SID; export TWILIO_ACCOUNT_SID=AC..."

Load = Callable[..., Settings]
Told = Callable[..., tuple[str, ...]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings from the text of a router.toml and some variables."""

    def loaded(content: str = "", **environment: str) -> Settings:
        (tmp_path / "router.toml").write_text(content, encoding="utf-8")
        return load_settings({"SMS_ROUTER_CONFIG": str(tmp_path), **environment})

    return loaded


@pytest.fixture
def reported(load: Load, tmp_path: Path) -> Told:
    """Return the mistakes, with the file's name for its path."""

    def mistakes(content: str = "", **environment: str) -> tuple[str, ...]:
        with pytest.raises(ConfigurationError) as caught:
            load(content, **environment)
        return tuple(
            without_place(mistake.replace(str(tmp_path / "router.toml"), "router.toml"))
            for mistake in caught.value.mistakes
        )

    return mistakes


# precedence


def look(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize(
    ("variable", "path", "default", "written", "in_file", "given", "in_environment"),
    [
        (
            "PUBLIC_URL",
            "router.public_url",
            "",
            '"https://a.example/"',
            "https://a.example",
            "https://b.example",
            "https://b.example",
        ),
        ("REDIS_URL", "redis.url", "", '"redis://a"', "redis://a", "unix:///b.sock", "unix:///b.sock"),
        (
            "TWILIO_API_BASE_URL",
            "twilio.api_base_url",
            "",
            '"http://a:1/"',
            "http://a:1",
            "http://b:2",
            "http://b:2",
        ),
        ("HOST", "server.host", "127.0.0.1", '"::"', "::", "0.0.0.0", "0.0.0.0"),
        ("PORT", "server.port", 8000, "8001", 8001, "8002", 8002),
        ("WORKERS", "server.workers", 1, "2", 2, "3", 3),
        ("SANDBOX_PORT", "sandbox.port", 8900, "8901", 8901, "8902", 8902),
        ("PRIVATE_PORT", "server.private_port", None, "8901", 8901, "8902", 8902),
        ("PRIVATE_HOST", "server.private_host", "127.0.0.1", '"::1"', "::1", "0.0.0.0", "0.0.0.0"),
    ],
)
def test_the_environment_has_precedence_over_the_file_and_the_default(
    load: Load,
    variable: str,
    path: str,
    default: object,
    written: str,
    in_file: object,
    given: str,
    in_environment: object,
) -> None:
    table, _, key = path.partition(".")
    file = f"[{table}]\n{key} = {written}\n"
    assert look(load(), path) == default
    assert look(load(file), path) == in_file
    assert look(load(file, **{variable: given}), path) == in_environment
    assert look(load(**{variable: given}), path) == in_environment
    assert look(load(file, **{variable: ""}), path) == in_file, "an empty variable counts as none"


@pytest.mark.parametrize(
    ("key", "default", "written", "read"),
    [
        ("signature", SignatureMode.ENFORCE, '"warn"', SignatureMode.WARN),
        ("reply_from", ReplyFrom.SHORT_CODE_FIRST, '"same-number"', ReplyFrom.SAME_NUMBER),
        ("redirect_hosts", (), '["B.example:8443"]', ("b.example:8443",)),
        ("upstream_calls", 50, "7", 7),
        ("inline_deadline", 8.0, "3", 3.0),
        ("on_error", OnError.REPLY, '"twilio-fallback"', OnError.TWILIO_FALLBACK),
        ("error_reply", "Sorry, something went wrong. Please try again.", '"Oh."', "Oh."),
        ("fallback_reply", "We got your message and will answer soon.", '"Wait."', "Wait."),
        ("handlers", ("handlers",), '["a", "b.c"]', ("a", "b.c")),
        ("handler_threads", 16, "4", 4),
        ("privacy", Privacy.MASKED, '"open"', Privacy.OPEN),
        ("retention_days", 7, "1.5", 1.5),
        ("body_retention_days", None, "1.5", 1.5),
        ("time_zone", "UTC", '"Asia/Kathmandu"', "Asia/Kathmandu"),
        ("quiet_hours", "", '"21:00-08:00"', "21:00-08:00"),
        ("data_dir", Path(".data"), '"elsewhere"', Path("elsewhere")),
    ],
)
def test_the_keys_of_the_router(load: Load, key: str, default: object, written: str, read: object) -> None:
    assert getattr(load().router, key) == default
    assert getattr(load(f"[router]\n{key} = {written}").router, key) == read


def test_hours_apply_in_the_time_zone_of_the_service_else_of_the_router(load: Load) -> None:
    services = SERVICE + f'time_zone = "Asia/Tokyo"\n[[services]]\nsid = "{MG2}"\naccount = "{AC}"\n'
    zones = load(f'[router]\ntime_zone = "Asia/Kathmandu"\n{ACCOUNT}{services}').time_zones
    assert [zones.minute_at(sid, 0) % 10080 - 3 * 1440 for sid in (MG, MG2, None)] == [540, 330, 330]


def test_number_urls_are_set_per_service(load: Load) -> None:
    assert not load(ACCOUNT + SERVICE).number_urls(MG)
    everywhere = "[router]\nnumber_urls = true\n" + ACCOUNT + SERVICE
    assert load(everywhere).number_urls(MG)
    assert not load(everywhere + "number_urls = false").number_urls(MG)
    assert load(ACCOUNT + SERVICE + "number_urls = true").number_urls(MG)


def test_the_whole_example_loads(load: Load) -> None:
    content = f"""
        [router]
        public_url = "https://sms.example.com"
        signature = "enforce"
        reply_from = "short-code-first"
        inline_deadline = 8.0
        on_error = "reply"
        error_reply = "Sorry, something went wrong. Please try again."
        fallback_reply = "We got your message and will answer soon."
        handlers = ["handlers"]
        privacy = "masked"
        [redis]
        url = ""
        [[accounts]]
        sid = "{AC}"
        auth_token = "env:TWILIO_AUTH_TOKEN"
        auth_token_secondary = "env:TWILIO_AUTH_TOKEN_SECONDARY"
        [[services]]
        sid = "{MG}"
        account = "{AC}"
        reply_from = "same-number"
        refresh_after = 60
    """
    settings = load(content, TWILIO_AUTH_TOKEN="one")
    assert settings.accounts[0].tokens == ("one",)
    assert settings.public_url == "https://sms.example.com"
    assert settings.reply_from == {MG: ReplyFrom.SAME_NUMBER, None: ReplyFrom.SHORT_CODE_FIRST}
    both = load(content, TWILIO_AUTH_TOKEN="one", TWILIO_AUTH_TOKEN_SECONDARY="two")
    assert both.accounts[0].tokens == ("one", "two")


def test_placeholders_load_and_are_reported(load: Load) -> None:
    account, service = "AC" + "x" * 32, "MG" + "x" * 32
    tables = f"{ACCOUNT}{SERVICE}{ACCOUNT}{SERVICE}".replace(AC, account, 1).replace(MG, service, 1)
    assert load(tables).placeholders == ("accounts[1].sid", "services[1].sid")
    assert load(ACCOUNT + SERVICE).placeholders == ()


def test_a_folder_without_router_toml_has_all_defaults(tmp_path: Path) -> None:
    settings = load_settings({"SMS_ROUTER_CONFIG": str(tmp_path)})
    assert settings.is_offline
    assert settings.folder == tmp_path


def test_the_demo_configuration_loads() -> None:
    folder = Path(__file__).parents[1] / "config"
    assert load_settings({"SMS_ROUTER_CONFIG": str(folder)}).is_offline


@pytest.mark.parametrize(
    ("files", "variables", "is_demo"),
    [
        ([], {}, True),
        (["settings.yaml"], {}, True),  # the folder of another program
        (["router.toml"], {}, False),
        (["keywords.toml"], {}, False),
        (["settings.yaml"], {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "1" * 32}, False),
        (["settings.yaml"], {"SMS_ROUTER_CONFIG": "config"}, False),
    ],
)
def test_the_demo_replaces_a_missing_configuration_without_credentials(
    files: list[str],
    variables: dict[str, str],
    is_demo: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / name).touch()
    folder = load_settings(variables).folder
    assert folder == (Path(__file__).parents[2] / "config" if is_demo else Path("config"))


def test_a_missing_folder_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="export SMS_ROUTER_CONFIG="):
        load_settings({"SMS_ROUTER_CONFIG": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("router", "http://router:8000"),
    ],
)
def test_the_default_public_url_is_the_local_one(load: Load, host: str, url: str) -> None:
    assert load(HOST=host).public_url == url


# accounts and Services


def test_the_variables_alone_define_an_account_and_a_service(load: Load) -> None:
    settings = load(
        TWILIO_ACCOUNT_SID=AC,
        TWILIO_AUTH_TOKEN="one",
        TWILIO_AUTH_TOKEN_SECONDARY="two",
        TWILIO_MESSAGING_SERVICE_SID=MG,
    )
    assert [(each.sid, each.tokens) for each in settings.accounts] == [(AC, ("one", "two"))]
    assert [(each.sid, each.account) for each in settings.services] == [(MG, AC)]
    assert not settings.is_offline


def test_the_variables_have_precedence_over_the_table_of_their_account(load: Load) -> None:
    settings = load(ACCOUNT, TWILIO_ACCOUNT_SID=AC, TWILIO_AUTH_TOKEN="new")
    assert [each.tokens for each in settings.accounts] == [("new",)]


def test_a_token_without_a_sid_is_that_of_the_only_account(load: Load) -> None:
    settings = load(ACCOUNT, TWILIO_AUTH_TOKEN="new", TWILIO_AUTH_TOKEN_SECONDARY="old")
    assert settings.accounts[0].tokens == ("new", "old")


def test_a_sid_without_a_token_is_enough_when_the_file_has_its_account(load: Load) -> None:
    assert load(ACCOUNT, TWILIO_ACCOUNT_SID=AC).accounts[0].tokens == ("file-token",)


def test_the_account_and_service_of_the_environment_come_first(load: Load) -> None:
    variables = {"TWILIO_ACCOUNT_SID": AC2, "TWILIO_AUTH_TOKEN": "t", "TWILIO_MESSAGING_SERVICE_SID": MG2}
    settings = load(ACCOUNT + SERVICE, **variables)
    assert [each.sid for each in settings.accounts] == [AC2, AC]
    assert [(each.sid, each.account) for each in settings.services] == [(MG2, AC2), (MG, AC)]


def test_the_table_of_a_service_in_the_file_is_used(load: Load) -> None:
    settings = load(ACCOUNT + SERVICE + "refresh_after = 5", TWILIO_MESSAGING_SERVICE_SID=MG)
    assert [(each.sid, each.refresh_after) for each in settings.services] == [(MG, 5)]


def test_the_service_variable_belongs_to_the_first_account_of_the_file(load: Load) -> None:
    other = f'[[accounts]]\nsid = "{AC2}"\nauth_token = "t"\n'
    settings = load(ACCOUNT + other, TWILIO_MESSAGING_SERVICE_SID=MG)
    assert [(each.sid, each.account) for each in settings.services] == [(MG, AC)]


def test_shared_keys_are_read(load: Load) -> None:
    content = ACCOUNT + '[[accounts.shared_keys]]\nid = "webhooks_sharedkey_1"\nsecret = "env:SHARED"\n'
    (key,) = load(content, SHARED="s").accounts[0].shared_keys
    assert (key.id, key.secret.get_secret_value()) == ("webhooks_sharedkey_1", "s")


# mistakes


@pytest.mark.parametrize(
    ("content", "environment", "sentence"),
    [
        (
            "[router]\npublic_ulr = 1",
            {},
            "router.toml: router.public_ulr: unknown key; did you mean public_url?",
        ),
        ("[[account]]", {}, "router.toml: account: unknown key; did you mean accounts?"),
        (
            '[[senders]]\nnumber = "12345"',
            {},
            "router.toml: senders[1]: limits nothing: give messages_per_second, daily_cap or both",
        ),
        (
            "[[senders]]\ndaily_cap = 5",
            {},
            'router.toml: senders[1]: must name either a number, like number = "+14155550100", or a kind',
        ),
        (
            '[[senders]]\nkind = "long-code"\nmessage_per_second = 1',
            {},
            "router.toml: senders[1].message_per_second: unknown key; did you mean messages_per_second?",
        ),
        (
            '[[senders]]\nkind = "longcode"\ndaily_cap = 5',
            {},
            "router.toml: senders[1].kind: must be 'short-code', 'alphanumeric', 'long-code' or 'toll-free'",
        ),
        (
            '[[senders]]\nnumber = "+1 415"\ndaily_cap = 5',
            {},
            'router.toml: senders[1].number: must be a number like "+14155550100", a short code or an'
            " alphanumeric sender",
        ),
        (
            '[[senders]]\nkind = "long-code"\ndaily_cap = 5\n[[senders]]\nkind = "long-code"\ndaily_cap = 6',
            {},
            "router.toml: senders: two tables for long-code; keep one of them",
        ),
        ("folder = 1", {}, f"router.toml: folder: unknown key; {NO_ROOM}"),
        ('[router]\nsignature = "off"', {}, "router.toml: router.signature: must be 'enforce' or 'warn'"),
        (
            "[router]\ninline_deadline = 20",
            {},
            "router.toml: router.inline_deadline: must be less than or equal to 13",
        ),
        (
            "[router]\ninline_deadline = nan",
            {},
            "router.toml: router.inline_deadline: must be less than or equal to 13",
        ),
        (
            "[router]\nretention_days = 2\nbody_retention_days = 3",
            {},
            "router.toml: router: body_retention_days must not be more than retention_days, after which"
            " everything is deleted",
        ),
        (
            "[router]\nretention_days = 1e-9",
            {},
            "router.toml: router.retention_days: must be greater than or equal to 0.05",
        ),
        (
            '[router]\ntime_zone = "Mars/Olympus"',
            {},
            f"router.toml: router.time_zone: {NO_ZONE}",
        ),
        (
            '[router]\nquiet_hours = "21-8"',
            {},
            'router.toml: router.quiet_hours: must be two times, like "21:00-08:00", or empty',
        ),
        (
            f'{ACCOUNT}{SERVICE}time_zone = "../UTC"',
            {},
            f"router.toml: services[1].time_zone: {NO_ZONE}",
        ),
        (
            '[router]\nhandlers = "handlers"',
            {},
            'router.toml: router.handlers: must be a list in brackets, like ["this"]',
        ),
        ("router = 5", {}, "router.toml: router: must be a table with keys of its own"),
        ("accounts = 5", {}, f"router.toml: accounts: {NO_TABLES}"),
        (f'[accounts]\nsid = "{AC}"', {"TWILIO_AUTH_TOKEN": "t"}, f"router.toml: accounts: {NO_TABLES}"),
        (
            "",
            {"PORT": "http"},
            "PORT (server.port): must be a valid integer, unable to parse string as an integer",
        ),
        ("", {"PORT": "70000"}, "PORT (server.port): must be less than or equal to 65535"),
        ("", {"CONSOLE_PASSWORD": "short"}, f"CONSOLE_PASSWORD (console.password): {TOO_SHORT}"),
        ('[console]\npassword = "1234567"', {}, f"router.toml: console.password: {TOO_SHORT}"),
        ("", {"PRIVATE_PORT": "8000"}, f"router.toml: server: {TWO_DOORS}"),
        ("", {"WORKERS": "0"}, "WORKERS (server.workers): must be greater than or equal to 1"),
        ("", {"PUBLIC_URL": "sms.example.com"}, f"PUBLIC_URL (router.public_url): {NO_SCHEME}"),
        ('[router]\npublic_url = "https://a/?b"', {}, f"router.toml: router.public_url: {NO_QUERY}"),
        ("", {"REDIS_URL": "localhost:6379"}, f"REDIS_URL (redis.url): {NO_REDIS}"),
        ("", {"REDIS_URL": "redis://h:port"}, f"REDIS_URL (redis.url): {NO_REDIS}"),
        ("", {"REDIS_URL": "redis+clusters://h"}, f"REDIS_URL (redis.url): {NO_REDIS}"),
        (
            "",
            {"REDIS_URL": "redis+cluster://h/1"},
            "REDIS_URL (redis.url): a Redis Cluster has only database 0; leave the number out:"
            " redis+cluster://host:6379,host:6379",
        ),
        (
            "",
            {"REDIS_URL": "redis+sentinel://h"},
            "REDIS_URL (redis.url): must name the master that the Sentinels watch:"
            " redis+sentinel://host:26379,host:26379/mymaster, and as you like its database: .../mymaster/0",
        ),
        (
            "",
            {"TWILIO_API_BASE_URL": "http://a/b"},
            f"TWILIO_API_BASE_URL (twilio.api_base_url): {NO_ORIGIN}",
        ),
        (
            "",
            {"TWILIO_ACCOUNT_SID": AC},
            "TWILIO_ACCOUNT_SID: is set without TWILIO_AUTH_TOKEN; export TWILIO_AUTH_TOKEN=...",
        ),
        (
            "",
            {"TWILIO_ACCOUNT_SID": "ACx", "TWILIO_AUTH_TOKEN": "t", "TWILIO_MESSAGING_SERVICE_SID": MG},
            f"TWILIO_ACCOUNT_SID (accounts[1].sid): {NO_ACCOUNT_SID}",
        ),
        (
            "",
            {"TWILIO_ACCOUNT_SID": AC, "TWILIO_MESSAGING_SERVICE_SID": MG},
            "TWILIO_ACCOUNT_SID: is set without TWILIO_AUTH_TOKEN; export TWILIO_AUTH_TOKEN=...",
        ),
        (
            "",
            {"TWILIO_AUTH_TOKEN": "t"},
            f"TWILIO_AUTH_TOKEN: {NO_ACCOUNT}",
        ),
        (
            "",
            {"TWILIO_MESSAGING_SERVICE_SID": MG},
            f"TWILIO_MESSAGING_SERVICE_SID: {NO_ACCOUNT}",
        ),
        (
            "",
            {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"},
            f"TWILIO_ACCOUNT_SID (accounts[1].sid): {NO_ACCOUNT_SID}",
        ),
        (
            "",
            {"TWILIO_ACCOUNT_SID": AC, "TWILIO_AUTH_TOKEN": "t "},
            f"TWILIO_AUTH_TOKEN (accounts[1].auth_token): {NO_SECRET}",
        ),
        (
            ACCOUNT,
            {"TWILIO_MESSAGING_SERVICE_SID": "MG1"},
            f"TWILIO_MESSAGING_SERVICE_SID (services[1].sid): {NO_SERVICE_SID}",
        ),
        (
            f'[[accounts]]\nsid = "{AC}"\nauth_token = "env:NONE"',
            {},
            "router.toml: accounts[1].auth_token: the environment variable NONE is not set; export NONE=...",
        ),
        (
            f'[[accounts]]\nsid = "{AC}"\nauth_token = "env:EMPTY"',
            {"EMPTY": ""},
            f"EMPTY (accounts[1].auth_token): {EMPTY}",
        ),
        (
            f'[[accounts]]\nsid = "{AC}"',
            {},
            'router.toml: accounts[1].auth_token: is missing; add auth_token = "..."',
        ),
        (
            ACCOUNT + ACCOUNT,
            {},
            "router.toml: accounts[2].sid: accounts[1] has the same one; keep one of them",
        ),
        (
            ACCOUNT + SERVICE + SERVICE,
            {},
            "router.toml: services[2].sid: services[1] has the same one; keep one of them",
        ),
        (
            SERVICE,
            {},
            f"router.toml: services[1].account: {AC} has no [[accounts]] table; add one with its auth_token",
        ),
        (
            f'{ACCOUNT}[[services]]\nsid = "{MG}"',
            {},
            'router.toml: services[1].account: is missing; add account = "..."',
        ),
        (
            ACCOUNT + '[[accounts.shared_keys]]\nid = "k"\nsecret = ""',
            {},
            f"router.toml: accounts[1].shared_keys[1].secret: {EMPTY}",
        ),
        (
            ACCOUNT + '[[accounts.shared_keys]]\nid = "k"\nscret = "x"',
            {},
            "router.toml: accounts[1].shared_keys[1].scret: unknown key; did you mean secret?",
        ),
        (
            ACCOUNT + SERVICE + "refresh_after = inf",
            {},
            "router.toml: services[1].refresh_after: must be less than or equal to 86400",
        ),
    ],
)
def test_a_mistake_names_its_key_and_the_remedy(
    reported: Told, content: str, environment: dict[str, str], sentence: str
) -> None:
    assert sentence in reported(content, **environment)


def test_all_mistakes_are_reported_at_once(reported: Told) -> None:
    content = f"""
        [router]
        publik_url = "x"
        inline_deadline = 99
        [[accounts]]
        sid = "{AC}"
        auth_token = "env:NONE"
        [[services]]
        sid = "{MG}"
        account = "{AC2}"
    """
    assert len(reported(content, PORT="x", TWILIO_ACCOUNT_SID=AC2)) == 6


def test_one_mistake_is_reported_once(reported: Told) -> None:
    content = f'[[accounts]]\nsid = "{AC}"\nauth_token = "env:NONE"'
    assert len(reported(content)) == 1


def test_invalid_toml_is_reported_with_its_line(reported: Told) -> None:
    (mistake,) = reported("[router]\nsignature = enforce")
    assert mistake.startswith("router.toml: not valid TOML: ")


# secrets

SECRET = "5ecret5ecret5ecret"


def test_secrets_do_not_show(load: Load) -> None:
    content = ACCOUNT + f'[[accounts.shared_keys]]\nid = "k"\nsecret = "{SECRET}"\n'
    settings = load(
        content,
        TWILIO_AUTH_TOKEN=SECRET,
        TWILIO_AUTH_TOKEN_SECONDARY=SECRET,
        REDIS_URL=f"redis://user:{SECRET}@127.0.0.1:6379/0",
        PUBLIC_URL=f"https://user:{SECRET}@sms.example.com",
    )
    assert SECRET not in f"{settings!r} {settings}"
    assert settings.public_url == "https://sms.example.com"


@pytest.mark.parametrize(
    "variables",
    [
        {"TWILIO_AUTH_TOKEN": f"{SECRET} "},
        {"TWILIO_ACCOUNT_SID": SECRET, "TWILIO_AUTH_TOKEN": SECRET},
        {"REDIS_URL": f"rediz://user:{SECRET}@host"},
        {"REDIS_URL": f"redis://user:{SECRET}@host:{SECRET}/"},
        {"PUBLIC_URL": f"https://user:{SECRET}@host:port"},
        {"PORT": SECRET},
    ],
)
def test_secrets_do_not_show_in_mistakes(reported: Told, variables: dict[str, str]) -> None:
    assert SECRET not in "\n".join(reported(ACCOUNT, **variables))


# anything at all

KEYS = st.sampled_from(
    [
        *("router", "server", "redis", "twilio", "sandbox", "accounts", "services", "folder"),
        *("public_url", "url", "sid", "auth_token", "account", "shared_keys", "handlers", "port", "id"),
    ]
)
VALUES = st.recursive(
    st.sampled_from(["", AC, MG, "env:SOME", "env:", "https://a.example", "[", "\u0000", "é"])
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.sampled_from(["", AC, MG, "8000", "-1", "x y", "redis://[", "unix:", "https://[::", "é\udcff"])
VARIABLES = st.sampled_from(
    [
        *(
            "PUBLIC_URL",
            "REDIS_URL",
            "TWILIO_API_BASE_URL",
            "HOST",
            "PORT",
            "WORKERS",
            "SANDBOX_PORT",
            "PRIVATE_PORT",
            "CONSOLE_PASSWORD",
            "SOME",
        ),
        *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_SECONDARY"),
        "TWILIO_MESSAGING_SERVICE_SID",
    ]
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.dictionaries(VARIABLES, TEXTS))
def test_any_tables_and_variables_are_settings_or_mistakes(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, Any], environment: dict[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sms_router.config.settings.read_toml", lambda _: tables)
        folder = {"SMS_ROUTER_CONFIG": str(tmp_path_factory.getbasetemp())}
        try:
            settings = load_settings(environment | folder)
        except ConfigurationError as error:
            assert error.mistakes
            assert all(mistake and "\n" not in mistake for mistake in error.mistakes)
        else:
            assert settings.public_url


def test_the_limit_of_a_number_has_precedence_over_that_of_its_kind(load: Load) -> None:
    limits = load(
        '[[senders]]\nkind = "long-code"\nmessages_per_second = 1\ndaily_cap = 2000\n'
        '[[senders]]\nnumber = "12345"\nmessages_per_second = 100\n'
    ).limits
    assert limits == RateLimits({SenderKind.LONG_CODE: SenderLimit(1, 2000)}, {"12345": SenderLimit(100)})
    assert not load().limits


SANDBOX = "AC" + "0" * 31 + "1"


def test_services_of_the_sandbox_need_no_account(load: Load) -> None:
    services = f'[[services]]\nsid = "{MG2}"\n[[services]]\nsid = "{MG}"\n'
    settings = load(services)
    assert settings.is_offline
    assert [(service.sid, service.account) for service in settings.services] == [
        (MG2, SANDBOX),
        (MG, SANDBOX),
    ]
    used = load(
        services,
        TWILIO_ACCOUNT_SID=SANDBOX,
        TWILIO_AUTH_TOKEN="t",
        TWILIO_API_BASE_URL="http://127.0.0.1:8900",
        TWILIO_MESSAGING_SERVICE_SID=f"{MG}, {MG2}",
    )
    assert [(service.sid, service.account) for service in used.services] == [(MG, SANDBOX), (MG2, SANDBOX)]


def test_credentials_of_the_sandbox_are_not_sent_to_twilio(load: Load) -> None:
    with pytest.raises(ConfigurationError, match="is the sandbox's account, which Twilio does not have"):
        load(f'[[accounts]]\nsid = "{SANDBOX}"\nauth_token = "t"\n')
    settings = load(TWILIO_ACCOUNT_SID=SANDBOX, TWILIO_AUTH_TOKEN="t", SANDBOX_PORT="8901")
    assert settings.twilio.api_base_url == "http://127.0.0.1:8901"
