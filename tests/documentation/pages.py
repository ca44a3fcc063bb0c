"""The pages that people read, and what stands in them: headings, links, and blocks of code."""

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

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Name where it stands."""
        return f"{self.page}:{self.line}"


def named(page: Path) -> str:
    """Return what a page is called in the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks(*languages: str, page: Path | None = None) -> list[Block]:
    """Return the blocks in those languages, of one page or of all."""
    return [
        block
        for each in ([page] if page is not None else PAGES)
        for block in _blocks(each)
        if block.language in languages
    ]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        yield Block(named(page), text.count("\n", 0, found.start()) + 1, found[1], found[2])


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return where a page leads to, other sites left out."""
    return [link for link in _LINK.findall(prose(page)) if not link.startswith(("http:", "https:"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that readers of Markdown make of a page's headings."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))
    }


def code(page: Path) -> list[str]:
    """Return what a page's sentences and tables write as code."""
    return _CODE.findall(prose(page))
