"""Validates responses against Twilio's OpenAPI documents."""

import json
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FIXTURES = Path(__file__).parent.parent / "fixtures"
DOCUMENTS = {"/v1": "openapi-messaging-v1.json", "/2010-04-01": "openapi-api-v2010.json"}

UNDOCUMENTED = re.compile(
    r"/2010-04-01/Accounts(/AC[0-9a-f]{32})?\.json"
    r"|/2010-04-01/Accounts/AC[0-9a-f]{32}/Messages/[SM]M[0-9a-f]{32}/Media(/ME[0-9a-f]{32})?\.json"
    r"|/v1/Alerts(/NO[0-9a-f]{32})?"
)
"""Paths of Twilio's API that are not in the two documents: tests compare their fields one by one."""

formats = FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))


@formats.checks("date-time-rfc-2822", raises=ValueError)
def _rfc2822(value: object) -> bool:
    return not isinstance(value, str) or bool(parsedate_to_datetime(value))


@formats.checks("uri")
def _uri(value: object) -> bool:
    return not isinstance(value, str) or bool(re.match(r"https?://[^/]+(/|$)|/2010-04-01/", value))


@formats.checks("http-method")
def _method(value: object) -> bool:
    return value in (None, "GET", "POST")


def operations() -> set[tuple[str, str]]:
    """Return every method and path template of both documents."""
    methods = ("get", "post", "delete", "put")
    documents = [_load(name) for name in DOCUMENTS.values()]
    return {
        (method.upper(), template)
        for document in documents
        for template, item in document["paths"].items()
        for method in methods
        if method in item
    }


def validate_response(method: str, path: str, status: int, body: str) -> tuple[str, str] | None:
    """Raise when a response does not match its document; return the operation of a successful one."""
    if status >= 400:
        _validate_error(status, json.loads(body))
        return None
    if UNDOCUMENTED.fullmatch(path):
        return None
    document, template = _find(path)
    _validate_success(document, template, method, status, body)
    return method.upper(), template


def _validate_success(document: dict[str, Any], template: str, method: str, status: int, body: str) -> None:
    responses = document["paths"][template][method.lower()]["responses"]
    assert str(status) in responses, f"{method} {template} has no response {status}"
    if status == 204:
        assert body == ""
        return
    schema = responses[str(status)]["content"]["application/json"]["schema"]
    complete = {**schema, "components": document["components"]}
    Draft202012Validator(complete, format_checker=formats).validate(json.loads(body))


def _validate_error(status: int, error: dict[str, Any]) -> None:
    assert set(error) == {"code", "message", "more_info", "status"}
    assert error["status"] == status
    assert error["more_info"] == f"https://www.twilio.com/docs/errors/{error['code']}"


def _find(path: str) -> tuple[dict[str, Any], str]:
    name = next(name for tree, name in DOCUMENTS.items() if path.startswith(tree))
    document = _load(name)
    for template in document["paths"]:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/.]+", template.replace(".", r"\.")), path):
            return document, template
    raise AssertionError(f"{path} is in no document")


@cache
def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = _strict(json.loads((FIXTURES / name).read_text("utf-8")))
    return document


def _strict(node: Any) -> Any:
    """Convert OpenAPI 3.0 to JSON Schema: nullable as a type, every property required, no others."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _strict(value) for key, value in node.items()}
    if node.get("nullable") and "type" in node:
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
    if isinstance(node.get("properties"), dict) and "object" in str(node.get("type")):
        node.setdefault("required", list(node["properties"]))
        node["additionalProperties"] = False
    return node
