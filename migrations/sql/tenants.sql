CREATE TABLE ended_sessions (
    id UUID NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ended_sessions_over ON ended_sessions (expires_at);

CREATE TABLE tenants (
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    served_at TIMESTAMP WITH TIME ZONE,
    requests_per_minute INTEGER,
    max_running INTEGER,
    max_queued INTEGER,
    audio_minutes_per_day INTEGER,
    audio_minutes_per_month INTEGER,
    max_upload_bytes BIGINT,
    PRIMARY KEY (name)
);

CREATE TABLE usage (
    job_id UUID NOT NULL,
    run INTEGER NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT NOT NULL,
    key_id UUID,
    model TEXT NOT NULL,
    tags TEXT[] NOT NULL,
    status TEXT NOT NULL,
    error_code TEXT,
    audio_ms BIGINT NOT NULL,
    processing_ms BIGINT NOT NULL,
    channels INTEGER DEFAULT 1 NOT NULL,
    PRIMARY KEY (job_id, run)
);
CREATE INDEX usage_age ON usage (ended_at);
CREATE INDEX usage_of_key ON usage (key_id, ended_at);
CREATE INDEX usage_of_model ON usage (model, ended_at);
CREATE INDEX usage_of_tenant ON usage (tenant, ended_at);

CREATE TABLE usage_daily (
    key_id UUID NOT NULL,
    day DATE NOT NULL,
    tenant TEXT DEFAULT '' NOT NULL,
    audio_ms BIGINT NOT NULL,
    PRIMARY KEY (key_id, day)
);
CREATE INDEX usage_daily_age ON usage_daily (day);
CREATE INDEX usage_daily_of_tenant ON usage_daily (tenant, day);

CREATE TABLE api_keys (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BYTEA NOT NULL,
    previous_hash BYTEA,
    previous_until TIMESTAMP WITH TIME ZONE,
    hint TEXT NOT NULL,
    scopes TEXT[] NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    made_by UUID,
    requests_per_minute INTEGER,
    max_running INTEGER,
    max_queued INTEGER,
    audio_minutes_per_day INTEGER,
    audio_minutes_per_month INTEGER,
    max_upload_bytes BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT api_keys_tenant FOREIGN KEY(tenant) REFERENCES tenants (name)
);
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
CREATE UNIQUE INDEX api_keys_by_previous_hash ON api_keys (previous_hash);
CREATE INDEX api_keys_made_by ON api_keys (made_by) WHERE made_by IS NOT NULL;
CREATE INDEX api_keys_of_tenant ON api_keys (tenant, created_at, id);
