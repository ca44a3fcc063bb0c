"""Each script in each situation of the tables, on a real server."""

from __future__ import annotations

import pytest

from sms_router.store.scripts import SCRIPTS
from tests.store.private_valkey import client_of
from tests.store.scripts.script_case import ScriptCase, load_cases
from tests.store.shared_stores import SharedStores

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.script}: {case.sentence}")
def test_a_script_does_what_its_table_lists(stores: SharedStores, case: ScriptCase) -> None:
    with client_of(stores.url("valkey")) as client:
        changes = case.run(client, SCRIPTS[case.script].source.decode())
    assert changes == (case.gives, case.then)


def test_every_script_has_a_table() -> None:
    assert {case.script for case in CASES} == SCRIPTS.keys()
