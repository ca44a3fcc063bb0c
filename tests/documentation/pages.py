"""The pages of the documentation, with their headings, links and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

PAGES = (
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "loadtests" / "README.md",
    REPOSITORY / "app" / "sms_router" / "sandbox" / "scenarios" / "README.md",
)

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Return its place."""
        return f"{self.page}:{self.line}"


def page_name(page: Path) -> str:
    """Return the path of a page in the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def code_blocks(*languages: str, page: Path | None = None) -> list[Block]:
    """Return the code blocks of these languages, of one page or of all."""
    return [
        block
        for path in ([page] if page is not None else PAGES)
        for block in _blocks(path)
        if block.language in languages
    ]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for fence in _FENCE.finditer(text):
        yield Block(page_name(page), text.count("\n", 0, fence.start()) + 1, fence[1], fence[2])


def without_blocks(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return the links of a page to other pages and to headings."""
    return [link for link in _LINK.findall(without_blocks(page)) if not link.startswith(("http:", "https:"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(without_blocks(page))
    }


def inline_code(page: Path) -> list[str]:
    """Return the inline code of a page."""
    return _CODE.findall(without_blocks(page))
