"""Logins, and which forms are accepted."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
import requests

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess
from tests.store.private_valkey import PrivateValkey
from tests.web.console.client import PASSWORD, ConsoleClient

PAGES = ["/console", "/console/messages", "/console/senders", "/console/keywords", "/console/people"]


@pytest.mark.parametrize(
    "path", [*PAGES, "/console/messages/SM1", "/console/messages/SM1/replay", "/console/x"]
)
def test_without_a_login_every_page_redirects_to_the_login(anonymous: ConsoleClient, path: str) -> None:
    response = anonymous.get(path)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/console/login")
    assert not response.content


def test_the_session_cookie_is_http_only_and_same_site(anonymous: ConsoleClient) -> None:
    response = anonymous.log_in(next="/console/senders")
    assert (response.status_code, response.headers["location"]) == (303, "/console/senders")
    attributes = {part.strip() for part in response.headers["set-cookie"].lower().split(";")}
    assert {"httponly", "secure", "samesite=strict", "path=/console"} <= attributes
    assert anonymous.get("/console").status_code == 200


def test_wrong_passwords_are_throttled_by_address_and_other_addresses_can_log_in(
    anonymous: ConsoleClient, router: RouterProcess
) -> None:
    def log_in(password: str, forwarded: str) -> requests.Response:
        return anonymous.send("/console/login", {"password": password}, X_Forwarded_For=forwarded)

    cookies = log_in(PASSWORD, "198.51.100.7").headers["set-cookie"]
    for _ in range(5):
        response = log_in("wrong", "198.51.100.7")
        assert (response.status_code, "set-cookie" in response.headers) == (403, False)
    refused = log_in(PASSWORD, "203.0.113.9, 198.51.100.7")
    assert (refused.status_code, "set-cookie" in refused.headers) == (429, False)
    assert int(refused.headers["retry-after"]) > 0
    assert log_in(PASSWORD, "198.51.100.8").status_code == 303
    anonymous.cookie = "sms_router_device=" + cookies.partition("sms_router_device=")[2].partition(";")[0]
    assert log_in(PASSWORD, "198.51.100.7").status_code == 303
    assert "wrong password from 198.51.100.7" in router.log
    assert PASSWORD not in router.log


def test_sessions_are_listed_and_ended_one_by_one(operator: ConsoleClient, router: RouterProcess) -> None:
    with ConsoleClient(router.url) as thief, ConsoleClient(router.url) as other:
        thief.send("/console/login", {"password": PASSWORD}, User_Agent="Thief/1.0")
        for client in (thief, other):
            client.log_in()
        listed = json.loads(router.command("sessions", "--json").stdout)
        assert len(listed) >= 4
        digest = hashlib.sha256(thief.cookie.partition("=")[2].encode()).hexdigest()
        assert "this session" in operator.get("/console/sessions").text
        assert f"/console/sessions/{digest}/end" in operator.get("/console/sessions").text
        ended = operator.post(f"/console/sessions/{digest}/end")
        assert ended.headers["location"] == "/console/sessions"
        assert "The session has ended" in operator.follow(ended).text
        assert operator.post(f"/console/sessions/{digest}/end").status_code == 404
        assert thief.get("/console").status_code == 303
        assert other.get("/console").status_code == 200
        name = hashlib.sha256(other.cookie.partition("=")[2].encode()).hexdigest()[:8]
        assert router.command("sessions", "end", name).returncode == 0
        assert other.get("/console").status_code == 303
        assert operator.get("/console").status_code == 200
        assert router.command("sessions", "end", name).returncode == 1


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example", "/console/../sms", "/sms", "/console/\\evil", ""]
)
def test_a_login_never_redirects_to_another_site(anonymous: ConsoleClient, next_page: str) -> None:
    assert anonymous.log_in(next=next_page).headers["location"] == "/console"


def test_a_changed_cookie_is_no_session(operator: ConsoleClient) -> None:
    operator.cookie = operator.cookie[:-1] + ("0" if operator.cookie[-1] != "0" else "1")
    assert operator.get("/console").status_code == 303


def test_a_logout_deletes_the_cookie(operator: ConsoleClient) -> None:
    response = operator.post("/console/logout")
    assert (response.status_code, response.headers["location"]) == (303, "/console/login")
    assert "max-age=0" in response.headers["set-cookie"].lower()


def test_a_logout_revokes_the_session_on_every_replica(
    operator: ConsoleClient, router: RouterProcess, start_router: StartRouter, server: PrivateValkey
) -> None:
    replica = start_router(environment={"CONSOLE_PASSWORD": PASSWORD, "REDIS_URL": server.url})
    with (
        ConsoleClient(router.url) as thief,
        ConsoleClient(replica.url) as elsewhere,
        ConsoleClient(router.url) as colleague,
    ):
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


def test_a_logout_without_redis_is_published_when_redis_returns(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    routers = [start_router(environment={"CONSOLE_PASSWORD": PASSWORD}) for _ in range(2)]
    with ConsoleClient(routers[0].url) as operator, ConsoleClient(routers[1].url) as elsewhere:
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
def test_a_form_without_the_csrf_token_is_refused(operator: ConsoleClient, path: str) -> None:
    form = {"number": "+14155550123", "text": "HOURS"}
    for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é"}):
        assert operator.send(path, {**form, **csrf}).status_code == 403


def test_a_csrf_token_of_another_session_is_refused(operator: ConsoleClient, router: RouterProcess) -> None:
    with ConsoleClient(router.url) as other:
        other.log_in()
        assert operator.send("/console/logout", {"csrf": other.csrf}).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str
)
def test_a_form_from_another_site_is_refused(operator: ConsoleClient, headers: dict[str, str]) -> None:
    assert operator.post("/console/keywords", {"text": "HOURS"}, **headers).status_code == 403
    assert operator.send("/console/login", {"password": PASSWORD}, **headers).status_code == 403


def test_large_bodies_and_other_media_types_are_refused(operator: ConsoleClient) -> None:
    assert operator.post("/console/keywords", {"text": "x" * 70_000}).status_code == 413
    assert operator.post("/console/keywords", Content_Type="application/json").status_code == 415
    assert operator.send("/console/keywords", {str(each): "x" for each in range(2000)}).status_code == 400


@pytest.mark.parametrize(
    "path", ["/console/login", "/console/console.css", "/console/icon.svg", *PAGES, "/console/x"]
)
def test_every_response_has_the_security_headers(operator: ConsoleClient, path: str) -> None:
    headers = operator.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    attributes = "public, max-age=300" if path.endswith((".css", ".svg")) else "no-store"
    assert headers["cache-control"] == attributes


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_inline_code_or_foreign_resources(operator: ConsoleClient, path: str) -> None:
    page = operator.get(path).text
    assert not [sign for sign in ("<script", "<style", "style=", "onclick", "http://", "//cdn") if sign in
                page.replace("http://127.0.0.1:9", "")]  # fmt: skip


async def test_without_a_password_there_is_no_console(start_router: StartRouter) -> None:
    router = start_router()
    for path in ("/console", "/console/login", "/console/console.css"):
        assert (await router.fetch(path)).status == 404
    assert "The console is off" in router.log
    assert "CONSOLE_PASSWORD" in router.log
