"""Arguments to options, by tyro; what it says of a mistake in one line, as every other."""

import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any, TypeVar

import tyro
from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, SuppressFixed

STYLE = (AvoidSubcommands, SuppressFixed, FlagCreatePairsOff)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
BORDER = re.compile(r"[│╭╰ ]*(─.*|-{3,} *)$")  # also between sections; drawn with - where the output is not UTF-8

T = TypeVar("T")


def parsed(kind: type[T], args: Sequence[str], command: str, default: T | None = None) -> T:
    """The options of `erlangen COMMAND`; `ValueError` for arguments that do not give them."""
    heard = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with redirect_stderr(heard):
            found: T = tyro.cli(kind, args=list(args), config=STYLE, prog=f"erlangen {command}", **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(told(heard.getvalue())) from None
    sys.stderr.write(heard.getvalue())
    return found


def told(box: str) -> str:
    """The text of tyro's box, its sections one after the other, without its title."""
    sections = [""]
    for line in COLOURS.sub("", box).splitlines():
        if BORDER.match(line):
            sections.append("")
        else:
            sections[-1] += line.strip("│ ") + " "
    words = "; ".join(" ".join(section.split()) for section in sections[1:] if section.strip())
    for padding in ("Error parsing ", "Argument helptext: ", "For full helptext, "):
        words = words.replace(padding, "")
    return words
