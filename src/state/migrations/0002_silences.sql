-- Silences and acknowledgements, single facts about the installation, and when an endpoint that
-- takes only so many messages a second may get the next.

CREATE TABLE silence (
    id         TEXT NOT NULL PRIMARY KEY,
    ends_at    BIGINT NOT NULL,
    json       TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE ack (
    id         TEXT NOT NULL PRIMARY KEY,
    json       TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

ALTER TABLE endpoint ADD COLUMN paced_until BIGINT NOT NULL DEFAULT 0;

CREATE INDEX message_dead ON message (finished_at) WHERE state = 'dead';
