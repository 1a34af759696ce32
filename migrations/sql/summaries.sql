CREATE TABLE summaries (
    job_id UUID NOT NULL PRIMARY KEY,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    tenant TEXT NOT NULL,
    key_id UUID,
    kind TEXT NOT NULL,
    template_id UUID,
    template_name TEXT,
    language TEXT,
    prompt TEXT,
    status TEXT NOT NULL DEFAULT 'queued',
    due_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    failures INTEGER NOT NULL DEFAULT 0,
    progress FLOAT NOT NULL DEFAULT 0,
    token UUID,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    content TEXT,
    truncated BOOLEAN NOT NULL DEFAULT false,
    stale BOOLEAN NOT NULL DEFAULT false,
    model TEXT,
    prompt_tokens BIGINT NOT NULL DEFAULT 0,
    completion_tokens BIGINT NOT NULL DEFAULT 0,
    error_code TEXT,
    error_message TEXT,
    error_retryable BOOLEAN,
    CONSTRAINT summaries_job FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    CONSTRAINT summaries_status_known
        CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'canceled')),
    CONSTRAINT summaries_lease_while_processing CHECK ((status = 'processing') = (token IS NOT NULL))
);
CREATE INDEX summaries_due ON summaries (tenant, due_at) WHERE status = 'queued' AND due_at IS NOT NULL;
CREATE INDEX summaries_processing ON summaries (tenant) WHERE status = 'processing';
CREATE TABLE summary_sections (
    job_id UUID NOT NULL,
    level SMALLINT NOT NULL,
    number INTEGER NOT NULL,
    last INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job_id, level, number),
    CONSTRAINT summary_sections_summary FOREIGN KEY (job_id) REFERENCES summaries (job_id) ON DELETE CASCADE
);
CREATE TABLE summary_templates (
    id UUID NOT NULL PRIMARY KEY,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1,
    prompt TEXT NOT NULL
);
CREATE INDEX summary_templates_newest ON summary_templates (tenant, created_at, id);
CREATE UNIQUE INDEX summary_templates_by_name ON summary_templates (tenant, name);
CREATE TABLE summary_usage (
    id UUID NOT NULL PRIMARY KEY,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    tenant TEXT NOT NULL,
    key_id UUID,
    model TEXT NOT NULL,
    tags TEXT[] NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL
);
CREATE INDEX summary_usage_age ON summary_usage (began_at);
CREATE INDEX summary_usage_of_tenant ON summary_usage (tenant, began_at);
