-- Live: what happens beside the entries of a session (spans, checkpoints, moved heads), who runs
-- it, and who may ask the server. See 0001 for $id, $key, $bytes and $clustered.

-- The turn that an entry belongs to: how many prompts lie on the path up to it. Derived.
alter table entry add column turn bigint not null default 0;

-- How many events a session has, the end of their chain (null: none yet), and the turn of its
-- newest entry.
alter table head add column events bigint not null default 0;
alter table head add column event_chain $bytes;
alter table head add column turn bigint not null default 0;

-- The newest snapshot of a path is found as its newest config is.
drop index entry_overlay;
create index entry_overlay on entry (session, kind, seq)
    where kind in ('compaction', 'config', 'label', 'repair', 'snapshot');

-- What happened that is no entry, in one order with the entries: `sequence` is the seq of the
-- newest entry at that time plus `number`. Bodies as in `entry`.
create table event (
    id $id,
    session bigint not null,
    sequence bigint not null,
    number bigint not null,
    kind text not null,
    ref text not null,
    turn bigint not null,
    time_ms bigint not null,
    body $bytes,
    blob $bytes,
    bytes bigint not null,
    nonce $bytes,
    digest $bytes,
    chain $bytes not null,
    unique (session, sequence)
);
create index event_blob on event (blob) where blob is not null;
create index event_update on event (session, ref, sequence) where kind = 'update';

-- A projection of the events `start`, `update`, `finish` and `span`: what took time. Times are
-- Unix microseconds, tokens null where nobody told. The bodies stand in the events.
create table span (
    key $id,
    project bigint not null,
    session bigint not null,
    id text not null,
    kind text not null,
    name text not null,
    turn bigint not null,
    ordinal bigint not null,
    sequence bigint not null,
    finish_sequence bigint,
    status text not null,
    late text,
    owner bigint,
    chat text,
    message text,
    call_id text,
    parent text,
    batch text,
    attempt bigint not null,
    effect text,
    started_us bigint not null,
    finished_us bigint,
    latency_us bigint,
    created_ms bigint not null,
    error text,
    error_type text,
    input_bytes bigint,
    output_bytes bigint,
    tokens_used bigint,
    cache_tokens bigint,
    reasoning_tokens bigint,
    provider text,
    model text,
    tier text,
    complexity bigint,
    request_type text,
    fallback bigint,
    retries bigint,
    tokens_in bigint,
    tokens_out bigint,
    cache_read bigint,
    cache_write bigint,
    reasoning bigint,
    first_token_us bigint,
    cost double precision,
    status_code bigint,
    response_id text,
    unique (project, id),
    unique (session, sequence)
);
create index span_turn on span (session, turn, ordinal);
create index span_call on span (session, call_id) where call_id is not null;
create index span_open on span (session) where status in ('running', 'waiting');

-- A process that runs spans. When it is gone, what it ran is abandoned.
create table owner (
    key $id,
    id text not null unique,
    host text not null,
    boot text not null,
    pid bigint not null,
    started text not null,
    actor text not null,
    since_ms bigint not null,
    seen_ms bigint not null
);

-- Who may ask the server, by the SHA-256 of a random secret that is shown once.
create table token (
    id text primary key,
    secret $bytes not null,
    name text not null,
    scopes text not null,
    project text,
    created_ms bigint not null,
    created_by text not null,
    expires_ms bigint,
    used_ms bigint,
    revoked_ms bigint
);
