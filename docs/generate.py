"""Writes the pages of the documentation that are generated from the code: `python -m docs.generate`.

`docs/configuration.md` comes from `common.settings.Settings`, `docs/errors.md` from `common.errors` and `api.errors`,
`docs/metrics.md` from the metrics of all processes; the names that the Helm chart's values may have come from the
settings too.
A test fails when a page is not what this would write; `--check` says the same at a terminal.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from api.errors import FRAMEWORK_CODES, MEDIA_TYPE, STATUS
from common import errors
from common.errors import ParaqueueError
from common.settings import GIBIBYTE, Settings
from docs.metrics_page import metrics_page

DOCS = Path(__file__).resolve().parent
CHART_SCHEMA = "../deploy/helm/paraqueue/values.schema.json"
# Where a container writes and listens is the chart's business.
SET_BY_CHART = {"host", "port", "metrics_host", "metrics_port", "models_dir", "scratch_dir"}

CONFIGURATION = """\
# Configuration

<!-- Generated from common/settings.py by `python -m docs.generate`; do not edit. -->

Every setting is an environment variable, read once when a process starts; one with a wrong value is named at start, and
the process ends. All processes (API, worker, light worker, beat, Flower) and the migration read
the same variables and take from them what they need. `make run` sets the servers, directories and the port by itself
and passes all others on.
"""

ERRORS = """\
# Errors

<!-- Generated from common/errors.py and api/errors.py by `python -m docs.generate`; do not edit. -->

A call that cannot be done is answered with `{media_type}` (RFC 9457):

```json
{{"type": "urn:paraqueue:error:not_ready", "title": "Conflict", "status": 409,
 "detail": "the job is queued; add partial=true for what there is so far",
 "code": "not_ready", "request_id": "fdb33642fe184c3a99563eec73b91546", "retryable": true}}
```

A job that failed says why in its `error`: `code`, `message`, `retryable`. Program against `code`, which stays what it
is; `detail` and `message` are for people. `retryable` says whether the same call, or the same job, may succeed later
without a change. The service itself repeats a job after a retryable error, with growing pauses, before it lets the job
fail (`PARAQUEUE_MAX_ATTEMPTS`). `request_id` is also the header `X-Request-ID` of the answer, and in the log.

An HTTP status stands where the code can be the answer to a call. The `error` of a job is one of those under "Why a job
failed", or `internal`, `unavailable`, `storage_full`.
"""


def configuration_page() -> str:
    """The page about settings."""
    lines = [CONFIGURATION]
    for title, names in _sections(inspect.getsource(Settings), r"    (\w+): .*?=? ?Field\(|    (\w+): "):
        rows = [name for name in names if name in Settings.model_fields]
        if rows:
            lines += [f"## {title}", "", "| variable | value | default | meaning |", "| --- | --- | --- | --- |"]
            lines += [_setting_row(name, Settings.model_fields[name]) for name in rows]
            lines.append("")
    return "\n".join(lines)


def errors_page() -> str:
    """The page about error codes."""
    classes = {error.__name__: error for error in errors.all_errors()}
    lines = [ERRORS.format(media_type=MEDIA_TYPE)]
    for title, names in _sections(inspect.getsource(errors), r"class (\w+)\(ParaqueueError\)", first="Anywhere"):
        rows = [_error_row(classes[name]) for name in names if name in classes]
        lines += [f"## {title}", "", "| code | HTTP | retryable | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    lines += ["## From the web framework", "", "| code | HTTP | meaning |", "| --- | --- | --- |"]
    own = {error.code for error in errors.all_errors()}
    lines += [
        f"| `{code}` | {status} | {HTTPStatus(status).phrase}. |"
        for status, code in FRAMEWORK_CODES.items()
        if code not in own
    ]
    lines += ["| `http_error` | any other | Whatever else is wrong with the HTTP request itself. |", ""]
    return "\n".join(lines)


def _sections(source: str, pattern: str, first: str | None = None) -> list[tuple[str, list[str]]]:
    """The comments of a source that stand on lines of their own as titles, each with the names defined behind it.

    A comment right behind another line of code explains that code and is no title.
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
    """What a value has to be, in words."""
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
    """The constraints of a field; those of an `Annotated` type come with its own metadata."""
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
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return "unset"
    if name.endswith("_bytes"):
        return f"`{value}` ({value / GIBIBYTE:g} GiB)"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "empty"


def _error_row(error: type[ParaqueueError]) -> str:
    retryable = "yes" if error.retryable else "no"
    return f"| `{error.code}` | {STATUS.get(error, '')} | {retryable} | {_cell(inspect.getdoc(error) or '')} |"


def _cell(text: str) -> str:
    """Text that can stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def chart_schema() -> str:
    """The schema of the chart's values, with the settings of now: a name that does not exist is refused by Helm."""
    schema = json.loads((DOCS / CHART_SCHEMA).read_text("utf-8"))
    secret = {name for name, field in Settings.model_fields.items() if SecretStr in _types(field)}
    plain = sorted(set(Settings.model_fields) - secret - SET_BY_CHART)
    schema["$defs"]["settings"]["propertyNames"]["enum"] = plain
    schema["properties"]["secrets"]["propertyNames"]["enum"] = sorted(secret)
    return json.dumps(schema, indent=2) + "\n"


def _types(field: FieldInfo) -> tuple[Any, ...]:
    return (field.annotation, *get_args(field.annotation))


PAGES = {
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    CHART_SCHEMA: chart_schema,
}


def stale() -> list[str]:
    """The names of pages that are not what the code says now."""
    return [
        name for name, page in PAGES.items() if not (DOCS / name).exists() or (DOCS / name).read_text("utf-8") != page()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or only say which are stale."""
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
