CREATE TABLE batches (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT NOT NULL,
    key_id UUID,
    total INTEGER NOT NULL,
    refused JSONB NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX batches_age ON batches (created_at);
CREATE INDEX batches_newest ON batches (tenant, created_at, id);

CREATE TABLE jobs (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT DEFAULT 'default' NOT NULL,
    key_id UUID,
    status TEXT DEFAULT 'queued' NOT NULL,
    stage TEXT,
    model TEXT NOT NULL,
    channels TEXT NOT NULL,
    audio_track TEXT DEFAULT 'default' NOT NULL,
    priority SMALLINT DEFAULT 5 NOT NULL,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    webhook_url TEXT,
    webhook_events TEXT[],
    request_id TEXT,
    traceparent TEXT,
    source_kind TEXT NOT NULL,
    source_url TEXT,
    source_name TEXT,
    audio_key TEXT,
    audio_bytes BIGINT,
    audio_sha256 TEXT,
    audio_deleted_at TIMESTAMP WITH TIME ZONE,
    dedupe BOOLEAN DEFAULT false NOT NULL,
    deduplicated_from UUID,
    tracks JSONB DEFAULT '[]' NOT NULL,
    warnings JSONB DEFAULT '[]' NOT NULL,
    batch_id UUID,
    batch_number SMALLINT,
    declared_ms BIGINT,
    processed_ms BIGINT DEFAULT 0 NOT NULL,
    audio_ms BIGINT,
    run INTEGER DEFAULT 1 NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    outages INTEGER DEFAULT 0 NOT NULL,
    crashes INTEGER DEFAULT 0 NOT NULL,
    isolated_crashes INTEGER DEFAULT 0 NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    not_before TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    dispatched_at TIMESTAMP WITH TIME ZONE,
    cancel_requested BOOLEAN DEFAULT false NOT NULL,
    lease_token UUID,
    lease_worker TEXT,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    isolated BOOLEAN DEFAULT false NOT NULL,
    error_code TEXT,
    error_message TEXT,
    error_retryable BOOLEAN,
    result_model TEXT,
    result_revision TEXT,
    result_precision TEXT,
    result_channels INTEGER,
    no_speech BOOLEAN,
    processing_ms BIGINT,
    result_deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT jobs_status_known CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'canceled')),
    CONSTRAINT jobs_priority_range CHECK (priority BETWEEN 0 AND 9),
    CONSTRAINT jobs_lease_while_processing CHECK ((status = 'processing') = (lease_token IS NOT NULL)),
    CONSTRAINT jobs_batch FOREIGN KEY(batch_id) REFERENCES batches (id)
);
CREATE INDEX jobs_announced ON jobs (dispatched_at) WHERE status = 'queued' AND dispatched_at IS NOT NULL;
CREATE INDEX jobs_audio_due ON jobs (finished_at) WHERE audio_key IS NOT NULL;
CREATE INDEX jobs_by_audio ON jobs (tenant, audio_sha256, created_at) WHERE audio_sha256 IS NOT NULL;
CREATE INDEX jobs_by_status ON jobs (tenant, status, created_at, id);
CREATE INDEX jobs_leases ON jobs (lease_expires_at) WHERE status = 'processing';
CREATE INDEX jobs_newest ON jobs (tenant, created_at, id);
CREATE INDEX jobs_of_batch ON jobs (batch_id, status) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_open_of_key ON jobs (key_id, status) WHERE status IN ('queued', 'processing');
CREATE INDEX jobs_result_due ON jobs (finished_at) WHERE result_deleted_at IS NULL;
CREATE INDEX jobs_row_due ON jobs (finished_at, id) WHERE result_deleted_at IS NOT NULL AND audio_key IS NULL;
CREATE INDEX jobs_suspect ON jobs (model, priority DESC, created_at) WHERE status = 'queued' AND crashes >= 2;
CREATE INDEX jobs_waiting ON jobs (model, priority DESC, tenant, coalesce(key_id, '00000000-0000-0000-0000-000000000000'::uuid), created_at, id) WHERE status = 'queued';

CREATE TABLE attempts (
    job_id UUID NOT NULL,
    token UUID NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT,
    error_code TEXT,
    error_message TEXT,
    isolated BOOLEAN DEFAULT false NOT NULL,
    resumed_ms BIGINT,
    stage_ms JSONB,
    PRIMARY KEY (job_id, token),
    CONSTRAINT attempts_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX attempts_of_job ON attempts (job_id, started_at);

CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL,
    key_id UUID NOT NULL,
    key TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    token UUID NOT NULL,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    fingerprint BYTEA,
    status SMALLINT,
    location TEXT,
    body BYTEA,
    job_id UUID,
    batch_id UUID,
    PRIMARY KEY (tenant, key_id, key),
    CONSTRAINT idempotency_keys_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    CONSTRAINT idempotency_keys_batch FOREIGN KEY(batch_id) REFERENCES batches (id) ON DELETE CASCADE
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_of_batch ON idempotency_keys (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX idempotency_keys_of_job ON idempotency_keys (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE job_tags (
    job_id UUID NOT NULL,
    tag TEXT NOT NULL,
    tenant TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (job_id, tag),
    CONSTRAINT job_tags_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX job_tags_newest ON job_tags (tenant, tag, created_at, job_id);
