CREATE TABLE parts (
    job_id UUID NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    sentences INTEGER NOT NULL,
    state BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id, run, number),
    CONSTRAINT parts_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE TABLE sentences (
    job_id UUID NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    tenant TEXT DEFAULT 'default' NOT NULL,
    channel SMALLINT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    confidence FLOAT NOT NULL,
    text TEXT NOT NULL,
    words JSONB NOT NULL,
    PRIMARY KEY (job_id, run, number),
    CONSTRAINT sentences_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX sentences_search ON sentences USING gin (search_grams(tenant, text, 1));

CREATE TABLE edits (
    job_id UUID NOT NULL,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    text TEXT,
    revision INTEGER NOT NULL,
    key_id UUID,
    edited_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id, run, number),
    CONSTRAINT edits_sentence FOREIGN KEY(job_id, run, number) REFERENCES sentences (job_id, run, number) ON DELETE CASCADE
);
CREATE INDEX edits_search ON edits USING gin (search_grams(tenant, text, 1));
