"""The undocumented parts of uvicorn that ``server/`` overrides or uses: a changed one fails here."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import inspect
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from sms_router.server.http_cycle import SingleWriteCycle
from sms_router.server.http_protocol import BoundedHttpProtocol
from sms_router.server.supervisor import WorkerProcess, WorkerSupervisor

OVERRIDDEN: dict[type, dict[str, str]] = {
    BoundedHttpProtocol: {
        "connection_made": "6efb565ff3d3",
        "connection_lost": "c91a4c9bf2e2",
        "pause_writing": "17a8fd215d96",
        "resume_writing": "7844bbaa8cce",
        "data_received": "010a7ae59a5d",
        "on_headers_complete": "1ea8589acfad",
        "on_message_complete": "1fbad42dc31f",
        "on_response_complete": "64e254f28e38",
        "shutdown": "d7351fa33f00",
        "_unsupported_upgrade_warning": "55bbd2762b18",
        "send_400_response": "ae5a4a3782b6",
        "on_header": "65d62c044f61",
    },
    SingleWriteCycle: {"send": "abdd8601b326"},
    WorkerSupervisor: {
        "__init__": "5e0f105cb4a3",
        "init_processes": "6c69f2a36bf5",
        "keep_subprocess_alive": "3ba4980aa33b",
    },
    WorkerProcess: {"target": "ad60ca4616de"},
}
"""By our class: the methods that it overrides, with the first digits of the SHA-256 of uvicorn's source."""

RELIED_ON: dict[Callable[..., Any], str] = {
    HttpToolsProtocol.__init__: "4f0899941034",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2",
    HttpToolsProtocol.on_body: "dba9c32aeba3",
    HttpToolsProtocol._start_asgi_task: "9c08c2571ae9",
    RequestResponseCycle.__init__: "4d2f220910c3",
    RequestResponseCycle.run_asgi: "0f33f2449a44",
    RequestResponseCycle.receive: "8124ae006be7",
    FlowControl.__init__: "0152d94a0407",
    FlowControl.pause_reading: "7c27388bb984",
    FlowControl.resume_reading: "a0429d30857e",
    flow_control.service_unavailable: "f54bba3c14aa",
    httptools_impl._get_status_line: "d7012e110d2d",
    Multiprocess.run: "306814569fbd",
    Process.__init__: "a8c85f799aae",
    Process._healthcheck: "989efe6df658",
    Process.pong: "531eb588bfa5",
    Process.kill: "23db0314aac4",
}
"""Functions that our classes call, or whose effects they assume, with the same digest."""

INHERITED = {
    BoundedHttpProtocol: {
        "_start_asgi_task", "access_log", "access_logger", "app", "connections", "cycle",
        "expect_100_continue", "flow", "headers", "limit_concurrency", "logger", "loop", "parser", "pipeline",
        "scope", "server_state", "tasks", "timeout_keep_alive", "transport", "url",
    },
    SingleWriteCycle: {
        "access_log", "default_headers", "disconnected", "flow", "keep_alive", "message_event",
        "on_response", "response_complete", "response_started", "scope", "transport",
    },
    WorkerSupervisor: {"config", "processes", "processes_num", "should_exit", "sockets"},
    WorkerProcess: {"config"},
}  # fmt: skip
"""By our class: the attributes of uvicorn's class that it uses on itself."""

COLLABORATORS = {
    FlowControl: {"write_paused", "pause_reading", "resume_reading"},
    ServerState: {"default_headers", "total_requests"},
    RequestResponseCycle: {"keep_alive", "response_complete"},
    Process: {"exitcode", "is_alive", "join", "kill", "parent_conn", "pid", "process", "start"},
}
"""By uvicorn's class: what our classes use of its instances."""


def digest(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Never called."""


@pytest.fixture
def instances(monkeypatch: pytest.MonkeyPatch) -> dict[type, object]:
    """Return an instance of each class of uvicorn's, by its class."""
    config = uvicorn.Config(application, log_config=None)
    state = ServerState()
    protocol = HttpToolsProtocol(config, state, {}, asyncio.new_event_loop())
    protocol.on_message_begin()
    protocol.loop.close()
    cycle = dict.fromkeys(inspect.signature(RequestResponseCycle).parameters)
    cycle["scope"] = {"headers": []}
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # a supervisor takes all signals of the process
    return {
        HttpToolsProtocol: protocol,
        RequestResponseCycle: RequestResponseCycle(**cycle),  # type: ignore[arg-type]
        FlowControl: FlowControl(None),  # type: ignore[arg-type]
        ServerState: state,
        Multiprocess: Multiprocess(config, []),
        Process: Process(config, []),
    }


@pytest.mark.parametrize(
    ("ours", "name"), [(ours, name) for ours, names in OVERRIDDEN.items() for name in names]
)
def test_an_overridden_method_is_the_one_that_was_read(ours: type, name: str) -> None:
    theirs = getattr(ours.__base__, name)
    assert digest(theirs) == OVERRIDDEN[ours][name], (
        f"uvicorn {uvicorn.__version__} has changed {theirs.__qualname__}: compare it with "
        f"{ours.__name__}.{name}, then write the new digest into this test"
    )


@pytest.mark.parametrize("function", RELIED_ON, ids=lambda function: function.__qualname__)
def test_a_function_that_is_relied_on_is_the_one_that_was_read(function: Callable[..., Any]) -> None:
    assert digest(function) == RELIED_ON[function], (
        f"uvicorn {uvicorn.__version__} has changed {function.__qualname__}: check what the modules of "
        "sms_router/server assume of it, then write the new digest into this test"
    )


@pytest.mark.parametrize("ours", OVERRIDDEN, ids=lambda ours: ours.__name__)
def test_every_override_is_listed(ours: type) -> None:
    methods = {name for name, value in vars(ours).items() if inspect.isfunction(value)}
    assert {name for name in methods if hasattr(ours.__base__, name)} == OVERRIDDEN[ours].keys()


@pytest.mark.parametrize("ours", INHERITED, ids=lambda ours: ours.__name__)
def test_an_inherited_attribute_exists_and_is_listed(ours: type, instances: dict[type, object]) -> None:
    assert ours.__base__ is not None
    attributes = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(ours)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    } - vars(ours).keys()
    assert {name for name in attributes if hasattr(instances[ours.__base__], name)} == INHERITED[ours], (
        f"uvicorn {uvicorn.__version__}: what {ours.__name__} uses of {ours.__base__.__name__} and this "
        "test's list differ; an attribute may have been renamed"
    )


@pytest.mark.parametrize("theirs", COLLABORATORS, ids=lambda theirs: theirs.__name__)
def test_a_collaborator_has_what_is_used_of_it(theirs: type, instances: dict[type, object]) -> None:
    missing = {name for name in COLLABORATORS[theirs] if not hasattr(instances[theirs], name)}
    assert missing == set(), f"uvicorn {uvicorn.__version__} has no {theirs.__name__}.{missing}"


def test_the_requirement_admits_one_minor_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert "uvicorn>=0.54,<0.55" in project["dependencies"]
