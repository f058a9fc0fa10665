"""Count lines of code without blank lines, comments and docstrings, by package."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(source: str) -> int:
    """Count the lines of Python source that hold code.

    A string that is a statement of its own (a docstring, of an attribute too) is no code. Raises
    SyntaxError for invalid source.
    """
    strings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        value = getattr(node, "value", None)
        if (
            isinstance(node, ast.Expr)
            and isinstance(value, ast.Constant)
            and type(value.value) is str
        ):
            strings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - strings)


def counted(folder: Path) -> Counter[str]:
    """Count the code lines below a folder by its direct subfolders; files directly in it as `.`."""
    counts: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        counts[parts[0] if len(parts) > 1 else "."] += code_lines(path.read_text("utf-8"))
    return counts


if __name__ == "__main__":
    for name in ("src/phenoprints", "tests"):
        counts = counted(ROOT / name)
        sys.stdout.write(f"{name}: {sum(counts.values()):,}\n")
        for package, number in counts.most_common():
            sys.stdout.write(f"  {number:7,}  {package}\n")
