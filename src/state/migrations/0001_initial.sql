-- Times are milliseconds since the epoch. Payloads are JSON text whose shape belongs to the room
-- that writes them.

CREATE TABLE alert (
    rule_group  TEXT NOT NULL,
    fingerprint BIGINT NOT NULL,
    json        TEXT NOT NULL,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (rule_group, fingerprint)
);

CREATE TABLE advice (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    json       TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE message (
    id               TEXT NOT NULL PRIMARY KEY,
    seq              BIGINT NOT NULL UNIQUE,
    endpoint         TEXT NOT NULL,
    group_key        TEXT NOT NULL,
    urgency          BIGINT NOT NULL,
    body             TEXT NOT NULL,
    fallback         TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    created_at       BIGINT NOT NULL,
    next_attempt_at  BIGINT NOT NULL,
    first_attempt_at BIGINT,
    finished_at      BIGINT,
    attempts         BIGINT NOT NULL,
    in_flight        BIGINT NOT NULL,
    uncertain        BIGINT NOT NULL,
    use_fallback     BIGINT NOT NULL,
    last_error       TEXT NOT NULL
);

CREATE INDEX message_pending ON message (endpoint, group_key, seq) WHERE state = 'pending';

CREATE TABLE notice (
    id         TEXT NOT NULL PRIMARY KEY,
    endpoint   TEXT NOT NULL,
    group_key  TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'folded', 'digest', 'muted')),
    reason     TEXT NOT NULL,
    message_id TEXT REFERENCES message (id) ON DELETE CASCADE,
    at         BIGINT NOT NULL,
    json       TEXT NOT NULL
);

CREATE INDEX notice_pending ON notice (at, id) WHERE state = 'pending';
CREATE INDEX notice_of_message ON notice (message_id);

CREATE TABLE attempt (
    message_id  TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    n           BIGINT NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,
    status      BIGINT,
    error       TEXT NOT NULL,
    PRIMARY KEY (message_id, n)
);

CREATE TABLE message_group (
    endpoint        TEXT NOT NULL,
    group_key       TEXT NOT NULL,
    last_message_at BIGINT NOT NULL,
    last_message_id TEXT NOT NULL,
    told            TEXT NOT NULL,
    PRIMARY KEY (endpoint, group_key)
);

CREATE TABLE endpoint (
    name            TEXT NOT NULL PRIMARY KEY,
    failures        BIGINT NOT NULL,
    failing_since   BIGINT,
    refused_since   BIGINT,
    hold_until      BIGINT NOT NULL,
    disabled_reason TEXT,
    last_success_at BIGINT
);

CREATE TABLE book (
    endpoint  TEXT NOT NULL PRIMARY KEY,
    enqueued  BIGINT NOT NULL,
    folded    BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    dead      BIGINT NOT NULL
);
