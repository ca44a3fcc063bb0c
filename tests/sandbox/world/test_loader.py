from pathlib import Path

import pytest

from sms_router.errors import ConfigurationError
from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.numbers import NumberKind
from tests.places import without_place
from tests.sandbox.sandbox_fixture import PRAIRIE_PHONE, SERVICE, SHORT_CODE_SID, WORLD

ACCOUNT = '[account]\nsid = "AC00000000000000000000000000000001"\nauth_token = "token"\n'
CARRIER = 'default_carrier = "metro"\n[[carriers]]\nname = "metro"\n'
GOOD = CARRIER + ACCOUNT
SERVICE_ROW = GOOD + f'[[services]]\nsid = "{SERVICE}"\nfriendly_name = "x"\n'
SHORT_CODE_ROW = GOOD + f'[[short_codes]]\nsid = "{SHORT_CODE_SID}"\n'
NUMBER_ROW = GOOD + '[[phone_numbers]]\nsid = "PN00000000000000000000000000000001"\n'


def _load(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "sandbox.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as wrong:
        load_world(path)
    assert all(sentence.startswith(f"{path}:") for sentence in wrong.value.mistakes)
    return tuple(map(without_place, wrong.value.mistakes))


def test_the_demo_world_has_every_kind_of_sender() -> None:
    world = load_world(WORLD)
    (service,) = world.services
    assert (service.sid, service.friendly_name) == (SERVICE, "Demo")
    assert service.inbound_request_url == "http://127.0.0.1:8000/sms"
    assert len(service.senders) == len(world.numbers) == 5
    assert [number.kind for number in world.numbers] == [
        NumberKind.SHORT_CODE,
        NumberKind.LONG_CODE,
        NumberKind.LONG_CODE,
        NumberKind.TOLL_FREE,
        NumberKind.LONG_CODE,
    ]
    assert [number.country for number in world.numbers] == ["US", "US", "US", "US", "CA"]
    assert not world.phone(PRAIRIE_PHONE).carrier.reaches_short_codes
    assert world.phone("+13125550111").carrier.name == "metro"
    assert "token" not in repr(world)


def test_the_token_is_that_of_the_file_else_the_given_one_else_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.toml"
    path.write_text(GOOD, "utf-8")
    assert load_world(path, auth_token="given").auth_token == "token"
    assert load_world(WORLD, auth_token="given").auth_token == "given"
    first, second = (load_world(WORLD).auth_token for _ in range(2))
    assert first != second
    assert len(first) == 32


def test_a_router_url_replaces_only_scheme_host_and_port() -> None:
    (service,) = load_world(WORLD, "https://router.example:8443").services
    assert service.inbound_request_url == "https://router.example:8443/sms"
    assert service.fallback_url == "https://router.example:8443/sms/fallback"
    assert service.status_callback == "https://router.example:8443/sms/status"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("nonsense", "Expected '=' after a key"),
        (CARRIER, "account: is missing; add [account]"),
        (GOOD.replace("token =", "tokem ="), "account.auth_tokem: unknown key; did you mean auth_token?"),
        (GOOD + "[[phonez]]\n", "phonez: unknown key; did you mean phones?"),
        (GOOD.replace("AC0", "AB0"), "account.sid: expected AC and 32 hex digits"),
        (
            GOOD.replace('r = "metro"', 'r = "metroo"'),
            "default_carrier: there is no carrier 'metroo'; known: metro",
        ),
        (GOOD + '[[carriers]]\nname = "x"\nmms = "no"', "carriers[2].mms: must be true or false"),
        (
            GOOD + '[[carriers]]\nname = "x"\ndelay = -1',
            "carriers[2].delay: must be greater than or equal to 0",
        ),
        (GOOD + '[[phones]]\nnumber = "123"\ncarrier = "metro"', "phones[1].number: expected E.164"),
        (GOOD + '[[phones]]\nnumber = "+14155550123"', "phones[1].carrier: is missing"),
        (SERVICE_ROW + 'senders = ["1234"]', "services[1].senders[1]: 1234 is not one of the account's"),
        (SERVICE_ROW + 'inbound_method = "PUT"', "services[1].inbound_method: must be 'GET' or 'POST'"),
        (SERVICE_ROW + 'fallback_url = "sms.example"', "fallback_url: expected an http or https URL"),
        (SERVICE_ROW + 'fallback_url = "http://[x/sms"', "fallback_url: expected an http or https URL"),
        (
            SHORT_CODE_ROW + 'short_code = "+12345"\ncountry = "US"',
            "short_codes[1].short_code: expected 3 to 8 digits",
        ),
        (SHORT_CODE_ROW + 'short_code = "12345"\ncountry = "us"', "country: expected two capital letters"),
        (NUMBER_ROW + 'phone_number = "4155550100"', "phone_numbers[1].phone_number: expected E.164"),
        (
            NUMBER_ROW + 'phone_number = "+14155550100"\ncapabilities = ["SMS", "Fax"]',
            "phone_numbers[1].capabilities[2]: must be 'SMS', 'MMS' or 'Voice'",
        ),
        (
            GOOD + '[[carriers]]\nname = "x"\ndrops = { 30003 = 2 }',
            "carriers[2].drops.30003: must be less than or equal to 1",
        ),
        (GOOD + '[[carriers]]\nname = "x"\ndrops = { x = 1 }', "carriers[2].drops.x: expected one of 21610"),
        (
            GOOD + '[[carriers]]\nname = "x"\ndrops = { 30003 = 0.6, 30008 = 0.6 }',
            "carriers[2].drops: the shares add up to more than 1",
        ),
        (GOOD + '[[carriers]]\nname = "x"\nshort_code_error = 30999', "short_code_error: expected one of"),
        (
            GOOD + '[[phones]]\nnumber = "+14155550123"\ncarrier = "metro"\nstate = "lost"',
            "phones[1].state: must be 'on', 'off', 'unknown' or 'landline'",
        ),
        (
            SERVICE_ROW + '[[services.opt_out_lists]]\nlanguage = "en"\nstop = ["stop it"]',
            "services[1].opt_out_lists[1].stop[1]: expected up to 34 capitals and digits without blanks",
        ),
        (GOOD + '[faults.rest]\nkind = "hang"\nseconds = 3', 'faults.rest.seconds: goes with kind = "slow"'),
        (GOOD + 'phones = "all"', "account.phones: unknown key"),
    ],
)
def test_a_mistake_is_reported_with_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    mistakes = _load(tmp_path, text)
    assert any(mistake in sentence for sentence in mistakes), mistakes


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    mistakes = _load(tmp_path, '[account]\nsid = "AC"\nauth_token = 7\n')
    path = tmp_path / "sandbox.toml"
    assert mistakes == (
        f'{path}: default_carrier: is missing; add default_carrier = "..."',
        f"{path}: account.sid: expected AC and 32 hex digits, got 'AC'",
        f'{path}: account.auth_token: must be text in quotes, like "this"',
    )


def test_unknown_names_are_reported_together_with_other_mistakes(tmp_path: Path) -> None:
    """What a key refers to is checked even where the rest of the file has mistakes."""
    mistakes = _load(tmp_path, GOOD + '[[phones]]\nnumber = "123"\ncarrier = "nowhere"\n')
    assert [sentence.partition(": ")[2].partition(",")[0] for sentence in mistakes] == [
        "phones[1].number: expected E.164",
        "phones[1].carrier: there is no carrier 'nowhere'; known: metro",
    ]


def test_the_same_number_twice_is_a_mistake(tmp_path: Path) -> None:
    number = '[[phone_numbers]]\nsid = "PN00000000000000000000000000000001"\nphone_number = "+14155550100"\n'
    mistakes = _load(tmp_path, GOOD + number + number)
    assert [sentence.partition(": ")[2] for sentence in mistakes] == [
        "phone_numbers[1].sid: PN00000000000000000000000000000001 is defined twice; keep one of them",
        "phone_numbers[1].phone_number: +14155550100 is defined twice; keep one of them",
        "phone_numbers[2].sid: PN00000000000000000000000000000001 is defined twice; keep one of them",
        "phone_numbers[2].phone_number: +14155550100 is defined twice; keep one of them",
    ]


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_world(tmp_path / "nowhere.toml")


def test_a_service_can_have_its_own_opt_out_keywords(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.toml"
    keywords = 'language = "fr"\nstop = ["ARRET"]\nstop_reply = "Fin."\ncountries = ["CA"]'
    path.write_text(
        f"{SERVICE_ROW}advanced_opt_out = true\n[[services.opt_out_lists]]\n{keywords}\n", "utf-8"
    )
    (service,) = load_world(path).services
    (french,) = service.opt_out_lists
    assert service.advanced_opt_out
    assert (set(french.stop), set(french.start), french.stop_reply) == ({"ARRET"}, set(), "Fin.")
    assert french.countries == {"CA"}
