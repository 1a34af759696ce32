"""The highest priority of a key, and what follows from it."""

from __future__ import annotations

import threading

import pytest

from common import jobs
from tests.api.api_cases import Api, problem_of
from tests.api.tenants.cases import key_of, made_by
from tests.db.job_cases import claimed, fail, one, rows
from tests.waiting import until


def test_a_key_asks_for_no_higher_priority_than_it_may(api: Api) -> None:
    _, usual = key_of(api)
    _, low = key_of(api, max_priority=3)
    body = {"audio_url": "https://e.com/a.mp3"}
    for headers, priority, status in ((usual, 6, 403), (usual, 5, 202), (low, 4, 403), (low, 0, 202)):
        answer = api.client.post("/v1/transcriptions", json=body | {"priority": priority}, headers=headers)
        assert answer.status_code == status
    batch = {"audio_urls": ["https://e.com/a.mp3"], "priority": 9}
    refused = problem_of(api.client.post("/v1/batches", json=batch, headers=usual), 403, "forbidden")
    assert "highest priority of this key is 5" in refused["detail"]
    # Without a priority, a job gets what its key may have.
    assert api.client.post("/v1/transcriptions", json=body, headers=low).json()["priority"] == 3
    assert one(api.database, "SELECT count(*) FROM jobs") == 3


@pytest.mark.parametrize(("max_priority", "priority"), [(2, 2), (5, 9), (8, 9)])
def test_a_key_of_low_priority_has_it_in_openais_call_too(api: Api, max_priority: int, priority: int) -> None:
    _, headers = key_of(api, max_priority=max_priority)
    called = threading.Thread(
        target=api.client.post,
        args=("/v1/audio/transcriptions",),
        kwargs={"files": {"file": ("a.wav", b"RIFF audio")}, "data": {"model": "whisper-1"}, "headers": headers},
    )
    called.start()
    try:
        [[job_id, given]] = until(lambda: rows(api.database, "SELECT id, priority FROM jobs WHERE status = 'queued'"))
        assert given == priority
        fail(api.database, claimed(api.database, jobs.get(api.database, job_id)))
    finally:
        called.join(60)


def test_only_the_operator_gives_a_key_a_higher_priority_than_its_own(api: Api) -> None:
    _, admin = key_of(api)
    problem_of(made_by(api, admin, max_priority=6), 403, "forbidden")
    assert made_by(api, admin).json()["max_priority"] == 5
    _, low = key_of(api, max_priority=2)
    assert made_by(api, low).json()["max_priority"] == 2
    made = api.client.post("/v1/keys", json={"name": "urgent", "tenant": "acme", "max_priority": 8}).json()
    urgent = {"Authorization": f"Bearer {made['key']}"}
    job = api.client.post("/v1/transcriptions", json={"audio_url": "https://e.com/a", "priority": 8}, headers=urgent)
    assert job.json()["priority"] == 8


def test_a_retry_keeps_no_higher_priority_than_the_key_that_asks_may_have(api: Api) -> None:
    body = {"audio_url": "https://e.com/a.mp3", "priority": 5}
    _, usual = key_of(api)
    _, low = key_of(api, max_priority=2)
    job = api.client.post("/v1/transcriptions", json=body, headers=usual).json()["id"]
    for headers, priority in ((usual, 5), (low, 2), (usual, 2)):
        assert api.client.post(f"/v1/transcriptions/{job}/cancel", headers=usual).status_code == 202
        retried = api.client.post(f"/v1/transcriptions/{job}/retry", headers=headers)
        assert (retried.status_code, retried.json()["priority"]) == (202, priority)
