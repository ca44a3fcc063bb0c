"""Simulated contacts for locust. `make load` runs this file; it also works with locust alone:

    locust -f loadtests/locustfile.py --host https://sms.example.com --texts loadtests/texts.toml

The account is read from TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_MESSAGING_SERVICE_SID, and the
URL that Twilio calls from PUBLIC_URL, if it is not --host.
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

from loadtests.load.script import LOCAL_SCRIPT, Script, read_script
from loadtests.load.simulated_contact import Answer, Check, SimulatedContact
from loadtests.load.verdict import (
    LIMITS,
    Figures,
    Limits,
    exceeded_limits,
    make_row,
    merge_times,
    write_figures,
)
from loadtests.workload.contacts import FICTIONAL_CONTACTS, make_contact
from loadtests.workload.webhook import Account, Request, WebhookBuilder

MAX_FAULTS = 20
SLOW_HANDLER = "slow handler"


class Run:
    """The state of all users of a process; set when locust starts."""

    script: Script
    builder: WebhookBuilder
    contacts: Iterator[int] = itertools.count()
    limits = LIMITS
    actions = 0
    messages = 0
    wrong = 0
    errors = 0
    began = 0.0
    faults: list[str] = []  # noqa: RUF012 - there is one run


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    group = parser.add_argument_group("sms-router")
    group.add_argument("--rate", type=float, default=50.0, help="Actions a second, of all contacts")
    group.add_argument("--texts", default="", help="The texts for a deployment, a file like texts.toml")
    group.add_argument("--p95", type=float, default=LIMITS.p95, help="Limit, in milliseconds")
    group.add_argument("--p99", type=float, default=LIMITS.p99, help="Limit, in milliseconds")
    group.add_argument("--figures", default="", help="Write the figures into this file, as JSON")


@events.init.add_listener
def _begin(environment: Any, **_: Any) -> None:
    options = environment.parsed_options
    missing = [name for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN") if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} must be set: the router accepts signed requests only")
    public_url = os.environ.get("PUBLIC_URL") or options.host or ""
    service = os.environ.get("TWILIO_MESSAGING_SERVICE_SID", "")
    account = Account(
        os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"], service, public_url.rstrip("/")
    )
    Run.builder = WebhookBuilder(account)
    Run.script = read_script(Path(options.texts)) if options.texts else LOCAL_SCRIPT
    Run.limits = Limits(p95=options.p95, p99=options.p99)
    if options.texts:  # a deployment: only numbers that are not assigned
        Run.contacts = itertools.cycle(range(FICTIONAL_CONTACTS))


@events.spawning_complete.add_listener
def _begin_counting(**_: Any) -> None:
    Run.actions, Run.began = 0, time.monotonic()


@events.request.add_listener
def _count_fault(name: str, exception: Exception | None, **_: Any) -> None:
    if exception is None:
        return
    Run.wrong += 1
    if len(Run.faults) < MAX_FAULTS:
        Run.faults.append(f"{name}: {exception}")


@events.user_error.add_listener
def _count_error(exception: Exception, **_: Any) -> None:
    """Count an exception in the load test: the action has not checked its answers."""
    Run.errors += 1
    Run.faults.append(f"the load test: {exception!r}")


@events.quitting.add_listener
def _check_limits(environment: Any, **_: Any) -> None:
    """Check the limits; locust exits with 1 when one is exceeded."""
    options = environment.parsed_options
    entries = environment.stats.entries.values()
    rows = tuple(make_row(entry.name, entry.response_times, entry.num_failures) for entry in entries)
    others = [entry for entry in entries if not entry.name.startswith(SLOW_HANDLER)]
    total = make_row("all", merge_times(entry.response_times for entry in others), 0)
    figures = Figures(
        rows=rows,
        total=total,
        messages=Run.messages,
        wrong=Run.wrong,
        errors=Run.errors,
        actions=Run.actions,
        seconds=time.monotonic() - Run.began if Run.began else 0.0,
        wanted_rate=0.0 if environment.web_ui else options.rate,
        faults=tuple(Run.faults),
    )
    if options.figures:
        write_figures(Path(options.figures), figures)
    exceeded = exceeded_limits(figures, Run.limits)
    for sentence in exceeded:
        print(f"limit exceeded: {sentence}")
    environment.process_exit_code = 1 if exceeded else 0


class ContactUser(FastHttpUser):
    """A locust user that acts as one contact after the other."""

    network_timeout = 15.0
    """Seconds, as Twilio waits."""
    connection_timeout = 5.0
    max_retries = 0
    concurrency = 10

    def on_start(self) -> None:
        """Create the contact (locust calls this)."""
        contacts = map(make_contact, Run.contacts)
        self.simulated_contact = SimulatedContact(self, Run.builder, Run.script, contacts, random.Random())
        users = self.environment.runner.target_user_count or 1
        self.seconds_to_wait: Callable[[Any], float] = constant_throughput(
            self.environment.parsed_options.rate / users
        )

    def wait_time(self) -> float:
        """Return the seconds until the next action (locust calls this)."""
        return self.seconds_to_wait(self)

    @task
    def act(self) -> None:
        """Do one action (locust calls this)."""
        before = self.simulated_contact.answered
        try:
            self.simulated_contact.act()
        finally:
            Run.actions += 1
            Run.messages += self.simulated_contact.answered - before

    def post(self, name: str, request: Request, check: Check) -> Answer:
        """Send a request and report the result to locust."""
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
            fault = check(answer)
            if fault is None:
                response.success()
            else:
                response.failure(fault)
            return answer

    def gather(self, calls: Sequence[Callable[[], Answer | None]]) -> list[Answer | None]:
        """Make calls concurrently."""
        return [greenlet.value for greenlet in gevent.joinall([gevent.spawn(call) for call in calls])]
