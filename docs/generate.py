"""Generates pages of the documentation from the code: `python -m docs.generate`.

`docs/configuration.md` comes from `common.settings`, `docs/errors.md` from `common.errors` and `api.http.problems`,
`docs/metrics.md` from the metrics of all processes, `docs/alerts.md` from the Prometheus rules, the setting names that
the Helm chart accepts from the settings, and the version of chart and images from `pyproject.toml`.
A test fails if a page is out of date; `--check` reports the same at a terminal.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from api.http.problems import FRAMEWORK_CODES, MEDIA_TYPE, STATUS
from common import errors
from common.errors import ParaqueueError
from common.settings import GIBIBYTE, Settings
from common.settings.types import SettingsGroup, written
from common.version import VERSION
from docs.metrics_page import metrics_page

DOCS = Path(__file__).resolve().parent
ALERT_RULES = DOCS.parent / "deploy" / "prometheus" / "paraqueue.rules.yml"
CHART = "../deploy/helm/paraqueue/Chart.yaml"
COMPOSE = "../docker-compose.yml"
CHART_SCHEMA = "../deploy/helm/paraqueue/values.schema.json"
# The chart sets paths and ports of containers itself.
SET_BY_CHART = {"host", "port", "metrics_host", "metrics_port", "models_dir", "scratch_dir"}

CONFIGURATION = """\
# Configuration

<!-- Generated from common/settings/ by `python -m docs.generate`; do not edit. -->

Settings are environment variables, read once at startup; a process with an invalid setting names it and exits. All
processes (API, worker, light worker, beat, Flower) and the migration read the same variables. `make run` sets servers,
directories and port itself and passes on all others.
"""

ALERTS = """\
# Alerts

<!-- Generated from deploy/prometheus/paraqueue.rules.yml by `python -m docs.generate`; do not edit. -->

The alert rules in `deploy/prometheus/paraqueue.rules.yml`, and how to respond to each. For metrics, traces and logs see
[operations](operations.md).
"""

ERRORS = """\
# Errors

<!-- Generated from common/errors.py and api/http/problems.py by `python -m docs.generate`; do not edit. -->

Errors are returned as `{media_type}` (RFC 9457):

```json
{{"type": "urn:paraqueue:error:not_ready", "title": "Conflict", "status": 409,
 "detail": "the job is queued; use partial=true for the text so far",
 "code": "not_ready", "request_id": "fdb33642fe184c3a99563eec73b91546", "retryable": true}}
```

A failed job has an `error` with `code`, `message` and `retryable`. Write programs against `code`, which is stable;
`detail` and `message` are for people. `retryable` means that the same request or job may succeed later without changes.
Before a job fails with a retryable error, the service has retried it with increasing delays
(`PARAQUEUE_MAX_ATTEMPTS`). `request_id` equals the response header `X-Request-ID` and appears in the log.

Codes with an HTTP status can be returned by a call. A job's `error` has a code from one of the "Job errors" sections,
or `internal`, `unavailable` or `storage_full`.
"""


GROUPS = tuple(group for group in Settings.__bases__ if issubclass(group, SettingsGroup))


def configuration_page() -> str:
    """The page of settings."""
    lines = [CONFIGURATION]
    for group in GROUPS:
        rows = [_setting_row(name, Settings.model_fields[name]) for name in group.__annotations__]
        title = inspect.cleandoc(group.__doc__ or "")
        lines += [f"## {title}", "", "| variable | value | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def errors_page() -> str:
    """The page of error codes."""
    classes = {error.__name__: error for error in errors.all_errors()}
    lines = [ERRORS.format(media_type=MEDIA_TYPE)]
    for title, names in _sections(inspect.getsource(errors), r"class (\w+)\(ParaqueueError\)", first="General"):
        rows = [_error_row(classes[name]) for name in names if name in classes]
        lines += [f"## {title}", "", "| code | HTTP | retryable | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    lines += ["## From the web framework", "", "| code | HTTP | meaning |", "| --- | --- | --- |"]
    own = {error.code for error in errors.all_errors()}
    lines += [
        f"| `{code}` | {status} | {HTTPStatus(status).phrase}. |"
        for status, code in FRAMEWORK_CODES.items()
        if code not in own
    ]
    lines += ["| `http_error` | any other | Any other HTTP-level error. |", ""]
    return "\n".join(lines)


def _sections(source: str, pattern: str, first: str | None = None) -> list[tuple[str, list[str]]]:
    """The section comments of a source as titles, each with the names defined after it.

    A comment directly after a line of code explains that code and is not a title.
    """
    found: list[tuple[str, list[str]]] = [(first, [])] if first else []
    before = ""
    for line in source.splitlines():
        title = re.fullmatch(r"(?:    )?# (.+?)\.?", line)
        name = re.match(pattern, line)
        if title and not before.strip():
            found.append((title[1], []))
        elif name and found:
            found[-1][1].append(next(group for group in name.groups() if group))
        before = line
    return [(title, names) for title, names in found if names]


def _setting_row(name: str, field: FieldInfo) -> str:
    variable = f"`PARAQUEUE_{name.upper()}`"
    return f"| {variable} | {_kind(field)} | {_default(name, field)} | {_cell(field.description or '')} |"


def _kind(field: FieldInfo) -> str:
    """The type and bounds of a value."""
    annotation = field.annotation
    inner = [item for item in get_args(annotation) if item is not type(None)]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{item}`" for item in inner)
    if type(None) in get_args(annotation):
        annotation = inner[0]
    kinds = {int: "integer", float: "number", Path: "path", SecretStr: "text, secret"}
    bounds = [text for rule in _rules(field) if (text := _bound(rule))]
    return ", ".join([kinds.get(annotation, "text"), *bounds])  # type: ignore[arg-type]


def _rules(field: FieldInfo) -> list[Any]:
    """The constraints of a field, including those of an `Annotated` type."""
    found: list[Any] = []
    for item in field.metadata:
        found += item.metadata if isinstance(item, FieldInfo) else [item]
    return found


def _bound(rule: object) -> str:
    match rule:
        case Gt(gt=least):
            return f"> {least}"
        case Ge(ge=least):
            return f"≥ {least}"
        case Le(le=most):
            return f"≤ {most}"
    return ""


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr | tuple):
        value = written(value)
    if value is None:
        return "unset"
    if name.endswith("_bytes"):
        return f"`{value}` ({value / GIBIBYTE:g} GiB)"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "empty"


def _error_row(error: type[ParaqueueError]) -> str:
    retryable = "yes" if error.retryable else "no"
    return f"| `{error.code}` | {STATUS.get(error, '')} | {retryable} | {_cell(inspect.getdoc(error) or '')} |"


def _cell(text: str) -> str:
    """Text that is valid in a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def chart_schema() -> str:
    """The schema of the chart's values with the current setting names, so that Helm rejects unknown names."""
    schema = json.loads((DOCS / CHART_SCHEMA).read_text("utf-8"))
    secret = {name for name, field in Settings.model_fields.items() if SecretStr in _types(field)}
    plain = sorted(set(Settings.model_fields) - secret - SET_BY_CHART)
    schema["$defs"]["settings"]["propertyNames"]["enum"] = plain
    schema["properties"]["secrets"]["propertyNames"]["enum"] = sorted(secret)
    return json.dumps(schema, indent=2) + "\n"


def _types(field: FieldInfo) -> tuple[Any, ...]:
    return (field.annotation, *get_args(field.annotation))


def alerts_page() -> str:
    """The page of alerts, from the Prometheus rules."""
    lines = [ALERTS]
    for group in yaml.safe_load(ALERT_RULES.read_text("utf-8"))["groups"]:
        lines += [
            f"## {group['name']}",
            "",
            "| alert | severity | condition | what to do |",
            "| --- | --- | --- | --- |",
        ]
        for rule in group["rules"]:
            notes, severity = rule["annotations"], rule["labels"]["severity"]
            told = [f"`{rule['alert']}`", severity, _cell(notes["condition"]), _cell(notes["description"])]
            lines.append(f"| {' | '.join(told)} |")
        lines.append("")
    return "\n".join(lines)


def chart() -> str:
    """The chart with this version."""
    return re.sub(r'(?m)^((?:appV|v)ersion: "?)[^"\n]+', rf"\g<1>{VERSION}", (DOCS / CHART).read_text("utf-8"))


def compose() -> str:
    """The compose file with images of this version."""
    images = r"(?m)^(\s+image: paraqueue-\w+:)[\w.]+"
    return re.sub(images, rf"\g<1>{VERSION}", (DOCS / COMPOSE).read_text("utf-8"))


PAGES = {
    CHART: chart,
    COMPOSE: compose,
    "alerts.md": alerts_page,
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    CHART_SCHEMA: chart_schema,
}


def stale() -> list[str]:
    """The names of pages that are out of date."""
    return [
        name for name, page in PAGES.items() if not (DOCS / name).exists() or (DOCS / name).read_text("utf-8") != page()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or only report which are out of date."""
    wrong = stale()
    if "--check" in arguments:
        print("\n".join(f"docs/{name} is stale; run python -m docs.generate" for name in wrong))
        return 1 if wrong else 0
    for name in wrong:
        (DOCS / name).write_text(PAGES[name](), "utf-8")
        print(f"docs/{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
