"""Who gets in, and which forms are taken."""

from __future__ import annotations

import time

import pytest

from sms_router.web.console.login_throttle import MAX_PER_ADDRESS
from tests.end_to_end.conftest import Start
from tests.end_to_end.running import RunningRouter
from tests.store.private_valkey import PrivateValkey
from tests.web.console.visitor import PASSWORD, Visitor

PAGES = ["/console", "/console/messages", "/console/senders", "/console/keywords", "/console/people"]


@pytest.mark.parametrize(
    "path", [*PAGES, "/console/messages/SM1", "/console/messages/SM1/replay", "/console/x"]
)
def test_a_stranger_is_asked_for_the_password_and_sees_nothing(stranger: Visitor, path: str) -> None:
    response = stranger.get(path)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/console/login")
    assert not response.content


def test_the_password_opens_a_session_that_scripts_and_other_sites_cannot_use(stranger: Visitor) -> None:
    response = stranger.log_in(next="/console/senders")
    assert (response.status_code, response.headers["location"]) == (303, "/console/senders")
    kept = {part.strip() for part in response.headers["set-cookie"].lower().split(";")}
    assert {"httponly", "secure", "samesite=strict", "path=/console"} <= kept
    assert stranger.get("/console").status_code == 200


def test_a_wrong_password_opens_none_and_too_many_are_not_looked_at(start: Start) -> None:
    router = start(environment={"CONSOLE_PASSWORD": PASSWORD})
    with Visitor(router.url) as visitor:
        for _ in range(MAX_PER_ADDRESS):
            response = visitor.log_in("wrong")
            assert (response.status_code, visitor.cookie) == (403, "")
        refused = visitor.log_in(PASSWORD)
    assert (refused.status_code, "set-cookie" in refused.headers) == (429, False)
    assert int(refused.headers["retry-after"]) > 0
    assert "wrong password from 127.0.0.1" in router.log
    assert PASSWORD not in router.log


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example", "/console/../sms", "/sms", "/console/\\evil", ""]
)
def test_a_login_never_leads_to_another_site(stranger: Visitor, next_page: str) -> None:
    assert stranger.log_in(next=next_page).headers["location"] == "/console"


def test_a_cookie_that_was_changed_is_a_strangers(operator: Visitor) -> None:
    operator.cookie = operator.cookie[:-1] + ("0" if operator.cookie[-1] != "0" else "1")
    assert operator.get("/console").status_code == 303


def test_logging_out_forgets_the_session(operator: Visitor) -> None:
    response = operator.post("/console/logout")
    assert (response.status_code, response.headers["location"]) == (303, "/console/login")
    assert "max-age=0" in response.headers["set-cookie"].lower()


def test_logging_out_ends_the_session_on_every_replica_for_whoever_has_copied_the_cookie(
    operator: Visitor, router: RunningRouter, start: Start, server: PrivateValkey
) -> None:
    replica = start(environment={"CONSOLE_PASSWORD": PASSWORD, "REDIS_URL": server.url})
    with Visitor(router.url) as thief, Visitor(replica.url) as elsewhere, Visitor(router.url) as colleague:
        colleague.log_in()
        thief.cookie = elsewhere.cookie = operator.cookie
        assert (thief.get("/console").status_code, elsewhere.get("/console").status_code) == (200, 200)
        csrf = operator.csrf
        operator.post("/console/logout")
        for each in (thief, elsewhere):
            assert each.get("/console").headers["location"].startswith("/console/login")
            assert each.get("/console/login").status_code == 200
            assert each.send("/console/people", {"csrf": csrf}).status_code == 303
        assert colleague.get("/console").status_code == 200


def test_a_session_that_is_ended_while_redis_is_away_is_over_here_at_once_and_elsewhere_later(
    start: Start, valkey: PrivateValkey
) -> None:
    routers = [start(environment={"CONSOLE_PASSWORD": PASSWORD}) for _ in range(2)]
    with Visitor(routers[0].url) as operator, Visitor(routers[1].url) as elsewhere:
        operator.log_in()
        elsewhere.cookie = operator.cookie
        csrf = operator.csrf
        valkey.kill()
        operator.send("/console/logout", {"csrf": csrf})
        assert operator.get("/console").status_code == 303
        assert elsewhere.get("/console").status_code == 200
        valkey.start()
        for _ in range(600):
            if elsewhere.get("/console").status_code == 303:
                break
            time.sleep(0.05)
        else:
            raise AssertionError("it is not over in 30 seconds")


FORMS = ["/console/logout", "/console/keywords", "/console/people", "/console/people/opt-out"]


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_the_sessions_token_is_refused(operator: Visitor, path: str) -> None:
    form = {"number": "+14155550123", "text": "HOURS"}
    for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é"}):
        assert operator.send(path, {**form, **csrf}).status_code == 403


def test_a_token_of_another_session_is_refused(operator: Visitor, router: RunningRouter) -> None:
    with Visitor(router.url) as other:
        other.log_in()
        assert operator.send("/console/logout", {"csrf": other.csrf}).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str
)
def test_a_form_from_another_site_is_refused_whatever_it_holds(
    operator: Visitor, headers: dict[str, str]
) -> None:
    assert operator.post("/console/keywords", {"text": "HOURS"}, **headers).status_code == 403
    assert operator.send("/console/login", {"password": PASSWORD}, **headers).status_code == 403


def test_bodies_are_bounded_and_forms_alone_are_read(operator: Visitor) -> None:
    assert operator.post("/console/keywords", {"text": "x" * 70_000}).status_code == 413
    assert operator.post("/console/keywords", Content_Type="application/json").status_code == 415
    assert operator.send("/console/keywords", {str(each): "x" for each in range(2000)}).status_code == 400


@pytest.mark.parametrize(
    "path", ["/console/login", "/console/console.css", "/console/icon.svg", *PAGES, "/console/x"]
)
def test_every_answer_has_the_headers_that_guard_it(operator: Visitor, path: str) -> None:
    headers = operator.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    kept = "public, max-age=300" if path.endswith((".css", ".svg")) else "no-store"
    assert headers["cache-control"] == kept


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_anything_inline_or_from_elsewhere(operator: Visitor, path: str) -> None:
    page = operator.get(path).text
    assert not [sign for sign in ("<script", "<style", "style=", "onclick", "http://", "//cdn") if sign in
                page.replace("http://127.0.0.1:9", "")]  # fmt: skip


async def test_without_a_password_the_console_is_not_there(start: Start) -> None:
    router = start()
    for path in ("/console", "/console/login", "/console/console.css"):
        assert (await router.fetch(path)).status == 404
    assert "The console is off" in router.log
    assert "CONSOLE_PASSWORD" in router.log
