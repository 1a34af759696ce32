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

Prometheus metrics with their labels; [monitoring](operations.md#metrics) describes access and aggregation. Names that
end in `_total` are counters, metrics marked *histogram* have `_bucket`, `_sum` and `_count`, the others are gauges.
Each process also exports the standard `process_…` (memory, CPU time, open files) and `python_…` metrics.
"""
SECTIONS = {
    "Every process": "Metrics that do not apply to a process stay 0.",
    "Installation": "Exported by every API process; read from database and Redis.",
    "API": "",
    "Workers": "GPU workers count attempts; light workers count leases, webhooks and sweeps.",
    "GPU worker and device": "",
}


def families() -> dict[str, list[Metric | MetricWrapperBase]]:
    """Return all metrics of the project, by section."""
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
    """Return the name of a metric as it is scraped, for histograms without the suffixes of their series."""
    described = _described(family)
    return f"{described.name}_total" if described.type == "counter" else described.name


def metrics_page() -> str:
    """The whole page."""
    lines = [METRICS]
    for title, members in families().items():
        lines += [f"## {title}", ""]
        lines += [SECTIONS[title], ""] if SECTIONS[title] else []
        lines += ["| metric | meaning |", "| --- | --- |", *map(_row, members), ""]
    return "\n".join(lines)


def _of(module: ModuleType) -> list[Metric | MetricWrapperBase]:
    return [item for item in vars(module).values() if isinstance(item, MetricWrapperBase)]


def _described(family: Metric | MetricWrapperBase) -> Metric:
    if isinstance(family, Metric):
        return family
    [metric] = family.describe()
    return metric


def _row(family: Metric | MetricWrapperBase) -> str:
    described = _described(family)
    labels = ",".join(labels_of(family))
    name = f"{name_of(family)}{{{labels}}}" if labels else name_of(family)
    kind = "*Histogram.* " if described.type == "histogram" else ""
    return f"| `{name}` | {kind}{described.documentation} |"
