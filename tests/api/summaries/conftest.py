"""An API with a chat server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.auth import identities
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.chat_server import MODEL, ChatServer, running_chat_server


@pytest.fixture(scope="module")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    with running_chat_server(tmp_path_factory.mktemp("chat")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(
    postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory, chat_server: ChatServer
) -> Iterator[Api]:
    chat = {"summary_url": chat_server.base_url, "summary_model": MODEL}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **chat) as api:
        yield api


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    return shared.emptied()


@pytest.fixture
def chat(chat_server: ChatServer) -> ChatServer:
    chat_server.asked.clear()
    chat_server.answers.clear()
    return chat_server
