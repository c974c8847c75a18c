-- The reduced past of capacity signals: 35 days of hours, 400 days of days. Hours and days are
-- numbered from the epoch (UTC).

CREATE TABLE capacity (
    id       INTEGER PRIMARY KEY,
    limit_id TEXT NOT NULL,
    labels   TEXT NOT NULL,
    json     TEXT NOT NULL,
    seen_at  BIGINT NOT NULL,
    UNIQUE (limit_id, labels)
);

CREATE TABLE capacity_hour (
    capacity INTEGER NOT NULL REFERENCES capacity (id) ON DELETE CASCADE,
    hour     INTEGER NOT NULL,
    mean     REAL NOT NULL,
    highest  REAL NOT NULL,
    last     REAL NOT NULL,
    samples  INTEGER NOT NULL,
    PRIMARY KEY (capacity, hour)
) WITHOUT ROWID;

CREATE TABLE capacity_day (
    capacity INTEGER NOT NULL REFERENCES capacity (id) ON DELETE CASCADE,
    day      INTEGER NOT NULL,
    peak     REAL NOT NULL,
    mean     REAL NOT NULL,
    lowest   REAL NOT NULL,
    hours    INTEGER NOT NULL,
    PRIMARY KEY (capacity, day)
) WITHOUT ROWID;
