-- What the processes may do in the database, for installations in which they do not connect as the owner of the schema
-- (docs/deploy.md). `python -m admin roles` creates the roles and runs this file as the owner; every migration to the
-- newest version runs it again. The owner keeps all rights.
--
-- Like a migration, it must suit the version that still runs during an upgrade: a right is taken away one version after
-- the code stopped using it. A new table belongs here, or nobody but the owner can use it; tests/db/test_roles.py says so.
--
-- A column in parentheses after UPDATE that no statement changes is there for locks: PostgreSQL lets a role lock a row
-- (FOR UPDATE, FOR SHARE …) only if it may change some column of it. Rows that are deleted or checked by foreign keys
-- need no grant: PostgreSQL does that as the owner. There are no sequences.

DO $$
DECLARE
    roles CONSTANT text := 'paraqueue_api, paraqueue_worker, paraqueue_light';
    here CONSTANT text := quote_ident(current_schema());
    owned text;
BEGIN
    -- Whatever an earlier version granted, on tables and on single columns.
    FOR owned IN
        SELECT quote_ident(relname) FROM pg_class
        WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        AND relkind IN ('r', 'p') AND pg_has_role(relowner, 'USAGE')
    LOOP
        EXECUTE 'REVOKE ALL ON ' || here || '.' || owned || ' FROM ' || roles;
    END LOOP;
    EXECUTE 'GRANT CONNECT ON DATABASE ' || quote_ident(current_database()) || ' TO ' || roles;
    EXECUTE 'GRANT USAGE ON SCHEMA ' || here || ' TO ' || roles;
    -- Before PostgreSQL 15, everybody could create tables in "public"; upgraded servers keep that.
    EXECUTE 'REVOKE CREATE ON SCHEMA ' || here || ' FROM PUBLIC, ' || roles;
END $$;

GRANT EXECUTE ON FUNCTION search_folded(text), search_grams(text, text, integer)
    TO paraqueue_api, paraqueue_worker, paraqueue_light;
GRANT SELECT ON alembic_version TO paraqueue_api, paraqueue_worker, paraqueue_light;

-- The API, and the operator's commands in its container (`python -m admin`).

GRANT SELECT, INSERT, UPDATE ON tenants, api_keys TO paraqueue_api;
GRANT SELECT, INSERT ON ended_sessions, usage TO paraqueue_api;
GRANT SELECT, INSERT, DELETE ON job_tags TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE ON usage_daily TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs, idempotency_keys, vocabularies, voices TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON summaries, summary_templates TO paraqueue_api;
GRANT SELECT (job_id), DELETE ON summary_sections TO paraqueue_api;
GRANT SELECT ON summary_usage TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE (last_used_at, views), DELETE ON shares TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE (created_at) ON batches TO paraqueue_api;
GRANT SELECT, UPDATE (ended_at, outcome, error_message) ON attempts TO paraqueue_api;
GRANT SELECT, INSERT ON job_words TO paraqueue_api;
GRANT SELECT ON parts TO paraqueue_api;
-- People split and merge sentences. What the machine made of them cannot be changed, but for merged speakers.
GRANT SELECT, INSERT, UPDATE (start_ms, end_ms, confidence, text, spoken, words, speaker, tags), DELETE
    ON sentences TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE (speaker) ON machine_sentences TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE ON edits TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE (text), DELETE ON earlier_edits TO paraqueue_api;
GRANT SELECT, UPDATE, DELETE ON speakers TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON voice_samples TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE (model, embedding, speech_ms) ON voice_prints TO paraqueue_api;
GRANT SELECT (job_id, run, part), DELETE ON speaker_windows TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON uploads TO paraqueue_api;
GRANT SELECT, INSERT ON upload_parts TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE ON renditions, peaks TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints TO paraqueue_api;
GRANT SELECT, INSERT, UPDATE ON deliveries TO paraqueue_api;
-- DELETE: the readiness check deletes no row of this table, to see whether the server accepts writes.
GRANT SELECT, UPDATE (drain, draining, reserved_for), DELETE ON workers TO paraqueue_api;

-- Transcription workers: no hashes of keys, no secrets or URLs of webhooks, no contents of webhooks.

GRANT SELECT (id, max_running, max_upload_bytes) ON api_keys TO paraqueue_worker;
-- Dispatch notes when a tenant was served, also for one that has no row yet.
GRANT SELECT (name, served_at, max_running, max_upload_bytes, voices), INSERT (name, served_at), UPDATE (served_at)
    ON tenants TO paraqueue_worker;
GRANT SELECT ON jobs TO paraqueue_worker;
GRANT UPDATE (
    status, stage, not_before, dispatched_at, started_at, finished_at, source_url, source_name,
    lease_token, lease_worker, lease_expires_at, isolated, attempts, failures, outages, crashes, isolated_crashes,
    audio_key, audio_bytes, audio_sha256, declared_ms, processed_ms, tracks, warnings, deduplicated_from,
    audio_ms, result_model, result_revision, result_precision, result_segmentation, result_channels, no_speech,
    processing_ms, error_code, error_message, error_retryable
) ON jobs TO paraqueue_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON attempts, parts, workers TO paraqueue_worker;
GRANT SELECT, INSERT, UPDATE (speaker), DELETE ON sentences TO paraqueue_worker;
GRANT SELECT, INSERT ON edits, earlier_edits TO paraqueue_worker;
GRANT SELECT, INSERT, UPDATE (name, voice_id, similarity), DELETE ON speakers TO paraqueue_worker;
GRANT SELECT, INSERT, DELETE ON speaker_windows TO paraqueue_worker;
GRANT SELECT, INSERT ON voice_prints TO paraqueue_worker;
GRANT SELECT (id, tenant, name) ON voices TO paraqueue_worker;
GRANT SELECT (voice_id, model, embedding, speech_ms, enrolled_at) ON voice_samples TO paraqueue_worker;
GRANT SELECT ON job_words, machine_sentences TO paraqueue_worker;
-- The end of a job makes its summary due.
GRANT SELECT (job_id, status, due_at), UPDATE (status, due_at, finished_at) ON summaries TO paraqueue_worker;
GRANT SELECT, UPDATE (created_at) ON batches TO paraqueue_worker;
GRANT SELECT, INSERT ON usage TO paraqueue_worker;
GRANT SELECT, INSERT, UPDATE ON usage_daily TO paraqueue_worker;
GRANT SELECT (id, tenant, events, enabled), UPDATE (updated_at) ON webhook_endpoints TO paraqueue_worker;
GRANT SELECT (id, status, next_attempt_at), INSERT ON deliveries TO paraqueue_worker;

-- Light workers: no hashes of keys. They read transcripts, to have them summarised, but change none.

GRANT SELECT (id, max_running) ON api_keys TO paraqueue_light;
GRANT SELECT (name, served_at, max_running, voices), INSERT (name, served_at), UPDATE (served_at) ON tenants TO paraqueue_light;
GRANT SELECT, DELETE ON jobs TO paraqueue_light;
GRANT UPDATE (
    status, stage, dispatched_at, finished_at, source_url, audio_key, audio_deleted_at, result_deleted_at,
    lease_token, lease_worker, lease_expires_at, isolated, crashes, isolated_crashes,
    error_code, error_message, error_retryable
) ON jobs TO paraqueue_light;
GRANT SELECT, UPDATE (ended_at, outcome, error_code) ON attempts TO paraqueue_light;
GRANT SELECT (job_id), DELETE ON parts, machine_sentences TO paraqueue_light;
GRANT SELECT, DELETE ON sentences, speakers TO paraqueue_light;
GRANT SELECT ON edits TO paraqueue_light;
GRANT SELECT, UPDATE, DELETE ON summaries TO paraqueue_light;
GRANT SELECT, INSERT, DELETE ON summary_sections TO paraqueue_light;
GRANT SELECT, INSERT, UPDATE (prompt_tokens, completion_tokens), DELETE ON summary_usage TO paraqueue_light;
GRANT SELECT (id, job_id, expires_at), UPDATE (expires_at), DELETE ON shares TO paraqueue_light;
GRANT SELECT (job_id, run, part), DELETE ON speaker_windows TO paraqueue_light;
GRANT SELECT (job_id, run, number, tenant), DELETE ON voice_prints TO paraqueue_light;
GRANT SELECT, UPDATE (created_at), DELETE ON batches TO paraqueue_light;
GRANT SELECT, INSERT, UPDATE (ended_at), DELETE ON usage TO paraqueue_light;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_daily, deliveries TO paraqueue_light;
GRANT SELECT (tenant, key_id, key, created_at, token), UPDATE (created_at), DELETE
    ON idempotency_keys TO paraqueue_light;
GRANT SELECT, UPDATE (expires_at), DELETE ON ended_sessions, uploads TO paraqueue_light;
GRANT SELECT ON upload_parts TO paraqueue_light;
GRANT SELECT, UPDATE ON renditions, peaks TO paraqueue_light;
GRANT SELECT ON webhook_endpoints TO paraqueue_light;
GRANT UPDATE (secret, previous_secret, enabled, disabled_reason, updated_at) ON webhook_endpoints TO paraqueue_light;
GRANT SELECT, UPDATE (reserved_for), DELETE ON workers TO paraqueue_light;
