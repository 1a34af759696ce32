"""What pods may do, read, write and reach."""

from __future__ import annotations

import pytest

from deploy.alive import BEAT_DIRECTORY
from tests.deploy.chart import (
    CASES,
    EVERYTHING,
    Manifest,
    containers,
    named,
    of_kind,
    pods,
)
from tests.deploy.images import read_dockerfile


@pytest.mark.parametrize("case", CASES)
def test_pods_have_no_rights_but_their_own(case: str) -> None:
    user = int((read_dockerfile("Dockerfile.worker").last("worker", "USER") or "").partition(":")[0])
    for name, pod in pods(case):
        assert pod["automountServiceAccountToken"] is False, name
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, user, user)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert name == "worker-cpu" or container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("case", CASES)
def test_services_of_the_namespace_add_no_variables(case: str) -> None:
    """A Service `paraqueue` would set PARAQUEUE_PORT=tcp://…, which is no port, and others would look like settings."""
    for name, pod in pods(case):
        assert pod["enableServiceLinks"] is False, name


@pytest.mark.parametrize("case", CASES)
def test_what_the_code_writes_to_is_mounted(case: str) -> None:
    for name, pod in pods(case):
        volumes = {volume["name"] for volume in pod["volumes"]}
        [container] = pod["containers"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == volumes, name
        wanted = {"/tmp"}
        if name.startswith("worker-"):
            image = read_dockerfile("Dockerfile.worker").environment("worker")
            wanted |= {image["HOME"], image["PARAQUEUE_SCRATCH_DIR"], image["PARAQUEUE_MODELS_DIR"]}
            assert image["NUMBA_CACHE_DIR"].startswith(f"{image['HOME']}/")
        elif name == "light":
            wanted.add(read_dockerfile("Dockerfile.api").environment("api")["PARAQUEUE_SCRATCH_DIR"])
        elif name == "beat":
            wanted.add(str(BEAT_DIRECTORY))
        if case == "everything" and name in {"api", "light", "worker-gpu", "worker-cpu"}:
            wanted.add("/var/lib/paraqueue/storage")
        assert set(mounts) == wanted, name
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        for claim in claims:
            assert named(case, "PersistentVolumeClaim", claim)


def test_a_component_with_a_database_role_gets_its_url_and_others_do_not() -> None:
    def secrets(case: str) -> dict[str, str]:
        return {
            name: variable["valueFrom"]["secretKeyRef"]["name"]
            for name, container in containers(case)
            for variable in container.get("env", ())
            if variable["name"] == "PARAQUEUE_DATABASE_URL" and name != "migration"
        }

    workers = {"worker-gpu": "as-worker", "worker-cpu": "as-worker"}
    assert secrets("everything") == {"api": "as-api", "light": "as-light"} | workers
    assert secrets("default") == {}
    [trigger] = of_kind("everything", "TriggerAuthentication")
    assert trigger["spec"]["secretTargetRef"][0]["name"] == "as-worker"


@pytest.mark.parametrize("case", CASES)
def test_beat_and_flower_get_no_secret_but_the_address_of_redis(case: str) -> None:
    flower = {"FLOWER_BASIC_AUTH": "flower"} if case == "everything" else {}
    secret = CASES[case].get("existingSecret", "speech-paraqueue")
    seen = set()
    for name, container in containers(case):
        if name not in {"beat", "flower"}:
            continue
        seen.add(name)
        assert [list(source) for source in container["envFrom"]] == [["configMapRef"]]
        references = {item["name"]: item["valueFrom"]["secretKeyRef"]["name"] for item in container["env"]}
        assert references == {"PARAQUEUE_REDIS_URL": secret} | (flower if name == "flower" else {})
    assert seen == ({"beat", "flower"} if case == "everything" else {"beat"})


def test_only_api_and_flower_can_be_called() -> None:
    closed, opened, metrics, internet = of_kind("everything", "NetworkPolicy")
    assert metrics["spec"]["ingress"][0]["ports"] == [{"port": "metrics", "protocol": "TCP"}]
    assert closed["spec"]["ingress"] == []
    assert set(closed["spec"]["podSelector"]["matchLabels"]) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    [expression] = opened["spec"]["podSelector"]["matchExpressions"]
    assert expression["values"] == ["api", "flower"]
    assert opened["spec"]["ingress"][0]["from"] == EVERYTHING["networkPolicy"]["apiFrom"]
    assert "10.0.0.0/8" in internet["spec"]["egress"][0]["to"][0]["ipBlock"]["except"]


def test_egress_is_limited_unless_it_is_switched_off() -> None:
    def egress(case: str) -> list[Manifest]:
        return list(named(case, "NetworkPolicy", "speech-paraqueue")["spec"]["egress"])

    dns, servers = egress("default")
    assert {port["port"] for port in dns["ports"]} == {53}
    assert {5432, 6379, 443} <= {port["port"] for port in servers["ports"]}
    assert 80 not in {port["port"] for port in servers["ports"]}
    assert egress("everything")[1:] == EVERYTHING["networkPolicy"]["egress"]["servers"]
    internet = named("default", "NetworkPolicy", "speech-paraqueue-internet")["spec"]
    [rule] = internet["egress"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(
        rule["to"][0]["ipBlock"]["except"]
    )
    assert "api" in internet["podSelector"]["matchExpressions"][0]["values"]
