"""The examples of the OpenAPI document are the API's own responses, and fit its schemas."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr

from api.ops.openapi import EXAMPLES, operations
from common import ids, jobs, summaries
from common.jobs import Attributed, Finished, Worker
from common.options.model_cards import ModelCard
from common.storage import make_storage
from common.summaries import Spent, Tokens
from common.summaries.prompts import BUILT_IN
from common.transcript.values import Sentence
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.api.openapi_recorder import Recorder
from tests.api.upload_cases import PATCH, TUS, bucket_settings
from tests.db.job_cases import MODEL, WORKER, claimed, complete, completed, fail, part, sentence
from tests.db.webhook_cases import KEY, OWN_SECRET
from tests.servers import S3
from worker.light.renderer import Renderer

# Neither has a parameter, a body or a documented header.
WITHOUT_EXAMPLE = {"endSession"}
JOBS = "/v1/transcriptions"
CARD = ModelCard(
    "Mandarin with English words", "Apache-2.0", ("zh", "en"), word_times=True, speakers=True, hotwords=False
)


@pytest.fixture(scope="module")
def shared(
    postgres: Postgres, valkey: Valkey, s3_server: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    place = tmp_path_factory.mktemp("api")
    more = {"secret_key": SecretStr(KEY), "webhook_secret": SecretStr(OWN_SECRET), "scratch_dir": place / "scratch"}
    more |= {"summary_url": "https://chat.example.com/v1", "summary_model": "qwen-plus"}
    with shared_api(postgres, valkey, place, **more, **bucket_settings(s3_server)) as api:
        yield replace(api, storage=make_storage(api.settings))


def recording(seconds: int = 2) -> bytes:
    """A WAV file that grows louder."""
    rate, file = 8000, io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setparams((1, 2, rate, 0, "NONE", ""))
        samples = [(number // seconds) * (1 if number % 20 < 10 else -1) for number in range(seconds * rate)]
        audio.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    return file.getvalue()


def said(*texts: str) -> list[Sentence]:
    return [replace(sentence(text, 2000 * number), speaker=number % 2 + 1) for number, text in enumerate(texts)]


def finish(api: Api, job_id: str, *texts: str) -> None:
    """As a worker would, with two speakers who take turns."""
    held = claimed(api.database, jobs.get(api.database, ids.parsed(ids.JOB, job_id)))
    finished = Finished(MODEL, "r1", "fp32", channels=1, audio_ms=10_000, processing_ms=500, no_speech=False)
    attributed = Attributed([[item] for item in said(*texts)])
    stages = {"fetching": 40, "transcribing": 500, "finishing": 10}
    last = part(0, *texts, last=True)
    jobs.complete(api.database, held, last, finished, first_sentence=0, stage_ms=stages, attributed=attributed)


def record(api: Api) -> dict[str, Any]:
    """Call every operation once, as a client would."""
    worker = Worker(WORKER, MODEL, "r1", "fp32", "cpu", 2, card=CARD)
    jobs.register_worker(api.database, worker)
    recorder = Recorder(api)
    _service(recorder)
    _transcriptions(recorder)
    _uploads(recorder)
    _vocabularies(recorder)
    _summaries(recorder)
    _webhooks(recorder)
    _keys(recorder)
    return dict(sorted(recorder.recorded.items()))


def _service(recorder: Recorder) -> None:
    call = recorder.call
    call("GET", "/health/live")
    call("GET", "/health/ready")
    call("GET", "/v1/models")
    call("GET", "/v1/models/{model}", path={"model": MODEL})
    call("GET", "/v1/session")
    session = call("POST", "/v1/session")
    call("DELETE", "/v1/session", headers={"X-CSRF-Token": session.json()["csrf_token"]})
    recorder.api.client.cookies.clear()


def _transcriptions(recorder: Recorder) -> None:
    api, call = recorder.api, recorder.call
    link = {"audio_url": "https://files.example.com/meeting.mp3", "speakers": 2, "itn": True, "tags": ["weekly"]}
    linked = call("POST", JOBS, body=link, headers={"Idempotency-Key": "weekly-2026-01-05"}).json()
    call("POST", f"{JOBS}/{{transcription_id}}/cancel", path={"transcription_id": linked["id"]})
    call("POST", f"{JOBS}/{{transcription_id}}/retry", path={"transcription_id": linked["id"]})
    call("POST", f"{JOBS}/{{transcription_id}}/cancel", path={"transcription_id": linked["id"]})
    call("DELETE", f"{JOBS}/{{transcription_id}}", path={"transcription_id": linked["id"]})
    uploaded = api.submit_file(recording(), "meeting.wav", speakers="2", tags="weekly").json()["id"]
    finish(api, uploaded, "我们开始吧。", "好的，先看 Kubernetes。")
    here = {"transcription_id": uploaded}
    call("GET", JOBS, query={"status": "completed", "tag": "weekly", "limit": 20})
    call("GET", f"{JOBS}/{{transcription_id}}", path=here, query={"wait": 30})
    call("GET", f"{JOBS}/{{transcription_id}}/events", path=here)
    call("GET", f"{JOBS}/{{transcription_id}}/audio", path=here)
    api.get(f"/{uploaded}/peaks")
    Renderer(api.settings, api.database, api.storage).work()
    call("GET", f"{JOBS}/{{transcription_id}}/peaks", path=here, query={"points": 4})
    correction = {"text": "好的，先看 Kubernetes 集群。", "revision": 0}
    call("PATCH", f"{JOBS}/{{transcription_id}}/sentences/{{number}}", path=here | {"number": 1}, body=correction)
    call("GET", f"{JOBS}/{{transcription_id}}/sentences", path=here, query={"limit": 200})
    call("GET", f"{JOBS}/{{transcription_id}}/sentences/{{number}}", path=here | {"number": 1})
    call("GET", f"{JOBS}/search", query={"q": "集群"})
    speaker = here | {"speaker": 2}
    call("GET", f"{JOBS}/{{transcription_id}}/speakers", path=here)
    call("PATCH", f"{JOBS}/{{transcription_id}}/speakers/{{speaker}}", path=speaker, body={"name": "王芳"})
    call("GET", f"{JOBS}/{{transcription_id}}/transcript", path=here, query={"format": "json"})
    call(
        "PUT",
        f"{JOBS}/{{transcription_id}}/sentences/{{number}}/speaker",
        path=here | {"number": 0},
        body={"speaker": 2},
    )
    call(
        "PUT",
        f"{JOBS}/{{transcription_id}}/sentences/{{number}}/speaker",
        path=here | {"number": 0},
        body={"speaker": 1},
    )
    call("POST", f"{JOBS}/{{transcription_id}}/speakers/{{speaker}}/merge", path=speaker, body={"into": 1})
    call("PATCH", f"{JOBS}/{{transcription_id}}", path=here, body={"name": "Weekly meeting", "add_tags": ["q4"]})
    corrections = [{"number": 1, "text": "好的，先看 Kubernetes 的集群。", "revision": 1}]
    call("POST", f"{JOBS}/{{transcription_id}}/corrections", path=here, body={"corrections": corrections})
    call("GET", f"{JOBS}/{{transcription_id}}/sentences/{{number}}/history", path=here | {"number": 1})
    sentence_path = f"{JOBS}/{{transcription_id}}/sentences/{{number}}"
    call("POST", f"{sentence_path}/split", path=here | {"number": 1}, body={"at_word": 2, "revision": 2})
    call("POST", f"{sentence_path}/merge", path=here | {"number": 1}, body={"next": 1_000_010_002, "revision": 3})
    _shares(recorder, here)
    call("POST", f"{JOBS}/export", query={"format": "docx"}, body={"ids": [uploaded]})
    call("GET", "/v1/usage", query={"group_by": "tag,model", "from": "2026-01-01T00:00:00Z"})
    plain = api.submit_file(b"RIFF audio", "call.wav").json()["id"]
    complete(api.database, claimed(api.database, jobs.get(api.database, ids.parsed(ids.JOB, plain))))
    call("POST", "/v1/audio/transcriptions", form={"model": "whisper-1"}, file=("call.wav", b"RIFF audio"))
    links = ["https://files.example.com/1.mp3", "https://files.example.com/2.mp3", "ftp://files.example.com/3.mp3"]
    batch = call("POST", "/v1/batches", body={"audio_urls": links, "tags": ["archive"]}).json()
    first = jobs.get(api.database, ids.parsed(ids.JOB, batch["items"][0]["id"]))
    fail(api.database, claimed(api.database, first))
    call("GET", "/v1/batches", query={"limit": 20})
    call("GET", "/v1/batches/{batch_id}", path={"batch_id": batch["id"]})


def _shares(recorder: Recorder, here: dict[str, str]) -> None:
    call = recorder.call
    body = {"expires_in_days": 7, "audio": True}
    made = call("POST", f"{JOBS}/{{transcription_id}}/shares", path=here, body=body).json()
    visitor = {"Authorization": f"Bearer {made['token']}"}
    one = {"share_id": made["id"]}
    call("GET", "/v1/shared", headers=visitor)
    call("GET", "/v1/shared/sentences", headers=visitor, query={"limit": 200})
    call("GET", "/v1/shared/transcript", headers=visitor, query={"format": "srt"})
    call("GET", "/v1/shared/{share_id}/audio", headers=visitor, path=one)
    call("GET", "/v1/shared/{share_id}/peaks", headers=visitor, path=one, query={"points": 4})
    recorder.api.client.cookies.clear()
    call("GET", f"{JOBS}/{{transcription_id}}/shares", path=here)
    call("DELETE", f"{JOBS}/{{transcription_id}}/shares/{{share_id}}", path=here | one)


def _uploads(recorder: Recorder) -> None:
    call = recorder.call
    call("OPTIONS", "/v1/uploads")
    created = call("POST", "/v1/uploads", headers={**TUS, "Upload-Length": "10"})
    here = {"upload_id": created.headers["Location"].rpartition("/")[2]}
    patched = {**PATCH, "Upload-Offset": "0"}
    call("PATCH", "/v1/uploads/{upload_id}", path=here, headers=patched, content=b"RIFF ")
    call("HEAD", "/v1/uploads/{upload_id}", path=here, headers=TUS)
    overridden = {**PATCH, "Upload-Offset": "5", "X-HTTP-Method-Override": "PATCH"}
    call("POST", "/v1/uploads/{upload_id}", path=here, headers=overridden, content=b"audio")
    call("DELETE", "/v1/uploads/{upload_id}", path=here, headers=TUS)
    direct = call("POST", "/v1/uploads/presigned", body={"bytes": 10, "name": "meeting.wav"}).json()
    assert httpx.put(direct["parts"][0]["url"], content=b"RIFF audio", timeout=60).status_code == 200
    call("POST", "/v1/uploads/{upload_id}/complete", path={"upload_id": direct["id"]})


def _vocabularies(recorder: Recorder) -> None:
    call = recorder.call
    words = {"hotwords": ["王晓明:8", "Kubernetes", "吉特哈布=>GitHub"], "masked_words": ["坏蛋"]}
    created = call("POST", "/v1/vocabularies", body={"name": "Board meetings", **words}).json()
    here = {"vocabulary_id": created["id"]}
    call("GET", "/v1/vocabularies", query={"limit": 20})
    call("GET", "/v1/vocabularies/{vocabulary_id}", path=here)
    change = {"hotwords": [*words["hotwords"], "李四"], "revision": 1}
    call("PATCH", "/v1/vocabularies/{vocabulary_id}", path=here, body=change)
    call("DELETE", "/v1/vocabularies/{vocabulary_id}", path=here)


def _summaries(recorder: Recorder) -> None:
    """Templates, and the summary of a job: requested, and as a light worker completes it."""
    api, call = recorder.api, recorder.call
    new = {"name": "Client meeting", "prompt": "Write a letter to the client that lists what was agreed on."}
    created = call("POST", "/v1/summary-templates", body=new).json()
    here = {"template_id": created["id"]}
    call("GET", "/v1/summary-templates", query={"limit": 20})
    call("GET", "/v1/summary-templates/{template_id}", path=here)
    call("PATCH", "/v1/summary-templates/{template_id}", path=here, body={"name": "Letter", "revision": 1})
    call("DELETE", "/v1/summary-templates/{template_id}", path=here)
    job = completed(api.database)
    path = {"transcription_id": job.public_id}
    call("POST", f"{JOBS}/{{transcription_id}}/summary", path=path, body={"kind": "minutes", "language": "zh"})
    held = summaries.claim_next(api.database)
    assert held is not None
    spent = Spent("qwen-plus", Tokens(1800, 240))
    summaries.settle(api.database, held, language="zh", prompt=BUILT_IN["minutes", "zh"])
    summaries.complete(api.database, held, "会议讨论了预算。\n\n决定：预算通过。", truncated=False, spent=spent)
    call("GET", f"{JOBS}/{{transcription_id}}/summary", path=path)
    call("DELETE", f"{JOBS}/{{transcription_id}}/summary", path=path)


def _webhooks(recorder: Recorder) -> None:
    call = recorder.call
    new = {"url": "https://hooks.example.com/paraqueue", "description": "The archive"}
    here = {"webhook_id": call("POST", "/v1/webhooks", body=new).json()["id"]}
    call("GET", "/v1/webhooks")
    call("GET", "/v1/webhooks/{webhook_id}", path=here)
    events = ["transcription.completed", "batch.completed"]
    call("PATCH", "/v1/webhooks/{webhook_id}", path=here, body={"events": events})
    call("POST", "/v1/webhooks/{webhook_id}/rotate", path=here, body={"overlap_hours": 24})
    sent = {"delivery_id": call("POST", "/v1/webhooks/{webhook_id}/test", path=here).json()["id"]}
    call("GET", "/v1/webhooks/{webhook_id}/deliveries", path=here, query={"status": "pending", "limit": 20})
    call("GET", "/v1/webhooks/deliveries", query={"limit": 20})
    call("GET", "/v1/webhooks/deliveries/{delivery_id}", path=sent)
    call("POST", "/v1/webhooks/deliveries/{delivery_id}/replay", path=sent)
    since = {"since": "2026-01-05T00:00:00Z", "only_dead": True}
    call("POST", "/v1/webhooks/{webhook_id}/replay", path=here, body=since)
    call("DELETE", "/v1/webhooks/{webhook_id}", path=here)


def _keys(recorder: Recorder) -> None:
    call = recorder.call
    limits = {"requests_per_minute": 600, "max_queued": 1000}
    new = {"name": "billing", "scopes": ["submit", "read"], "limits": limits}
    here = {"key_id": call("POST", "/v1/keys", body=new).json()["id"]}
    call("GET", "/v1/keys", query={"limit": 100})
    call("GET", "/v1/keys/{key_id}", path=here)
    call("POST", "/v1/keys/{key_id}/rotate", path=here, body={"grace_hours": 24})
    call("DELETE", "/v1/keys/{key_id}", path=here)
    call("GET", "/v1/tenants/{tenant}", path={"tenant": "default"})
    call("PATCH", "/v1/tenants/{tenant}", path={"tenant": "default"}, body={"max_queued": 5000})


def test_the_examples_are_the_responses_of_the_api(api: Api, tmp_path: Path) -> None:
    recorded = json.dumps(record(api), ensure_ascii=False, indent=1) + "\n"
    if recorded != EXAMPLES.read_text("utf-8"):
        (tmp_path / EXAMPLES.name).write_text(recorded, "utf-8")
        pytest.fail(f"the API's responses have changed; if they should: cp {tmp_path / EXAMPLES.name} {EXAMPLES}")


def test_every_operation_has_an_example(api: Api) -> None:
    without = set()
    for _, _, operation in operations(api.app.openapi()):
        if not list(examples_in(operation)):
            without.add(operation["operationId"])
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                assert "example" in parameter, operation["operationId"]
    assert without == WITHOUT_EXAMPLE


def test_examples_fit_their_schemas(api: Api) -> None:
    document = api.app.openapi()
    checked = 0
    for _, _, operation in operations(document):
        for schema, example in examples_in(operation):
            Draft202012Validator({**schema, "components": document["components"]}).validate(example)
            checked += 1
    assert checked > 100


def examples_in(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield each schema of an operation that has an example, with the example."""
    holders = [*operation.get("parameters", []), *operation.get("requestBody", {}).get("content", {}).values()]
    for response in operation["responses"].values():
        holders += response.get("content", {}).values()
        holders += response.get("headers", {}).values()
    for holder in holders:
        if "example" in holder:
            yield holder["schema"], holder["example"]
