"""What a key that may only submit does not learn, and what only admins see."""

from __future__ import annotations

import pytest

from api.auth import identities
from common import jobs, keys
from common.keys import NewKey, Scope
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import completed, execute

SECRETIVE = {"tags": ["case-4711"], "name": "merger.wav"}


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    return shared.emptied()


def with_scopes(api: Api, *scopes: Scope) -> dict[str, str]:
    _, secret = keys.create(api.database, NewKey("test", "acme", frozenset(scopes)))
    return {"Authorization": f"Bearer {secret}"}


def submitted_by(api: Api, headers: dict[str, str], content: bytes = b"RIFF audio", **fields: str) -> str:
    files = {"file": (SECRETIVE["name"], content)}
    made = api.client.post("/v1/transcriptions", files=files, data=fields, headers=headers)  # type: ignore[arg-type]
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def test_who_may_only_submit_gets_no_words_by_correcting(api: Api) -> None:
    job = f"/v1/transcriptions/{submitted_by(api, with_scopes(api, Scope.SUBMIT))}"
    path = f"{job}/sentences/0"
    refused = api.client.patch(path, json={"text": "x"}, headers=with_scopes(api, Scope.SUBMIT))
    problem_of(refused, 403, "forbidden")
    several = {"corrections": [{"number": 0, "text": "x"}]}
    refused = api.client.post(f"{job}/corrections", json=several, headers=with_scopes(api, Scope.SUBMIT))
    problem_of(refused, 403, "forbidden")
    allowed = api.client.patch(path, json={"text": "x"}, headers=with_scopes(api, Scope.SUBMIT, Scope.READ))
    assert allowed.status_code not in (401, 403)


def test_dedupe_tells_a_submitter_nothing_of_other_keys(api: Api) -> None:
    reader = with_scopes(api, Scope.SUBMIT, Scope.READ)
    first = submitted_by(api, reader, tags="case-4711")
    completed(api.database, jobs.page(api.database, tenant="acme").jobs[0])
    files = {"file": ("same.wav", b"RIFF audio")}
    again = {"files": files, "data": {"dedupe": "true"}}
    blind = api.client.post("/v1/transcriptions", headers=with_scopes(api, Scope.SUBMIT), **again)  # type: ignore[arg-type]
    assert blind.status_code == 202
    assert blind.json()["id"] != first
    assert "case-4711" not in blind.text
    seen = api.client.post("/v1/transcriptions", headers=reader, **again)  # type: ignore[arg-type]
    assert (seen.status_code, seen.json()["id"]) == (200, first)


@pytest.mark.parametrize("call", ["cancel", "retry"])
def test_a_change_shows_a_submitter_no_words_of_other_keys(api: Api, call: str) -> None:
    own = with_scopes(api, Scope.SUBMIT)
    job = submitted_by(api, own, tags="case-4711")
    path = f"/v1/transcriptions/{job}/{call}"
    if call == "retry":
        api.client.post(f"/v1/transcriptions/{job}/cancel", headers=own)
    other = api.client.post(path, headers=with_scopes(api, Scope.SUBMIT))
    assert other.status_code == 202
    assert "case-4711" not in other.text
    assert "merger" not in other.text
    if call == "cancel":
        assert "case-4711" in api.client.post(path, headers=own).text


def test_what_a_receiver_answers_is_for_admins(api: Api) -> None:
    job = submitted_by(api, with_scopes(api, Scope.SUBMIT))
    execute(
        api.database,
        "INSERT INTO deliveries (id, tenant, event, job_id, url, lane, status, attempts, answer, payload) "
        "SELECT gen_random_uuid(), 'acme', 'transcription.completed', id, 'https://e.com/', 'e.com', 'dead', 1, "
        "'the inside of a page', '{}' FROM jobs",
    )
    path = f"/v1/webhooks/deliveries?transcription_id={job}"
    reader, admin = with_scopes(api, Scope.READ), with_scopes(api, Scope.READ, Scope.ADMIN)
    [seen] = api.client.get(path, headers=reader).json()["data"]
    [shown] = api.client.get(path, headers=admin).json()["data"]
    assert (seen["last_answer"], shown["last_answer"]) == (None, "the inside of a page")
    single = f"/v1/webhooks/deliveries/{seen['id']}"
    assert api.client.get(single, headers=reader).json()["last_answer"] is None
