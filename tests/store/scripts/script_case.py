"""What a script does in one situation, as the tables beside this file list them.

A table is named after a script, where a comma and a name for some of its cases may follow. It has the
``usual`` arguments, and the cases, each with a sentence for its name: ``given``, what is stored before;
``with``, the arguments that differ from the usual ones, where one that is not named is ""; ``gives``, what
the script returns; ``then``, all that has changed.

Keys and arguments have the names of the Lua file. A hash is a table, or where only its size matters the
number of its fields; a sorted set is a table with its scores, a stream a list of entries. `ttl` has the
remaining milliseconds, `published` the channel and the text of what is published. What is deleted is
``false``. ``NOW`` is the time by Redis' clock, which is fixed, and ``*`` the id of a new entry of a stream.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

NOW = 1_000_000_001
_TAG = "{0}:"
_SORTED_SETS = {"outbox", "scheduled", "events", "opt_outs", "consents", "last_used"}
_STREAMS = {"journal", "dead_letters"}
_REFERENCE = "AC/SM"
_DUMP = """
local result = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, ttl_ms = redis.call('TYPE', key).ok, redis.call('PTTL', key)
  local read = {hash = {'HGETALL', key}, zset = {'ZRANGE', key, 0, -1, 'WITHSCORES'}, string = {'GET', key},
    stream = {'XRANGE', key, '-', '+'}, list = {'LRANGE', key, 0, -1}}
  result[#result + 1] = {key, kind, redis.call(unpack(read[kind])), ttl_ms}
end
return result
"""


@dataclass(frozen=True, slots=True)
class ScriptCase:
    """One case of a script's table."""

    script: str
    sentence: str
    given: Mapping[str, Any]
    arguments: Mapping[str, Any]
    gives: object
    then: Mapping[str, Any]

    def run(self, client: redis.Redis, source: str) -> tuple[object, dict[str, Any]]:
        """Run the Lua text ``source`` on an empty database; return what it returns, and what has changed.

        Raises:
            redis.ResponseError: the script failed.
        """
        keys, names = ([*_header(source, of)] for of in ("KEYS", "ARGV"))
        assert self.arguments.keys() <= {*names, "reference", "rest"}, f"{self.script} has other arguments"
        arguments = [_argument(name, self.arguments.get(name, "")) for name in names]
        arguments += map(_stored, self.arguments.get("rest", ()))
        # In one transaction the server's clock stands still, so the remaining times are exact.
        with client.pipeline(transaction=True) as transaction:
            transaction.flushdb()
            for name, value in self.given.items():
                _write(transaction, name, value)
            transaction.eval(_DUMP, 0)
            transaction.eval(_substituted(source), len(keys), *map(_key, keys), *arguments)
            transaction.eval(_DUMP, 0)
            before, result, after = transaction.execute()[-3:]
        old, new = _state(before), _state(after)
        return _rendered(result), _changes(old, new)


def load_cases(folder: Path = Path(__file__).parent) -> list[ScriptCase]:
    """Read the tables."""
    return [
        ScriptCase(
            name.partition(",")[0],
            sentence,
            case.get("given", {}),
            {"reference": _REFERENCE, **table.get("usual", {}), **case.get("with", {})},
            case["gives"],
            case.get("then", {}),
        )
        for path in sorted(folder.glob("*.toml"))
        for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items()
        for sentence, case in table.items()
        if sentence != "usual"
    ]


def _header(source: str, of: str) -> list[str]:
    names = re.search(rf"^local ([\w,\s]+?)\s*=\s*unpack\({of}\b", source, re.MULTILINE)
    return re.split(r",\s*", names[1]) if names else []


def _substituted(source: str) -> str:
    source = source.replace("redis.call('TIME')", "{'1000000', '1000'}")
    return source.replace("redis.pcall('PUBLISH', ", f"redis.pcall('RPUSH', '{_TAG}published', ")


def _key(name: str) -> str:
    return _TAG + (f"message:{_REFERENCE}" if name == "message" else name.replace("_", "-"))


def _name(key: str) -> str:
    name = key.removeprefix(_TAG).replace("-", "_")
    return "message" if name == f"message:{_REFERENCE}" else name


def _argument(name: str, value: object) -> str:
    return f"{_TAG}{value}" if name.endswith("_prefix") else _stored(value)


def _stored(value: object) -> str:
    """Return what a table means by a value, as Redis stores it."""
    return re.sub(r"\bNOW([+-]\d+)?", lambda match: str(NOW + int(match[1] or 0)), str(value))


def _write(client: redis.Redis, name: str, value: Any) -> None:
    key = _key(name)
    if name == "ttl":
        for each, ttl_ms in value.items():
            client.pexpire(_key(each), ttl_ms)
    elif name in _STREAMS:
        for number, entry in enumerate(value, 1):
            client.xadd(key, entry, id=f"{number}-1")
    elif name in _SORTED_SETS and isinstance(value, int):
        client.zadd(key, {f"field{number}": NOW for number in range(value)})
    elif name in _SORTED_SETS:
        client.zadd(key, {member: float(_stored(score)) for member, score in value.items()})
    elif isinstance(value, int):
        client.hset(key, mapping={f"field{number}": "" for number in range(value)})
    elif isinstance(value, dict):
        client.hset(key, mapping={field: _stored(text) for field, text in value.items()})
    else:
        client.set(key, _stored(value))


def _rendered(value: Any) -> Any:
    """Return a value of Redis' as a table writes it."""
    if isinstance(value, list):
        return [_rendered(part) for part in value]
    if isinstance(value, int):
        text = _rendered(str(value))
        return value if text == str(value) else text
    text = value.decode() if isinstance(value, bytes) else str(value)
    if text.startswith("{"):  # the order of the members of cjson's objects is undefined
        text = json.dumps(json.loads(text), sort_keys=True)
    text = re.sub(r"\b[1-9]\d{12}-\d+", "*", text)
    return re.sub(r"\b(?:9|10)\d{8}\b", _moment, text)


def _moment(number: re.Match[str]) -> str:
    distance = int(number[0]) - NOW
    return f"NOW{distance:+}" if distance else "NOW"


def _state(dump: list[Any]) -> dict[str, Any]:
    state: dict[str, Any] = {"ttl": {}}
    for key, kind, content, ttl_ms in dump:
        name = _name(key.decode())
        if kind == b"stream":
            state[name] = [_pairs(entry) for _, entry in content]
        else:
            state[name] = _pairs(content) if kind in {b"hash", b"zset"} else _rendered(content)
        if ttl_ms >= 0:
            state["ttl"][name] = ttl_ms
    return state


def _pairs(values: list[bytes]) -> dict[str, Any]:
    texts = [_rendered(value) for value in values]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _changes(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    names = [
        name for name in [*old, *(name for name in new if name not in old)] if old.get(name) != new.get(name)
    ]
    return {name: _changes(old.get(name), new[name]) if name in new else False for name in names}
