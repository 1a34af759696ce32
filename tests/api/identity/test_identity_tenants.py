"""What belongs to another tenant is not there, by any route."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import RouteContext

from common import ids, jobs, shares, summaries, uploads, vocabularies, voices, webhooks
from common.jobs import BatchSubmission
from common.shares import NewShare
from common.summaries import Wanted
from common.webhooks import NewEndpoint
from tests.api.api_cases import Api, problem_of
from tests.api.identity.cases import EXTRA, GUARDED, bearer, filled, key_of, named, path_with
from tests.db.job_cases import execute, one, submission, uploaded
from tests.db.voice_cases import source, spoken, switched_on, voice
from tests.db.webhook_cases import SEAL


def belongings(api: Api, tenant: str) -> dict[str, str]:
    """A thing of the tenant's for each parameter that paths have."""
    job = uploaded(api.database, api.storage, tenant=tenant, summary=Wanted("minutes"))
    endpoint, _ = webhooks.create_endpoint(
        api.database, SEAL, NewEndpoint("https://example.com/hook", ("transcription.canceled",), tenant=tenant)
    )
    upload = uploads.create(
        api.database,
        tenant=tenant,
        length=10,
        name="a.wav",
        metadata=None,
        part_bytes=8 * 1024 * 1024,
        retention_seconds=3600,
    )
    one_link = submission(tenant=tenant)
    batch = BatchSubmission(ids.new_id(), {0: one_link})
    with api.database.transaction() as session:
        jobs.submit_batch(session, batch)
    jobs.cancel(api.database, job.id)
    execute(
        api.database,
        "INSERT INTO sentences (job_id, run, number, tenant, channel, start_ms, end_ms, confidence, text, words) "
        "VALUES (:id, 1, 0, :tenant, 0, 0, 1, 1, '', '[]')",
        id=job.id,
        tenant=tenant,
    )
    log = webhooks.delivery_page(api.database, webhooks.DeliveryFilter(tenant=tenant))
    assert len(log.deliveries) == 1, "of its own tenant's endpoint, and of no other"
    return {
        "transcription_id": job.public_id,
        "webhook_id": endpoint.public_id,
        "delivery_id": log.deliveries[0].public_id,
        "key_id": key_of(api, tenant)[0].public_id,
        "batch_id": ids.shown(ids.BATCH, batch.id),
        "upload_id": ids.shown(ids.UPLOAD, upload.id),
        "number": "0",
        "speaker": "1",
        "template_id": summaries.create_template(api.database, tenant=tenant, name="t", prompt="p").public_id,
        "vocabulary_id": vocabularies.create(api.database, tenant=tenant, name="names").public_id,
        "voice_id": voice_of(api, tenant),
        "tenant": tenant,
        "share_id": shares.create(api.database, NewShare(job.id, tenant, None, 3600), 3600)[0].public_id,
    }


def voice_of(api: Api, tenant: str) -> str:
    """A known voice."""
    switched_on(api.database, tenant)
    return voices.create(
        api.database, source(spoken(api.database, voice(0), tenant=tenant)), name="王芳", consent="agreed"
    ).public_id


# Of its own tenant an admin may see, and not change, these.
OPERATORS = {("PATCH", "/v1/tenants/{tenant}")}


# What calls need besides the path, so that nothing but the tenant can be why they fail.
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/webhooks/{webhook_id}"): {"description": "taken over"},
    ("PATCH", "/v1/transcriptions/{transcription_id}"): {"name": "taken over", "add_tags": ["taken"]},
    ("POST", "/v1/transcriptions/{transcription_id}/summary"): {"kind": "todos"},
    ("PATCH", "/v1/summary-templates/{template_id}"): {"name": "taken over"},
    ("PATCH", "/v1/vocabularies/{vocabulary_id}"): {"name": "taken over"},
    ("PATCH", "/v1/voices/{voice_id}"): {"name": "taken over"},
    ("POST", "/v1/voices/{voice_id}/samples"): {"transcription_id": "{transcription_id}", "speaker": 1},
    ("PATCH", "/v1/transcriptions/{transcription_id}/sentences/{number}"): {"text": "taken over"},
    ("POST", "/v1/transcriptions/{transcription_id}/sentences/{number}/split"): {"at_word": 1},
    ("POST", "/v1/transcriptions/{transcription_id}/sentences/{number}/merge"): {},
    ("POST", "/v1/transcriptions/{transcription_id}/corrections"): {
        "corrections": [{"number": 0, "text": "taken over"}]
    },
    ("PATCH", "/v1/transcriptions/{transcription_id}/speakers/{speaker}"): {"name": "taken over"},
    ("POST", "/v1/transcriptions/{transcription_id}/speakers/{speaker}/merge"): {"into": 2},
    ("PUT", "/v1/transcriptions/{transcription_id}/sentences/{number}/speaker"): {"speaker": 2},
    ("PATCH", "/v1/uploads/{upload_id}"): b"12345",
    ("POST", "/v1/uploads/{upload_id}"): b"12345",
    ("POST", "/v1/webhooks/{webhook_id}/replay"): {"since": "2020-01-01T00:00:00Z"},
    ("PATCH", "/v1/tenants/{tenant}"): {"max_queued": 1},
}


@pytest.mark.parametrize(
    "call", [call for call in GUARDED if "{" in str(call[1].path) and "{model}" not in str(call[1].path)], ids=named
)
def test_what_belongs_to_another_tenant_is_not_there(api: Api, call: tuple[str, RouteContext]) -> None:
    method, route = call
    theirs, _ = belongings(api, "theirs"), belongings(api, "ours")
    path = path_with(str(route.path), theirs.__getitem__)
    _, secret = key_of(api, "ours")
    api.client.get("/v1/models", headers=bearer(secret))  # its first use is noted
    before = snapshot(api)
    body = filled(BODIES.get((method, str(route.path))), theirs)
    sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    more = EXTRA if "/uploads/" in path else {}
    answer = api.client.request(method, path, headers=bearer(secret) | more, **sent)
    if method == "HEAD":
        assert answer.status_code == 404
    else:
        problem_of(answer, 404, "not_found")
    assert snapshot(api) == before
    if (method, route.path) in OPERATORS:
        return
    # The same call by its owner finds the thing, so the 404 says something.
    _, secret = key_of(api, "theirs")
    with api.client.stream(method, path, headers=bearer(secret) | more, **sent) as owners:
        assert owners.status_code not in (401, 403, 404, 422), (method, path)


def snapshot(api: Api) -> list[Any]:
    """Every row that a call could have changed."""
    tables = ["api_keys", "jobs", "webhook_endpoints", "deliveries", "uploads"]
    tables += [
        "sentences",
        "machine_sentences",
        "edits",
        "earlier_edits",
        "speakers",
        "peaks",
        "vocabularies",
        "voices",
        "voice_samples",
        "summaries",
        "summary_templates",
        "shares",
    ]
    return [one(api.database, f"SELECT json_agg(t ORDER BY t::text)::text FROM {table} t") for table in tables]


LISTS = (
    *("/v1/transcriptions", "/v1/webhooks", "/v1/webhooks/deliveries"),
    *("/v1/vocabularies", "/v1/voices", "/v1/summary-templates"),
)


def test_lists_hold_only_what_is_the_tenants_own(api: Api) -> None:
    theirs, ours = belongings(api, "theirs"), belongings(api, "ours")
    _, secret = key_of(api, "ours")
    responses = "".join(api.client.get(path, headers=bearer(secret)).text for path in LISTS)
    assert all(
        thing in responses
        for name, thing in ours.items()
        if name not in {"upload_id", "key_id", "batch_id", "number", "speaker", "tenant", "share_id"}
    )
    assert not any(thing in responses for name, thing in theirs.items() if name not in {"number", "speaker"})
    by_job = {"transcription_id": theirs["transcription_id"]}
    assert api.client.get("/v1/webhooks/deliveries", params=by_job, headers=bearer(secret)).json()["data"] == []
