"""Reports of blocks, written as Markdown with picture files and as one HTML file."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em;
       color: #222; }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: right;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #888; }
img { max-width: 100%; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first column holds names. best: (row, column) of bold cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()


def table_of(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """Return a table with a row a record. columns: of each header, a format of a record's fields.

    >>> table_of([{"n": 2, "share": 0.5}], {"n": "{n}", "share": "{share:.0%}"}).rows
    [['2', '50%']]
    """
    rows = [[form.format_map(one) for form in columns.values()] for one in records]
    return Table([*columns], rows)


@dataclass(frozen=True)
class Picture:
    """A PNG with a caption."""

    file_name: str
    png: bytes
    caption: str


Block = Heading | Paragraph | Table | Picture


def write_document(directory: Path, blocks: Sequence[Block]) -> None:
    """Write report.md with its pictures, and report.html with embedded pictures."""
    write_markdown(directory, blocks)
    (directory / "report.html").write_text(page(blocks), encoding="utf-8")


def write_markdown(directory: Path, blocks: Sequence[Block]) -> None:
    """Write report.md with its pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    for block in blocks:
        if isinstance(block, Picture):
            (directory / block.file_name).write_bytes(block.png)
    (directory / "report.md").write_text(markdown(blocks), encoding="utf-8")


def markdown(blocks: Iterable[Block]) -> str:
    """Return the blocks as Markdown."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Picture(file_name, _, caption):
            return f"![{caption}]({file_name})"
        case Table(header, rows, best):
            cells = [
                [
                    f"**{text}**" if (row, column) in best else text
                    for column, text in enumerate(texts)
                ]
                for row, texts in enumerate(rows)
            ]
            rule = [":--", *["--:"] * (len(header) - 1)]
            return "\n".join(_row(each) for each in (header, rule, *cells))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page(blocks: Sequence[Block]) -> str:
    """Return the blocks as one self-contained HTML page."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Report")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            *map(_html, blocks),
            "</body>\n</html>\n",
        ]
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Picture(_, png, caption):
            source = base64.b64encode(png).decode()
            return f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{source}">'
        case Table(header, rows, best):
            return _html_table(header, rows, best)


def _html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], best: frozenset[tuple[int, int]]
) -> str:
    def cell(row: int, column: int, text: str) -> str:
        escaped = html.escape(text)
        return f"<td><b>{escaped}</b></td>" if (row, column) in best else f"<td>{escaped}</td>"

    lines = ["".join(f"<th>{html.escape(text)}</th>" for text in header)]
    for row, texts in enumerate(rows):
        lines.append("".join(cell(row, column, text) for column, text in enumerate(texts)))
    return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"
