"""What strangers wrote, as it may stand in a terminal or in a log: nothing in it steers either."""

from __future__ import annotations

_CONTROLS = (*range(10), *range(11, 32), *range(127, 160))
_LINE_ENDS = (0x2028, 0x2029)
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""They let a line be read in another order than it is written."""

_ESCAPES = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*_CONTROLS, *_LINE_ENDS, *_DIRECTIONS)
}


def escape_control_chars(text: str) -> str:
    """Return the text with what would steer a terminal written out; the line feed alone stays."""
    return text if text.isprintable() else text.translate(_ESCAPES)
