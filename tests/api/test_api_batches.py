"""Batches, the filters of the list, and the search, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from common import jobs
from common.ids import JOB, parsed
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import claimed, completed, execute, fail, one, storage_of, submitted

GOOD = [f"https://example.com/{n}.mp3" for n in range(3)]
MIXED = [GOOD[0], "ftp://example.com/a", GOOD[1], "s3://bucket", "http://u:p@example.com/a"]


def submit(api: Api, urls: list[Any], path: str = "/v1/batches", **options: Any) -> dict[str, Any]:
    answer = api.client.post(path, json={"audio_urls": urls, **options})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["links"]["self"]
    return dict(answer.json())


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/transcriptions"])
def test_a_list_of_links_becomes_a_batch(api: Api, path: str) -> None:
    batch = submit(api, GOOD, path, tags=["nightly"], priority=2)
    assert batch["id"].startswith("batch_")
    assert (batch["object"], batch["status"], batch["total"], batch["finished_at"]) == ("batch", "processing", 3, None)
    assert batch["counts"]["queued"] == 3
    assert [item["index"] for item in batch["items"]] == [0, 1, 2]
    for item, url in zip(batch["items"], GOOD, strict=True):
        job = api.get(f"/{item['id']}").json()
        assert (job["source"]["url"], job["source"]["name"]) == (url, url.rpartition("/")[2])
        assert (job["tags"], job["priority"], job["batch_id"]) == (["nightly"], 2, batch["id"])
    assert api.client.get(batch["links"]["self"]).json() == batch


def test_bad_links_do_not_keep_the_others_out(api: Api) -> None:
    batch = submit(api, MIXED)
    assert (batch["total"], batch["counts"]["refused"], batch["counts"]["queued"]) == (5, 3, 2)
    assert [item["status"] for item in batch["items"]] == ["queued", "refused", "queued", "refused", "refused"]
    for item in batch["items"]:
        assert (item["id"] is None) == (item["status"] == "refused")
    why = batch["items"][1]["error"]
    assert (why["code"], why["retryable"]) == ("invalid_request", False)
    assert "audio_urls.1: must begin with" in why["message"]


def test_counts_are_honest_about_every_end(api: Api) -> None:
    batch = submit(api, [*GOOD, "nonsense"])
    members = [jobs.get(api.database, parsed(JOB, item["id"])) for item in batch["items"][:3]]
    completed(api.database, members[0])
    fail(api.database, claimed(api.database, members[1]))
    assert api.client.get(f"/v1/batches/{batch['id']}").json()["status"] == "processing"
    jobs.delete_job(api.database, storage_of(api.settings), members[2].id)
    seen = api.client.get(f"/v1/batches/{batch['id']}").json()
    assert (seen["status"], seen["finished_at"] is None) == ("completed", False)
    assert seen["counts"] == {
        **{"queued": 0, "processing": 0, "completed": 1, "failed": 1, "canceled": 0, "refused": 1, "deleted": 1}
    }
    assert [item["status"] for item in seen["items"]] == ["completed", "failed", "deleted", "refused"]
    assert seen["items"][1]["error"]["code"] == "audio_empty"
    [listed] = api.client.get("/v1/batches").json()["data"]
    assert listed == {name: value for name, value in seen.items() if name != "items"}


@pytest.mark.parametrize(
    "body",
    [
        {"audio_urls": []},
        {"audio_urls": ["https://example.com/a"] * 101},
        {"audio_urls": ["nonsense", "ftp://a/b"]},
        {"audio_urls": [1]},
        {"audio_urls": "https://example.com/a"},
        {"audio_urls": GOOD, "audio_url": GOOD[0]},
        {"audio_urls": GOOD, "priority": 10},
        {},
    ],
)
def test_what_is_refused_as_a_whole(api: Api, body: dict[str, Any]) -> None:
    for path in ("/v1/batches", "/v1/transcriptions"):
        problem_of(api.client.post(path, json=body), 422, "invalid_request")
    problem_of(api.client.post("/v1/batches", json={"audio_urls": GOOD, "model": "none"}), 422, "unknown_model")
    assert one(api.database, "SELECT count(*) FROM jobs") == 0


def test_a_hundred_links_are_taken(api: Api) -> None:
    assert submit(api, ["https://example.com/a?" + "x" * 4000] * 100)["counts"]["queued"] == 100


def test_a_batch_that_is_not_there(api: Api) -> None:
    for name in ("batch_" + "0" * 32, "tr_" + "0" * 32, "x"):
        problem_of(api.client.get(f"/v1/batches/{name}"), 404, "not_found")
    made = submit(api, GOOD)
    execute(api.database, "UPDATE batches SET tenant = 'other'")
    problem_of(api.client.get(f"/v1/batches/{made['id']}"), 404, "not_found")
    assert api.client.get("/v1/batches").json() == {"data": [], "next": None}


def test_the_list_can_be_that_of_a_batch_or_a_time(api: Api) -> None:
    api.submit_link()
    batch = submit(api, GOOD)
    listed = api.client.get(batch["links"]["transcriptions"]).json()["data"]
    assert {job["id"] for job in listed} == {item["id"] for item in batch["items"]}
    old = listed[-1]["id"]
    execute(api.database, "UPDATE jobs SET created_at = '2026-01-31T12:00:00Z' WHERE id = :id", id=parsed(JOB, old))
    day = {"created_from": "2026-01-31T12:00:00Z", "created_to": "2026-02-01T00:00:00+08:00"}
    assert [job["id"] for job in api.get("", params=day).json()["data"]] == [old]
    before = {"created_to": "2026-01-31T12:00:00Z"}
    assert api.get("", params=before).json()["data"] == []
    problem_of(api.get("", params={"created_from": "2026-01-31T12:00:00"}), 422, "invalid_request")
    problem_of(api.get("", params={"batch": "x"}), 404, "not_found")


def test_search_shows_the_sentence_and_the_way_to_it(api: Api) -> None:
    job = completed(api.database, submitted(api.database, name="会议.mp3"), "大家好。", "ＧＰＵ 的预算通过了。")
    hits = api.get("/search", params={"q": "预算 gpu"}).json()
    assert hits["next"] is None
    [hit] = hits["data"]
    assert hit["link"].endswith(f"/v1/transcriptions/{job.public_id}")
    assert (hit["transcription_id"], hit["name"], hit["number"]) == (job.public_id, "会议.mp3", 1)
    assert (hit["start_ms"], hit["channel"], hit["text"]) == (1000, 0, "ＧＰＵ 的预算通过了。")
    assert [hit["text"][first:behind] for first, behind in hit["matches"]] == ["ＧＰＵ", "预算"]
    nothing: dict[str, Any] = {"object": "list", "data": [], "next": None, "capped": False}
    assert api.get("/search", params={"q": "成本"}).json() == nothing


def test_search_pages(api: Api) -> None:
    completed(api.database, None, *(f"预算{n}。" for n in range(5)))
    first = api.get("/search", params={"q": "预算", "limit": 3}).json()
    second = api.get("/search", params={"q": "预算", "limit": 3, "after": first["next"]}).json()
    assert [hit["number"] for hit in first["data"] + second["data"]] == [0, 1, 2, 3, 4]
    assert second["next"] is None


@pytest.mark.parametrize("params", [{}, {"q": ""}, {"q": "，"}, {"q": "a" * 101}, {"q": "a", "after": "x"}])
def test_what_cannot_be_searched_for(api: Api, params: dict[str, str]) -> None:
    problem_of(api.get("/search", params=params), 422, "invalid_request")
