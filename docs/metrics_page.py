"""The page about metrics, generated from the metrics themselves."""

from __future__ import annotations

from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from api import queue_metrics
from api.http import metrics
from common.telemetry import metrics as shared
from worker import metrics as work

METRICS = """\
# Metrics

<!-- Generated from common/telemetry/metrics.py, api/http/metrics.py, api/queue_metrics.py and worker/metrics.py by
`python -m docs.generate`; do not edit. -->

Prometheus metrics of each process. For access rules and alerts see [operations](operations.md). Counters are per
process: aggregate with `sum(rate(…))`. Installation metrics are identical on every API process: use `max by (…)`.
Histograms have the series `_bucket`, `_sum` and `_count`. The standard `process_…` (memory, CPU time, open files) and
`python_…` metrics are exported too.
"""
SECTIONS = {
    "Every process": "Metrics that do not apply to a process stay 0.",
    "Installation": "Exported by every API process; read from the database and Redis.",
    "API": "",
    "Workers": "GPU workers count attempts; light workers count leases, webhooks and sweeps.",
    "GPU worker and device": "",
}


def families() -> dict[str, list[Metric | MetricWrapperBase]]:
    """Every metric of ours, by section."""
    return {
        "Every process": _of(shared),
        "Installation": list(queue_metrics.described()),
        "API": _of(metrics),
        "Workers": _of(work),
        "GPU worker and device": list(work.described()),
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
