-- What the instances of one fleet share: history, latches, reports, the lease, rollouts.
-- May be applied any number of times, and is, as one transaction, by migrateFleet() of changeover/postgres.
-- Every time in here is the database's own: the clocks of instances are never compared.

CREATE SCHEMA IF NOT EXISTS changeover;

-- Every instance works under this role, whatever it logged in as. It cannot change history.
-- Roles belong to the whole cluster: another database may just be making it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'changeover_app') THEN
    CREATE ROLE changeover_app NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END
$$;

-- Who applies this may work under it too; a superuser may anyway.
DO $$
BEGIN
  IF NOT pg_has_role(current_user, 'changeover_app', 'MEMBER') THEN
    EXECUTE format('GRANT changeover_app TO %I', current_user);
  END IF;
END
$$;

CREATE TABLE IF NOT EXISTS changeover.journal (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- By the clock of whoever tells; `recorded_at` and `recorded_by` are ours and cannot be told.
  at timestamptz NOT NULL,
  operation text NOT NULL,
  kind text NOT NULL,
  actor_type text NOT NULL,
  actor_name text NOT NULL,
  from_state text,
  to_state text,
  why text NOT NULL,
  evidence json NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  recorded_by text NOT NULL DEFAULT session_user
);
CREATE INDEX IF NOT EXISTS journal_operation ON changeover.journal (operation, id DESC);

CREATE TABLE IF NOT EXISTS changeover.latches (
  operation text PRIMARY KEY,
  tripped boolean NOT NULL,
  epoch bigint NOT NULL CHECK (epoch >= 0),
  at timestamptz NOT NULL,
  by_type text NOT NULL,
  by_name text NOT NULL,
  reason text NOT NULL,
  evidence json NOT NULL
);

-- A trigger and not the program: a latch that somebody changes by hand is heard of too.
-- The payload is a hint only, everyone reads the table: payloads end at 8000 bytes.
CREATE OR REPLACE FUNCTION changeover.announce_latch() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('changeover_latch', left(NEW.operation, 200));
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER announce_latch AFTER INSERT OR UPDATE ON changeover.latches
  FOR EACH ROW EXECUTE FUNCTION changeover.announce_latch();

-- One row for each start of an instance: counts begin at 0 with each, so each row's only grow.
CREATE TABLE IF NOT EXISTS changeover.instances (
  instance text NOT NULL CHECK (length(instance) BETWEEN 1 AND 80),
  started_at text NOT NULL,
  version text NOT NULL,
  flags jsonb NOT NULL,
  operations jsonb NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (instance, started_at)
);
CREATE INDEX IF NOT EXISTS instances_seen ON changeover.instances (seen_at);

-- The counts of instances whose rows are gone, so that no sum ever goes down.
CREATE TABLE IF NOT EXISTS changeover.retired_totals (
  operation text PRIMARY KEY,
  legacy_calls bigint NOT NULL,
  legacy_failed bigint NOT NULL,
  legacy_timed_out bigint NOT NULL,
  candidate_calls bigint NOT NULL,
  candidate_failed bigint NOT NULL,
  candidate_timed_out bigint NOT NULL
);

-- The latest word of each instance about its own latch.
CREATE TABLE IF NOT EXISTS changeover.trips (
  operation text NOT NULL,
  instance text NOT NULL CHECK (length(instance) BETWEEN 1 AND 80),
  tripped boolean NOT NULL,
  epoch bigint NOT NULL,
  at timestamptz NOT NULL,
  reason text NOT NULL,
  told_at timestamptz NOT NULL,
  PRIMARY KEY (operation, instance)
);

CREATE TABLE IF NOT EXISTS changeover.leases (
  name text PRIMARY KEY,
  -- NULL: given up.
  holder text CHECK (length(holder) BETWEEN 1 AND 80),
  epoch bigint NOT NULL CHECK (epoch > 0),
  expires_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS changeover.rollouts (
  operation text PRIMARY KEY,
  revision bigint NOT NULL CHECK (revision > 0),
  record json NOT NULL,
  written_at timestamptz NOT NULL
);

REVOKE ALL ON ALL TABLES IN SCHEMA changeover FROM PUBLIC, changeover_app;
GRANT USAGE ON SCHEMA changeover TO changeover_app;
GRANT SELECT ON changeover.journal TO changeover_app;
GRANT INSERT (at, operation, kind, actor_type, actor_name, from_state, to_state, why, evidence)
  ON changeover.journal TO changeover_app;
-- An epoch that is lost could be used twice: nobody removes latches, leases or rollouts.
GRANT SELECT, INSERT, UPDATE
  ON changeover.latches, changeover.leases, changeover.rollouts, changeover.retired_totals
  TO changeover_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON changeover.instances, changeover.trips TO changeover_app;

-- The queue of `changeover backfill`: pg-boss makes tables of its own here and nowhere else. Whoever
-- made the schema before this was applied has said already who may use it.
DO $$
BEGIN
  CREATE SCHEMA IF NOT EXISTS changeover_queue;
  GRANT USAGE, CREATE ON SCHEMA changeover_queue TO changeover_app;
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
