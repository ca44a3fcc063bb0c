"""People who text, for locust: `make load` runs this, and so can anybody who knows locust.

    locust -f loadtests/locustfile.py --host https://sms.example.com --texts loadtests/texts.toml

The account comes from TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_MESSAGING_SERVICE_SID; what
Twilio would call, where that is not --host, from PUBLIC_URL.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant_throughput, events, task

from loadtests.crowd.people import FICTIONAL, person
from loadtests.crowd.webhook import Account, Caller, Request
from loadtests.load.script import OWN, Script, read_script
from loadtests.load.texter import Answer, Judge, Texter
from loadtests.load.verdict import LIMITS, Figures, Limits, broken_limits, merged, row, write_figures

MOST_FAULTS = 20
SLOW_BY_ITSELF = "slow handler"


class Run:
    """What all users share; one in each process, set up when locust starts."""

    script: Script
    caller: Caller
    people: Iterator[int] = itertools.count()
    limits = LIMITS
    acts = 0
    messages = 0
    wrong = 0
    errors = 0
    began = 0.0
    faults: list[str] = []  # noqa: RUF012 - there is one run


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    group = parser.add_argument_group("sms-router")
    group.add_argument("--rate", type=float, default=50.0, help="What people do each second, all together")
    group.add_argument("--texts", default="", help="What a deployment is texted: a file like texts.toml")
    group.add_argument("--p95", type=float, default=LIMITS.p95, help="Limit, in milliseconds")
    group.add_argument("--p99", type=float, default=LIMITS.p99, help="Limit, in milliseconds")
    group.add_argument("--figures", default="", help="Write the figures into this file, as JSON")


@events.init.add_listener
def _begin(environment: Any, **_: Any) -> None:
    options = environment.parsed_options
    missing = [name for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN") if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} must be set: whoever signs for the account is believed")
    public_url = os.environ.get("PUBLIC_URL") or options.host or ""
    service = os.environ.get("TWILIO_MESSAGING_SERVICE_SID", "")
    account = Account(
        os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"], service, public_url.rstrip("/")
    )
    Run.caller = Caller(account)
    Run.script = read_script(Path(options.texts)) if options.texts else OWN
    Run.limits = Limits(p95=options.p95, p99=options.p99)
    if options.texts:  # somebody's deployment: only numbers that are nobody's
        Run.people = itertools.cycle(range(FICTIONAL))


@events.spawning_complete.add_listener
def _counting_begins(**_: Any) -> None:
    Run.acts, Run.began = 0, time.monotonic()


@events.request.add_listener
def _note(name: str, exception: Exception | None, **_: Any) -> None:
    if exception is None:
        return
    Run.wrong += 1
    if len(Run.faults) < MOST_FAULTS:
        Run.faults.append(f"{name}: {exception}")


@events.user_error.add_listener
def _note_error(exception: Exception, **_: Any) -> None:
    """An act that ended in an error has held nothing against what is due."""
    Run.errors += 1
    Run.faults.append(f"the load tool: {exception!r}")


@events.quitting.add_listener
def _judge(environment: Any, **_: Any) -> None:
    """Hold the run against its limits; locust exits with 1 when it has not kept one."""
    options = environment.parsed_options
    entries = environment.stats.entries.values()
    rows = tuple(row(each.name, each.response_times, each.num_failures) for each in entries)
    ordinary = [each for each in entries if not each.name.startswith(SLOW_BY_ITSELF)]
    whole = row("all", merged(each.response_times for each in ordinary), 0)
    figures = Figures(
        rows=rows,
        whole=whole,
        messages=Run.messages,
        wrong=Run.wrong,
        errors=Run.errors,
        acts=Run.acts,
        seconds=time.monotonic() - Run.began if Run.began else 0.0,
        wanted=0.0 if environment.web_ui else options.rate,
        faults=tuple(Run.faults),
    )
    if options.figures:
        write_figures(Path(options.figures), figures)
    broken = broken_limits(figures, Run.limits)
    for sentence in broken:
        print(f"broken: {sentence}")
    environment.process_exit_code = 1 if broken else 0


class Somebody(FastHttpUser):
    """A phone in somebody's hands."""

    network_timeout = 15.0
    """Seconds, as Twilio waits."""
    connection_timeout = 5.0
    max_retries = 0
    concurrency = 10

    def on_start(self) -> None:
        """Pick the phone up."""
        people = map(person, Run.people)
        self.texter = Texter(self, Run.caller, Run.script, people, random.Random())
        users = self.environment.runner.target_user_count or 1
        self.pace: Callable[[Any], float] = constant_throughput(self.environment.parsed_options.rate / users)

    def wait_time(self) -> float:
        """Return the seconds until the next act."""
        return self.pace(self)

    @task
    def act(self) -> None:
        """Do one thing."""
        before = self.texter.delivered
        try:
            self.texter.act()
        finally:
            Run.acts += 1
            Run.messages += self.texter.delivered - before

    def post(self, name: str, request: Request, judge: Judge) -> Answer:
        """Send a request for the texter."""
        with self.client.post(
            request.path,
            data=request.body,
            headers=dict(request.headers),
            name=name,
            catch_response=True,
            allow_redirects=False,
        ) as response:
            answer = Answer(
                response.status_code,
                (response.headers or {}).get("Content-Type", ""),
                response.content or b"",
                str(getattr(response, "error", None) or ""),
            )
            fault = judge(answer)
            if fault is None:
                response.success()
            else:
                response.failure(fault)
            return answer

    def together(self, calls: Sequence[Callable[[], Answer | None]]) -> list[Answer | None]:
        """Make calls at the same time."""
        return [greenlet.value for greenlet in gevent.joinall([gevent.spawn(call) for call in calls])]
