"""Messages on a real Valkey: their content, and behaviour without it."""

from __future__ import annotations

import base64
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from common import ids, jobs
from common.db import Database
from common.errors import Unavailable
from common.queue import CLEAN, SWEEP, TRANSCRIBE, Publisher, check_broker, make_app, transcribe_queue
from common.settings import Settings
from dev.process import free_port, spawn, wait_until
from dev.stack import REPOSITORY
from dev.valkey import Valkey, start_valkey
from tests.broken_valkey import REFUSALS
from tests.conftest import variables
from tests.db.job_cases import MODEL, database_of, execute, submitted, with_worker


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = database_of(settings)
    yield database
    database.close()


@pytest.fixture
def valkey_client(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        yield client


def messages(client: redis.Redis, model: str = MODEL) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in reversed(client.lrange(transcribe_queue(model), 0, -1))]


def announced(client: redis.Redis) -> list[str]:
    return [json.loads(base64.b64decode(message["body"]))[0][0] for message in messages(client)]


def with_redis(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(url)})


def test_a_message_holds_the_id_and_nothing_else(settings: Settings, valkey_client: redis.Redis) -> None:
    job_id = uuid.uuid4()
    Publisher(make_app(settings))(job_id, MODEL)
    [message] = messages(valkey_client)
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([ids.shown(ids.JOB, job_id)], {})
    assert message["headers"]["task"] == TRANSCRIBE
    assert "example.com" not in json.dumps(message)


def test_each_model_has_a_queue(settings: Settings, valkey_client: redis.Redis) -> None:
    publish = Publisher(make_app(settings))
    for model in ("a", "b", "b"):
        publish(uuid.uuid4(), model)
    assert [len(messages(valkey_client, model)) for model in ("a", "b", "c")] == [1, 2, 0]


def test_jobs_reach_the_queue_in_their_order(
    settings: Settings, database: Database, valkey_client: redis.Redis
) -> None:
    with_worker(database, slots=10)
    made = [submitted(database, priority=priority) for priority in (1, 9, 5)]
    jobs.dispatch(database, Publisher(make_app(settings)), redispatch_seconds=15)
    assert announced(valkey_client) == [made[i].public_id for i in (1, 2, 0)]


def test_messages_that_valkey_lost_are_sent_again(
    settings: Settings, database: Database, valkey_client: redis.Redis
) -> None:
    with_worker(database, slots=10)
    made = [submitted(database).public_id for _ in range(3)]
    publish = Publisher(make_app(settings))
    jobs.dispatch(database, publish, redispatch_seconds=15)
    valkey_client.flushall()
    assert jobs.dispatch(database, publish, redispatch_seconds=15) == 0
    execute(database, "UPDATE jobs SET dispatched_at = now() - interval '16 seconds'")
    assert jobs.dispatch(database, publish, redispatch_seconds=15) == 3
    assert announced(valkey_client) == made


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "wrong password"])
def test_valkey_that_does_not_answer_is_unavailable(settings: Settings, valkey: Valkey, url: str) -> None:
    if url == "wrong password":
        url = valkey.url().replace(valkey.password, "wrong")
    application = make_app(with_redis(settings, url))
    calls: list[Callable[[], None]] = [
        lambda: Publisher(application)(uuid.uuid4(), MODEL),
        lambda: check_broker(application),
    ]
    for call in calls:
        with pytest.raises(Unavailable) as caught:
            call()
        assert "wrong" not in caught.value.message


def test_valkey_that_comes_back_gets_the_jobs(settings: Settings, database: Database, tmp_path: Path) -> None:
    with_worker(database)
    job = submitted(database)
    port = free_port()
    url = f"redis://:secret@127.0.0.1:{port}/0"
    application = make_app(with_redis(settings, url))
    with pytest.raises(Unavailable):
        jobs.dispatch(database, Publisher(application), redispatch_seconds=15)
    server = start_valkey(tmp_path / "valkey", tmp_path / "logs", "secret", port)
    try:
        check_broker(application)
        assert jobs.dispatch(database, Publisher(application), redispatch_seconds=15) == 1
        with redis.Redis.from_url(url) as client:
            assert announced(client) == [job.public_id]
    finally:
        server.child.stop(seconds=5)


def test_valkey_that_takes_no_more_is_unavailable(settings: Settings, tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "valkey", tmp_path / "logs", "secret")
    try:
        publish = Publisher(make_app(with_redis(settings, server.url())))
        with redis.Redis.from_url(server.url()) as client:
            for refusal in REFUSALS:
                with refusal.on(client):
                    with pytest.raises(redis.RedisError, match=refusal.pattern):
                        client.set("key", "value")
                    with pytest.raises(Unavailable):
                        publish(uuid.uuid4(), MODEL)
                publish(uuid.uuid4(), MODEL)
            assert len(messages(client)) == len(REFUSALS)
    finally:
        server.child.stop(seconds=5)


def test_check_broker_passes(settings: Settings) -> None:
    check_broker(make_app(settings))


def test_beat_entries_expire_so_that_no_backlog_builds(settings: Settings) -> None:
    schedule = make_app(settings.model_copy(update={"sweep_seconds": 2.5})).conf.beat_schedule
    assert {entry["task"]: entry["schedule"] for entry in schedule.values()} == {SWEEP: 2.5, CLEAN: 600.0}
    for entry in schedule.values():
        assert entry["options"]["queue"] == "light"
        assert entry["options"]["expires"] >= entry["schedule"]


def test_messages_are_acknowledged_early_and_not_prefetched(settings: Settings) -> None:
    conf = make_app(settings).conf
    assert (conf.task_acks_late, conf.worker_prefetch_multiplier, conf.task_ignore_result) == (False, 1, True)


def test_beat_logs_as_the_others_do_and_says_in_a_line_that_valkey_is_away(settings: Settings, tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "valkey", tmp_path / "logs", "not-told")
    given = settings.model_copy(update={"redis_url": SecretStr(server.url())})
    environment = dict(os.environ) | variables(given) | {"PARAQUEUE_SWEEP_SECONDS": "0.5", "PYTHONUNBUFFERED": "1"}
    schedule = str(tmp_path / "schedule")
    command = [sys.executable, "-m", "celery", "-A", "common.queue", "beat", "--schedule", schedule]
    beat = spawn("beat", command, tmp_path / "beat.log", env=environment, cwd=REPOSITORY)
    try:
        with redis.Redis.from_url(server.url()) as client:
            wait_until(lambda: client.llen("light") != 0, [beat], 60, "beat sent nothing")
        server.child.stop(10)
        wait_until(lambda: beat.log.read_text().count("message_postponed") > 1, [beat], 60, "beat said nothing")
    finally:
        beat.stop(10)
        server.child.stop(10)
    log = beat.log.read_text()
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {line["service"] for line in records} == {"beat"}
    assert any("sweep" in line["event"] and "Connection refused" in line["event"] for line in records)
    assert "Traceback" not in log
    assert "not-told" not in log
