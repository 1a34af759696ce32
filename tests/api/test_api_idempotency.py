"""`Idempotency-Key` and `dedupe` over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from common import jobs
from common.ids import JOB, parsed
from tests.api.api_cases import Api, RawClient, problem_of
from tests.db.job_cases import at_once, canceled, completed, execute, one
from tests.servers import ADMIN_KEY
from tests.waiting import until

URL = "/v1/transcriptions"
LINK = {"audio_url": "https://example.com/a.mp3", "tags": ["x"]}


def link(api: Api, key: str = "k1", **changes: Any) -> httpx.Response:
    return api.client.post(URL, json=LINK | changes, headers={"Idempotency-Key": key})


def file(api: Api, content: bytes = b"RIFF audio", key: str | None = "k1", **fields: str) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return api.client.post(URL, files={"file": ("a.wav", content)}, data=fields, headers=headers)


def count(api: Api) -> int:
    return int(one(api.database, "SELECT count(*) FROM jobs"))


def same_answer(first: httpx.Response, again: httpx.Response) -> None:
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("location", "retry-after", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


def test_a_repeated_link_gets_the_first_answer(api: Api) -> None:
    first = link(api)
    assert first.status_code == 202
    completed(api.database, jobs.get(api.database, parsed(JOB, first.json()["id"])))
    same_answer(first, link(api))  # unchanged, whatever happened to the job
    assert count(api) == 1


def test_a_repeated_upload_gets_the_first_answer_and_leaves_no_second_copy(api: Api) -> None:
    first = file(api, tags="a,b")
    same_answer(first, file(api, tags="a,b"))
    assert count(api) == len(api.objects()) == 1


@pytest.mark.parametrize("changes", [{"audio_url": "https://example.com/b.mp3"}, {"tags": ["y"]}, {"priority": 9}])
def test_another_link_under_the_same_key_is_refused(api: Api, changes: dict[str, Any]) -> None:
    link(api)
    problem_of(link(api, **changes), 422, "idempotency_key_reused")
    assert count(api) == 1


def test_another_upload_under_the_same_key_is_refused(api: Api) -> None:
    file(api)
    problem_of(file(api, b"other audio"), 422, "idempotency_key_reused")
    problem_of(file(api, channels="split"), 422, "idempotency_key_reused")
    problem_of(link(api), 422, "idempotency_key_reused")
    assert count(api) == len(api.objects()) == 1


def test_other_keys_and_no_key_are_other_requests(api: Api) -> None:
    ids = {answer.json()["id"] for answer in (link(api), link(api, "k2"), api.submit_link(), api.submit_link())}
    assert len(ids) == 4


def test_a_request_that_failed_leaves_its_key_free(api: Api) -> None:
    problem_of(link(api, model="none"), 422, "unknown_model")
    problem_of(link(api, audio_url="nonsense"), 422, "invalid_request")
    problem_of(file(api, b""), 422, "audio_empty")
    assert link(api).status_code == 202


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä"])
def test_what_is_no_key(api: Api, key: str) -> None:
    answer = api.client.post(URL, json=LINK, headers={b"Idempotency-Key": key.encode()})
    problem_of(answer, 422, "invalid_request")


def test_fifty_repeats_at_once_make_one_job(api: Api) -> None:
    def call() -> httpx.Response:
        headers = {"Idempotency-Key": "k1", "Authorization": f"Bearer {ADMIN_KEY}"}
        return httpx.post(f"{api.client.base_url}{URL}", json=LINK, headers=headers, timeout=60, trust_env=False)

    answers = at_once([call] * 50)
    assert {answer.status_code for answer in answers} <= {202, 409}
    accepted = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(accepted) == count(api) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert problem_of(answer, 409, "idempotency_key_in_use")["retryable"]
            assert answer.headers["retry-after"]
    assert link(api).json()["id"] in accepted


def test_a_repeat_during_the_upload_is_told_at_once(api: Api) -> None:
    slow = RawClient(api.port)
    slow.head(
        Authorization=f"Bearer {ADMIN_KEY}",
        Idempotency_Key="k1",
        Content_Type="multipart/form-data; boundary=b",
        Transfer_Encoding="chunked",
    )
    slow.chunk(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\naudio')
    until(lambda: one(api.database, "SELECT count(*) FROM idempotency_keys") == 1)
    problem_of(file(api), 409, "idempotency_key_in_use")
    slow.close()  # the first one gives up
    until(lambda: one(api.database, "SELECT count(*) FROM idempotency_keys") == 0)
    assert file(api).status_code == 202


def test_a_retry_can_be_repeated(api: Api) -> None:
    job = canceled(api.database)
    url = f"{URL}/{job.public_id}/retry"
    first = api.client.post(url, headers={"Idempotency-Key": "again"})
    assert (first.status_code, first.json()["run"]) == (202, 2)
    same_answer(first, api.client.post(url, headers={"Idempotency-Key": "again"}))
    problem_of(api.client.post(url), 409, "wrong_state")


def test_a_batch_can_be_repeated(api: Api) -> None:
    body = {"audio_urls": ["https://example.com/a.mp3", "https://example.com/b.mp3"]}
    first = api.client.post("/v1/batches", json=body, headers={"Idempotency-Key": "k1"})
    same_answer(first, api.client.post("/v1/batches", json=body, headers={"Idempotency-Key": "k1"}))
    assert count(api) == 2


def test_dedupe_answers_an_upload_with_the_earlier_transcription(api: Api) -> None:
    first = file(api, key=None)
    job = completed(api.database, jobs.get(api.database, parsed(JOB, first.json()["id"])))
    duplicate = file(api, key="k9", dedupe="true")
    assert (duplicate.status_code, duplicate.json()["id"], duplicate.json()["status"]) == (
        200,
        job.public_id,
        "completed",
    )
    assert duplicate.headers["location"] == first.headers["location"]
    again = file(api, key="k9", dedupe="true")
    assert (again.status_code, again.content) == (200, duplicate.content)
    assert count(api) == len(api.objects()) == 1
    assert file(api, key=None, dedupe="true", channels="split").status_code == 202
    assert file(api, b"other audio", key=None, dedupe="true").status_code == 202
    assert file(api, key=None).status_code == 202


def test_dedupe_takes_no_transcript_of_a_model_that_nobody_serves_any_more(api: Api) -> None:
    first = file(api, key=None)
    completed(api.database, jobs.get(api.database, parsed(JOB, first.json()["id"])))
    execute(
        api.database,
        "INSERT INTO workers (id, model, revision, precision, device, slots) "
        "VALUES ('w', 'demo-zh', 'r2', 'fp32', 'cpu', 1)",
    )
    assert file(api, key=None, dedupe="true").status_code == 202
    execute(api.database, "UPDATE workers SET revision = 'r1'")
    assert file(api, key=None, dedupe="true").status_code == 200
