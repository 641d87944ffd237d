"""Names as parts of paths."""

import re


def file_name(name: str) -> str:
    """A name as part of a path: of letters, digits, and . _ + -, never a folder above."""
    return re.sub(r"[^\w.+-]", "-", name).strip(".") or "unnamed"
