"""The Helm chart: what Helm, Kubernetes' schemas and KEDA's say of it, and whether it fits the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import helm_python
import kubernetes_validate
import pytest
import yaml

from api.server import SHUTDOWN_SECONDS
from common.db import Database
from common.settings import Settings
from common.version import VERSION
from deploy.alive import BEAT_DIRECTORY, CHECKS
from dev.stack import REPOSITORY
from docs import generate
from tests.db.job_cases import claimed, database_of, execute, submitted
from tests.deploy.chart import (
    CASES,
    CHART,
    EVERYTHING,
    NEEDED,
    Manifest,
    containers,
    named,
    of_kind,
    pods,
    render,
    rendered,
    variables,
)
from tests.deploy.images import read_dockerfile, services
from tests.deploy.test_compose import command_problem, seconds
from tests.js import node

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


def keda_says(objects: list[Manifest], place: Path) -> str:
    file = place / "objects.json"
    file.write_text(json.dumps(objects))
    out, err = node("keda.mjs", str(file)).communicate(timeout=120)
    assert not err, err
    return out


def test_scaling_fits_the_schema_of_keda(tmp_path: Path) -> None:
    objects = of_kind("everything", "ScaledObject", "TriggerAuthentication")
    assert [item["kind"] for item in objects] == ["ScaledObject", "TriggerAuthentication"]
    assert keda_says(objects, tmp_path) == ""
    wrong = json.loads(json.dumps(objects))
    wrong[0]["spec"]["minReplicaCount"] = "1"
    wrong[1]["spec"]["secretTargetRef"] = {}
    assert [line.split()[0] for line in keda_says(wrong, tmp_path).splitlines()] == [item["kind"] for item in objects]
    # The schema accepts names that KEDA does not know.
    scaled = objects[0]["spec"]
    assert set(scaled) <= keda_knows("ScaledObjectSpec")
    assert set(scaled["triggers"][0]) <= keda_knows("ScaleTriggers")
    assert "minReplicas" not in keda_knows("ScaledObjectSpec")


def keda_knows(kind: str) -> set[str]:
    types = REPOSITORY / "tests/js/node_modules/@kubernetes-models/keda/keda.sh/v1alpha1" / f"{kind}.d.ts"
    return set(re.findall(r'^    "(\w+)"\??:', types.read_text(), re.MULTILINE))


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


def test_disruptions_take_one_at_a_time() -> None:
    budgets = of_kind("everything", "PodDisruptionBudget")
    of = {item["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: item["spec"] for item in budgets}
    assert set(of) == {"api", "light", "worker-gpu", "worker-cpu"}
    assert all(spec["maxUnavailable"] == 1 for spec in of.values())


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


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = database_of(settings)
    yield opened
    opened.close()


def keda_query() -> str:
    [trigger] = named("everything", "ScaledObject", "speech-paraqueue-worker-gpu")["spec"]["triggers"]
    assert trigger["metadata"]["targetQueryValue"] == "1"
    return str(trigger["metadata"]["query"]).replace("paraformer-large-zh", "demo-zh").replace("%", "%%")


def wanted_workers(database: Database) -> float:
    with database.engine.connect() as connection:
        return float(connection.exec_driver_sql(keda_query()).scalar_one())


def test_the_query_of_keda_counts_the_workers_that_have_something_to_do(database: Database) -> None:
    def waits(minutes: float) -> None:
        execute(database, f"UPDATE jobs SET created_at = now() - interval '{minutes} minutes', not_before = created_at")

    assert wanted_workers(database) == 0
    submitted(database)
    assert wanted_workers(database) == 1
    waits(60)
    assert wanted_workers(database) == 1, "one job needs one worker, however long it waits"
    for _ in range(40):
        submitted(database)
    execute(
        database, "UPDATE jobs SET created_at = now() - interval '3 minutes', not_before = now() - interval '3 minutes'"
    )
    assert wanted_workers(database) == 2, "one for each two minutes"
    execute(
        database, "UPDATE jobs SET created_at = now() - interval '9 minutes', not_before = now() - interval '9 minutes'"
    )
    assert wanted_workers(database) == 5
    execute(database, "UPDATE jobs SET not_before = now() + interval '1 minute'")
    assert wanted_workers(database) == 0, "nothing can run now"
    execute(database, "DELETE FROM jobs")
    for _ in range(9):
        claimed(database)
    assert wanted_workers(database) == 2, "what runs keeps its workers: nine jobs on eight slots each"
    submitted(database, model="another")
    assert wanted_workers(database) == 2
    execute(database, "DELETE FROM jobs")
    for _ in range(16):
        claimed(database)
    execute(database, "UPDATE jobs SET audio_key = NULL")
    assert wanted_workers(database) == 1, "one worker downloads sixteen links beside its eight slots"


def test_the_query_of_keda_reads_indexes(database: Database) -> None:
    execute(
        database,
        "INSERT INTO jobs (id, model, channels, source_kind, audio_key, status, finished_at)"
        " SELECT gen_random_uuid(), 'demo-zh', 'mix', 'https', CASE n % 200 WHEN 0 THEN 'audio/x/y' END,"
        " CASE n % 100 WHEN 0 THEN 'queued' ELSE 'completed' END, now() FROM generate_series(1, 20000) AS n",
    )
    execute(database, "ANALYZE jobs")
    with database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {keda_query()}").scalars().all()
    for index in ("jobs_waiting", "jobs_to_fetch"):  # each covers a part of the queued jobs
        assert any(index in line for line in plan), plan
    assert not [line for line in plan if "Seq Scan on jobs" in line]


def test_readme_of_the_chart_shows_values_that_render() -> None:
    text = (REPOSITORY / "deploy" / "helm" / "README.md").read_text("utf-8")
    shown = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    kinds = {manifest["kind"] for manifest in render(shown)}
    assert {"Ingress", "ScaledObject", "Job"} <= kinds
    assert "Secret" not in kinds
