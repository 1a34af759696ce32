"""The documentation against the code: generated pages, links, commands, calls, and the two languages."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from api.main import create_app
from common.errors import all_errors
from common.settings import Settings
from common.version import VERSION
from docs import generate
from paraqueue.config import FILE_VARIABLE, KEY_VARIABLE, PROFILE_VARIABLE, URL_VARIABLE
from tests.deploy.images import example, ours, path_of

CLIENT_VARIABLES = {URL_VARIABLE, KEY_VARIABLE, FILE_VARIABLE, PROFILE_VARIABLE}
PAGES = [
    "README.md",
    "README.zh-CN.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deploy/helm/README.md",
    "examples/README.md",
    *sorted(str(page.relative_to(path_of("."))) for page in path_of("docs").rglob("*.md")),
]


def read(page: str) -> str:
    return path_of(page).read_text("utf-8")


def blocks(text: str) -> list[str]:
    """The blocks of code, in order."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_generated_pages_are_not_stale() -> None:
    assert generate.stale() == [], "run python -m docs.generate"


def test_a_stale_page_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generate.PAGES, "errors.md", lambda: "something else")
    assert generate.stale() == ["errors.md"]
    assert generate.main(["--check"]) == 1


def test_every_setting_is_told() -> None:
    listed = re.findall(r"^\| `PARAQUEUE_(\w+)` \|", read("docs/configuration.md"), re.MULTILINE)
    assert sorted(listed) == sorted(field.upper() for field in Settings.model_fields)


def test_every_error_is_told() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \d* \| (?:yes)? \|", read("docs/errors.md"), re.MULTILINE)
    assert sorted(listed) == sorted(error.code for error in all_errors())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        file, _, anchor = target.partition("#")
        assert "://" not in target, "no host is named but in examples"
        linked = path_of(page).parent / file if file else path_of(page)
        assert linked.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], target


@pytest.mark.parametrize("page", PAGES)
def test_variables_and_commands_exist(page: str) -> None:
    text = read(page)
    known = {f"PARAQUEUE_{field.upper()}" for field in Settings.model_fields} | CLIENT_VARIABLES
    assert set(re.findall(r"PARAQUEUE_[A-Z0-9_]+", text)) <= known
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)(?=[`\s])", " ".join(blocks(text)))) <= targets
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    for name in re.findall(
        r"`((?:api|common|worker|dev|docs|training|migrations|models|samples|deploy)/[\w./-]+)`", text
    ):
        assert path_of(name).exists(), name


def test_every_call_is_shown_and_no_other() -> None:
    paths = set(create_app(Settings()).openapi()["paths"])
    shown = set()
    for path in re.findall(r"curl [^\n]*?\$URL(/[^\s\"?']*)", read("docs/api.md")):
        for pattern, name in (
            ("ID|tr", "transcription_id"),
            ("WH|wh", "webhook_id"),
            ("DL|dl", "delivery_id"),
            ("UP|up", "upload_id"),
            ("KEYID|key", "key_id"),
            ("BATCH|batch", "batch_id"),
            ("VOC|voc", "vocabulary_id"),
            ("SHR|shr", "share_id"),
            ("TPL|tpl", "template_id"),
        ):
            variable, _, prefix = pattern.partition("|")
            path = re.sub(rf"\${variable}|{prefix}_[0-9a-f]{{32}}", f"{{{name}}}", path)
        path = re.sub(r"/sentences/\d+(?=$|/)", "/sentences/{number}", path)
        path = re.sub(r"/speakers/\d+(?=$|/)", "/speakers/{speaker}", path)
        path = path.replace("/v1/tenants/acme", "/v1/tenants/{tenant}")
        shown.add(path.replace("/v1/models/demo-zh", "/v1/models/{model}"))
    assert shown == paths


def test_the_version_is_pyprojects_everywhere() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert version == VERSION == create_app(Settings()).openapi()["info"]["version"]
    chart = yaml.safe_load(read("deploy/helm/paraqueue/Chart.yaml"))
    assert (chart["version"], chart["appVersion"]) == (version, version)
    images = {service["image"] for service in ours().values()}
    assert {re.split(r"[:-]", image.removeprefix("paraqueue-"))[1] for image in images} == {version}
    assert f"{version}" in read("CHANGELOG.md")


def test_a_new_version_changes_chart_and_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "VERSION", "7.8.9")
    assert {"../docker-compose.yml", "../deploy/helm/paraqueue/Chart.yaml"} <= set(generate.stale())
    assert yaml.safe_load(generate.chart())["appVersion"] == "7.8.9"
    assert "paraqueue-worker:7.8.9-cpu" in generate.compose()
    assert "0.1.0" not in generate.compose()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_readme_gives_the_two_commands_on_its_first_screen(page: str) -> None:
    first = "\n".join(read(page).splitlines()[:25])
    assert "make run" in blocks(first)[0]
    assert "make test" in blocks(first)[0]


def test_both_readmes_say_the_same() -> None:
    english, chinese = read("README.md"), read("README.zh-CN.md")

    def shape(text: str) -> list[tuple[str, int]]:
        """The lines that have the same form in every language."""
        kinds = {"#": r"(#+) ", "-": r"(-) ", "|": r"(\|)", "```": r"(```)"}
        found = []
        for line in text.splitlines():
            for kind, pattern in kinds.items():
                if match := re.match(pattern, line):
                    found.append((kind, len(match[1])))
        return found

    def bare(text: str) -> list[list[str]]:
        """The commands without their comments."""
        return [
            [line.partition("#")[0].strip() for line in block.splitlines()]
            for block in blocks(text)
            if "─" not in block
        ]

    def names(text: str) -> list[str]:
        return sorted(
            set(re.findall(r"`([\w./=:*-]+)`|\]\(([\w./-]+)\)", text)) - {("", "README.md"), ("", "README.zh-CN.md")}
        )

    assert shape(english) == shape(chinese)
    assert bare(english) == bare(chinese)
    assert names(english) == names(chinese)


def test_readme_names_what_the_example_names() -> None:
    for name in ("COMPOSE_PROFILES", "CPU_WORKERS", "PARAQUEUE_MODEL"):
        assert name in example()
        assert name in read("README.md")
