"""``init``, and the demo in an installed package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sms_router.cli.server import init
from sms_router.testing import SmsTester
from tests.cli.conftest import Cli, Serving

REPOSITORY = Path(__file__).parents[3]


def files_in(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_starter_project_has_the_files_of_the_demo(cli: Cli, tmp_path: Path) -> None:
    shop = tmp_path / "our shop"
    result = cli("init", "our shop")
    assert (result.code, result.err) == (0, "")
    assert "  cd 'our shop'\n  sms-router serve\n" in result.out.replace(f"{tmp_path}/", "")
    assert files_in(shop / "config") == files_in(REPOSITORY / "config")
    assert files_in(shop / "handlers") == files_in(REPOSITORY / "app" / "handlers")
    assert (shop / ".gitignore").read_text() == ".data/\n__pycache__/\n"


def test_the_tests_of_a_starter_project_pass(sms: SmsTester) -> None:
    functions: dict[str, Callable[[SmsTester], None]] = {}
    exec(init._TEST, functions)
    for name in [name for name in functions if name.startswith("test_")]:
        functions[name](sms)


def test_the_handlers_of_a_project_precede_those_of_a_clone(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "handlers"]:
        monkeypatch.delitem(sys.modules, name)
    cli("init", "shop")
    (tmp_path / "shop" / "handlers" / "pizza.py").write_text(
        "from sms_router import keyword\n\n\n@keyword('PIZZA')\ndef pizza() -> str:\n    return 'Yes.'\n"
    )
    assert "function pizza" in cli("keywords", inside=tmp_path / "shop").out


@pytest.mark.parametrize("taken", ["config/router.toml", "handlers/echo.py", "test_handlers.py"])
def test_init_overwrites_nothing(cli: Cli, tmp_path: Path, taken: str) -> None:
    mine = tmp_path / "shop" / taken
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    result = cli("init", "shop")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"shop/{taken} exists; nothing was written.")
    assert files_in(tmp_path / "shop") == {taken: b"mine"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment with the wheel of the source distribution, and its dependencies."""
    built = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ("-q", "--no-deps", "--no-index")
    for command in (
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(built)],
        [sys.executable, "-m", "venv", "--without-pip", str(built / "venv")],
    ):
        subprocess.run(command, cwd=REPOSITORY, check=True)
    (source,) = built.glob("*.tar.gz")
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", built, source], check=True)
    (wheel,) = built.glob("*.whl")
    python = built / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    (packages,) = (built / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages"))
    )
    return built / "venv" / "bin" / "sms-router"


@pytest.mark.slow
@pytest.mark.parametrize("is_project", [False, True])
def test_the_installed_package_replies_in_any_folder(
    installed: Path, tmp_path: Path, is_project: bool
) -> None:
    for name in ("app", "config", "handlers"):  # of another program
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError")
    folder = tmp_path
    if is_project:
        subprocess.run([installed, "init", "shop"], cwd=tmp_path, check=True)
        folder /= "shop"
        python = installed.with_name("python")
        subprocess.run([python, "-m", "pytest", "-p", "no:cacheprovider"], cwd=folder, check=True)
    serving = Serving.start(folder, installed)
    try:
        for text, reply in (("HOURS", "We are open 9 to 5"), ("ECHO a pie", "You texted 12345: a pie")):
            done = subprocess.run(
                [installed, "text", text],
                cwd=folder,
                env={"PATH": os.environ["PATH"], **serving.environment},
                capture_output=True,
                text=True,
                check=False,
            )
            assert reply in done.stdout, done.stderr
        subprocess.run([installed, "sandbox", "audit"], cwd=folder, check=False, stdout=subprocess.DEVNULL)
        assert (folder / ".data" / "audit.txt").is_file()
        assert ("These are the demo's rules" in serving.log) is not is_project
    finally:
        assert serving.stop() == 0
