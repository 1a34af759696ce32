"""Search for single letters, which occur in most sentences: limited to a tenant's newest ones."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from common.jobs.reading.sentences import IN_PLACE
from common.transcript.sentence_numbers import place_of

NEWEST_JOBS = 1000
NEWEST_SENTENCES = 20_000
# The outer join gives a row with the counts even if nothing matches.
NEWEST = text(f"""
WITH newest AS MATERIALIZED (
    SELECT id, run, coalesce(name, source_name) AS job_name, created_at FROM jobs WHERE tenant = :tenant
    ORDER BY created_at DESC, id DESC LIMIT :jobs
), candidates AS MATERIALIZED (
    SELECT newest.id AS job_id, newest.job_name, newest.created_at, its.number, its.channel, its.start_ms,
           its.end_ms, its.speaker, speakers.name AS speaker_name, coalesce(edits.text, its.text) AS text
    FROM newest
    CROSS JOIN LATERAL (
        SELECT * FROM sentences WHERE sentences.job_id = newest.id AND sentences.run = newest.run
        ORDER BY sentences.number
    ) AS its
    LEFT JOIN edits ON edits.job_id = its.job_id AND edits.run = its.run AND edits.number = its.number
    LEFT JOIN speakers ON speakers.job_id = its.job_id AND speakers.run = its.run AND speakers.number = its.speaker
    LIMIT :sentences
)
SELECT (SELECT count(*) FROM newest) AS jobs, (SELECT count(*) FROM candidates) AS sentences, matches.*
FROM (SELECT 1) AS always LEFT JOIN LATERAL (
    SELECT * FROM (SELECT *, {IN_PLACE} AS place FROM candidates) AS candidates
    WHERE NOT EXISTS (
        SELECT FROM unnest(CAST(:words AS text[])) AS word WHERE strpos(search_folded(candidates.text), word) = 0
    ) AND (CAST(:job AS uuid) IS NULL OR job_id < :job OR (job_id = :job AND place > :place))
    ORDER BY job_id DESC, place LIMIT :limit
) AS matches ON true
""")


def newest_matches(
    session: Session, tenant: str, words: list[str], position: tuple[uuid.UUID, int] | None, limit: int
) -> tuple[Sequence[Any], bool]:
    """The sentences with all words among the newest ones, after `position`; and whether there are older ones."""
    job, number = position or (None, None)
    values = {
        "tenant": tenant,
        "words": words,
        "job": job,
        "place": None if number is None else place_of(number),
        "limit": limit,
        "jobs": NEWEST_JOBS,
        "sentences": NEWEST_SENTENCES,
    }
    rows = session.execute(NEWEST, values).all()
    capped = rows[0].jobs >= NEWEST_JOBS or rows[0].sentences >= NEWEST_SENTENCES
    return [row for row in rows if row.job_id is not None], capped
