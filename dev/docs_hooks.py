"""MkDocs hooks (`make docs`): add pages that live outside `docs/` and fix the links between both.

MkDocs reads only `docs/`. Readers of the repository expect README.md, SECURITY.md and others at its root, so these
hooks add the files to the site, and rewrite links that work in the repository so that they work on the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
# Files outside docs/ and their names on the site.
ELSEWHERE = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "license.txt",
    "SECURITY.md": "security.md",
    "deploy/helm/README.md": "helm.md",
    "examples/README.md": "examples.md",
    "models/demo-zh/README.md": "demo-zh.md",
}
# mkdocs.yml excludes Python files, which docs/ has for its own generators.
ELSEWHERE |= {
    f"examples/{program.name}": f"examples/{program.stem}.txt" for program in (REPOSITORY / "examples").glob("*.py")
}
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside docs/."""
    from mkdocs.structure.files import File

    for path, name in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(REPOSITORY / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite links that work in the repository."""
    return for_site(markdown, page.file.src_uri)


def for_site(markdown: str, name: str) -> str:
    """Return the text of a page with its links pointing to pages of the site where these exist."""
    source = {target: path for path, target in ELSEWHERE.items()}.get(name, f"docs/{name}")
    here = posixpath.dirname(name) or "."

    def moved(match: re.Match[str]) -> str:
        if "://" in match[1]:
            return match[1]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        target = ELSEWHERE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        return posixpath.relpath(target, here) if target else match[1]

    return LINK.sub(moved, markdown)
