CREATE TABLE uploads (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    tenant TEXT NOT NULL,
    key_id UUID,
    direct BOOLEAN NOT NULL,
    name TEXT,
    metadata TEXT,
    length BIGINT,
    received BIGINT DEFAULT 0 NOT NULL,
    sha256 TEXT,
    part_bytes BIGINT NOT NULL,
    next_part INTEGER DEFAULT 1 NOT NULL,
    multipart_id TEXT,
    tail TEXT,
    lock_token UUID,
    lock_expires_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);
CREATE INDEX uploads_due ON uploads (expires_at);
CREATE INDEX uploads_open ON uploads (tenant) WHERE used_at IS NULL;

CREATE TABLE upload_parts (
    upload_id UUID NOT NULL,
    number INTEGER NOT NULL,
    size BIGINT NOT NULL,
    etag TEXT NOT NULL,
    PRIMARY KEY (upload_id, number),
    CONSTRAINT upload_parts_of FOREIGN KEY(upload_id) REFERENCES uploads (id) ON DELETE CASCADE
);
