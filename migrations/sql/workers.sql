CREATE TABLE workers (
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    precision TEXT NOT NULL,
    device TEXT NOT NULL,
    slots INTEGER NOT NULL,
    card JSONB,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    draining BOOLEAN DEFAULT false NOT NULL,
    drain TEXT,
    reserved_for UUID,
    PRIMARY KEY (id)
);
