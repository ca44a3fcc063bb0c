"""The configuration folder of the router under test, whose replies are those of `texts`."""

from __future__ import annotations

import json
from pathlib import Path

from loadtests.workload.texts import DEFAULT_REPLY, ERROR_REPLY, FALLBACK_REPLY, HOURS, MENU, Text

REPOSITORY = Path(__file__).resolve().parents[2]

ROUTER = """\
[router]
signature = "enforce"
handlers = ["loadtests.workload.handlers"]
error_reply = {error}
fallback_reply = {fallback}
data_dir = {data}
inline_deadline = {deadline}

[loop_guard]
replies = 0

{more}
"""

KEYWORD = """
[[keyword]]
words = [{word}]
match = "first-word"
reply = {reply}
media = {media}
"""


def write_configuration(
    folder: Path, data: Path, deadline: float = 8.0, more: str = "", keywords: str = ""
) -> Path:
    """Write the folder and return it.

    ``data`` is the router's ``data_dir``, ``deadline`` is in seconds; ``more`` is added to ``router.toml``,
    ``keywords`` to ``keywords.toml``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    router = ROUTER.format(
        error=json.dumps(ERROR_REPLY),
        fallback=json.dumps(FALLBACK_REPLY),
        data=json.dumps(str(data)),
        deadline=deadline,
        more=more,
    )
    (folder / "router.toml").write_text(router)
    rules = [_keyword("HOURS", HOURS), _keyword("MENU", MENU), keywords]
    default = f"\n[default]\nreply = {json.dumps(DEFAULT_REPLY)}\n"
    (folder / "keywords.toml").write_text("".join([*rules, default]))
    world = (REPOSITORY / "config" / "sandbox.toml").read_text()
    (folder / "sandbox.toml").write_text(
        world.partition("[[phones]]")[0]
    )  # short codes do not reach some of these
    return folder


def _keyword(word: str, text: Text) -> str:
    reply = (text.reply or "").replace("{city}", "{{ message.from_city }}")
    return KEYWORD.format(word=json.dumps(word), reply=json.dumps(reply), media=json.dumps(list(text.media)))
