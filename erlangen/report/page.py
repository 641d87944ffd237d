"""One self-contained HTML page: no script, no other file; every text is escaped."""

from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2.5rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .35rem .9rem; text-align: right }
th { border-bottom: 2px solid #222 } td { border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }
td:first-child, th:first-child { text-align: left } img { max-width: 100%; height: auto }
dl { font-size: .85rem; color: #555 } dt { font-weight: 600 } dd { margin: 0 0 .4rem }
.no { color: #b00020; font-weight: 600 } footer { margin-top: 3rem; font-size: .8rem; color: #777 }
"""


def page(title: str, *parts: str) -> str:
    """A whole page of parts that are HTML already."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join((f"<h1>{escape(title)}</h1>", *parts))
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>\n'


def heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "yes") -> str:
    return f'<p class="{escape(kind)}">{escape(text)}</p>'


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """One row per mapping, the columns of the first; numbers to three places."""
    columns = list(rows[0])
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell(row[c]))}</td>' for c in columns)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def definitions(values: Mapping[str, object]) -> str:
    """Names and what they stand for."""

    def text(value: object) -> str:
        return ", ".join(f"{k}: {text(v)}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)

    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(text(v))}</dd>' for k, v in values.items())}</dl>"


def cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def text_table(rows: Sequence[Mapping[str, object]]) -> str:
    """The same table for a terminal."""
    columns = list(rows[0])
    cells = [columns, *([cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )
