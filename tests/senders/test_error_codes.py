"""Every error code of Twilio's messaging pages is classed, or left out for a reason in this file."""

from __future__ import annotations

import pytest

from sms_router.senders.error_table import ErrorClass, load_error_table

MESSAGING_CODES = {
    # The REST API rejects a message
    20003, 20404, 20429, 20503, 21211, 21212, 21265, 21266, 21408, 21601, 21602, 21603, 21604, 21605, 21606,
    21607, 21608, 21609, 21610, 21611, 21612, 21614, 21617, 21618, 21619, 21620, 21621, 21622, 21623, 21627,
    21635, 21654, 21655, 21657, 21658, 21659, 21660, 21661, 21664, 21665, 21666, 21667, 21703, 21709, 21710,
    21711, 21712, 21717, 21720, 21722, 21723, 21725, 21730, 21902, 21910,
    # A message fails, or was not delivered
    14107, 30001, 30002, 30003, 30004, 30005, 30006, 30007, 30008, 30009, 30010, 30011, 30017, 30018, 30019,
    30020, 30021, 30022, 30023, 30024, 30025, 30026, 30027, 30029, 30031, 30032, 30033, 30034, 30035, 30036,
    30037, 30038, 30039, 30040, 30041, 30042, 30043, 30110, 30111, 30400, 30404, 30409, 30410, 30450, 30453,
    30454, 30485, 30500, 30610, 30640,
    # The same over RCS, WhatsApp and Messenger
    63001, 63003, 63005, 63006, 63007, 63008, 63009, 63010, 63011, 63012, 63013, 63014, 63016, 63017, 63018,
    63019, 63020, 63021, 63022, 63023, 63024, 63025, 63027, 63028, 63029, 63030, 63031, 63032, 63035, 63036,
    63038,
}  # fmt: skip
"""The codes of Twilio's dictionary that concern messages; those of link shortening's set-up are left out."""

INBOUND = "it is about an inbound message"
ONLY_A_WARNING = "a warning; the message is sent"
NO_MESSAGE = "it is about a request that sends no message"
NO_PAGE = "its page was not found, and other sources contradict each other"
TWO_CAUSES = "its title allows different causes, and its page was not found"

UNCLASSED = {
    30009: INBOUND,
    30038: INBOUND,
    30025: ONLY_A_WARNING,
    30026: ONLY_A_WARNING,
    21710: NO_MESSAGE,
    21712: NO_MESSAGE,
    21717: NO_MESSAGE,
    21720: NO_MESSAGE,
    21722: NO_MESSAGE,
    21723: NO_MESSAGE,
    21725: NO_MESSAGE,
    30400: NO_MESSAGE,
    30404: NO_MESSAGE,
    30409: NO_MESSAGE,
    63025: NO_MESSAGE,
    30043: TWO_CAUSES,
    30485: TWO_CAUSES,
    63011: TWO_CAUSES,
    63035: TWO_CAUSES,
    63036: TWO_CAUSES,
    63005: NO_PAGE,
    63010: NO_PAGE,
    63012: NO_PAGE,
    63013: NO_PAGE,
    63024: NO_PAGE,
    63027: NO_PAGE,
    63030: NO_PAGE,
    63032: NO_PAGE,
}


def test_every_code_is_classed_or_left_out_on_purpose() -> None:
    classed = load_error_table().entries.keys()
    assert classed | UNCLASSED.keys() == MESSAGING_CODES
    assert classed & UNCLASSED.keys() == set()


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (63018, ErrorClass.TRANSIENT),
        (63038, ErrorClass.TRANSIENT),
        (21660, ErrorClass.CONFIGURATION),
        (21661, ErrorClass.CONFIGURATION),
        (30453, ErrorClass.FILTERED),
        (63003, ErrorClass.RECIPIENT),
        (63014, ErrorClass.FILTERED),
    ],
)
def test_codes_whose_pages_state_the_cause(code: int, error_class: ErrorClass) -> None:
    entry = load_error_table().find(code)
    assert entry is not None
    assert entry.error_class is error_class


def test_every_note_names_its_source() -> None:
    notes = {entry.note for entry in load_error_table().entries.values()}
    assert [note for note in notes if not note.startswith(("E:", "E26:", "E title:"))] == []


def test_a_code_that_is_known_by_its_title_alone_is_never_acted_upon() -> None:
    by_title = [entry for entry in load_error_table().entries.values() if entry.note.startswith("E title")]
    acting = {ErrorClass.SENDER, ErrorClass.OPT_OUT}
    assert by_title
    assert not any(entry.error_class in acting for entry in by_title)
