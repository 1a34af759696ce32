CREATE TABLE webhook_endpoints (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT DEFAULT 'default' NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    url TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    events TEXT[] NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    disabled_reason TEXT,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_secret_until TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE TABLE deliveries (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT DEFAULT 'default' NOT NULL,
    event TEXT NOT NULL,
    job_id UUID,
    batch_id UUID,
    endpoint_id UUID,
    url TEXT,
    lane TEXT NOT NULL,
    payload JSONB,
    traceparent TEXT,
    status TEXT DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_attempt_at TIMESTAMP WITH TIME ZONE,
    delivered_at TIMESTAMP WITH TIME ZONE,
    last_status INTEGER,
    error TEXT,
    answer TEXT,
    PRIMARY KEY (id),
    CONSTRAINT deliveries_status_known CHECK (status IN ('pending', 'delivered', 'dead')),
    CONSTRAINT deliveries_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    CONSTRAINT deliveries_endpoint FOREIGN KEY(endpoint_id) REFERENCES webhook_endpoints (id) ON DELETE CASCADE
);
CREATE INDEX deliveries_dead ON deliveries (endpoint_id, created_at, id) WHERE status = 'dead';
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX deliveries_newest ON deliveries (created_at, id);
CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint_id, created_at, id);
CREATE INDEX deliveries_of_job ON deliveries (job_id, created_at, id) WHERE job_id IS NOT NULL;
CREATE INDEX deliveries_of_tenant ON deliveries (tenant, created_at, id);
CREATE INDEX deliveries_waiting ON deliveries (endpoint_id) WHERE status = 'pending';
