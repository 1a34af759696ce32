"""The files of the repository for contributors and their tools: workflow, templates, hooks."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from dev.stack import REPOSITORY

GITHUB = REPOSITORY / ".github"


def read(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text("utf-8"))


def test_the_workflow_fits_githubs_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, GITHUB / "workflows" / "ci.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_workflow_runs_what_people_run() -> None:
    jobs = read(".github/workflows/ci.yml")["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands == [".ci/run", "make docs"]
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
    assert re.search(r"^docs:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("form", ["bug.yml", "feature.yml"])
def test_issue_forms_have_what_github_needs(form: str) -> None:
    content = read(f".github/ISSUE_TEMPLATE/{form}")
    assert {"name", "description", "body"} <= set(content)
    ids = [item["id"] for item in content["body"] if item["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    for item in content["body"]:
        assert item["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        assert ("value" if item["type"] == "markdown" else "label") in item["attributes"]


def test_hooks_run_modules_of_the_environment() -> None:
    (local,) = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local", "a hook of another repository would have versions of its own"
    for hook in local["hooks"]:
        python, option, module, *_ = hook["entry"].split()
        assert (python, option) == (".venv/bin/python", "-m")
        assert importlib.util.find_spec(module) is not None


def test_nothing_names_a_host() -> None:
    for file in (*GITHUB.rglob("*"), REPOSITORY / ".pre-commit-config.yaml"):
        if file.is_file():
            assert "://" not in file.read_text("utf-8"), file
