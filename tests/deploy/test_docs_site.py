"""The documentation as a site (`make docs`): its navigation, its links, and that it loads nothing from elsewhere."""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.docs_hooks import ELSEWHERE, LINK, for_site
from tests.deploy.images import path_of

DOCS = path_of("docs")
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")) + sorted(
    name for name in ELSEWHERE.values() if name.endswith(".md")
)
OUTSIDE = re.compile(r"""(?:src|href)=["']?(?:https?:)?//[^"'\s>]+|url\(["']?(?:https?:)?//""")


class Loader(yaml.SafeLoader):
    """Takes mkdocs' tags for Python objects as text."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, suffix, _node: suffix)


def configuration() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.load(path_of("mkdocs.yml").read_text("utf-8"), Loader)
    return settings


def leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    items = nav.values() if isinstance(nav, dict) else nav
    return [leaf for item in items for leaf in leaves(item)]


def text_of(page: str) -> str:
    source = {target: path for path, target in ELSEWHERE.items()}.get(page, f"docs/{page}")
    return path_of(source).read_text("utf-8")


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(leaves(configuration()["nav"])) == sorted(PAGES)


def test_there_is_a_path_for_each_reader() -> None:
    assert [next(iter(part)) for part in configuration()["nav"]] == ["Start", "Use", "Integrate", "Operate", "Develop"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_of_the_site(page: str) -> None:
    site = {*PAGES, *ELSEWHERE.values()}
    for target in LINK.findall(for_site(text_of(page), page)):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        assert path in site or (DOCS / path).is_file(), target


def test_links_of_the_repository_become_links_of_the_site() -> None:
    assert for_site("[a](docs/api.md#limits) [b](SECURITY.md)", "index.md") == "[a](api.md#limits) [b](security.md)"
    assert for_site("[a](../../README.md#models)", "decisions/README.md") == "[a](../index.md#models)"
    assert for_site("[a](../deploy/helm/README.md) [b](#here)", "deploy.md") == "[a](helm.md) [b](#here)"


def test_nothing_is_configured_to_come_from_another_host() -> None:
    settings = configuration()
    assert settings["theme"]["font"] is False
    assert all((DOCS / script).is_file() for script in settings["extra"]["polyfills"])
    assert settings["strict"] is True


def test_its_packages_are_not_those_of_the_services() -> None:
    assert "mkdocs==" in path_of("requirements/docs.lock").read_text()
    assert not [lock.name for lock in path_of("requirements").glob("*.lock") if "mkdocs==" in lock.read_text()][1:]


@pytest.mark.slow
def test_the_site_is_built_whole_searchable_and_self_contained(tmp_path: Path) -> None:
    done = subprocess.run([path_of("dev/docs.sh"), "--site-dir", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for file in (*pages, *tmp_path.rglob("*.css")):
        assert not OUTSIDE.search(file.read_text("utf-8")), file
    index = json.loads((tmp_path / "search" / "search_index.json").read_text("utf-8"))
    locations = {entry["location"].partition("#")[0] for entry in index["docs"] if "lease" in entry["text"]}
    assert {"architecture.html", "configuration.html"} <= locations
    # Opened as a file, the search has no server to ask: the index is a script.
    assert (tmp_path / "search" / "search_index.js").is_file()
