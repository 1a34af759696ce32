"""The chart as Helm renders it, for several sets of values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import helm_python
import yaml

from dev.stack import REPOSITORY

CHART = REPOSITORY / "deploy" / "helm" / "paraqueue"
NEEDED = {"secrets": {"database_url": "postgresql://u:p@db/x", "redis_url": "redis://:p@valkey:6379/0"}}
EVERYTHING: dict[str, Any] = {
    "existingSecret": "mine",
    "databaseSecrets": {"api": "as-api", "workers": "as-worker", "light": "as-light"},
    "settings": {"storage_url": "s3://b", "worker_slots": 8, "max_upload_bytes": 10**10, "tenant_max_running": 2.0},
    "storageVolume": {"enabled": True},
    "modelsVolume": {"storageClassName": "fast"},
    "image": {"registry": "registry.corp.example/x/", "tag": "9.9", "pullSecrets": [{"name": "pull"}]},
    "podAnnotations": {"a": "b"},
    "serviceAccount": {"annotations": {"role": "r"}},
    "ingress": {"enabled": True, "className": "nginx", "hosts": ["a.example"], "annotations": {"x/y": "z"}},
    "workers": {
        "gpu": {"autoscaling": {"enabled": True, "minReplicas": 1}, "nodeSelector": {"gpu": "h200"}},
        "cpu": {
            "replicas": 3,
            "tag": "9.9-cpu",
            "settings": {"device": "cpu", "precision": "int8", "model": "demo-zh"},
        },
    },
    "flower": {"enabled": True, "existingSecret": "flower"},
    "networkPolicy": {
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "egress": {
            "enabled": True,
            "servers": [{"to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"port": 5432}]}],
        },
    },
}
SMALL: dict[str, Any] = NEEDED | {
    "api": {"autoscaling": {"enabled": False}},
    "modelsVolume": {"enabled": False},
    "metrics": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "serviceAccount": {"create": False},
    "migration": {"enabled": False},
    "workers": {"gpu": {"enabled": False}, "cpu": {"settings": {"device": "cpu"}}},
}
CASES = {"default": NEEDED, "everything": EVERYTHING, "small": SMALL}
Manifest = dict[str, Any]


@cache
def rendered(case: str) -> list[Manifest]:
    return render(CASES[case])


def render(values: dict[str, Any]) -> list[Manifest]:
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name="speech", namespace="prod")
    documents_of = [yaml.safe_load_all(text) for name, text in texts.items() if name.endswith(".yaml")]
    return [manifest for documents in documents_of for manifest in documents if manifest]


def of_kind(case: str, *kinds: str) -> list[Manifest]:
    return [manifest for manifest in rendered(case) if manifest["kind"] in kinds]


def named(case: str, kind: str, name: str) -> Manifest:
    [manifest] = [item for item in of_kind(case, kind) if item["metadata"]["name"] == name]
    return manifest


def pods(case: str) -> Iterator[tuple[str, Manifest]]:
    for manifest in of_kind(case, "Deployment", "Job"):
        yield manifest["metadata"]["name"].removeprefix("speech-paraqueue-"), manifest["spec"]["template"]["spec"]


def containers(case: str) -> Iterator[tuple[str, Manifest]]:
    for name, pod in pods(case):
        yield from ((name, container) for container in pod["containers"])


def variables(case: str, container: Manifest) -> dict[str, str]:
    """What a container sees; later ones win, as in Kubernetes."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            variables |= named(case, "ConfigMap", source["configMapRef"]["name"])["data"]
        elif CASES[case].get("existingSecret") is None:
            variables |= named(case, "Secret", source["secretRef"]["name"])["stringData"]
    return variables | {item["name"]: item["value"] for item in container.get("env", ()) if "value" in item}
