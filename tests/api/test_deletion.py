"""After a job was deleted no table and no object knows of it, whatever it had: usage alone stays, which says no word.

The tables are asked one by one, whichever there are: one that is added later and forgotten is found here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from common import jobs, summaries, webhooks
from common.ids import JOB, parsed
from common.summaries import Section, Spent, Tokens, Wanted
from common.webhooks import NewEndpoint
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.api.upload_cases import begun, patched
from tests.db.job_cases import claimed, complete, execute
from tests.db.webhook_cases import KEY, OWN_SECRET, SEAL, TERMINAL_EVENTS

AUDIO = b"#!AMR\n no browser plays this"
HEARD, CORRECTED, NAME, TAG = "绝密预算通过了。", "绝密预算没有通过。", "绝密会议.amr", "绝密"
# What remains: usage has the tags by which it is grouped, and `webhook_endpoints` have nothing of jobs.
STAYS = {"usage", "summary_usage"}


@pytest.fixture(scope="module")
def api(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    secrets = {"secret_key": KEY, "webhook_secret": OWN_SECRET}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **secrets) as api:
        yield api.emptied()


def tables(api: Api) -> dict[str, str]:
    """Every row of every table, as text."""
    engine = api.database.engine
    with engine.connect() as pooled:
        connection = pooled.connection.driver_connection
        assert connection is not None
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        query = sql.SQL("SELECT coalesce(string_agg(row_to_json(t)::text, chr(10)), '') FROM {} t")
        return {name: connection.execute(query.format(sql.Identifier(name))).fetchone()[0] for (name,) in names}


def tracks(api: Api, job_id: str) -> set[str]:
    """Return the tables that contain the job's id in any form, or its text or metadata."""
    plain = job_id.partition("_")[2]
    dashed = str(parsed(JOB, job_id))
    marks = (plain, dashed, "绝密", "token=hidden")
    return {name for name, text in tables(api).items() if any(mark in text for mark in marks)}


def test_nothing_of_a_deleted_job_is_left(api: Api) -> None:
    webhooks.create_endpoint(api.database, SEAL, NewEndpoint("https://one.example.com", TERMINAL_EVENTS))
    url = begun(api, len(AUDIO), NAME)
    assert patched(api, url, AUDIO, 0).status_code == 204
    body = {"upload_id": url.rpartition("/")[2], "tags": [TAG], "webhook_url": "https://h.example.com/?token=hidden"}
    answer = api.client.post("/v1/transcriptions", json=body, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    held = claimed(api.database, jobs.get(api.database, parsed(JOB, job_id)))
    complete(api.database, held, HEARD)
    for path in ("audio", "peaks"):
        assert api.get(f"/{job_id}/{path}").status_code == 202
    assert api.client.patch(f"/v1/transcriptions/{job_id}/sentences/0", json={"text": CORRECTED}).status_code == 200
    assert api.client.patch(f"/v1/transcriptions/{job_id}/sentences/0", json={"confirmed": [0]}).status_code == 200
    section, spent = Section(0, 0, 0, HEARD), Spent("chat", Tokens(1, 1))
    for again in (False, True):  # one that is made, and another that is to replace it
        waiting = summaries.request(api.database, parsed(JOB, job_id), Wanted("minutes"), tenant="default")
        summary = summaries.claim_next(api.database)
        assert summary is not None
        assert summary.job_id == waiting.job_id
        if again:
            summaries.commit_section(api.database, summary, section, truncated=False, progress=0.9, spent=spent)
        else:
            summaries.complete(api.database, summary, HEARD, truncated=False, spent=spent)
    execute(api.database, "UPDATE deliveries SET answer = '绝密', error = NULL")
    tables = tracks(api, job_id)
    expected = {
        "jobs",
        "job_tags",
        "attempts",
        "parts",
        "sentences",
        "edits",
        "earlier_edits",
        "uploads",
        "renditions",
        "peaks",
        "summaries",
        "summary_sections",
        "summary_usage",
    }
    assert expected | {"deliveries", "idempotency_keys", "usage"} <= tables, "else this test would say nothing"
    assert [key for key in api.objects() if job_id.partition("_")[2] in key]
    assert api.client.delete(f"/v1/transcriptions/{job_id}").status_code == 204
    assert tracks(api, job_id) == STAYS
    assert not api.objects()
    assert not api.half_written()
