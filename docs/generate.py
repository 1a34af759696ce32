"""Generates pages of the documentation from the code: `python -m docs.generate`.

`docs/configuration.md` comes from `common.settings`, `docs/errors.md` from `common.errors` and `api.http.problems`,
`docs/metrics.md` from the metrics of all processes, `docs/alerts.md` from the Prometheus rules, the setting names that
the Helm chart accepts from the settings, the version of chart and images from `pyproject.toml`, and the file extensions
that command line and console look for from `worker.engine.decoding.formats`.
A test fails if a page is out of date; `--check` reports the same at a terminal.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

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
from docs.extension_lists import client_extensions, console_extensions
from docs.metrics_page import metrics_page

DOCS = Path(__file__).resolve().parent
ALERT_RULES = DOCS.parent / "deploy" / "prometheus" / "paraqueue.rules.yml"
CHART = "../deploy/helm/paraqueue/Chart.yaml"
COMPOSE = "../docker-compose.yml"
CLIENT_EXTENSIONS = "../paraqueue/extensions.py"
CONSOLE_EXTENSIONS = "../console/js/submit/extensions.js"
CHART_SCHEMA = "../deploy/helm/paraqueue/values.schema.json"
# The chart sets paths and ports of containers itself.
SET_BY_CHART = {"host", "port", "metrics_host", "metrics_port", "models_dir", "scratch_dir"}

CONFIGURATION = """\
# Configuration

<!-- Generated from common/settings/ by `python -m docs.generate`; do not edit. -->

Environment variables, read at start by every process (API, worker, light worker, beat, Flower) and the migration. An
invalid one is named and ends the process; API and workers log `unknown_setting`, with the nearest name, for any other
`PARAQUEUE_` variable. `make run` sets servers, directories and port itself.

Unless noted, numbers are integers from 0, and times may be fractions above 0. A *list* is comma-separated.
"""

ALERTS = """\
# Alerts

<!-- Generated from deploy/prometheus/paraqueue.rules.yml by `python -m docs.generate`; do not edit. -->

The alert rules in `deploy/prometheus/paraqueue.rules.yml`, and how to respond. See also [monitoring](operations.md).
"""

ERRORS = """\
# Errors

<!-- Generated from common/errors/ and api/http/problems.py by `python -m docs.generate`; do not edit. -->

Errors are `{media_type}` (RFC 9457):

```json
{{"type": "urn:paraqueue:error:not_ready", "title": "Conflict", "status": 409,
 "detail": "the job is queued; use partial=true for the text so far",
 "code": "not_ready", "request_id": "fdb33642fe184c3a99563eec73b91546", "retryable": true}}
```

`code` is stable; `detail` is for people. `retryable`: the same request or job may succeed later without changes.
`request_id` equals the response header `X-Request-ID` and appears in the log. Calls return the codes with an HTTP
status, and from the web framework {framework} and
`http_error` (any other status).

A failed job's `error` has `code`, `message` and `retryable`. Its code is from a "Job errors" section, or `internal`,
`unavailable` or `storage_full`; if it is retryable, the service has already retried (`PARAQUEUE_MAX_ATTEMPTS`).
"""


NUMBERS: dict[Any, str] = {int: "integer", float: "number"}
TIMES = ("_seconds", "_hours", "_days")
# Of integers and of times.
USUAL_BOUNDS = ("", "≥ 0", "> 0")
GROUPS = tuple(group for group in Settings.__bases__ if issubclass(group, SettingsGroup))


def configuration_page() -> str:
    """The page of settings."""
    lines = [CONFIGURATION]
    for title, groups in groupby(GROUPS, lambda group: inspect.cleandoc(group.__doc__ or "")):
        names = [name for group in groups for name in group.__annotations__]
        rows = [_setting_row(name, Settings.model_fields[name]) for name in names]
        lines += [f"## {title}", "", "| variable | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def errors_page() -> str:
    """The page of error codes."""
    own = {error.code for error in errors.all_errors()}
    framework = ", ".join(f"`{code}` ({status})" for status, code in FRAMEWORK_CODES.items() if code not in own)
    lines = [ERRORS.format(media_type=MEDIA_TYPE, framework=framework)]
    for title, kinds in errors.by_subject().items():
        rows = [_error_row(kind) for kind in kinds]
        lines += [f"## {title}", "", "| code | HTTP | retryable | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _setting_row(name: str, field: FieldInfo) -> str:
    variable = f"`PARAQUEUE_{name.upper()}`"
    value = ", ".join([_default(name, field), *_kind(name, field)])
    return f"| {variable} | {value} | {_cell(field.description or '')} |"


def _kind(name: str, field: FieldInfo) -> list[str]:
    """The other choices of a value, or what its default does not show of its type and bounds."""
    annotation = field.annotation
    inner = [item for item in get_args(annotation) if item is not type(None)]
    if get_origin(annotation) is Literal:
        return ["or " + ", ".join(f"`{item}`" for item in inner if item != field.default)]
    if type(None) in get_args(annotation):
        annotation = inner[0]
    rules = _rules(field.metadata)
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        rules += _rules(metadata)
    words = [word for word, true in (("list", get_origin(annotation) is tuple), ("secret", _is_secret(field))) if true]
    if annotation in NUMBERS and (annotation is float) != name.endswith(TIMES):
        words.append(NUMBERS[annotation])
    bounds = _bounds(rules)
    return [*words, *([] if bounds in USUAL_BOUNDS else [bounds])]


def _rules(metadata: Iterable[Any]) -> list[Any]:
    """The constraints of a field, including those of an `Annotated` type."""
    rules: list[Any] = []
    for item in metadata:
        rules += item.metadata if isinstance(item, FieldInfo) else [item]
    return rules


def _bounds(rules: list[Any]) -> str:
    """The allowed numbers, for example `1–9`; empty if all are."""
    above = next((rule.gt for rule in rules if isinstance(rule, Gt)), None)
    least = next((rule.ge for rule in rules if isinstance(rule, Ge)), None)
    most = next((rule.le for rule in rules if isinstance(rule, Le)), None)
    if least is not None and most is not None:
        return f"{least}–{most}"
    lower = f"> {above}" if above is not None else f"≥ {least}" if least is not None else ""
    return ", ".join(filter(None, [lower, f"≤ {most}" if most is not None else ""]))


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
    retryable = "yes" if error.retryable else ""
    return f"| `{error.code}` | {STATUS.get(error, '')} | {retryable} | {_cell(inspect.getdoc(error) or '')} |"


def _cell(text: str) -> str:
    """Text that is valid in a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def chart_schema() -> str:
    """The schema of the chart's values with the current setting names, so that Helm rejects unknown names."""
    schema = json.loads((DOCS / CHART_SCHEMA).read_text("utf-8"))
    secret = {name for name, field in Settings.model_fields.items() if _is_secret(field)}
    plain = sorted(set(Settings.model_fields) - secret - SET_BY_CHART)
    schema["$defs"]["settings"]["propertyNames"]["enum"] = plain
    schema["properties"]["secrets"]["propertyNames"]["enum"] = sorted(secret)
    return json.dumps(schema, indent=2) + "\n"


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


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
            cells = [f"`{rule['alert']}`", severity, _cell(notes["condition"]), _cell(notes["description"])]
            lines.append(f"| {' | '.join(cells)} |")
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
    CLIENT_EXTENSIONS: client_extensions,
    CONSOLE_EXTENSIONS: console_extensions,
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
