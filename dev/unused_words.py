"""Words and style classes of the console that nothing uses any more.

A word is used if its key stands in the code, or fits a template such as `error.${code}`; the plural forms of a word
stand for the word. A class is used if its name stands in the code, or if its beginning does before a `${`.
"""

from __future__ import annotations

import re
from pathlib import Path

KEY = re.compile(r"^\s*'([\w.]+)':", re.MULTILINE)
LITERAL = re.compile(r"['\"]([\w.]+)['\"]")
TEMPLATE = re.compile(r"`(\w+[._](?:[\w.]|\$\{[^{}`]*\})+)`")
VALUE = re.compile(r"\$\{[^}]*\}")
PLURAL = re.compile(r"\.(zero|one|two|few|many|other)$")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SELECTOR = re.compile(r"([^{}]+)\{")
CLASS = re.compile(r"\.(-?[a-zA-Z_][\w-]*)")


def unused_words(console: Path) -> list[str]:
    """Return the keys of words that the code does not use."""
    code = _code(console)
    literals = set(LITERAL.findall(code))
    templates = [
        re.compile(".+".join(map(re.escape, VALUE.split(template)))) for template in set(TEMPLATE.findall(code))
    ]
    keys = {key for path in sorted(console.glob("js/lang/*/*.js")) for key in KEY.findall(path.read_text())}
    return sorted(
        key
        for key in keys
        if not {key, PLURAL.sub("", key)} & literals
        and not any(template.fullmatch(PLURAL.sub("", key)) for template in templates)
    )


def unused_classes(console: Path) -> list[str]:
    """Return the classes in style sheets that the code does not use."""
    code = _code(console)
    sheets = [COMMENT.sub("", path.read_text()) for path in sorted(console.glob("css/*.css"))]
    selectors = [selector for sheet in sheets for selector in SELECTOR.findall(sheet) if "@" not in selector]
    names = {name for selector in selectors for name in CLASS.findall(selector)}
    return sorted(
        name
        for name in names
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code)
        and not (name.rpartition("-")[0] and f"{name.rpartition('-')[0]}-${{" in code)
    )


def _code(console: Path) -> str:
    paths = [*sorted(console.glob("js/**/*.js")), console / "index.html"]
    return "\n".join(path.read_text() for path in paths if "lang" not in path.parts)
