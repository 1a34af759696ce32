"""The console's files: libraries as pinned, words in both languages, styles that agree."""

from __future__ import annotations

import hashlib
import json
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from api.http import problems as api_errors
from api.ops.console import DIRECTORY, INDEX, TYPES, loaded
from common import errors

VENDOR = DIRECTORY / "vendor"
LIBRARIES: list[dict[str, Any]] = json.loads((VENDOR / "vendor.json").read_text())["libraries"]
LICENCES = {"MIT", "Apache-2.0", "BSD-3-Clause"}
OURS = sorted((DIRECTORY / "js").rglob("*.js"))
WORDS = re.compile(r"^  '((?:[^'\\]|\\.)+)':\s*'((?:[^'\\]|\\.)*)',$", re.MULTILINE)


def words(language: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in sorted((DIRECTORY / "js/lang" / language).glob("*.js")):
        text = path.read_text()
        pairs = WORDS.findall(text)
        assert len(pairs) == text.count("\n  '"), f"{path.name}: one entry per line, in the form that we read"
        for key, value in pairs:
            assert key not in files, f"{key} stands in two files"
            files[key] = value
    return files


def forms(keys: set[str]) -> set[str]:
    """Keys without their plural form: Chinese has one, English two."""
    return {re.sub(r"\.(one|other)$", "", key) for key in keys}


ENGLISH, CHINESE = words("en"), words("zh")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library["name"])
def test_libraries_are_those_of_the_manifest(library: dict[str, Any]) -> None:
    assert library["license"] in LICENCES
    assert any(file["file"].startswith("licenses/") for file in library["files"])
    for file in library["files"]:
        data = (VENDOR / file["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"], f"{file['file']}: run python -m dev.vendor"


def test_there_is_nothing_else_among_the_libraries() -> None:
    listed = {file["file"] for library in LIBRARIES for file in library["files"]} | {"vendor.json"}
    files = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert {name for name in files if not name.endswith(".d.ts")} == listed  # types are for checks alone


def test_both_languages_say_the_same_things() -> None:
    assert forms(set(ENGLISH)) == forms(set(CHINESE))
    for key in ENGLISH.keys() & CHINESE.keys():
        values = [set(re.findall(r"\{\w+\}", text)) for text in (ENGLISH[key], CHINESE[key])]
        assert values[0] == values[1], f"{key} is given other values in Chinese"


def test_every_word_that_is_used_exists_and_is_used() -> None:
    source = "\n".join(path.read_text() for path in OURS if "lang" not in path.parts)
    used = set(re.findall(r"\bt\(\s*'([^']+)'", source))
    assert used, "the pattern finds nothing"
    known = forms(set(ENGLISH))
    assert used <= known, f"no words for {used - known}"
    # A key may be chosen elsewhere ('nav.home' in a table) or be put together (`status.${…}`).
    quoted = set(re.findall(r"'([a-z_]+(?:\.[a-z_]+)+)'", source))
    built = tuple(re.findall(r"`([a-z_.]+[._])\$\{", source))
    assert {key for key in known if key not in used | quoted and not key.startswith(built)} == set()


def test_every_error_has_words() -> None:
    codes = {kind.code for kind in _family(errors.ParaqueueError)} | set(api_errors.FRAMEWORK_CODES.values())
    assert {f"error.{code}" for code in codes} <= ENGLISH.keys()


def _family(kind: type[errors.ParaqueueError]) -> set[type[errors.ParaqueueError]]:
    return {member for child in kind.__subclasses__() for member in {child, *_family(child)}}


def test_colours_are_tokens() -> None:
    for path in (DIRECTORY / "css").glob("*.css"):
        if path.name != "tokens.css":
            assert not re.search(r"#[0-9a-f]{3,8}\b(?![^{]*\{)", path.read_text()), path.name


def test_files_are_small_and_of_a_known_kind() -> None:
    for path in [DIRECTORY / INDEX, *(DIRECTORY / "css").rglob("*"), *(DIRECTORY / "js").rglob("*")]:
        if path.is_file():
            assert len(path.read_text().splitlines()) <= 300, path.name
            assert path.suffix in TYPES or path.name == INDEX, path.name
            assert max(map(len, path.read_text().splitlines()), default=0) <= 150, path.name


def test_every_module_is_type_checked() -> None:
    assert [path.name for path in OURS if not path.read_text().startswith("// @ts-check\n")] == []


def test_the_lock_file_of_the_checks_names_no_registry() -> None:
    text = (DIRECTORY / "package-lock.json").read_text()
    assert "resolved" not in text
    assert json.loads(text)["packages"][""]["devDependencies"] == _package()["devDependencies"]


def test_types_are_checked_against_the_libraries_that_are_served() -> None:
    served = {library["name"]: library["version"] for library in LIBRARIES}
    checked = _package()["devDependencies"]
    assert {name: served[name] for name in checked if name in served} == {
        name: version for name, version in checked.items() if name in served
    }


def _package() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((DIRECTORY / "package.json").read_text())
    return manifest


def test_every_import_leads_to_a_file() -> None:
    for path in OURS:
        for imported in re.findall(r"(?:from|^import) '([^']+)'", path.read_text(), re.MULTILINE):
            assert imported.startswith("."), f"{path.name}: a browser knows no package {imported!r}"
            assert (path.parent / imported).resolve().is_file(), f"{path.name} imports {imported}"


def test_modules_import_one_another_in_no_circle() -> None:
    imports = {
        path: [(path.parent / imported).resolve() for imported in re.findall(r"from '(\.[^']+)'", path.read_text())]
        for path in OURS
    }
    TopologicalSorter(imports).prepare()  # raises CycleError


def test_the_version_goes_with_the_content() -> None:
    console = loaded()
    assert f"console/{console.version}/js/main.js" in console.page
    assert "{files}" not in console.page
    assert "<script>" not in console.page
    assert all(Path(name).suffix in TYPES for name in console.assets)
