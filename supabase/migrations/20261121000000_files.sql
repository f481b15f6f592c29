-- What is stored, once for each content, provider and purpose.
--
-- Written in the subset of SQL that both Postgres and the SQLite translation of @supabase/lite
-- understand: no regular expressions in checks, no defaults for timestamps (clients write them as
-- ISO 8601 with milliseconds, because SQLite compares them as text).
create table contents (
  id uuid primary key default gen_random_uuid(),
  sha256 text not null check (length(sha256) = 64),
  provider text not null check (provider in ('kimi', 'glm', 'none')),
  purpose text not null,
  storage_key text not null,
  provider_file_id text,
  size_bytes bigint not null check (size_bytes >= 0),
  created_at timestamptz not null,
  unique (sha256, provider, purpose)
);

-- What users see; many files may point at one content.
create table files (
  id uuid primary key default gen_random_uuid(),
  owner text not null,
  content_id uuid not null references contents (id),
  name text not null,
  purpose text not null,
  provider text not null check (provider in ('kimi', 'glm', 'none')),
  mime_type text not null,
  metadata jsonb not null default '{}',
  created_at timestamptz not null,
  accessed_at timestamptz not null
);

create index files_owner_created_at_id on files (owner, created_at, id);
create index files_content_id on files (content_id);

-- Least privilege: only the server's own key reads or writes; everyone else sees empty tables.
alter table contents enable row level security;
alter table files enable row level security;
create policy contents_service_role on contents for all to service_role using (true) with check (true);
create policy files_service_role on files for all to service_role using (true) with check (true);
