"""Scaling by KEDA: its schema, and its query on a real database."""

from __future__ import annotations

import json
import re
from pathlib import Path

from common.db import Database
from dev.stack import REPOSITORY
from tests.db.job_cases import claimed, execute, submitted
from tests.deploy.chart import (
    Manifest,
    named,
    of_kind,
)
from tests.js import node


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
