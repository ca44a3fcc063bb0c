"""``text`` and ``messages``, against a real router."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import requests

from sms_router.cli.server.text_by_webhook import account_of
from sms_router.config.settings import load_settings
from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.sandbox.hosting import free_port
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.store.embedded import embedded
from sms_router.store.keys import PoolKeys
from tests.cli.conftest import PROGRAM, Cli, Serving


def texted(live: Cli, *words: str) -> dict[str, Any]:
    result = live("text", *words, "--json")
    assert (result.code, result.err) == (0, "")
    answer: dict[str, Any] = json.loads(result.out)
    return answer


def show_message(live: Cli, sid: str, *more: str) -> dict[str, Any]:
    result = live("messages", "show", sid, "--json", *more)
    assert (result.code, result.err) == (0, "")
    episode = json.loads(result.out)
    assert isinstance(episode, dict)
    return episode


@pytest.mark.parametrize(
    ("words", "sender", "body"),
    [
        (["hours, please"], "12345", "We are open 9 to 5, SAN FRANCISCO."),
        (["ECHO", "two", "pies"], "12345", "You said two pies"),
        (["ECHO a & <b> \U0001f600"], "12345", "You said a & <b> \U0001f600"),
        (["nonsense"], "12345", "Text HOURS or MENU."),
        (["BOOM"], "12345", "Sorry."),
        (["bonjour", "--from", "+1 647 555 0123"], "+18885550100", "Bonjour !"),
        (["HOURS", "--to", "+14155550100"], "12345", "We are open 9 to 5, SAN FRANCISCO."),
    ],
)
def test_a_text_gets_its_reply(live: Cli, words: list[str], sender: str, body: str) -> None:
    (message,) = texted(live, *words)["messages"]
    assert (message["from"], message["body"]) == (sender, body)


def test_pictures_and_segments_are_shown(live: Cli) -> None:
    (message,) = texted(live, "MENU", "--media", "https://example.com/mine.jpg")["messages"]
    assert message["media"] == ["https://example.com/menu.png"]
    assert message["segments"] == 1


def test_a_reply_is_shown_as_on_a_phone(live: Cli) -> None:
    result = live("text", "MENU")
    assert result.code == 0
    assert result.out.startswith("+14155550123 texts 12345: MENU\n")
    assert "from 12345" in result.out
    assert "[picture] https://example.com/menu.png" in result.out
    assert "delivered, 1 segment " in result.out
    assert "  rule MENU; short code of US, the contact's country\n" in result.out
    assert re.search(r"\n  MM[0-9a-f]{32}\n\nsms-router messages show SM[0-9a-f]{32}\n$", result.out)
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_bubbles_fit_any_terminal(live: Cli, serving: Serving, encoding: str) -> None:
    shown = subprocess.run(
        [str(PROGRAM), "text", "HOURS", "--no-wait"],
        cwd=serving.folder,
        env={**serving.environment, "PYTHONIOENCODING": encoding, "NO_COLOR": "1", "COLUMNS": "40"},
        capture_output=True,
        check=True,
    ).stdout.decode(encoding)
    assert ("+- from 12345 ---" if encoding == "ascii" else "╭─ from 12345 ───") in shown
    assert "\x1b" not in shown
    _, *bubble, why, _ = shown.partition("\n\n")[0].splitlines()
    assert [len(line) for line in bubble] == [40, 40, 40]
    assert why == "  rule HOURS; short code of US, the contact's country"  # lines of a pipe do not wrap


def sandbox(serving: Serving, path: str, body: object) -> None:
    url = f"http://127.0.0.1:{serving.environment['SANDBOX_PORT']}/sandbox{path}"
    assert requests.post(url, json=body, timeout=5).ok


def test_a_rerouted_reply_follows_the_one_that_was_not_delivered(live: Cli, serving: Serving) -> None:
    sandbox(serving, "/phones/+14155557003", {"carrier": "prairie"})
    result = texted(live, "HOURS", "--from", "+14155557003")
    (failed,), (delivered,) = result["undelivered"], result["messages"]
    assert (failed["kind"], failed["from"], failed["status"], failed["error_code"]) == (
        "reply",
        "12345",
        "undelivered",
        30006,
    )
    assert (delivered["kind"], delivered["from"], delivered["status"]) == (
        "re-routed reply",
        "+14155550100",
        "delivered",
    )
    assert delivered["reason"] == "because of error 30006 from 12345"
    assert (result["waits_for"], result["no_reply"]) == ([], None)


def test_a_late_reply_and_what_a_handler_sends_are_waited_for(live: Cli) -> None:
    messages = texted(live, "TWICE")["messages"]
    assert {each["kind"]: each["body"] for each in messages} == {"message": "one", "late reply": "two"}
    result = texted(live, "TWICE", "--no-wait")
    assert result["waits_for"][0] == "the handler of TWICE, whose reply leaves by REST"


def test_no_reply_is_explained(live: Cli) -> None:
    person = "+14155557004"
    texted(live, "STOP", "--from", person)
    for words, sender, reason in (
        ("HOURS", person, "the contact has opted out, and gets nothing until they text START"),
        ("STOP", person, "opt-out word STOP again"),
        ("Liked “soup”", "+14155557005", "the text is a reaction, which no rule takes"),
        ("HOURS", "+14155550100", "not sent: the message comes from one of our own numbers"),
    ):
        assert texted(live, words, "--from", sender)["no_reply"] == reason


def test_a_failed_handler_is_named_below_the_error_reply(live: Cli) -> None:
    assert "\nA dead letter: BOOM: LookupError" in live("text", "BOOM").out


def test_the_same_sid_gets_the_same_reply(live: Cli) -> None:
    again = live("text", "ECHO another text", "--sid", texted(live, "MENU")["sid"]).out
    assert "│ Soup: 5 " in again
    assert "shown here only, 1 segment" in again
    assert "A duplicate: MENU had answered this message before" in again


def test_with_live_credentials_sending_needs_a_confirmation(live: Cli) -> None:
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 31 + "2", "TWILIO_AUTH_TOKEN": "another"}
    refused = live("text", "HOURS", "--to", "12345", **account)
    assert refused.code == 2
    assert "cost money" in refused.err
    assert refused.err.endswith("sms-router text HOURS --to 12345 --yes\n")


def test_no_reply_is_shown(live: Cli) -> None:
    assert texted(live, "QUIET")["messages"] == []
    assert "(no reply) QUIET sends nothing: its reply is empty" in live("text", "QUIET").out


def test_another_token_is_refused_with_a_reason(live: Cli, serving: Serving) -> None:
    account = "AC" + "0" * 31 + "1"
    url = f"http://127.0.0.1:{serving.environment['PORT']}"
    words = ("text", "HOURS", "--to", "12345", "--url", url)
    result = live(*words, TWILIO_ACCOUNT_SID=account, TWILIO_AUTH_TOKEN="another")
    assert result.code == 1
    assert result.err.startswith("The router refused the signature (403).")


def test_a_router_is_found_by_its_url_alone(live: Cli, serving: Serving) -> None:
    url = f"http://127.0.0.1:{serving.environment['PORT']}"
    assert live("text", "HOURS", PORT=str(free_port())).code == 1
    assert live("text", "HOURS", "--url", url, PORT=str(free_port())).code == 0


@pytest.mark.parametrize("more", [[], ["--to", "12345"]])
def test_a_router_that_does_not_run_is_reported_with_a_command(cli: Cli, more: list[str]) -> None:
    port = free_port()
    result = cli("text", "HOURS", *more, PORT=str(port))
    assert result.code == 1
    assert f"http://127.0.0.1:{port}" in result.err
    assert "Start it in another terminal: make run" in result.err
    assert "If it listens on another address, use PORT=8001" in result.err
    assert "Traceback" not in result.err


class Another(BaseHTTPRequestHandler):
    """A server in the router's place, which replies on the right path."""

    path_of_ours = "/sms"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != self.path_of_ours:
            self.send_error(404)
            return
        answer = b"<Response><Message>Here I am.</Message></Response>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (the base names it so)
        pass


@contextlib.contextmanager
def listening(port: int, handler: type[Another] = Another) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_text_waits_for_a_router_that_is_about_to_listen(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line to paste is shown a moment before the first worker listens."""
    port = free_port()
    with contextlib.ExitStack() as running:
        running.enter_context(embedded(folder / ".data"))
        begin = SimpleNamespace(
            monotonic=time.monotonic,
            time=time.time,
            sleep=lambda _: running.enter_context(listening(port)),
        )
        monkeypatch.setattr("sms_router.cli.server.text.time", begin)
        result = cli("text", "HOURS", "--to", "12345", "--url", f"http://127.0.0.1:{port}")
    assert (result.code, result.err) == (0, "")
    assert "Here I am." in result.out


def test_another_program_at_the_url_is_reported(cli: Cli) -> None:
    class Elsewhere(Another):
        path_of_ours = "/somewhere"

    port = free_port()
    with listening(port, Elsewhere):
        result = cli("text", "HOURS", "--to", "12345", "--url", f"http://127.0.0.1:{port}")
    assert result.code == 1
    assert result.err.splitlines()[:2] == [
        "The router answered 404.",
        "See its log, unless another program listens there.",
    ]


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--sid", "SM1", "SM or MM and 32 hex digits"),
        ("--url", "localhost:8000", "must begin with http:// or https://"),
    ],
)
def test_an_invalid_option_is_wrong_usage(cli: Cli, option: str, value: str, remedy: str) -> None:
    result = cli("text", "HOURS", option, value)
    assert result.code == 2
    assert option in result.err
    assert remedy in " ".join(result.err.replace("│", " ").split())


TWO_SERVICES = """
[[accounts]]
sid = "AC11111111111111111111111111111111"
auth_token = "one"
[[accounts]]
sid = "AC22222222222222222222222222222222"
auth_token = "two"
[[services]]
sid = "MG11111111111111111111111111111111"
account = "AC11111111111111111111111111111111"
[[services]]
sid = "MG22222222222222222222222222222222"
account = "AC22222222222222222222222222222222"
"""


@pytest.mark.parametrize(
    ("texted", "account", "service"),
    [
        ("12345", "AC" + "1" * 32, "MG" + "1" * 32),
        ("67890", "AC" + "2" * 32, "MG" + "2" * 32),
        ("99999", "AC" + "1" * 32, "MG" + "1" * 32),
    ],
)
def test_the_webhook_names_the_service_of_the_number(
    tmp_path: Path, valkey_url: str, valkey: redis.Redis, texted: str, account: str, service: str
) -> None:
    for digit, number in (("1", "12345"), ("2", "67890")):
        sender = Sender("SC" + digit * 32, number, SenderKind.SHORT_CODE, "US", Capability.SMS)
        sid = "MG" + digit * 32
        snapshot = Snapshot("AC" + digit * 32, sid, (sender,), ServiceProperties("S", None), {}, 1.0, 1)
        valkey.set(PoolKeys.of(sid).snapshot, snapshot.to_bytes())
    (tmp_path / "router.toml").write_text(TWO_SERVICES)
    settings = load_settings({"SMS_ROUTER_CONFIG": str(tmp_path), "REDIS_URL": valkey_url})
    found, sid_found = account_of(settings, texted)
    assert (found.sid, sid_found) == (account, service)


def test_texts_need_no_redis(tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text(TWO_SERVICES)
    port = free_port()
    environment = {"SMS_ROUTER_CONFIG": str(tmp_path), "REDIS_URL": f"redis://127.0.0.1:{port}"}
    account, service = account_of(load_settings(environment), "67890")
    assert (account.sid, service) == ("AC" + "1" * 32, "MG" + "1" * 32)


# messages


def test_the_newest_message_comes_first(live: Cli) -> None:
    sids = [texted(live, "HOURS")["sid"] for _ in range(3)]
    listed = json.loads(live("messages", "--limit", "3", "--json").out)
    assert [each["sid"] for each in listed] == sids[::-1]


def test_messages_of_one_contact_are_listed(live: Cli) -> None:
    person = "+14155557001"
    sids = [texted(live, words, "--from", person)["sid"] for words in ("HOURS", "BOOM")]
    texted(live, "HOURS")
    listed = json.loads(live("messages", "--from", "+1 (415) 555-7001", "--json").out)
    assert [(each["sid"], each["outcome"]) for each in listed] == [(sids[1], "failed"), (sids[0], "reply")]
    assert listed[0]["cause"].startswith("BOOM: LookupError")
    assert (
        live("messages", "--from", "+14155557002").out == "None of the newest messages is from this number.\n"
    )
    assert live("messages", "--from", person, "--failed").code == 2


def test_the_timeline_of_a_message(live: Cli) -> None:
    sid = texted(live, "HOURS")["sid"]
    reported = show_message(live, sid)
    assert reported["from"] == "+1415•••0123"
    assert reported["body"] == "(5 characters)"
    assert reported["answer"] == ["(34 characters)"]
    assert (reported["to"], reported["outcome"], reported["rule"], reported["sender"]) == (
        "12345",
        "reply",
        "HOURS",
        "12345",
    )
    assert reported["received"].endswith("+00:00")
    assert reported["trail"][0].startswith("12345: chosen: ")
    assert reported["causes"] == []
    revealed = show_message(live, sid, "--reveal")
    assert (revealed["from"], revealed["body"]) == ("+14155550123", "HOURS")
    assert revealed["answer"] == ["We are open 9 to 5, SAN FRANCISCO."]


def test_a_failed_message_is_a_dead_letter_with_its_cause(live: Cli) -> None:
    sid = texted(live, "BOOM")["sid"]
    letters = json.loads(live("messages", "--failed", "--json").out)
    letter = next(each for each in letters if each["sid"] == sid)
    assert letter["outcome"] == "failed"
    assert letter["cause"].startswith("BOOM: LookupError: ")
    assert show_message(live, sid)["causes"] == letter["causes"]
    people = live("messages", "--failed").out
    assert sid in people
    assert "  cause: BOOM: LookupError: " in people


def test_a_list_has_a_few_lines_for_each_message(live: Cli) -> None:
    sid = texted(live, "HOURS")["sid"]
    lines = live("messages", "--limit", "1").out.splitlines()
    assert lines[0] == "Messages (newest first)"
    assert lines[2].endswith(sid)
    assert lines[3:5] == ["  +1415•••0123 to 12345: (5 characters)", "  reply from 12345"]
    assert max(map(len, lines)) <= 80


def test_output_to_a_terminal_that_is_not_utf_8(live: Cli, serving: Serving) -> None:
    texted(live, "HOURS")
    done = subprocess.run(
        [str(PROGRAM), "messages", "--limit", "1"],
        cwd=serving.folder,
        env={**serving.environment, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "+1415???0123 to 12345" in done.stdout


def test_one_message_fits_80_columns(live: Cli) -> None:
    sid = texted(live, "HOURS")["sid"]
    lines = live("messages", "show", sid).out.splitlines()
    assert any(sid in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_control_characters_of_texts_are_escaped(live: Cli) -> None:
    texted(live, "ECHO \x1b[2J\x9b1mred\r[bold]")
    for words in (["messages", "--limit", "1", "--reveal"], ["text", "ECHO \x1b[2J[bold]"]):
        shown = live(*words).out
        assert "\\x1b[2J" in shown
        assert "[bold]" in shown
        assert not set(shown) & {"\x1b", "\x9b", "\r"}


def test_an_unknown_message_exits_with_1(live: Cli) -> None:
    result = live("messages", "show", "SM" + "0" * 32)
    assert result.code == 1
    assert "List the newest: sms-router messages" in result.err


def test_an_empty_list_shows_a_command(cli: Cli) -> None:
    result = cli("messages")
    assert (result.code, result.out) == (0, "No messages yet. Send one: sms-router text HOURS\n")
    assert json.loads(cli("messages", "--json").out) == []
    assert cli("messages", "--failed").out == "No dead letters.\n"
    assert cli("messages", "show", "SM" + "0" * 32).code == 1


def test_with_privacy_open_nothing_is_masked(live: Cli, serving: Serving, tmp_path: Path) -> None:
    sid = texted(live, "HOURS")["sid"]
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "router.toml").write_text(
        f'[router]\nprivacy = "open"\ndata_dir = "{serving.folder / ".data"}"\n'
    )
    result = live("messages", "show", sid, "--json", SMS_ROUTER_CONFIG=str(open_folder))
    assert json.loads(result.out)["body"] == "HOURS"
