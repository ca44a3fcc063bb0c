from collections.abc import AsyncIterator

import pytest

from tests.sandbox.bench import Bench, running


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running() as bench:
        yield bench
