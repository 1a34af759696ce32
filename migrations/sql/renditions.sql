CREATE TABLE peaks (
    job_id UUID NOT NULL,
    source_key TEXT NOT NULL,
    status TEXT NOT NULL,
    key TEXT,
    error_message TEXT,
    token UUID,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id),
    CONSTRAINT peaks_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX peaks_wanted ON peaks (requested_at) WHERE status = 'wanted';

CREATE TABLE renditions (
    job_id UUID NOT NULL,
    source_key TEXT NOT NULL,
    status TEXT NOT NULL,
    key TEXT,
    error_message TEXT,
    token UUID,
    lease_expires_at TIMESTAMP WITH TIME ZONE,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id),
    CONSTRAINT renditions_job FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX renditions_wanted ON renditions (requested_at) WHERE status = 'wanted';
