"""The Helm chart: what Helm, Kubernetes' schemas and KEDA's say of it, and whether it fits the code."""

from __future__ import annotations

import json

import helm_python
import kubernetes_validate
import pytest
import yaml

from api.server import SHUTDOWN_SECONDS
from common.settings import Settings
from common.version import VERSION
from deploy.alive import CHECKS
from dev.stack import REPOSITORY
from docs import generate
from tests.deploy.chart import (
    CASES,
    CHART,
    NEEDED,
    containers,
    named,
    of_kind,
    pods,
    render,
    rendered,
    variables,
)
from tests.deploy.images import services
from tests.deploy.test_compose import command_problem, seconds

KUBERNETES = ("1.37", "1.29")


def test_helm_has_nothing_to_say() -> None:
    report = helm_python.lint(str(CHART), values=NEEDED)
    assert report["errors"] == []
    assert [item["error"] for item in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("case", CASES)
def test_every_manifest_fits_the_schemas_of_kubernetes(case: str, version: str) -> None:
    ours = [manifest for manifest in rendered(case) if not manifest["apiVersion"].startswith("keda.sh")]
    assert len(ours) > 5
    for manifest in ours:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_would_refuse_a_wrong_manifest() -> None:
    wrong = json.loads(json.dumps(named("default", "Deployment", "speech-paraqueue-api")))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


@pytest.mark.parametrize("case", CASES)
def test_settings_exist_and_are_valid(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"PARAQUEUE_{name.upper()}" for name in Settings.model_fields}
    for name, container in containers(case):
        given = variables(case, container)
        assert set(given) <= known | {"FLOWER_BASIC_AUTH"}, name
        with monkeypatch.context() as patched:
            for variable, value in given.items():
                patched.setenv(variable, value)
            settings = Settings()
        if name.startswith("worker-"):
            assert settings.device == ("cuda:0" if name == "worker-gpu" else "cpu")
    if case == "everything":
        [gpu] = [container for name, container in containers(case) if name == "worker-gpu"]
        assert variables(case, gpu)["PARAQUEUE_MAX_UPLOAD_BYTES"] == "10000000000"
        assert variables(case, gpu)["PARAQUEUE_STORAGE_URL"] == "file:/var/lib/paraqueue/storage"


def test_a_setting_that_does_not_exist_is_refused() -> None:
    for values in (
        {"settings": {"colour": "blue"}},
        {"settings": {"database_url": "postgresql://secret@x"}},
        {"secrets": NEEDED["secrets"] | {"worker_slots": "4"}},
        {"workers": {"gpu": {"replica": 1}}},
        {"workers": {"gpu": {"settings": {"colour": "blue"}}}},
        {"beat": {"replicas": 2}},
    ):
        with pytest.raises(helm_python.HelmError):
            render(NEEDED | values)


def test_the_names_of_settings_are_those_of_the_code() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    plain = set(schema["$defs"]["settings"]["propertyNames"]["enum"])
    secret = set(schema["properties"]["secrets"]["propertyNames"]["enum"])
    assert plain | secret | generate.SET_BY_CHART == set(Settings.model_fields)
    assert {"database_url", "redis_url", "s3_secret_access_key", "secret_key", "admin_key", "jwt_secret"} <= secret


def test_secrets_are_asked_for() -> None:
    for values, missing in (({}, "database_url"), (NEEDED | {"flower": {"enabled": True}}, "flower.existingSecret")):
        with pytest.raises(helm_python.HelmError, match=missing):
            render(values)


@pytest.mark.parametrize("case", CASES)
def test_commands_are_those_of_compose_and_exist(case: str) -> None:
    of_compose = {tuple(service["command"]) for service in services().values() if "build" in service}
    for name, container in containers(case):
        assert tuple(container["command"]) in of_compose, name
        assert command_problem(container["command"]) is None
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "exec" in container.get(probe, {}):
                python, option, module, check = container[probe]["exec"]["command"]
                assert (python, option, module) == ("python", "-m", "deploy.alive")
                assert check in CHECKS
                assert name.startswith(check)
    names = {name for name, _ in containers(case)}
    assert {"api", "light", "beat"} <= names
    assert ("migration" in names) == (case != "small")


@pytest.mark.parametrize("case", CASES)
def test_images_are_those_that_have_the_command(case: str) -> None:
    registry, tag = ("registry.corp.example/x/", "9.9") if case == "everything" else ("", VERSION)
    for name, container in containers(case):
        image = {"flower": "flower"}.get(name, "worker" if name.startswith("worker") else "api")
        wanted = f"{registry}paraqueue-{image}:{tag}"
        assert container["image"] == (f"{wanted}-cpu" if (name, case) == ("worker-cpu", "everything") else wanted)


def test_ports_match(monkeypatch: pytest.MonkeyPatch) -> None:
    [api] = [container for name, container in containers("everything") if name == "api"]
    monkeypatch.setenv("PARAQUEUE_PORT", variables("everything", api)["PARAQUEUE_PORT"])
    monkeypatch.setenv("PARAQUEUE_HOST", variables("everything", api)["PARAQUEUE_HOST"])
    assert api["ports"] == [{"name": "http", "containerPort": Settings().port}]
    assert Settings().host == "0.0.0.0"
    assert [probe["httpGet"] for key, probe in api.items() if key.endswith("Probe")] == [
        {"path": "/health/live", "port": "http"}
    ] * 3
    service = named("everything", "Service", "speech-paraqueue-api")["spec"]
    assert service["ports"][0]["targetPort"] == "http"
    selected = named("everything", "Deployment", "speech-paraqueue-api")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= selected.items()
    [rule] = named("everything", "Ingress", "speech-paraqueue-api")["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == "speech-paraqueue-api"


@pytest.mark.parametrize("name", ["worker-gpu", "worker-cpu", "light"])
def test_metrics_are_served_at_the_port_that_is_named(name: str) -> None:
    [container] = [container for of, container in containers("everything") if of == name]
    given = variables("everything", container)
    assert (given["PARAQUEUE_METRICS_HOST"], given["PARAQUEUE_METRICS_PORT"]) == ("0.0.0.0", "9100")
    assert container["ports"] == [{"name": "metrics", "containerPort": 9100}]
    [quiet] = [container for of, container in containers("small") if of == "light"]
    assert "ports" not in quiet
    assert "PARAQUEUE_METRICS_PORT" not in variables("small", quiet)


@pytest.mark.parametrize("case", CASES)
def test_beat_runs_once_and_never_beside_its_successor(case: str) -> None:
    spec = named(case, "Deployment", "speech-paraqueue-beat")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert not [item for item in of_kind(case, "HorizontalPodAutoscaler", "ScaledObject") if "beat" in str(item)]


@pytest.mark.parametrize("case", CASES)
def test_processes_have_time_to_stop(case: str) -> None:
    pod = dict(pods(case))
    [api] = pod["api"]["containers"]
    pause = int(api["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["api"]["terminationGracePeriodSeconds"] >= SHUTDOWN_SECONDS + pause
    for name in [name for name in pod if name.startswith("worker-")]:
        grace = pod[name]["terminationGracePeriodSeconds"]
        # A commit waits for the database as long as the lease lasts.
        assert grace >= seconds(services()["worker"]["stop_grace_period"]) + Settings().lease_seconds
    assert pod["light"]["terminationGracePeriodSeconds"] >= seconds(services()["light"]["stop_grace_period"])


def test_a_gpu_for_each_gpu_worker_and_none_for_others() -> None:
    gpu = {
        name: container["resources"].get("limits", {}).get("nvidia.com/gpu")
        for name, container in containers("everything")
    }
    assert {name for name, number in gpu.items() if number} == {"worker-gpu"}
    spec = named("everything", "Deployment", "speech-paraqueue-worker-gpu")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert "replicas" not in spec, "KEDA sets them"
    startup = spec["template"]["spec"]["containers"][0]["startupProbe"]
    assert spec["progressDeadlineSeconds"] > startup["periodSeconds"] * startup["failureThreshold"] >= 3600
    assert named("everything", "Deployment", "speech-paraqueue-worker-cpu")["spec"]["replicas"] == 3


def test_migration_is_before_everything_and_knows_the_database() -> None:
    job = named("default", "Job", "speech-paraqueue-migration")
    secret = named("default", "Secret", "speech-paraqueue-migration")
    for manifest in (job, secret):
        assert manifest["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    weights = [int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in (secret, job)]
    assert weights[0] < weights[1], "the release's own Secret is not there yet"
    assert secret["stringData"] == {"PARAQUEUE_DATABASE_URL": NEEDED["secrets"]["database_url"]}
    [container] = named("everything", "Job", "speech-paraqueue-migration")["spec"]["template"]["spec"]["containers"]
    assert [variable["valueFrom"]["secretKeyRef"] for variable in container["env"]] == [
        {"name": "mine", "key": "PARAQUEUE_DATABASE_URL"},
        {"name": "mine", "key": "PARAQUEUE_DATABASE_DIRECT_URL", "optional": True},
    ]


def test_disruptions_take_one_at_a_time() -> None:
    budgets = of_kind("everything", "PodDisruptionBudget")
    of = {item["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: item["spec"] for item in budgets}
    assert set(of) == {"api", "light", "worker-gpu", "worker-cpu"}
    assert all(spec["maxUnavailable"] == 1 for spec in of.values())


def test_readme_of_the_chart_shows_values_that_render() -> None:
    text = (REPOSITORY / "deploy" / "helm" / "README.md").read_text("utf-8")
    shown = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    kinds = {manifest["kind"] for manifest in render(shown)}
    assert {"Ingress", "ScaledObject", "Job"} <= kinds
    assert "Secret" not in kinds
