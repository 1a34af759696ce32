"""A light worker that dies while it makes a summary, as a real process: another one goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from common import summaries
from common.db import Database
from common.job_states import Status
from common.queue import Publisher, make_app
from common.settings import Settings
from dev.process import Child, stop_all, wait_until
from tests.chat_server import API_KEY, MODEL, ChatServer, writes
from tests.db.light_cases import start
from tests.db.summary_cases import LONG, SMALL, chat, counted, expire_lease, requested

__all__ = ["chat"]  # a fixture


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The database of the processes."""
    database = Database(settings.sqlalchemy_url, 2)
    yield database
    database.close()


@pytest.fixture
def summary_settings(settings: Settings, chat: ChatServer) -> Settings:
    """Settings of a light worker that may ask the chat server."""
    endpoint = {"url": chat.base_url, "model": MODEL, "api_key": SecretStr(API_KEY), "allowed_private": ("127.0.0.1",)}
    changes = {f"summary_{name}": value for name, value in (endpoint | SMALL).items()}
    return settings.model_copy(update=changes)


def light_worker(name: str, settings: Settings, place: Path) -> Child:
    """A light worker, woken as by the API when it requests a summary."""
    child = start(name, settings, place, "worker.light")
    wait_until(lambda: " ready." in child.log.read_text(), [child], 60, "the light worker did not start")
    Publisher(make_app(settings)).wake_summarizers()
    return child


def test_a_summary_survives_the_death_of_its_light_worker(
    database: Database, chat: ChatServer, summary_settings: Settings, tmp_path: Path
) -> None:
    job = requested(database, *LONG)
    chat.answers = [writes("one"), writes("two"), chat.hang]
    children: list[Child] = []
    try:
        children = [light_worker("first", summary_settings, tmp_path)]
        wait_until(lambda: len(chat.asked) == 3, children, 60, "the first light worker made no sections")
        children[0].process.kill()
        children[0].process.wait()
        left = summaries.get(database, job.id)
        assert left.status is Status.PROCESSING
        assert 0 < left.progress < 1
        expire_lease(database, job)
        asked = len(chat.asked)
        children = [light_worker("second", summary_settings, tmp_path)]
        wait_until(
            lambda: summaries.get(database, job.id).status is Status.COMPLETED, children, 60, "the summary was not made"
        )
    finally:
        stop_all(children, 20)
    again, *_, merge = chat.asked[asked:]
    assert again.user.splitlines()[1:-1] == chat.asked[2].user.splitlines()[1:-1], "it goes on after what was committed"
    assert "\none\n" in merge.user
    assert "\ntwo\n" in merge.user
    answered = len(chat.asked) - 1
    spent = counted(database)
    assert [(tenant, model) for tenant, model, _, _ in spent] == [("default", MODEL)] * 2, "one row for each worker"
    assert (sum(row[2] for row in spent), sum(row[3] for row in spent)) == (100 * answered, 10 * answered)
