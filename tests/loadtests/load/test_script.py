from pathlib import Path

import pytest

from loadtests.load.script import LOCAL_SCRIPT, ScriptError, read_script
from loadtests.workload.contacts import make_contact

SHIPPED = Path(__file__).parents[3] / "loadtests" / "texts.toml"


def test_the_shipped_texts_are_readable() -> None:
    script = read_script(SHIPPED)
    assert script.to == "12345"
    assert not script.opt_outs
    assert script.fallback_reply is None
    assert {text.body for text in script.texts} >= {"HOURS"}


def test_a_file_sets_everything(tmp_path: Path) -> None:
    file = tmp_path / "texts.toml"
    file.write_text(
        'to = "54321"\nsenders = ["54321", "+14155550100"]\nopt_outs = true\nfallback_reply = "Soon."\n'
        '[[text]]\nbody = "HI"\nreply = "Hello {city}"\nmedia = ["https://a/b.png"]\nweight = 3\n'
        '[[text]]\nbody = "HUSH"\n'
    )
    script = read_script(file)
    assert [text.body for text in script.texts] == ["HI", "HI", "HI", "HUSH"]
    expected = script.texts[0].expected_reply(make_contact(3))
    assert expected.texts == ("Hello\\ CHICAGO",)
    assert expected.media == ("https://a/b.png",)
    assert script.texts[-1].expected_reply(make_contact(3)).texts == ()
    assert (script.to, script.opt_outs, script.fallback_reply) == ("54321", True, "Soon.")
    assert script.find_sender_fault("+14155550100", make_contact(0)) is None
    assert "54321 or +14155550100" in (script.find_sender_fault("12345", make_contact(0)) or "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no \\[\\[text\\]\\]"),
        ("text = 3", "no \\[\\[text\\]\\]"),
        ("[[text]]", "1: body is missing"),
        ('[[text]]\nbody = 3\nreply = "x"', "body must be a text"),
        ('[[text]]\nbody = "x"\nrepyl = "x"', "did you mean reply"),
        ('sender = "1"\n[[text]]\nbody = "x"', "did you mean senders"),
        ('[[text]]\nbody = "x"\nweight = 0', "weight must be"),
        ('[[text]]\nbody = "x"\nmedia = "x"', "media must be a list"),
        ("[[text", "cannot be read"),
    ],
    ids=["empty", "number", "bare", "body", "key", "file key", "weight", "media", "broken"],
)
def test_errors_name_their_place(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "texts.toml"
    file.write_text(text)
    with pytest.raises(ScriptError, match=why):
        read_script(file)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="cannot be read"):
        read_script(tmp_path / "none.toml")


def test_the_local_router_replies_from_the_expected_sender() -> None:
    assert LOCAL_SCRIPT.find_sender_fault("12345", make_contact(0)) is None
    assert LOCAL_SCRIPT.find_sender_fault("12345", make_contact(11)) is not None
