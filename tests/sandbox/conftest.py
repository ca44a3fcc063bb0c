from collections.abc import AsyncIterator

import pytest

from tests.sandbox.sandbox_fixture import SandboxFixture, run_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxFixture]:
    async with run_sandbox() as sandbox:
        yield sandbox
