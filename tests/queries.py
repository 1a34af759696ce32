"""The queries of the dashboard and of the alert rules, and what of our metrics they name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from dev.stack import REPOSITORY

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "paraqueue.json"
RULES = REPOSITORY / "deploy" / "prometheus" / "paraqueue.rules.yml"
SCRAPING = REPOSITORY / "deploy" / "prometheus" / "prometheus.yml"
NAME = re.compile(r"\b((?:paraqueue|process|python)_\w+|up)\b(?![\"'])(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")
GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Query:
    """An expression and its location."""

    where: str
    text: str

    def filled(self, window: str = "5m", model: str = ".*") -> str:
        """As Grafana would send it."""
        return self.text.replace("$__rate_interval", window).replace("$model", model)

    def selectors(self) -> list[tuple[str, set[str]]]:
        """Each metric that is named, with the labels that it is asked for."""
        return [(name, {label for label, _ in MATCHER.findall(labels)}) for name, labels in NAME.findall(self.text)]

    def groupings(self) -> set[str]:
        """The labels by which is grouped or joined."""
        return {label.strip() for labels in GROUPING.findall(self.text) for label in labels.split(",") if label.strip()}


def alerts() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """All of them."""
    queries = [Query(f"panel {panel['title']}", item["expr"]) for panel in panels() for item in panel["targets"]]
    return queries + [Query(f"alert {rule['alert']}", rule["expr"]) for rule in alerts()]
