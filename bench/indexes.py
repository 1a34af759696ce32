"""How large each index of the schema becomes with a million jobs: `python -m bench.indexes`."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

import psycopg

from bench.cluster.load import CHARACTERS
from dev.postgres import start_postgres
from dev.stack import REPOSITORY, alembic

# Jobs of ten minutes, all ended: each with a tag, an upload's hash, two parts, an attempt, a webhook and an
# Idempotency-Key. Sentences are many, so that only some of the jobs have any.
WITH_SENTENCES = 20
SENTENCES_PER_JOB = 180
FILL = """
INSERT INTO jobs (id, created_at, tenant, key_id, status, model, channels, tags, source_kind, source_name, audio_key,
                  audio_sha256, audio_bytes, audio_ms, finished_at, batch_id)
SELECT (lpad(to_hex(1700000000000 + n * 1000), 12, '0') || substr(md5(n::text), 1, 20))::uuid,
       now() - make_interval(secs => %(jobs)s - n), 'tenant-' || n %% 50, md5((n %% 200)::text)::uuid, 'completed',
       'demo-zh', 'mix', ARRAY['team-' || n %% 20], 'upload', 'meeting ' || md5(n::text) || '.mp3', 'audio/' || n,
       md5(n::text) || md5((-n)::text), 1, 600000, now() - make_interval(secs => %(jobs)s - n - 60), NULL
FROM generate_series(1, %(jobs)s) n;
INSERT INTO attempts (job_id, token, run, number, worker) SELECT id, gen_random_uuid(), 1, 1, 'w' FROM jobs;
INSERT INTO parts (job_id, run, number, start_ms, end_ms, sentences)
SELECT id, 1, n, 0, 1, 90 FROM jobs, generate_series(0, 1) n;
INSERT INTO usage (job_id, run, ended_at, tenant, key_id, model, tags, status, audio_ms, processing_ms)
SELECT id, 1, finished_at, tenant, key_id, model, tags, status, 1, 1 FROM jobs;
INSERT INTO idempotency_keys (tenant, key_id, key, created_at, token, job_id)
SELECT tenant, key_id, gen_random_uuid()::text, created_at, gen_random_uuid(), id FROM jobs;
INSERT INTO webhook_endpoints (id, url, events, secret) VALUES (gen_random_uuid(), 'https://example.com', '{}', '');
INSERT INTO deliveries (id, created_at, tenant, event, job_id, endpoint_id, lane, payload, status, next_attempt_at)
SELECT gen_random_uuid(), finished_at, jobs.tenant, 'transcription.completed', jobs.id, webhook_endpoints.id, 'a', '{}',
       'delivered', now() FROM jobs, webhook_endpoints;
INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, tenant, text, words)
SELECT jobs.id, 1, n, 0, n * 3000, n * 3000 + 2900, 0.987, tenant, said.text, '[]'
FROM (SELECT * FROM jobs WHERE %(jobs)s > 0 ORDER BY id LIMIT %(jobs)s / %(with_sentences)s) AS jobs
CROSS JOIN generate_series(0, %(sentences)s - 1) n CROSS JOIN LATERAL (
    SELECT string_agg(substr(%(letters)s, 1 + (random() * %(most)s)::int, 1), '') || '。' AS text
    FROM generate_series(1, 15) place WHERE n IS NOT NULL AND jobs.id IS NOT NULL
) AS said;
"""
SIZES = """
SELECT indexed.relname, index.relname, pg_relation_size(index.oid)
FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid JOIN pg_class AS indexed ON indexed.oid = indrelid
WHERE index.relnamespace = 'public'::regnamespace ORDER BY index.relname
"""
# What an empty index has as well.
EMPTY_BYTES = 16_384


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.indexes", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL runs as another user if we are root
        postgres = start_postgres(place / "postgres", place / "logs", secrets.token_urlsafe(12), durable=False)
        try:
            alembic(["upgrade", "head"], postgres.url(), place / "logs", REPOSITORY)
            _print_sizes(postgres.url(), jobs)
        finally:
            postgres.child.stop(seconds=30)
    return 0


def _print_sizes(url: str, jobs: int) -> None:
    """Fill the tables row by row, as a service does, and print megabytes per million jobs."""
    values = {
        "jobs": jobs,
        "sentences": SENTENCES_PER_JOB,
        "with_sentences": WITH_SENTENCES,
        "letters": CHARACTERS,
        "most": len(CHARACTERS) - 1,
    }
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)  # several statements at once
        cursor.execute(FILL, values)
        for table, index, size in connection.execute(SIZES):
            scale = WITH_SENTENCES if table == "sentences" else 1
            million = (size - EMPTY_BYTES) * scale / jobs
            print(f"{index:30} {million:10,.0f}" if million > 0 else f"{index:30} {'-':>10}")


if __name__ == "__main__":
    sys.exit(main())
