"""The sandbox tests the router, so that it shares only Twilio's protocol and generic leaf modules with it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SANDBOX = Path(__file__).parents[2] / "app" / "sms_router" / "sandbox"
SHARED = {
    "sms_router.errors",
    "sms_router.tasks",
    "sms_router.toml",
    "sms_router.twilio.area_codes",
    "sms_router.twilio.form",
    "sms_router.twilio.segments",
}


def _imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield node.module or ""


@pytest.mark.parametrize(
    "module", sorted(SANDBOX.rglob("*.py")), ids=lambda path: str(path.relative_to(SANDBOX))
)
def test_a_module_imports_no_router_code(module: Path) -> None:
    ours = {name for name in _imports(module) if name.split(".")[0] == "sms_router"}
    assert {name for name in ours if not name.startswith("sms_router.sandbox")} <= SHARED


def test_the_world_is_light_to_import() -> None:
    """The commands read it at each start, without the web framework and the HTTP client."""
    world = "sms_router.sandbox.world.loader"
    program = f"import sys, {world}; print(*{{'aiohttp', 'starlette', 'uvicorn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
