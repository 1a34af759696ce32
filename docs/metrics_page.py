"""The page about metrics, made from the metrics themselves."""

from __future__ import annotations

from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from api import board, metrics
from common import metrics as shared
from worker import metrics as work

METRICS = """\
# Metrics

<!-- Generated from common/metrics.py, api/metrics.py, api/board.py and worker/metrics.py by
`python -m docs.generate`; do not edit. -->

What each process tells Prometheus; [operations](operations.md) says how to read them and who may. A counter belongs to
the process that counted, so add up the processes (`sum(rate(…))`). The figures of the installation are the same in
every API, so take the largest (`max by (…)`). Histograms have the series `_bucket`, `_sum` and `_count`. Beside these
there are the library's own: `process_…` (memory, processor time, open files) and `python_…`.
"""
SECTIONS = {
    "Every process": "What a process has not to do with stays 0.",
    "The installation": "Told by each API, from the database and Redis.",
    "The API": "",
    "Workers": "A GPU worker counts attempts; a light worker counts leases, webhooks and sweeps.",
    "The GPU worker and its device": "",
}


def families() -> dict[str, list[Metric | MetricWrapperBase]]:
    """Every metric of ours, by section."""
    return {
        "Every process": _of(shared),
        "The installation": list(board.described()),
        "The API": _of(metrics),
        "Workers": _of(work),
        "The GPU worker and its device": list(work.described()),
    }


def labels_of(family: Metric | MetricWrapperBase) -> tuple[str, ...]:
    """The names of its labels."""
    return tuple(getattr(family, "_labelnames", ()))


def name_of(family: Metric | MetricWrapperBase) -> str:
    """Its name as it is scraped, a histogram's without the endings of its series."""
    told = _described(family)
    return f"{told.name}_total" if told.type == "counter" else told.name


def metrics_page() -> str:
    """The whole page."""
    lines = [METRICS]
    for title, found in families().items():
        lines += [f"## {title}", ""]
        lines += [SECTIONS[title], ""] if SECTIONS[title] else []
        lines += ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |", *map(_row, found), ""]
    return "\n".join(lines)


def _of(module: ModuleType) -> list[Metric | MetricWrapperBase]:
    return [item for item in vars(module).values() if isinstance(item, MetricWrapperBase)]


def _described(family: Metric | MetricWrapperBase) -> Metric:
    if isinstance(family, Metric):
        return family
    [told] = family.describe()
    return told


def _row(family: Metric | MetricWrapperBase) -> str:
    told = _described(family)
    labels = ", ".join(f"`{label}`" for label in labels_of(family))
    return f"| `{name_of(family)}` | {told.type} | {labels} | {told.documentation} |"
