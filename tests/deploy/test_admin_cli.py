"""The operator's commands against a real database and queue."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import redis
from typer.testing import CliRunner, Result

from admin.cli import app
from admin.roles import API
from common import jobs, keys
from common.db import Database
from common.errors import Unauthenticated
from common.job_states import Status
from common.jobs import Worker
from common.keys import Scope
from common.settings import Settings
from tests.db.job_cases import claimed, completed, execute, submitted
from tests.roles import as_role

Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # As in the API's container, where the API has a database role of its own.
    monkeypatch.setenv("PARAQUEUE_DATABASE_URL", as_role(environment["PARAQUEUE_DATABASE_URL"], API))
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def with_worker(database: Database, name: str = "w-1") -> None:
    jobs.register_worker(database, Worker(name, "demo-zh", "r1", "fp32", "cpu", 4))


def test_a_setting_with_a_typing_error_is_told_beside_the_output(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("workers", "--json").stderr == ""
    monkeypatch.setenv("PARAQUEUE_DATABSE_URL", "postgresql://secret@nowhere/x")
    monkeypatch.setenv("PARAQUEUE_XYZZY", "1")
    ran = run("workers", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, [])
    assert ran.stderr.splitlines() == [
        "paraqueue: PARAQUEUE_DATABSE_URL is not a setting; did you mean PARAQUEUE_DATABASE_URL?",
        "paraqueue: PARAQUEUE_XYZZY is not a setting",
    ]


def test_a_key_is_made_listed_rotated_and_revoked(run: Run, database: Database) -> None:
    made = run("keys", "create", "first", "--scope", "read", "--scope", "admin", "--tenant", "acme")
    secret = made.stdout.strip()
    key, _ = keys.authenticated(database, keys.digest_of(secret))
    assert (key.name, key.tenant, key.scopes) == ("first", "acme", frozenset({Scope.READ, Scope.ADMIN}))
    listed = run("keys", "list", "--json")
    assert secret not in listed.stdout
    assert [item["id"] for item in json.loads(listed.stdout)] == [key.public_id]
    assert key.public_id in run("keys", "list").stdout
    rotated = run("keys", "rotate", key.public_id, "--grace-hours", "0").stdout.strip()
    assert keys.authenticated(database, keys.digest_of(rotated))[0].id == key.id
    with pytest.raises(Unauthenticated):
        keys.authenticated(database, keys.digest_of(secret))
    assert run("keys", "revoke", key.public_id).exit_code == 0
    with pytest.raises(Unauthenticated):
        keys.authenticated(database, keys.digest_of(rotated))
    unknown = run("keys", "revoke", "key_nothing")
    assert (unknown.exit_code, unknown.stderr) == (1, "paraqueue: not found: 'key_nothing'\n")


def test_jobs_are_queued_again_and_announced_at_once(run: Run, database: Database, settings: Settings) -> None:
    with_worker(database)
    held, waiting, done = claimed(database, worker="w-0").job, submitted(database), completed(database)
    canceled = jobs.cancel(database, submitted(database).id)
    ran = run("requeue", held.public_id, waiting.public_id, canceled.public_id, done.public_id, "tr_none")
    assert ran.exit_code == 1
    assert ran.stdout.splitlines() == [
        f"{held.public_id} queued; taken from w-0",
        f"{waiting.public_id} queued; announced anew",
        f"{canceled.public_id} queued; run 2, was canceled",
    ]
    assert "is completed" in ran.stderr
    assert "not found: 'tr_none'" in ran.stderr
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        assert client.llen("transcribe.demo-zh") == 3


def test_queued_again_also_while_redis_is_away(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with_worker(database)
    job = jobs.cancel(database, submitted(database).id)
    monkeypatch.setenv("PARAQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")
    ran = run("requeue", job.public_id)
    assert (ran.exit_code, "the next sweep" in ran.stderr) == (0, True)
    assert jobs.get(database, job.id).status is Status.QUEUED


def test_workers_are_listed_and_drained(run: Run, database: Database) -> None:
    with_worker(database)
    with_worker(database, "w-2")
    execute(database, "UPDATE workers SET heartbeat_at = now() - interval '3 hours' WHERE id = 'w-2'")
    claimed(database, worker="w-1")
    assert run("drain", "w-1").stdout == "w-1 draining\n"
    lines = {line.split()[0]: line.split() for line in run("workers").stdout.splitlines()[1:]}
    assert lines["w-1"][1] == "draining"
    assert "1/4" in lines["w-1"]
    assert (lines["w-2"][1], lines["w-2"][-3:]) == ("silent", ["3", "h", "ago"])
    [first, second] = json.loads(run("workers", "--json").stdout)
    assert (first["worker"]["id"], first["running"], first["drain"], second["drain"]) == ("w-1", 1, "stay", None)
    late = run("drain", "w-1", "--wait", "--timeout", "0")
    assert (late.exit_code, late.stderr) == (1, "paraqueue: w-1 still has 1 jobs and is still draining\n")
    assert run("undrain", "w-1").exit_code == 0
    assert [worker.id for worker in jobs.live_workers(database)] == ["w-1"]
    assert run("drain", "nobody").exit_code == 1


def test_what_is_stuck_is_told_with_why_and_what_to_do(run: Run, database: Database) -> None:
    assert (run("stuck").exit_code, run("stuck").stdout) == (0, "nothing is stuck\n")
    held = claimed(database, worker="w-9").job
    submitted(database)
    execute(database, "UPDATE jobs SET lease_expires_at = now() - interval '1 hour' WHERE status = 'processing'")
    ran = run("stuck")
    assert ran.exit_code == 1
    no_worker, expired = ran.stdout.splitlines()
    assert no_worker.startswith("demo-zh  ")
    assert no_worker.endswith("→ start a worker with PARAQUEUE_MODEL=demo-zh, or undrain one")
    assert expired.startswith(f"{held.public_id}  60 min: w-9 is silent")
    stuck = json.loads(run("stuck", "--json").stdout)
    assert [item["kind"] for item in stuck] == ["no_worker", "lease_expired"]


def test_the_model_is_where_the_settings_say(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is complete in" in run("model").stdout
    monkeypatch.setenv("PARAQUEUE_MODEL", "paraformer-large-zh")
    monkeypatch.setenv("PARAQUEUE_MODELS_DIR", "/nowhere")
    missing = run("model")
    assert (missing.exit_code, "put these files in place" in missing.stderr) == (1, True)


def test_a_database_that_is_away_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAQUEUE_DATABASE_URL", "postgresql://x@127.0.0.1:1/x")
    for command in (("workers",), ("stuck",), ("keys", "list"), ("drain", "w")):
        ran = run(*command)
        assert (ran.exit_code, ran.stderr) == (1, "paraqueue: the database does not respond\n")
    monkeypatch.setenv("PARAQUEUE_PORT", "none")
    assert run("workers").exit_code == 2
