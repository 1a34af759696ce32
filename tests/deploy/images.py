"""Dockerfiles and the compose file as values: just enough to compare them with the code."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dev.stack import REPOSITORY

DOCKERFILES = ("Dockerfile.api", "Dockerfile.worker")
COMPOSE = REPOSITORY / "docker-compose.yml"
EXAMPLE = REPOSITORY / "deploy" / ".env.example"
# ${NAME}, ${NAME:-default}, ${NAME:?why}; $$ is a dollar sign.
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


@dataclass
class Stage:
    """One FROM and its instructions; `parent` is the name of an earlier stage, or an image."""

    name: str
    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        """The arguments of every such instruction, in order."""
        return [value for word, value in self.instructions if word == keyword]


@dataclass(frozen=True)
class Dockerfile:
    """The stages of one file, by name."""

    name: str
    stages: dict[str, Stage]

    def lineage(self, stage: str) -> list[Stage]:
        """A stage and its ancestors, the lowest first."""
        line: list[Stage] = []
        while stage in self.stages:
            line.insert(0, self.stages[stage])
            stage = self.stages[stage].parent
        return line

    def last(self, stage: str, keyword: str) -> str | None:
        """What the image has in the end of an instruction that replaces the one before."""
        values = [value for item in self.lineage(stage) for value in item.all(keyword)]
        return values[-1] if values else None

    def copies(self, stage: str) -> list[tuple[str, str]]:
        """(source in the repository, target below the working directory) of the image."""
        pairs = []
        for item in self.lineage(stage):
            for value in item.all("COPY"):
                words = shlex.split(value)
                if not words[0].startswith("--from"):
                    pairs += [(source, words[-1]) for source in words[:-1]]
        return pairs

    def environment(self, stage: str) -> dict[str, str]:
        """The variables that the image sets."""
        words = [word for item in self.lineage(stage) for value in item.all("ENV") for word in shlex.split(value)]
        return dict(word.split("=", 1) for word in words)


def read_dockerfile(name: str) -> Dockerfile:
    """Parse a Dockerfile of the repository."""
    text = "\n".join(line for line in (REPOSITORY / name).read_text().splitlines() if not line.lstrip().startswith("#"))
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in text.replace("\\\n", " ").splitlines():
        keyword, _, value = line.strip().partition(" ")
        if keyword == "FROM":
            parent, _, alias = value.partition(" AS ")
            stage = Stage(alias.strip() or parent, parent.strip())
            stages[stage.name] = stage
        elif keyword and stage is not None:
            stage.instructions.append((keyword, value.strip()))
    return Dockerfile(name, stages)


def exec_form(value: str) -> list[str]:
    """The words of a CMD in exec form; options before it, as of HEALTHCHECK, do not matter."""
    words: list[str] = json.loads(value[value.index("[") :])
    return words


@cache
def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file, with variables as they are written."""
    compose_services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return compose_services


def ours() -> dict[str, dict[str, Any]]:
    """The services that run our own images."""
    return {name: service for name, service in services().items() if "build" in service}


def filled(text: str, given: dict[str, str]) -> str:
    """A value of the compose file with its variables filled in; KeyError where a needed one is not given."""

    def value(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        value = given.get(match["name"], "")
        if value:
            return value
        if match["kind"] == "?":
            raise KeyError(match["name"])
        return match["rest"] or ""

    return VARIABLE.sub(value, text)


def example() -> dict[str, tuple[str, bool]]:
    """The variables of .env.example: value, and whether the line is a comment."""
    variables = {}
    for line in EXAMPLE.read_text().splitlines():
        match = re.fullmatch(r"(#?)([A-Z][A-Z0-9_]*)=(.*)", line)
        if match:
            variables[match[2]] = (match[3], bool(match[1]))
    return variables


def ignored(source: str) -> bool:
    """Whether .dockerignore excludes a path from the build, for the kinds of patterns in our file."""
    kept = False
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            name = line[1:].strip("/")
            kept = kept or fnmatch(source, name) or source.startswith(f"{name}/")
    return not kept


def path_of(name: str) -> Path:
    """A path of the repository."""
    return REPOSITORY / name
