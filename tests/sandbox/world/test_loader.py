from pathlib import Path

import pytest

from sms_router.sandbox import WorldError, load_world
from sms_router.sandbox.world.numbers import NumberKind
from tests.sandbox.bench import PRAIRIE_PHONE, SERVICE, SHORT_CODE_SID, WORLD

ACCOUNT = '[account]\nsid = "AC00000000000000000000000000000001"\nauth_token = "token"\n'
CARRIER = 'default_carrier = "metro"\n[[carriers]]\nname = "metro"\n'
GOOD = CARRIER + ACCOUNT
SERVICE_ROW = GOOD + f'[[services]]\nsid = "{SERVICE}"\nfriendly_name = "x"\n'
SHORT_CODE_ROW = GOOD + f'[[short_codes]]\nsid = "{SHORT_CODE_SID}"\n'
NUMBER_ROW = GOOD + '[[phone_numbers]]\nsid = "PN00000000000000000000000000000001"\n'


def _load(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "sandbox.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(WorldError) as wrong:
        load_world(path)
    assert str(path) in str(wrong.value)
    return wrong.value.mistakes


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


def test_another_router_replaces_scheme_host_and_port_only() -> None:
    (service,) = load_world(WORLD, "https://router.example:8443").services
    assert service.inbound_request_url == "https://router.example:8443/sms"
    assert service.fallback_url == "https://router.example:8443/sms/fallback"
    assert service.status_callback == "https://router.example:8443/sms/status"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("nonsense", "Expected '=' after a key"),
        (CARRIER, "account.sid: is missing"),
        (GOOD.replace("token =", "tokem ="), "account.auth_tokem: unknown key; did you mean auth_token?"),
        (GOOD + "[[phonez]]\n", "phonez: unknown key; did you mean phones?"),
        (GOOD.replace('"token"', '""'), "account.auth_token: must not be empty"),
        (GOOD.replace("AC0", "AB0"), "account.sid: expected AC and 32 hex digits"),
        (
            GOOD.replace('r = "metro"', 'r = "metroo"'),
            "default_carrier: there is no carrier 'metroo'; known: metro",
        ),
        (GOOD + '[[carriers]]\nname = "x"\nmms = "no"', "carriers[1].mms: expected true or false, got 'no'"),
        (GOOD + '[[carriers]]\nname = "x"\ndelay = -1', "carriers[1].delay: expected seconds, 0 or more"),
        (GOOD + '[[phones]]\nnumber = "123"\ncarrier = "metro"', "phones[0].number: expected E.164"),
        (GOOD + '[[phones]]\nnumber = "+14155550123"', "phones[0].carrier: is missing"),
        (SERVICE_ROW + 'senders = ["1234"]', "services[0].senders: 1234 is not one of the short codes"),
        (SERVICE_ROW + 'inbound_method = "PUT"', "inbound_method: expected one of GET, POST, got 'PUT'"),
        (SERVICE_ROW + 'fallback_url = "sms.example"', "fallback_url: expected an http or https URL"),
        (SERVICE_ROW + 'fallback_url = "http://[x/sms"', "fallback_url: expected an http or https URL"),
        (SHORT_CODE_ROW + 'short_code = "+12345"\ncountry = "US"', "short_code: expected 3 to 8 bare digits"),
        (SHORT_CODE_ROW + 'short_code = "12345"\ncountry = "us"', "country: expected two capital letters"),
        (NUMBER_ROW + 'phone_number = "4155550100"', "phone_numbers[0].phone_number: expected E.164"),
        (
            NUMBER_ROW + 'phone_number = "+14155550100"\ncapabilities = ["SMS", "Fax"]',
            "phone_numbers[0].capabilities: expected SMS, MMS or Voice, got 'Fax'",
        ),
        (
            GOOD + '[[carriers]]\nname = "x"\ndrops = { 30003 = 2 }',
            "carriers[1].drops.30003: expected a share",
        ),
        (GOOD + '[[carriers]]\nname = "x"\ndrops = { x = 1 }', "carriers[1].drops.x: expected one of 21610"),
        (
            GOOD + '[[carriers]]\nname = "x"\ndrops = { 30003 = 0.6, 30008 = 0.6 }',
            "carriers[1].drops: the shares are more than 1 together",
        ),
        (GOOD + '[[carriers]]\nname = "x"\nshort_code_error = 30999', "short_code_error: expected one of"),
        (
            GOOD + '[[phones]]\nnumber = "+14155550123"\ncarrier = "metro"\nstate = "lost"',
            "phones[0].state: expected one of on, off, unknown, landline, got 'lost'",
        ),
        (
            SERVICE_ROW + '[[services.opt_out_lists]]\nlanguage = "en"\nstop = ["stop it"]',
            "services[0].opt_out_lists[0].stop: expected capitals and digits without blanks",
        ),
        (GOOD + '[faults.rest]\nkind = "hang"\nseconds = 3', "faults.rest.seconds: goes with kind = 'slow'"),
        (GOOD + 'phones = "all"', "account.phones: unknown key"),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    assert any(mistake in told for told in _load(tmp_path, text))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    mistakes = _load(tmp_path, '[account]\nsid = "AC"\nauth_token = 7\n')
    assert len(mistakes) >= 3


def test_the_same_number_twice_is_a_mistake(tmp_path: Path) -> None:
    number = '[[phone_numbers]]\nsid = "PN00000000000000000000000000000001"\nphone_number = "+14155550100"\n'
    assert any("is there already" in told for told in _load(tmp_path, GOOD + number + number))


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="No such file"):
        load_world(tmp_path / "nowhere.toml")


def test_a_service_may_have_its_own_words(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.toml"
    words = 'language = "fr"\nstop = ["ARRET"]\nstop_reply = "Fin."\ncountries = ["CA"]'
    path.write_text(f"{SERVICE_ROW}advanced_opt_out = true\n[[services.opt_out_lists]]\n{words}\n", "utf-8")
    (service,) = load_world(path).services
    (french,) = service.opt_out_lists
    assert service.advanced_opt_out
    assert (set(french.stop), set(french.start), french.stop_reply) == ({"ARRET"}, set(), "Fin.")
    assert french.countries == {"CA"}
