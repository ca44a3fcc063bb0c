"""The pytest plugin: the fixture ``sms``. It imports the router only where a test uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sms_router.testing import SmsTester
    from sms_router.testing.project import Project


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # pytest would rewrite the asserts of the whole router, which takes a second where nothing is cached.
    getattr(pluginmanager.rewrite_hook, "_must_rewrite", set()).discard("sms_router")
    parser.addini("sms_router_config", "Folder with router.toml and keywords.toml; else config", default="")


@pytest.fixture(scope="session")
def sms_config(pytestconfig: pytest.Config) -> Path | None:
    """Return the configuration folder; a conftest.py may define another one."""
    named = str(pytestconfig.getini("sms_router_config"))
    return (pytestconfig.inipath or pytestconfig.rootpath / "_").parent / named if named else None


@pytest.fixture(scope="session")
def _sms_projects(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path | None], Project]]:
    from sms_router.testing.project import open_project  # noqa: PLC0415 (0.8 s, where it is needed)

    with ExitStack() as opened:

        @cache
        def project(folder: Path | None) -> Project:
            data_dir = tmp_path_factory.mktemp("sms-router")
            return opened.enter_context(open_project(folder, pytestconfig.rootpath, data_dir))

        yield project


@pytest.fixture
def sms(sms_config: Path | None, _sms_projects: Callable[[Path | None], Project]) -> Iterator[SmsTester]:
    """Text the project's keywords, templates and handlers, and see the replies as a person would."""
    from sms_router.testing import SmsTester  # noqa: PLC0415 (as above)

    tester = SmsTester(partial(_sms_projects, sms_config))
    try:
        yield tester
    finally:
        tester.close()
