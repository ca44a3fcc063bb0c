"""The router's configuration for the benchmark: the keywords of all stacks."""

from __future__ import annotations

import json
from pathlib import Path

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES
from loadtests.bench.setup import BenchSetup

ROUTER = """\
[router]
public_url = {public_url}
signature = "enforce"
reply_from = "short-code-first"
handlers = []
"""

KEYWORD = """
[[keyword]]
words = [{word}]
match = "first-word"
reply = {reply}
"""

DEFAULT = """
[default]
reply = {reply}
"""


def write_router_config(setup: BenchSetup) -> Path:
    """Write ``router.toml`` and ``keywords.toml``, and return their folder."""
    folder = setup.folder / "config"
    folder.mkdir(exist_ok=True)
    (folder / "router.toml").write_text(ROUTER.format(public_url=json.dumps(setup.base_url)))
    (folder / "keywords.toml").write_text(keywords_toml())
    return folder


def keywords_toml() -> str:
    """Return the keywords as rules, with the city as a Jinja2 expression."""
    rules = [
        KEYWORD.format(word=json.dumps(word), reply=json.dumps(_as_template(reply)))
        for word, reply in REPLIES.items()
    ]
    return "".join([*rules, DEFAULT.format(reply=json.dumps(DEFAULT_REPLY))]).lstrip()


def _as_template(reply: str) -> str:
    return reply.replace("{city}", "{{ message.from_city }}")
