"""The OpenAPI document: valid, lint-free, the same each time, and made for the generators of clients."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from api.main import create_app
from api.ops.openapi import operations
from common import errors
from common.settings import Settings
from dev.console import CONSOLE
from dev.node import NODE, environment, install
from dev.openapi import lint
from dev.stack import REPOSITORY
from tests.api.api_cases import Documented

# Names in generated clients: changing one breaks those who use them.
OPERATIONS = """
appendToUpload assignSentence beginSession cancelTranscription completePresignedUpload correctSentence correctSentences
createKey createOpenaiTranscription createPresignedUpload createShare createSummary createSummaryTemplate createUpload
createVocabulary createWebhook deleteSummary deleteSummaryTemplate deleteTranscription deleteUpload deleteVocabulary
deleteWebhook endSession exportTranscripts getAudio getBatch getCaller getDelivery getKey getLiveness getModel getPeaks
getReadiness getSentence getSentenceHistory getShared getSharedAudio getSharedPeaks getSharedTranscript getSummary
getSummaryTemplate getTenant getTranscript getTranscription getUploadOffset getUploadOptions getUsage getVocabulary
getWebhook listBatches listDeliveries listKeys listModels listSentences listSharedSentences listShares listSpeakers
listSummaryTemplates listTranscriptions listVocabularies listWebhookDeliveries listWebhooks mergeSentences mergeSpeaker
nameSpeaker overrideUploadMethod replayDelivery replayWebhookDeliveries retryTranscription revokeKey revokeShare
rotateKey rotateWebhookSecret searchSentences setTenantLimits splitSentence streamEvents submitBatch
submitTranscription testWebhook updateSummaryTemplate updateTranscription updateVocabulary updateWebhook
"""
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
OPENAI = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(database_url="postgresql://127.0.0.1/none", redis_url="redis://127.0.0.1")).openapi()


@pytest.fixture(scope="module")
def file(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    install(CONSOLE)
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for path, _, operation in operations(document):
        named = set(re.findall(r"{(\w+)}", path))
        documented = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
        assert documented == named, path
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        node = document
        for step in reference.split("/"):
            node = node[step]
    for schema in schemas_in(document):
        Draft202012Validator.check_schema(schema)


def schemas_in(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "schema":
                yield value
            elif name == "schemas":
                yield from value.values()
            yield from schemas_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from schemas_in(value)


def test_operation_ids_are_unique_and_do_not_change(document: dict[str, Any]) -> None:
    assert sorted(call["operationId"] for _, _, call in operations(document)) == OPERATIONS.split()


def test_the_document_is_the_same_each_time(document: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "api.openapi"]
    printed = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(printed) == document


def test_it_says_how_to_authenticate(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"bearer", "key", "share"}
    assert document["paths"]["/v1/transcriptions"]["post"]["security"] == [{"bearer": []}, {"key": []}]
    assert document["paths"]["/v1/shared"]["get"]["security"] == [{"share": []}]
    assert document["paths"]["/health/live"]["get"]["security"] == []


def test_errors_are_listed_by_status_with_their_codes(document: dict[str, Any]) -> None:
    known = {kind.code for kind in errors.all_errors()} | {"internal", "invalid_api_key", "model_not_found"}
    for path, _, operation in operations(document):
        responses = operation["responses"]
        assert "default" not in responses
        failures = {status: item for status, item in responses.items() if "x-error-codes" in item}
        if not path.startswith("/v1/"):
            assert not failures
            continue
        scopes = set() if path.startswith("/v1/shared") else {"403"}
        assert set(failures) >= {"401", "429", "500", "503"} | scopes, path
        assert all(item["content"] == PROBLEM for item in failures.values()) is (path != OPENAI), path
        named = {code for item in failures.values() for code in item["x-error-codes"]}
        assert named <= known | {"still_running", "canceled"}
        assert "HTTPValidationError" not in json.dumps(operation)
    transcript = document["paths"]["/v1/transcriptions/{transcription_id}/transcript"]["get"]["responses"]
    assert transcript["409"]["x-error-codes"] == ["no_transcript", "not_ready"]
    openai = document["paths"][OPENAI]["post"]["responses"]["404"]
    assert openai["x-error-codes"] == ["model_not_found", "not_found"]
    assert openai["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIErrorOut"}}}


def test_the_bodies_of_a_submission_are_components(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/transcriptions"]["post"]["requestBody"]["content"]
    [link, resumed, several] = [item["$ref"] for item in content["application/json"]["schema"]["anyOf"]]
    upload = content["multipart/form-data"]["schema"]["$ref"]
    schemas = document["components"]["schemas"]
    options = None
    for reference, name in (
        (link, "audio_url"),
        (resumed, "upload_id"),
        (several, "audio_urls"),
        (upload, "file"),
    ):
        schema = schemas[reference.rpartition("/")[2]]
        assert schema["required"] == [name]
        others = set(schema["properties"]) - {name}
        assert options in (None, others)
        options = others
    checked = Draft202012Validator(schemas["SubmitLink"])
    assert checked.is_valid({"audio_url": "https://e.com/a", "tags": ["a"], "priority": 3})
    assert not checked.is_valid({"audio_url": "https://e.com/a", "priority": 11})


def test_the_idempotency_key_is_documented_where_it_counts(document: dict[str, Any]) -> None:
    with_key = {
        operation["operationId"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key"
    }
    assert with_key == {"submitTranscription", "submitBatch", "retryTranscription"}


def test_redocly_has_nothing_to_say(document: dict[str, Any], file: Path, tmp_path: Path) -> None:
    done = lint(file)
    assert (done.returncode, done.stdout) == (0, "")
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps(document | {"servers": []}))
    done = lint(worse)
    assert done.returncode == 1
    assert "no-empty-servers" in done.stdout


def test_openapi_typescript_generates_without_a_warning(file: Path, tmp_path: Path) -> None:
    script = CONSOLE / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    command = [str(NODE), str(script), str(file), "--output", str(tmp_path / "api.d.ts")]
    done = subprocess.run(command, cwd=CONSOLE, env=environment(), capture_output=True, text=True, check=True)
    assert not re.search("warn|error", done.stdout + done.stderr, re.IGNORECASE), done.stdout + done.stderr
    types = (tmp_path / "api.d.ts").read_text()
    assert re.search(r"getTranscript: \{.*?components\[\"schemas\"\]\[\"TranscriptOut\"\]", types, re.DOTALL)


def test_undocumented_statuses_are_noticed() -> None:
    """What the client of the API's tests checks of every response."""
    documented = Documented(create_app(Settings()))
    request = httpx.Request("GET", "http://localhost/v1/transcriptions/tr_0")
    documented.check(httpx.Response(404, request=request))
    with pytest.raises(AssertionError, match="418"):
        documented.check(httpx.Response(418, request=request))
