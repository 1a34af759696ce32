"""How many statements and transactions a short clip costs PostgreSQL, from its submission to its end.

For short clips they are much of the work. PostgreSQL itself tells of each statement (`log_statement`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event

from common import audio_keys, ids, jobs
from common.db import Database
from common.job_states import Stage, Status
from common.jobs import Progress, Submission, Worker
from common.jobs.accounting.quota import Allowance, Quota
from tests.db.task_cases import Bench, bench_with
from tests.e2e.recordings import Recording, write
from training.speech import SAMPLE_RATE

CLIP_SECONDS = 3
KEY = uuid.UUID(int=7)
QUOTA = Quota(tenant=Allowance(audio_minutes_per_day=1000))
# Of each step: transactions, and statements. Those that begin and end a transaction come on top; a step without one has
# statements that are transactions of their own.
STEPS = {
    "submit": (0, 1),
    "dispatch": (1, 10),
    "claim by a message, end": (2, 8),
    "claim the next, end": (2, 16),
    "nothing is next": (1, 2),
    "renewal": (1, 2),
    "poll": (0, 2),
    "list": (0, 1),
}
# The roles of processes are taken by the tests.
NOT_COUNTED = re.compile(r"BEGIN|COMMIT|;|SET (LOCAL )?ROLE .*|RESET ROLE")


@dataclass
class Watched:
    """A pool on the bench's database, and what its statements are."""

    database: Database
    statements: list[str] = field(default_factory=list)

    def __call__(self, notice: psycopg.errors.Diagnostic) -> None:
        kind, _, statement = (notice.message_primary or "").partition(": ")
        if kind == "statement" or kind.startswith("execute"):
            self.statements.append(statement)

    def cost(self, call: Callable[[], object]) -> tuple[int, int]:
        """The transactions and statements of a call."""
        self.statements.clear()
        call()
        told = [statement for statement in self.statements if not NOT_COUNTED.fullmatch(statement)]
        return self.statements.count("COMMIT"), len(told)


@pytest.fixture
def watched(bench: Bench) -> Iterator[Watched]:
    watched = Watched(Database(bench.settings.sqlalchemy_url, 2))

    @event.listens_for(watched.database.engine, "connect")
    def listen(connection: psycopg.Connection, _record: object) -> None:
        connection.add_notice_handler(watched)
        connection.execute("SET log_statement = 'all'")
        connection.execute("SET client_min_messages = 'log'")
        connection.commit()

    yield watched
    watched.database.close()


def test_a_clip_costs_few_statements(bench: Bench, watched: Watched, tmp_path: Path, recording: Recording) -> None:
    clip = write(recording.samples[: CLIP_SECONDS * SAMPLE_RATE], tmp_path / "clip.wav")
    database, engine = watched.database, bench.transcriber.engine
    made = bench_with(bench.settings, database, engine)
    worker = Worker(made.transcriber.attempts.worker, engine.bundle, engine.revision, engine.precision, "cpu", 4)
    jobs.register_worker(database, worker)

    def submission() -> Submission:
        job_id = ids.new_id()
        key = f"{audio_keys.prefix(job_id)}upload"
        writer = bench.storage.writer(key)
        writer.write(clip.read_bytes())
        writer.commit()
        made = Submission(job_id, engine.bundle, "upload", audio_key=key, audio_sha256=job_id.hex * 2)
        return replace(made, key_id=KEY, quota=QUOTA)

    def dispatch() -> None:
        assert jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=60) == 1

    def renew() -> None:
        progress = [Progress(uuid.uuid4(), Stage.TRANSCRIBING, 0, None)]
        jobs.renew(database, worker, progress, lease_seconds=60, draining=False)

    clips = [submission() for _ in range(2)]
    costs = {"submit": watched.cost(lambda: jobs.submit(database, clips[0]))}
    costs["dispatch"] = watched.cost(dispatch)
    costs["claim by a message, end"] = watched.cost(lambda: made.transcriber.run(ids.shown(ids.JOB, clips[0].id)))
    jobs.submit(database, clips[1])
    costs["claim the next, end"] = watched.cost(made.transcriber._run_next)
    costs["nothing is next"] = watched.cost(made.transcriber._run_next)
    costs["renewal"] = watched.cost(renew)
    costs["poll"] = watched.cost(lambda: jobs.get_with_attempts(database, clips[1].id))
    costs["list"] = watched.cost(lambda: jobs.page(database))
    assert all(jobs.get(database, one.id).status is Status.COMPLETED for one in clips)
    assert costs == STEPS
    jobs.unregister_worker(database, worker.id)
