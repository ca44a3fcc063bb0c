"""``carriers.toml``: the default table, the entries that replace it, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.errors import ConfigurationError
from sms_router.senders.error_table import ErrorClass, ErrorTable, load_error_table
from tests.places import without_place

GOOD = '[[error]]\ncodes = [30006]\nclass = "sender"\nnote = "a test"\n'


def mistakes(folder: Path, text: str) -> list[str]:
    (folder / "carriers.toml").write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_error_table(folder)
    file = f"{folder / 'carriers.toml'}: "
    return [without_place(mistake).removeprefix(file) for mistake in raised.value.mistakes]


@pytest.mark.parametrize(
    ("code", "error_class", "threshold"),
    [
        (30006, ErrorClass.SENDER, 1),
        (21612, ErrorClass.SENDER, 1),
        (30003, ErrorClass.SENDER, 2),
        (21610, ErrorClass.OPT_OUT, 1),
        (30007, ErrorClass.FILTERED, 1),
        (30004, ErrorClass.FILTERED, 1),
        (30005, ErrorClass.RECIPIENT, 1),
        (30008, ErrorClass.TRANSIENT, 1),
        (30034, ErrorClass.CONFIGURATION, 1),
    ],
)
def test_the_default_table(tmp_path: Path, code: int, error_class: ErrorClass, threshold: int) -> None:
    entry = load_error_table(tmp_path).find(code)
    assert entry is not None
    assert (entry.error_class, entry.threshold) == (error_class, threshold)


def test_only_five_codes_make_a_sender_unreachable() -> None:
    entries = load_error_table().entries.items()
    codes = {code for code, entry in entries if entry.error_class is ErrorClass.SENDER}
    assert codes == {21606, 21612, 21659, 30003, 30006}
    assert {code for code, entry in entries if entry.only_abroad} == {21606, 21659}


@pytest.mark.parametrize("code", [None, 39999, 30025])
def test_an_unknown_code_has_no_entry(code: int | None) -> None:
    assert load_error_table().find(code) is None


def test_the_folders_file_replaces_entries_code_by_code(tmp_path: Path) -> None:
    (tmp_path / "carriers.toml").write_text(
        '[[error]]\ncodes = [30006, 39999]\nclass = "transient"\nnote = "our landlines"\nbelieved_days = 30\n'
    )
    table = load_error_table(tmp_path)
    for code in (30006, 39999):
        entry = table.find(code)
        assert entry is not None
        assert entry.error_class is ErrorClass.TRANSIENT
    assert table.find(30003) == load_error_table().find(30003)
    assert table.max_ttl_ms == 30 * 86_400_000


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (GOOD + 'klass = "x"\n', "error[1].klass: unknown key; did you mean class?"),
        (GOOD.replace("sender", "sendr"), "error[1].class: must be 'sender', 'recipient', 'opt-out'"),
        (GOOD + "times = 6\n", "error[1].times: must be less than or equal to 5"),
        (GOOD + "believed_days = 0\n", "error[1].believed_days: must be greater than 0"),
        (GOOD.replace("30006", "3"), "error[1].codes[1]: must be greater than or equal to 10000"),
        (GOOD.replace("30006", ""), "error[1].codes: "),
        ('[[error]]\ncodes = [30006]\nclass = "sender"\n', 'error[1].note: is missing; add note = "..."'),
        (GOOD + GOOD, "error[2].codes: 30006 is in two tables; keep one of them"),
        ("error = 1\n", "error: must be a list of tables"),
        ("errors = 1\n", "errors: unknown key; did you mean error?"),
    ],
)
def test_every_mistake_names_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    assert any(line.startswith(mistake) for line in mistakes(tmp_path, text)), mistakes(tmp_path, text)


def test_a_code_in_two_tables_is_reported_at_the_second(tmp_path: Path) -> None:
    (tmp_path / "carriers.toml").write_text(GOOD + GOOD)
    with pytest.raises(ConfigurationError) as raised:
        load_error_table(tmp_path)
    (mistake,) = raised.value.mistakes
    assert f"{tmp_path / 'carriers.toml'}:6:" in mistake


def test_an_empty_table_keeps_failures_for_a_day() -> None:
    assert ErrorTable({}).max_ttl_ms == 86_400_000
