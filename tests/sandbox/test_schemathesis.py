"""Generated calls of every documented operation: the sandbox never fails, and answers as documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from sms_router.sandbox.application import create_sandbox
from tests.membership.recorded import serving
from tests.sandbox.openapi import DOCUMENTS, FIXTURES, operations, validate_response
from tests.sandbox.sandbox_fixture import PHONE, SAN_FRANCISCO, SERVICE, SHORT_CODE_SID, demo_world

pytestmark = pytest.mark.slow

NUMBER_SID = "PN00000000000000000000000000000001"
EXAMPLES = 12
"""Calls of each operation, for each of the two kinds of path."""

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class CalledSandbox:
    """A sandbox with one message and one alphanumeric sender, which is called over a socket."""

    def __init__(self, url: str) -> None:
        world = demo_world()
        self.url = url
        self.credentials = (world.account_sid, world.auth_token)
        base = f"{url}/2010-04-01/Accounts/{world.account_sid}"
        message = self.post(f"{base}/Messages.json", {"To": PHONE, "From": SAN_FRANCISCO, "Body": "x"})
        sender = self.post(f"{url}/v1/Services/{SERVICE}/AlphaSenders", {"AlphaSender": "My Shop"})
        self.sids = {
            "Messages": message["sid"],
            "ShortCodes": SHORT_CODE_SID,
            "IncomingPhoneNumbers": NUMBER_SID,
            "PhoneNumbers": NUMBER_SID,
            "AlphaSenders": sender["sid"],
            "Services": SERVICE,
        }

    def post(self, url: str, form: dict[str, str]) -> Any:
        return requests.post(url, data=form, auth=self.credentials, timeout=10).json()

    def check(self, case: Any, *, exists: bool) -> None:
        """Make a call, to a resource that exists or to one that probably does not."""
        parameters = case.path_parameters
        if "AccountSid" in parameters:
            parameters["AccountSid"] = self.credentials[0]
        if "ServiceSid" in parameters and exists:
            parameters["ServiceSid"] = SERVICE
        if "Sid" in parameters and exists:
            parameters["Sid"] = self.sids[case.path.split("/{Sid}")[0].rpartition("/")[2]]
        response = case.call(base_url=self.url, auth=self.credentials, timeout=10)
        assert response.status_code < 500
        path = unquote(urlsplit(str(response.request.url)).path)
        validate_response(case.method, path, response.status_code, response.text)


@pytest.fixture
def sandbox() -> Iterator[CalledSandbox]:
    with ExitStack() as stack:
        yield CalledSandbox(stack.enter_context(serving(create_sandbox(demo_world()))))


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("operation", sorted(operations()), ids=" ".join)
def test_generated_calls_are_answered_as_documented(
    operation: tuple[str, str], exists: bool, sandbox: CalledSandbox
) -> None:
    import schemathesis  # noqa: PLC0415 (slow to import)

    method, path = operation
    document = next(name for tree, name in DOCUMENTS.items() if path.startswith(tree))
    schema = schemathesis.openapi.from_dict(json.loads((FIXTURES / document).read_text("utf-8")))

    @bounded
    @given(case=schema[path][method].as_strategy())
    def call(case: Any) -> None:
        sandbox.check(case, exists=exists)

    call()
