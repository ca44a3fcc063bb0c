"""What the pages show, and what their forms do."""

from __future__ import annotations

import json
from html import unescape
from urllib.parse import urlencode

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.waiting import wait_until
from tests.web.console.client import PASSWORD, ConsoleClient

SHORT_CODE = "SC" + "1" * 32


async def test_the_list_masks_messages_unless_they_are_revealed(
    router: RouterProcess, operator: ConsoleClient
) -> None:
    await router.deliver(webhook("HOURS today", From="+14155550177"))
    page = operator.get("/console/messages").text
    assert "+1415•••0177" in page
    assert "(11 characters)" in page
    assert "4155550177" not in page
    assert "HOURS today" not in page
    assert "We are open" not in page
    assert "(34 characters)" in page, "the reply"
    full = operator.get("/console/messages?reveal=1").text
    assert "+14155550177" in full
    assert "HOURS today" in full
    assert "We are open 9 to 5, SAN FRANCISCO." in full
    assert "a list of messages was shown in full" in router.log


async def test_texts_are_escaped(router: RouterProcess, operator: ConsoleClient) -> None:
    evil = '<script>alert("x")</script>'
    parameters = webhook(evil, From=f"+1415{evil}")
    await router.deliver(parameters)
    for path in ("/console/messages?reveal=1", f"/console/messages/{parameters['MessageSid']}?reveal=1"):
        page = operator.get(path).text
        assert "<script" not in page
        assert evil in unescape(page)
    page = operator.post("/console/keywords", {"text": evil, "from": evil, "to": evil}).text
    assert "<script" not in page


async def test_a_message_has_a_timeline(router: RouterProcess, operator: ConsoleClient) -> None:
    parameters = webhook("HOURS")
    await router.deliver(parameters)
    page = unescape(operator.get(f"/console/messages/{parameters['MessageSid']}?reveal=1").text)
    for line in ("We are open 9 to 5", "12345: chosen: short code of US", "reply by HOURS", "+14155550123"):
        assert line in page
    assert operator.get("/console/messages/SM1").status_code == 404


async def test_scheduled_messages_are_listed_and_cancelled(
    router: RouterProcess, operator: ConsoleClient
) -> None:
    headers, sids = {"Authorization": "Bearer a-token-of-16-characters"}, {}
    for key in ("visit", "bill"):
        fields = {"to": "+14155550166", "text": "See you at nine.", "at": "2027-01-08T09:00", "key": key}
        response = await router.send("POST", "/v1/messages", json.dumps(fields).encode(), headers)
        sids[key] = json.loads(response.body)["sid"]
    page = operator.get("/console/messages?scheduled=1&reveal=1").text
    assert page.count("See you at nine.") == 2
    page = operator.get(f"/console/messages/{sids['visit']}?reveal=1").text
    for line in ("API, key visit", "2027-01-08 09:00:00", "+14155550166", "the message leaves at"):
        assert line in page
    assert sids["visit"] not in operator.get("/console/messages").text, "it has not left"
    for status in (303, 409):
        assert operator.post(f"/console/messages/{sids['visit']}/cancel", {}).status_code == status

    (row,) = json.loads(router.command("messages", "--scheduled", "--json").stdout)
    names = ("sid", "direction", "requested_by", "due", "from")
    assert [row[name] for name in names] == [
        sids["bill"], "outbound", "API, key bill", "2027-01-08T09:00:00.000+00:00", "12345",
    ]  # fmt: skip
    assert "to +1415•••0166: (16 characters)" in router.command("messages", "--from", "+14155550166").stdout
    assert "is no reply" in router.command("replay", sids["bill"]).stdout
    codes = [router.command("messages", "cancel", sids["bill"]).returncode for _ in range(2)]
    assert codes == [0, 1]
    assert router.command("messages", "--scheduled").stdout == "Nothing waits to be sent.\n"


@pytest.mark.parametrize(
    ("sid", "place"), [(" SM1 ", "SM1"), ("//evil.example", "%2F%2Fevil.example"), ("x" * 99, "x" * 40)]
)
def test_a_message_is_found_by_its_sid(operator: ConsoleClient, sid: str, place: str) -> None:
    response = operator.get(f"/console/messages?{urlencode({'sid': sid})}")
    assert (response.status_code, response.headers["location"]) == (303, f"/console/messages/{place}")


@pytest.mark.parametrize(
    "form",
    [
        {"number": "+1 (415) 555-0144"},
        {"number": "415.555.0144"},
        {"number": "0014155550144"},
        {"text": "hours, PLEASE "},
        {"text": "9 to 5, narnia"},
        {"number": "4155550144", "text": "hours", "rule": "hour", "outcome": "replied"},
    ],
)
async def test_messages_are_found(
    router: RouterProcess, operator: ConsoleClient, form: dict[str, str]
) -> None:
    wanted = webhook("HOURS,  please", From="+14155550144", FromCity="NARNIA")
    for parameters in (wanted, webhook("BROKEN", From="+14155550145")):
        await router.deliver(parameters)
    response = operator.post("/console/messages", form)
    assert wanted["MessageSid"] in response.text
    assert "+1415•••0145" not in response.text
    assert "+1415•••0144" in response.text
    assert "+14155550144" in operator.post("/console/messages", {**form, "reveal": "1"}).text
    for other in ({"outcome": "failed"}, {"rule": "broken"}, {"text": "no such text"}):
        assert wanted["MessageSid"] not in operator.post("/console/messages", {**form, **other}).text
    sid = operator.post("/console/messages", {"number": wanted["MessageSid"]})
    assert sid.headers["location"] == f"/console/messages/{wanted['MessageSid']}"
    assert "4155550144" not in router.log


async def test_dead_letters_are_listed_with_their_causes_and_counted(
    router: RouterProcess, operator: ConsoleClient
) -> None:
    parameters = webhook("BROKEN")
    await router.deliver(parameters)
    for query in ("", "?failed=1"):
        page = operator.get(f"/console/messages{query}").text
        assert parameters["MessageSid"] in page
        assert "ZeroDivisionError" in page
    assert "<strong>0</strong> dead letters" not in operator.get("/console").text


async def test_pages_of_messages_have_no_gap_and_no_overlap(
    router: RouterProcess, operator: ConsoleClient
) -> None:
    sent = [webhook("HOURS", From=f"+1415555{number:04}") for number in range(30)]
    for parameters in sent:
        await router.deliver(parameters)
    first = operator.get("/console/messages?limit=25").text
    older = unescape(first).partition('rel="next" href="')[2].partition('"')[0]
    pages = first + operator.get(f"/console/messages{older}").text
    for parameters in sent:
        assert pages.count(f'href="/console/messages/{parameters["MessageSid"]}"') == 1


@pytest.mark.parametrize(
    "query", ["limit=1000000", "limit=x", "before=x", "before=9-9", "failed=2", "reveal=yes"]
)
def test_an_invalid_query_is_ignored(operator: ConsoleClient, query: str) -> None:
    assert operator.get(f"/console/messages?{query}").status_code == 200


async def test_a_sender_is_cordoned_and_released(router: RouterProcess, operator: ConsoleClient) -> None:
    path = f"/console/senders/{SHORT_CODE}"
    response = operator.post(f"{path}/cordon", {"reason": "carrier incident", "span": "2h"})
    assert (response.status_code, response.headers["location"]) == (303, "/console/senders")
    page = operator.follow(response)
    assert "carrier incident" in page.text
    assert 'role="status">The sender is out of use, on every router within a second.' in page.text
    assert 'sms_router_notice=""' in page.headers["set-cookie"]
    with ConsoleClient(router.url) as other:
        other.log_in()
        other_session = other.get("/console/senders", response.headers["set-cookie"].partition(";")[0])
    for later in (operator.get("/console/senders?done=cordoned&notice=forged"), other_session):
        assert 'role="status"' not in later.text
    assert "carrier incident" in router.command("senders").stdout
    changes = json.loads(router.command("membership", "history", "--json").stdout)
    assert (changes[0]["who"], changes[0]["action"]) == ("the console", "cordon")
    answer = await router.deliver(webhook("HOURS", From="+14155550178"))
    assert 'from="+14155550100"' in answer.text
    assert operator.post(f"{path}/release").status_code == 303
    assert "carrier incident" not in operator.get("/console/senders").text
    assert operator.post(f"{path}/release").status_code == 409
    assert router.log.count("console: cordoned 12345") == 1
    assert router.log.count("console: released 12345") == 1


def test_numbers_in_onboarding_are_listed(router: RouterProcess, operator: ConsoleClient) -> None:
    added = router.command("onboarding", "add", "67890", "--kind", "short-code-migration")
    assert added.returncode == 0, added
    page = operator.get("/console/senders").text
    assert "In onboarding" in page
    assert "short code migration" in page
    router.command("onboarding", "drop", "67890", "--yes")
    assert "67890" not in operator.get("/console/senders").text


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        (f"senders/{SHORT_CODE}/cordon", {"reason": " ", "span": "2h"}, 400),
        (f"senders/{SHORT_CODE}/cordon", {"reason": "x" * 201, "span": "2h"}, 400),
        (f"senders/{SHORT_CODE}/cordon", {"reason": "x", "span": "9y"}, 400),
        ("senders/SC2/cordon", {"reason": "x", "span": ""}, 404),
        ("services/MG2/refresh", {}, 404),
        ("people", {"number": "nobody"}, 400),
        ("messages", {"number": "nobody"}, 400),
        ("people", {"number": "+14155550123", "ours": "abc"}, 400),
        ("people/opt-out", {"number": "+14155550123", "scope": "MG2"}, 400),
        ("keywords", {"text": "HOURS", "country": "USA"}, 400),
        ("keywords", {"text": "HOURS", "from": "nobody"}, 400),
        ("keywords", {"text": "HOURS", "to": "nobody"}, 400),
        ("messages/SM1/replay", {}, 404),
    ],
)
def test_an_invalid_form_gets_a_reason(
    operator: ConsoleClient, path: str, form: dict[str, str], status: int
) -> None:
    response = operator.post(f"/console/{path}", form)
    assert response.status_code == status
    assert 'role="alert"' in response.text
    if "nobody" in form.values():
        assert "'nobody' is not a number: write it with its country code" in unescape(response.text)


def test_a_failed_refresh_is_reported(operator: ConsoleClient) -> None:
    response = operator.post("/console/services/MG00000000000000000000000000000001/refresh")
    assert response.status_code == 502
    assert "Twilio" in response.text


def test_a_text_is_explained_as_by_the_command(router: RouterProcess, operator: ConsoleClient) -> None:
    page = unescape(operator.post("/console/keywords", {"text": "hours", "from": "+1 (415) 555-0188"}).text)
    shown = json.loads(router.command("explain", "+14155550188", "hours", "--json").stdout)
    assert shown["rule"] == "HOURS"
    assert shown["answer"] in page
    for line in shown["trail"]:
        assert line["reason"] in page
    assert "+14155550100" in page
    page = unescape(operator.get("/console/keywords").text)
    assert "We are open 9 to 5, {{ message.from_city or 'friend' }}." in page
    assert '<q class="reply">Text HOURS.</q>' in page, "the default"


async def test_a_contact_is_opted_out_and_in(router: RouterProcess, operator: ConsoleClient) -> None:
    somebody = {"number": "+1 415 555 0199"}
    await router.deliver(webhook("HOURS", From="+14155550199"))
    page = operator.post("/console/people", somebody).text
    assert "not opted out" in page
    assert "+1415•••0199" in page
    assert "replied" in page
    scope = {"scope": "MG" + "0" * 31 + "1"}
    page = operator.post("/console/people/opt-out", {**somebody, **scope}).text
    assert "Send this contact nothing more, until they text START?" in page
    assert 'name="confirmed" value="1"' in page
    assert "not opted out" in operator.post("/console/people", somebody).text
    scope["confirmed"] = "1"
    assert (
        "They are on the opt-out list now."
        in operator.post("/console/people/opt-out", {**somebody, **scope}).text
    )
    (entry,) = json.loads(router.command("opt-outs", "list", "--json", "--reveal").stdout)
    assert (entry["number"], entry["source"]) == ("+14155550199", "operator")

    async def is_silent() -> bool:
        return "<Message" not in (await router.deliver(webhook("HOURS", From="+14155550199"))).text

    await wait_until(is_silent)
    assert "not opted out" not in operator.post("/console/people", somebody).text
    page = operator.post("/console/people/opt-in", {**somebody, **scope, "confirmed": ""}).text
    assert "Has the contact asked to get messages again?" in page
    assert (
        "They are off the opt-out list."
        in operator.post("/console/people/opt-in", {**somebody, **scope}).text
    )
    assert json.loads(router.command("opt-outs", "list", "--json").stdout) == []
    evidence = operator.post("/console/people", somebody).text.partition("Evidence of consent")[2]
    assert "stop: operator operator" in evidence
    assert "start: operator operator" in evidence
    assert router.log.count("added +1415•••0199 to the opt-out list") == 1
    assert "+14155550199" not in router.log


async def test_a_suspected_text_is_answered_and_decided_with_one_click_or_command(
    router: RouterProcess, operator: ConsoleClient
) -> None:
    texts = {
        f"+141555501{number}": webhook("I said stop texting", From=f"+141555501{number}")
        for number in (71, 72, 73)
    }
    for text in texts.values():
        assert "<Message" in (await router.deliver(text)).text
    await router.deliver(webhook("I said stop texting", From="24273"))  # a short code is no contact
    listed = json.loads(router.command("opt-outs", "list", "--suspected", "--reveal", "--json").stdout)
    assert {row["number"]: row["text"] for row in listed} == dict.fromkeys(texts, "I said stop texting")
    page = operator.get("/console/suspected").text
    assert page.count(">Opt out</button>") == 3
    assert "4155550171" not in page

    one, another, third = (f"{text['AccountSid']}/{text['MessageSid']}" for text in texts.values())
    for reference, decision, notice in (
        (one, "opt-out", "It is an opt-out."),
        (one, "opt-out", "It was decided before."),
        (another, "dismiss", "It is not an opt-out."),
    ):
        assert (
            notice in operator.post("/console/suspected", {"reference": reference, "decision": decision}).text
        )

    async def is_noticed() -> bool:
        return "1 text may be meant as an opt-out; decide: " in operator.get("/readyz").text

    await wait_until(is_noticed)
    assert router.command("opt-outs", "dismiss", "+1 415 555 0173").returncode == 0
    assert router.command("opt-outs", "dismiss", "+1 415 555 0173").returncode == 1
    assert "No text waits for a decision." in operator.get("/console/suspected").text
    (entry,) = json.loads(router.command("opt-outs", "list", "--json", "--reveal").stdout)
    assert (entry["number"], entry["source"]) == (
        "+14155550171",
        f"operator, suspected text {one.partition('/')[2]}",
    )
    assert router.command("opt-outs", "remove", "+14155550171").returncode == 0
    assert third not in operator.get("/console/suspected").text


async def test_the_contact_of_a_message_is_found_without_showing_the_number(
    router: RouterProcess, operator: ConsoleClient
) -> None:
    parameters = webhook("HOURS", From="+14155550166")
    await router.deliver(parameters)
    sid = {"sid": parameters["MessageSid"]}
    assert "4155550166" not in operator.get(f"/console/messages/{sid['sid']}").text
    scope = {"scope": "MG" + "0" * 31 + "1"}
    for path, form in (
        ("people", sid),
        ("people/opt-out", {**sid, **scope}),
        ("people/opt-in", {**sid, **scope}),
        ("people/opt-out", {**sid, **scope, "confirmed": "1"}),
        ("people/opt-in", {**sid, **scope, "confirmed": "1"}),
    ):
        page = operator.post(f"/console/{path}", form).text
        assert "+1415•••0166" in page
        assert "4155550166" not in page
    assert "+14155550166" in operator.post("/console/people", {**sid, "reveal": "1"}).text
    assert operator.post("/console/people", {"sid": "SM1"}).status_code == 404


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["/console/x", "/console/senders/x/y", "/console/messages/SM1"])
def test_an_unknown_page_is_not_found(operator: ConsoleClient, method: str, path: str) -> None:
    response = getattr(operator, method)(path)
    assert response.status_code == 404
    assert "<h1>Not found</h1>" in response.text
    assert '<a href="/console">Overview</a>' in response.text


def test_contacts_are_not_found_by_a_url(operator: ConsoleClient) -> None:
    page = operator.get("/console/people?number=%2B14155550123").text
    assert "4155550123" not in page
    assert "555 0123" in page  # the example


def test_pages_have_one_heading_a_language_and_a_current_link(operator: ConsoleClient) -> None:
    for path in ("/console", "/console/messages", "/console/senders", "/console/keywords", "/console/people"):
        page = operator.get(path).text
        assert page.count("<h1") == 1
        assert '<html lang="en">' in page
        assert 'aria-current="page"' in page


async def test_the_keywords_page_names_the_published_version_and_warns(start_router: StartRouter) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    file = router.folder / "keywords.toml"
    file.write_text(file.read_text() + '[[keyword]]\nwords = ["HI"]\ncountries = ["UK"]\nreply = "Hi"\n')
    assert router.command("keywords", "publish", "--note", "summer").returncode == 0
    (router.folder / "data" / "audit.txt").write_text("Audit of config: passed\n\n  auditor: HELP <b>\n")
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        sentence = "The rules are version 1, published by "
        await wait_until(lambda: sentence in operator.get("/console/keywords").text)
        page = unescape(operator.get("/console/keywords").text)
    assert "countries: 'UK' never matches: write GB" in page
    assert "the replies to opt-out words are the shipped ones" in page
    assert "Audit of config: passed" in page
    assert "auditor: HELP <b>" in page
