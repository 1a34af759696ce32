"""Known voices over HTTP: who may enrol, see and delete them, and what is never shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common import ids, jobs, keys
from common.jobs import Job, Worker
from common.keys import NewKey, Scope
from common.options.model_cards import ModelCard
from common.options.transcription import TranscriptionOptions
from dev.postgres import Postgres
from dev.valkey import Valkey
from paraqueue import AsyncClient, Client, NotFound
from tests.api.api_cases import Api, api_settings, problem_of, running_api, shared_api
from tests.api.command_cases import Run
from tests.db.job_cases import MODEL, completed, one, submitted
from tests.db.voice_cases import CONSENT, SPEAKER_MODEL, spoken, switched_on, voice
from tests.servers import ADMIN_KEY

PATH = "/v1/voices"


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), voices="on") as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    api = shared.emptied()
    switched_on(api.database)
    return api


def body_of(job: Job, speaker: int = 1, **more: Any) -> dict[str, Any]:
    return {"transcription_id": job.public_id, "speaker": speaker, **more}


def made(api: Api, name: str = "王芳", degrees: float = 0, **more: Any) -> dict[str, Any]:
    job = spoken(api.database, voice(degrees), **more)
    answer = api.client.post(PATH, json=body_of(job, name=name, consent=CONSENT))
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def key_of(api: Api, *scopes: Scope, tenant: str = "default") -> dict[str, str]:
    secret = keys.create(api.database, NewKey("test", tenant, frozenset(scopes)))[1]
    return {"Authorization": f"Bearer {secret}"}


def test_a_voice_from_its_enrolment_to_its_end(api: Api) -> None:
    job = spoken(api.database, voice(0), voice(90))
    answer = api.client.post(PATH, json=body_of(job, 2, name=" 王\t芳 ", consent=f" {CONSENT} "))
    created = answer.json()
    here = f"{PATH}/{created['id']}"
    assert answer.headers["Location"].endswith(here)
    assert (created["name"], created["consent"]["statement"]) == ("王 芳", CONSENT)
    key_id = one(api.database, "SELECT made_by FROM voices")
    assert created["consent"]["recorded_by"] == ids.shown(ids.KEY, key_id)
    assert created["consent"]["recorded_at"] == created["created_at"]
    [sample] = created["samples"]
    assert (sample["transcription_id"], sample["speaker"], sample["speech_ms"]) == (job.public_id, 2, 60_000)
    assert sample["speaker_model"] == SPEAKER_MODEL
    assert api.client.get(here).json() == created
    listed = api.client.get(PATH).json()
    assert (listed["data"], listed["next"], listed["enabled"]) == ([created], None, True)

    more = api.client.post(f"{here}/samples", json=body_of(spoken(api.database, voice(80)))).json()
    assert len(more["samples"]) == 2
    assert more["updated_at"] > created["updated_at"]
    assert api.client.patch(here, json={"name": "王芳"}).json()["name"] == "王芳"
    assert api.client.delete(here).status_code == 204
    assert one(api.database, "SELECT count(*) FROM voice_samples") == 0
    for method, path in (("GET", here), ("PATCH", here), ("DELETE", here), ("POST", f"{here}/samples")):
        problem_of(
            api.client.request(method, path, json=body_of(job) if "samples" in path else {"name": "x"}),
            404,
            "not_found",
        )


def test_who_was_recognised_is_marked_until_people_rename(api: Api) -> None:
    created = made(api)
    job = spoken(api.database, voice(10), voice(90))
    told = api.get(f"/{job.public_id}/speakers").json()["data"]
    assert told == json.loads(api.get(f"/{job.public_id}/transcript").text)["speakers"]
    assert {name: told[0][name] for name in ("name", "name_source", "voice_id", "similarity")} == {
        "name": "王芳",
        "name_source": "voice",
        "voice_id": created["id"],
        "similarity": 0.9848,
    }
    assert {told[1][name] for name in ("name", "name_source", "voice_id", "similarity")} == {None}
    renamed = api.client.patch(f"/v1/transcriptions/{job.public_id}/speakers/1", json={"name": "李四"}).json()["data"][
        0
    ]
    assert (renamed["name"], renamed["name_source"], renamed["voice_id"]) == ("李四", "person", None)


def test_a_recognised_name_is_in_every_format_and_in_search(api: Api) -> None:
    made(api)
    job = spoken(api.database, voice(0), voice(90))
    for form in ("txt", "srt", "vtt", "ass", "md", "csv"):
        text = api.get(f"/{job.public_id}/transcript", params={"format": form}).text
        assert "王芳" in text, form
    hits = api.get("/search", params={"q": "你好"}).json()["data"]
    assert "王芳" in [hit["speaker_name"] for hit in hits]
    assert "王芳" in api.get(f"/{job.public_id}/events").text


def test_visitors_see_names_and_nothing_of_voices(api: Api) -> None:
    made(api)
    job = spoken(api.database, voice(0))
    token = api.client.post(f"/v1/transcriptions/{job.public_id}/shares").json()["token"]
    seen = httpx.get(
        f"{api.client.base_url}/v1/shared", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ).json()
    assert seen["speakers"] == [{"number": 1, "name": "王芳", "speech_ms": 200, "share": 1.0}]


def test_no_voice_print_is_shown(api: Api) -> None:
    created = made(api)
    job = spoken(api.database, voice(0))
    stored = bytes(one(api.database, "SELECT embedding FROM voice_samples"))
    shown = [api.client.get(path).text for path in (PATH, f"{PATH}/{created['id']}")]
    shown += [api.get(f"/{job.public_id}{path}").text for path in ("", "/speakers", "/transcript", "/events")]
    for text in shown:
        assert "embedding" not in text
        assert stored.hex() not in text


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("PATCH", "/{id}"), ("DELETE", "/{id}"), ("POST", "/{id}/samples")],
)
def test_changes_need_submit_and_read(api: Api, method: str, path: str) -> None:
    here = PATH + path.format(id=made(api)["id"])
    for scopes in ([Scope.READ, Scope.ADMIN], [Scope.SUBMIT, Scope.ADMIN]):
        problem_of(api.client.request(method, here, headers=key_of(api, *scopes), json={}), 403, "forbidden")
    assert one(api.database, "SELECT count(*) FROM voices") == 1


def test_reading_needs_read(api: Api) -> None:
    here = f"{PATH}/{made(api)['id']}"
    for path in (PATH, here):
        assert api.client.get(path, headers=key_of(api, Scope.READ)).status_code == 200
        problem_of(api.client.get(path, headers=key_of(api, Scope.SUBMIT, Scope.ADMIN)), 403, "forbidden")


def test_other_tenants_transcripts_and_voices_are_not_there(api: Api) -> None:
    created = made(api)
    switched_on(api.database, "other")
    headers = key_of(api, Scope.SUBMIT, Scope.READ, tenant="other")
    ours, theirs = spoken(api.database, voice(0)), spoken(api.database, voice(0), tenant="other")
    body = body_of(ours, name="x", consent=CONSENT)
    problem_of(api.client.post(PATH, json=body, headers=headers), 404, "not_found")
    samples = f"{PATH}/{created['id']}/samples"
    problem_of(api.client.post(samples, json=body_of(theirs), headers=headers), 404, "not_found")
    assert api.client.get(PATH, headers=headers).json()["data"] == []
    assert (jobs.speakers(api.database, theirs) or ())[0].name is None


def test_what_cannot_be_enrolled_says_why(api: Api) -> None:
    def refused(job: Job, speaker: int, status: int, code: str, name: str = "x") -> None:
        body = body_of(job, speaker, name=name, consent=CONSENT)
        problem_of(api.client.post(PATH, json=body), status, code)

    made(api)
    job = spoken(api.database, voice(0), voice(90, 3_000))
    refused(job, 3, 404, "not_found")
    refused(job, 2, 409, "no_voice_print")
    refused(job, 1, 409, "voice_name_taken", "王芳")
    refused(completed(api.database), 1, 409, "no_speakers")
    refused(submitted(api.database, options=TranscriptionOptions(speakers=True)), 1, 409, "not_ready")
    refused(spoken(api.database, voice(0), heard=False), 1, 409, "no_voice_print")


@pytest.mark.parametrize(
    "changes",
    [
        {"consent": None},
        {"consent": "  "},
        {"consent": "x" * 1001},
        {"consent": True},
        {"name": " "},
        {"name": "x" * 81},
        {"speaker": 0},
        {"speaker": "1"},
        {"embedding": [1.0]},
    ],
)
def test_a_voice_needs_a_name_and_a_statement_of_consent(api: Api, changes: dict[str, Any]) -> None:
    body = body_of(spoken(api.database, voice(0)), name="x", consent=CONSENT) | changes
    problem_of(api.client.post(PATH, json=body), 422, "invalid_request")
    del body["consent"]
    problem_of(api.client.post(PATH, json=body), 422, "invalid_request")


def test_voices_of_a_speaker_model_that_is_gone_need_enrolment(api: Api) -> None:
    made(api)
    assert api.client.get(PATH).json()["data"][0]["needs_enrolment"] is False
    for name, needed in (("campplus-new", True), (SPEAKER_MODEL, False)):
        card = ModelCard(speakers=True, speaker_model=name)
        jobs.register_worker(api.database, Worker(name, MODEL, "r1", "fp32", "cpu", 1, card=card))
        assert api.client.get(PATH).json()["data"][0]["needs_enrolment"] is needed


def test_an_admin_switches_voices_of_the_tenant(api: Api) -> None:
    created = made(api)
    switch = "/v1/tenants/other"
    switched_on(api.database, "other", on=False)
    admin = key_of(api, Scope.ADMIN, Scope.READ, Scope.SUBMIT, tenant="other")
    assert api.client.get(switch, headers=admin).json()["voices"] is False
    assert api.client.get(PATH, headers=admin).json()["enabled"] is False
    body = body_of(spoken(api.database, voice(0), tenant="other"), name="x", consent=CONSENT)
    problem_of(api.client.post(PATH, json=body, headers=admin), 409, "voices_off")
    for refused in ({"voices": True, "max_queued": 1}, {"voices": None}):
        problem_of(api.client.patch(switch, headers=admin, json=refused), 403, "forbidden")
    user = key_of(api, Scope.READ, Scope.SUBMIT, tenant="other")
    problem_of(api.client.patch(switch, headers=user, json={"voices": True}), 403, "forbidden")
    assert api.client.patch(switch, headers=admin, json={"voices": True}).json()["voices"] is True
    assert api.client.get(PATH, headers=admin).json()["enabled"] is True
    assert api.client.patch("/v1/tenants/default", json={"voices": False}).json()["voices"] is False
    samples = f"{PATH}/{created['id']}/samples"
    problem_of(api.client.post(samples, json=body_of(spoken(api.database, voice(0)))), 409, "voices_off")
    assert api.client.get(PATH).json()["data"] == [created], "people can still see and delete it"
    assert api.client.delete(f"{PATH}/{created['id']}").status_code == 204


def test_the_installation_must_permit_it(api: Api, tmp_path: Path) -> None:
    job = spoken(api.database, voice(0))
    url, redis_url = (getattr(api.settings, name).get_secret_value() for name in ("database_url", "redis_url"))
    with running_api(api_settings(url, redis_url, tmp_path)) as closed:
        assert closed.client.get(PATH).json()["enabled"] is False
        body = body_of(job, name="x", consent=CONSENT)
        problem_of(closed.client.post(PATH, json=body), 409, "voices_off")


def test_a_job_can_ask_not_to_be_compared(api: Api) -> None:
    link = {"audio_url": "https://example.com/a.mp3", "speakers": True}
    assert api.client.post("/v1/transcriptions", json=link).json()["known_voices"] is True
    asked = api.client.post("/v1/transcriptions", json=link | {"known_voices": False}).json()
    assert asked["known_voices"] is False
    job = jobs.get(api.database, ids.parsed(ids.JOB, asked["id"]))
    assert job.options == TranscriptionOptions(speakers=True, known_voices=False)


def test_the_client_enrols_and_deletes(api: Api) -> None:
    job, other = spoken(api.database, voice(0)), spoken(api.database, voice(20))
    with Client(str(api.client.base_url), ADMIN_KEY) as client:
        made_ = client.create_voice(job.public_id, 1, name="王芳", consent=CONSENT)
        assert (made_.consent.statement, made_.speech_ms, made_.needs_enrolment) == (CONSENT, 60_000, False)
        more = client.add_voice_sample(made_.id, other.public_id, 1)
        assert [sample.transcription_id for sample in more.samples] == [job.public_id, other.public_id]
        [speaker] = client.speakers(spoken(api.database, voice(10)).public_id)
        assert (speaker.name_source, speaker.voice_id, speaker.similarity) == ("voice", made_.id, 1.0)
        assert client.rename_voice(made_.id, "李四").name == "李四"
        page = client.voices(limit=5)
        assert (page.enabled, [item.name for item in page.data]) == (True, ["李四"])
        assert client.voice(made_.id) == page.data[0]
        client.delete_voice(made_.id)
        with pytest.raises(NotFound):
            client.voice(made_.id)

    async def same() -> None:
        async with AsyncClient(str(api.client.base_url), ADMIN_KEY) as later:
            again = await later.create_voice(job.public_id, 1, name="王芳", consent=CONSENT)
            assert (await later.voices()).data == (again,)
            await later.delete_voice(again.id)

    asyncio.run(same())


def test_the_command_enrols_and_deletes(api: Api, run: Run) -> None:
    job, other = spoken(api.database, voice(0)), spoken(api.database, voice(20))
    made_ = run("voices", "create", job.public_id, "1", "王芳", "--consent", CONSENT)
    assert made_.exit_code == 0, made_.output
    assert run("voices", "add", "王芳", other.public_id, "1").stdout == "王芳: 2 samples\n"
    listed = run("voices", "list").stdout
    assert "王芳" in listed
    assert made_.stdout.strip() in listed
    assert CONSENT in run("voices", "show", "王芳").stdout
    assert "voice" in run("speakers", "list", spoken(api.database, voice(10)).public_id).stdout
    assert run("voices", "rename", made_.stdout.strip(), "李四").stdout == "李四\n"
    assert run("voices", "delete", "李四", "--yes").exit_code == 0
    assert one(api.database, "SELECT count(*) FROM voices") == 0
    assert run("voices", "show", "李四").exit_code != 0
    assert run("voices", "create", job.public_id, "1", "王芳").exit_code == 2, "consent must be stated"
