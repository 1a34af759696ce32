"""Every option of the API is one of the client's and of the command's, with the same values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import SecretStr, TypeAdapter

from api.transcriptions.submitting.options import Options
from dev.postgres import Postgres
from dev.valkey import Valkey
from paraqueue import AsyncClient, Client
from paraqueue.cli.channels import Channels, SegmentationChoice
from paraqueue.options import SubmitOptions
from paraqueue.statuses import Segmentation
from tests.api.api_cases import Api, shared_api
from tests.api.command_cases import Run
from tests.db.job_cases import one, with_worker
from tests.db.webhook_cases import KEY, OWN_SECRET
from tests.servers import ADMIN_KEY

# What `paraqueue submit` takes for each option of the API; `--speakers 2-3` means three of them.
ON_THE_COMMAND_LINE = {
    "model": ["--model", "demo-zh"],
    "language": ["--language", "zh"],
    "channels": ["--channels", "split"],
    "audio_track": ["--audio-track", "all"],
    "speakers": ["--speakers", "2-3"],
    "min_speakers": [],
    "max_speakers": [],
    "known_voices": ["--no-known-voices"],
    "itn": ["--itn"],
    "remove_fillers": ["--remove-fillers"],
    "masked_words": ["--mask", "坏"],
    "hotwords": ["--hotword", "王晓明:8"],
    "vocabulary_id": ["--vocabulary", "Board"],
    "script": ["--traditional"],
    "segmentation": ["--segmentation", "meeting"],
    "summary": ["--summary", "decisions"],
    "summary_language": ["--summary-language", "en"],
    "priority": ["--priority", "7"],
    "tags": ["--tag", "a"],
    "webhook_url": ["--webhook", "https://1.1.1.1/in"],
    "webhook_events": ["--webhook-event", "transcription.completed"],
    "dedupe": ["--dedupe"],
}


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that signs webhooks and takes orders for summaries."""
    secrets = {"secret_key": SecretStr(KEY), "webhook_secret": SecretStr(OWN_SECRET)}
    summaries = {"summary_url": "http://127.0.0.1:9/v1", "summary_model": "none"}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **secrets, **summaries) as api:
        yield api


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("call", ["submit", "transcribe", "submit_batch"])
def test_all_calls_that_submit_take_the_options_of_the_api(kind: type[Client | AsyncClient], call: str) -> None:
    parameters = inspect.signature(getattr(kind, call)).parameters
    others = {"self", "source", "links", "name", "timeout", "on_change", "on_upload", "memory"}
    assert set(parameters) - others == set(Options.model_fields)
    assert set(SubmitOptions.__annotations__) == set(Options.model_fields)


def values_of(schema: Any) -> set[str]:
    """The words that a JSON schema allows."""
    if isinstance(schema, dict):
        own = {schema["const"]} if "const" in schema else set(schema.get("enum", []))
        return own.union(*map(values_of, schema.values())) if schema else own
    return set().union(*map(values_of, schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("option", ["channels", "script", "segmentation"])
def test_options_have_the_values_of_the_api(option: str) -> None:
    theirs = values_of(Options.model_json_schema()["properties"][option])
    assert theirs
    assert values_of(TypeAdapter(get_type_hints(SubmitOptions)[option]).json_schema()) == theirs


def test_the_command_has_every_option_and_the_service_takes_them(api: Api, run: Run) -> None:
    assert set(ON_THE_COMMAND_LINE) == set(Options.model_fields)
    board = run("vocabularies", "create", "Board", "王芳").stdout.strip()
    options = [word for words in ON_THE_COMMAND_LINE.values() for word in words]
    shown = run("submit", "https://files.example.com/a.mp3", *options, "--json")
    assert shown.exit_code == 0, shown.output
    made = json.loads(shown.stdout)[0]["transcription"]
    assert {name: made[name] for name in ("model", "channels", "audio_track", "itn", "remove_fillers", "script")} == {
        "model": "demo-zh",
        "channels": "split",
        "audio_track": "all",
        "itn": True,
        "remove_fillers": True,
        "script": "traditional",
    }
    assert (made["masked_words"], made["hotwords"], made["tags"]) == (["坏"], ["王晓明:8"], ["a"])
    assert (made["vocabulary_id"], made["segmentation"], made["priority"]) == (board, "meeting", 7)
    assert (made["speakers"], made["min_speakers"], made["max_speakers"]) == (True, 2, 3)
    assert made["known_voices"] is False
    assert one(api.database, "SELECT kind FROM summaries") == "decisions"
    assert one(api.database, "SELECT language FROM summaries") == "en"
    assert made["webhook_url"] == "https://1.1.1.1/in"
    assert one(api.database, "SELECT webhook_events FROM jobs") == ["transcription.completed"]
    batch = run("batch", "submit", "https://files.example.com/b.mp3", *options)
    assert batch.exit_code == 0, batch.output
    [of_batch] = json.loads(run("list", "--batch", batch.stdout.strip(), "--json").stdout)
    assert {name: of_batch[name] for name in Options.model_fields if name in made} == {
        name: made[name] for name in Options.model_fields if name in made
    }


def test_a_language_that_the_model_does_not_know_is_refused_by_every_call(api: Api, run: Run) -> None:
    with_worker(api.database, languages=("zh",))
    link = "https://files.example.com/a.mp3"
    for command in (("submit", link), ("transcribe", link), ("batch", "submit", link)):
        refused = run(*command, "--language", "fr")
        assert (refused.exit_code, "unsupported_language" in refused.stderr) == (1, True), refused.output
    with Client(str(api.client.base_url), ADMIN_KEY) as client:
        assert client.submit(link, language="zh-CN").status == "queued"


def test_command_choices_are_those_of_the_client() -> None:
    assert {choice.value for choice in SegmentationChoice} == set(get_args(Segmentation))
    assert {choice.value for choice in Channels} == values_of(Options.model_json_schema()["properties"]["channels"])
