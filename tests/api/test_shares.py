"""Share links over HTTP: who makes them, and how they end."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.auth import identities
from common import ids, jobs, keys, shares
from common.keys import ALL_SCOPES, NewKey, Scope
from tests.api.api_cases import Api, api_settings, problem_of, running_api
from tests.api.share_cases import TEXTS, bearer, finished, key_of, look, over, path_of, shared_by
from tests.db.job_cases import NO_LIMIT, execute, one, submitted
from tests.servers import ADMIN_KEY


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)


def test_a_link_from_its_making_to_its_end(api: Api) -> None:
    job = finished(api)
    answer = api.client.post(path_of(job), json={"expires_in_days": 7})
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"pq_share_[\w-]{43}", made["token"])
    assert made["url"] == f"{api.client.base_url}/#/shared/{made['token']}".replace("//#", "/#")
    lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lifetime == timedelta(days=7)
    assert (
        one(
            api.database,
            "SELECT count(*) FROM shares WHERE encode(hash, 'hex') = :hash",
            hash=shares.digest_of(made["token"]).hex(),
        )
        == 1
    )
    assert made["token"] not in one(api.database, "SELECT json_agg(s)::text FROM shares s")

    seen = look(api, made["token"]).json()
    assert (seen["id"], seen["name"], seen["audio_ms"], seen["audio"]) == (made["id"], None, 10_000, False)
    listed = api.client.get(path_of(job)).json()
    assert made["token"] not in json.dumps(listed)
    assert (listed["sharing"], listed["default_days"], listed["max_days"]) == (True, 30, 365)
    [link] = listed["data"]
    assert (link["id"], link["views"], link["audio"]) == (made["id"], 1, False)
    assert link["last_used_at"]

    first = look(api, made["token"], "/sentences?limit=2").json()
    second = look(api, made["token"], f"/sentences?after={first['next']}").json()
    assert [item["text"] for item in first["data"] + second["data"]] == list(TEXTS)
    assert [item["number"] for item in first["data"] + second["data"]] == [0, 1, 2]
    assert second["next"] is None
    assert api.client.get(path_of(job)).json()["data"][0]["views"] == 1, "a page of sentences is no view"

    assert api.client.delete(f"{path_of(job)}/{made['id']}").status_code == 204
    for path in ("", "/sentences", "/transcript"):
        over(look(api, made["token"], path))
    problem_of(api.client.delete(f"{path_of(job)}/{made['id']}"), 404, "not_found")
    assert api.client.get(path_of(job)).json()["data"] == []


def test_links_that_do_not_work_cannot_be_told_apart(api: Api) -> None:
    told = set()
    kept = finished(api)
    working = shared_by(api, kept)["token"]
    told.add(over(look(api, shares.TOKEN_PREFIX + "a" * 43)))
    told.add(over(look(api, "nonsense")))
    told.add(over(look(api, ADMIN_KEY)))
    told.add(over(look(api, working[:-1] + ("A" if working[-1] != "A" else "B"))))
    expired = shared_by(api, kept)
    execute(
        api.database, "UPDATE shares SET expires_at = now() WHERE id = :id", id=ids.parsed(ids.SHARE, expired["id"])
    )
    told.add(over(look(api, expired["token"])))
    assert [link["id"] for link in api.client.get(path_of(kept)).json()["data"]] != [expired["id"]]
    revoked = shared_by(api, kept)
    api.client.delete(f"{path_of(kept)}/{revoked['id']}")
    told.add(over(look(api, revoked["token"])))
    deleted = finished(api)
    of_deleted = shared_by(api, deleted)["token"]
    jobs.delete_job(api.database, api.storage, deleted.id)
    told.add(over(look(api, of_deleted)))
    forgotten = finished(api)
    of_forgotten = shared_by(api, forgotten)["token"]
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '1 day' WHERE id = :id", id=forgotten.id)
    jobs.expire_results(api.database, NO_LIMIT, after_seconds=60)
    told.add(over(look(api, of_forgotten)))
    assert len(told) == 1
    assert one(api.database, "SELECT count(*) FROM shares") == 2, "with the transcript, its links are deleted"
    assert look(api, working).status_code == 200


def test_who_may_make_see_and_end_links(api: Api) -> None:
    job = finished(api)
    made = shared_by(api, job)
    one_link = f"{path_of(job)}/{made['id']}"
    for scopes in ((Scope.READ,), (Scope.SUBMIT,), (Scope.ADMIN,)):
        headers = key_of(api, *scopes)
        problem_of(api.client.post(path_of(job), headers=headers), 403, "forbidden")
        problem_of(api.client.delete(one_link, headers=headers), 403, "forbidden")
        assert api.client.get(path_of(job), headers=headers).status_code == (200 if Scope.READ in scopes else 403)
    theirs = key_of(api, *ALL_SCOPES, tenant="theirs")
    for method, path in (("POST", path_of(job)), ("GET", path_of(job)), ("DELETE", one_link)):
        problem_of(api.client.request(method, path, headers=theirs), 404, "not_found")
    other = finished(api)
    problem_of(api.client.delete(f"{path_of(other)}/{made['id']}"), 404, "not_found")
    assert look(api, made["token"]).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in_days": 0},
        {"expires_in_days": 0.0009},
        {"expires_in_days": -1},
        {"expires_in_days": 366},
        {"expires_in_days": "7"},
        {"expires_in_days": 1e300},
        {"audio": "yes"},
        {"token": "pq_share_mine"},
        [],
    ],
    ids=str,
)
def test_a_link_that_cannot_be(api: Api, body: Any) -> None:
    problem_of(api.client.post(path_of(finished(api)), json=body), 422, "invalid_request")


def test_only_a_complete_transcript_can_be_shared(api: Api) -> None:
    waiting = submitted(api.database)
    problem_of(api.client.post(path_of(waiting)), 409, "not_ready")
    jobs.cancel(api.database, waiting.id)
    problem_of(api.client.post(path_of(waiting)), 409, "no_transcript")


def test_no_more_links_than_the_limit_even_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MAX_SHARES_OF_JOB", 3)
    job = finished(api)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.client.post(path_of(job)), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    problem_of(api.client.post(path_of(job)), 409, "too_many_shares")
    execute(api.database, "UPDATE shares SET expires_at = now()")
    assert api.client.post(path_of(job)).status_code == 201, "links that are over do not count"


def test_a_link_ends_with_the_key_that_made_it(api: Api) -> None:
    job = finished(api)
    soon = datetime.now(UTC) + timedelta(hours=3)
    key, secret = keys.create(api.database, NewKey("leaked", scopes=ALL_SCOPES, expires_at=soon))
    made = api.client.post(path_of(job), headers=bearer(secret)).json()
    assert made["created_by"] == key.public_id
    assert datetime.fromisoformat(made["expires_at"]) == soon
    assert look(api, made["token"]).status_code == 200
    keys.revoke(api.database, key.id)
    over(look(api, made["token"]))
    assert api.client.get(path_of(job)).json()["data"] == []


def test_the_admin_of_a_tenant_switches_sharing_off_and_on(api: Api) -> None:
    job = finished(api, tenant="acme")
    admin = key_of(api, *ALL_SCOPES, tenant="acme")
    token = api.client.post(path_of(job), headers=admin).json()["token"]
    assert look(api, token).status_code == 200
    assert api.client.get("/v1/tenants/acme", headers=admin).json()["sharing"] is True
    for body in ({"max_queued": 5}, {"sharing": False, "max_queued": 5}, {}, {"sharing": None}):
        problem_of(api.client.patch("/v1/tenants/acme", headers=admin, json=body), 403, "forbidden")
    user = key_of(api, Scope.SUBMIT, Scope.READ, tenant="acme")
    problem_of(api.client.patch("/v1/tenants/acme", headers=user, json={"sharing": False}), 403, "forbidden")
    off = api.client.patch("/v1/tenants/acme", headers=admin, json={"sharing": False})
    assert off.json()["sharing"] is False
    over(look(api, token))
    problem_of(api.client.post(path_of(job), headers=admin), 409, "sharing_off")
    assert api.client.get(path_of(job), headers=admin).json()["sharing"] is False
    other = shared_by(api, finished(api))["token"]
    assert look(api, other).status_code == 200, "of another tenant"
    api.client.patch("/v1/tenants/acme", headers=admin, json={"sharing": True})
    assert look(api, token).status_code == 200


def test_the_operator_switches_sharing_off(api: Api, redis_url: str, tmp_path: Any) -> None:
    job = finished(api)
    token = shared_by(api, job)["token"]
    url = api.settings.database_url.get_secret_value()
    with running_api(api_settings(url, redis_url, tmp_path, share_links="off")) as closed:
        over(look(closed, token))
        problem_of(closed.client.post(path_of(job)), 409, "sharing_off")
        assert closed.client.get(path_of(job)).json()["sharing"] is False
    with running_api(api_settings(url, redis_url, tmp_path, share_max_days=7)) as short:
        made = short.client.post(path_of(job)).json()
        lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert lifetime == timedelta(days=7)


def test_a_shorter_maximum_ends_links_that_were_made_for_longer(api: Api, redis_url: str, tmp_path: Any) -> None:
    job = finished(api)
    old, young = (shared_by(api, job, expires_in_days=60) for _ in range(2))
    execute(
        api.database,
        "UPDATE shares SET created_at = now() - interval '10 days' WHERE id = :id",
        id=ids.parsed(ids.SHARE, old["id"]),
    )
    url = api.settings.database_url.get_secret_value()
    with running_api(api_settings(url, redis_url, tmp_path, share_max_days=7)) as short:
        over(look(short, old["token"]))
        shown = look(short, young["token"]).json()["expires_at"]
        [link] = short.client.get(path_of(job)).json()["data"]
    assert (link["id"], link["expires_at"]) == (young["id"], shown)
    assert datetime.fromisoformat(shown) - datetime.fromisoformat(link["created_at"]) == timedelta(days=7)
    assert look(api, old["token"]).status_code == 200, "the setting is what counts, and it permits more again"


def test_links_of_an_admin_key_do_not_return_with_another(api: Api) -> None:
    job = finished(api)
    token = shared_by(api, job)["token"]
    keys.ensure_admin_key(api.database, None)
    over(look(api, token))
    keys.ensure_admin_key(api.database, ADMIN_KEY)
    assert look(api, token).status_code == 200, "the same key is back"
    keys.ensure_admin_key(api.database, None)
    keys.ensure_admin_key(api.database, keys.new_secret())
    over(look(api, token))
    keys.ensure_admin_key(api.database, ADMIN_KEY)
    over(look(api, token))
    assert api.client.get(path_of(job)).json()["data"] == []
