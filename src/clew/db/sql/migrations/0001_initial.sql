-- The ledger's first schema. $id, $key, $bytes and $clustered are filled in per dialect (see
-- migrate.py): a small row is kept in its key's own tree, which spares a page a write.
-- Every key of what belongs to a session leads with (project, session): partitions need no
-- other schema. Times are Unix milliseconds and only shown: order is `seq`.

-- Facts about this ledger: its schema, its id, the key of its tombstones.
create table meta (
    name text primary key,
    value text not null
);

-- A tenant or working folder. Carries the audit chain of what belongs to no session.
create table project (
    key $id,
    name text not null unique,
    settings text not null default '{}',
    audit_number bigint not null default 0,
    audit_chain $bytes
);

-- A session as it is known from outside. What grows with every append is in `head`.
create table session (
    key $id,
    project bigint not null references project (key),
    id text not null unique,
    frontend text,
    user_id text,
    title text,
    title_rank bigint not null default 0,
    status text not null default 'open',
    agent text,
    created_ms bigint not null,
    forked_session text,
    forked_seq bigint,
    spawned_by text,
    imported_from text,
    pinned bigint not null default 0
);
create unique index session_address on session (project, frontend, user_id)
    where frontend is not null;
create index session_imported on session (project, imported_from) where imported_from is not null;

-- Where a session stands. One row a session, the only one that an append updates.
-- (at_session, at_seq) is the head, null at the root; last_seq the end of its own log;
-- undo_top the newest move that undo() would take back.
create table head (
    session $key references session (key),
    at_session bigint,
    at_seq bigint,
    last_seq bigint not null,
    first_seq bigint not null,
    chain $bytes not null,
    version bigint not null default 0,
    messages bigint not null default 0,
    updated_ms bigint not null,
    moves bigint not null default 0,
    undo_top bigint,
    audit_number bigint not null default 0,
    audit_chain $bytes not null,
    lease_holder text,
    lease_token bigint not null default 0,
    lease_until_ms bigint
);

-- A run of entries without a jump: from `start` up to the session's next line. Its first
-- entry follows (parent_session, parent_seq), null at the root. A path is a few of these.
create table line (
    session bigint not null,
    start bigint not null,
    parent_session bigint,
    parent_seq bigint,
    primary key (session, start)
)$clustered;
create index line_parent on line (parent_session, parent_seq) where parent_session is not null;

-- The log. The body is inline (`body`), a blob (`blob`), or bytes of a source (`source`,
-- `start`); none of them once erased. `digest` is kept only then: until then it is derived.
create table entry (
    id $id,
    project bigint not null,
    session bigint not null,
    seq bigint not null,
    kind text not null,
    role text,
    time_ms bigint not null,
    format text not null,
    body $bytes,
    blob $bytes,
    source bigint,
    start bigint,
    bytes bigint not null,
    meta text,
    nonce $bytes,
    digest $bytes,
    chain $bytes not null,
    unique (project, session, seq)
);
create index entry_overlay on entry (session, kind, seq)
    where kind in ('compaction', 'config', 'label', 'repair');
create index entry_blob on entry (blob) where blob is not null;

-- Big bodies, once each, by SHA-256 of what they hold. codec 0: as it is, 1: zstd.
create table blob (
    id $bytes primary key,
    codec bigint not null,
    bytes bigint not null,
    body $bytes not null
);

-- A pointer with a name. `number` is that of its audit record: the clock gives no
-- order. Hidden ones are kept for the audit, and no longer listed.
create table checkpoint (
    id text not null,
    project bigint not null,
    session bigint not null,
    pre_session bigint,
    pre_seq bigint,
    post_session bigint,
    post_seq bigint,
    label text not null,
    reason text not null,
    tokens_before bigint,
    tokens_after bigint,
    number bigint not null,
    created_ms bigint not null,
    hidden_ms bigint,
    primary key (session, id)
)$clustered;

-- Heads that went elsewhere than forward. `below` is the move that undo() finds next.
create table move (
    session bigint not null,
    number bigint not null,
    action text not null,
    from_session bigint,
    from_seq bigint,
    to_session bigint,
    to_seq bigint,
    below bigint,
    time_ms bigint not null,
    primary key (session, number)
)$clustered;

-- What a client key already stored: a retry returns it.
create table idempotency (
    session bigint not null,
    key text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    digest $bytes not null,
    primary key (session, key)
)$clustered;

-- Tokens, once a model call, field by field the maximum of what repeats it. `repeated`: another
-- session holds the call too (a fork that copied it).
create table usage (
    project bigint not null,
    call $bytes not null,
    session bigint not null,
    seq bigint not null,
    time_ms bigint not null,
    model text,
    provider text,
    input bigint not null,
    output bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    reasoning bigint not null,
    cost double precision,
    repeated bigint not null default 0,
    primary key (project, call)
)$clustered;
create index usage_session on usage (session);

-- Where imported records came from, how far it was read and with what state to go on.
create table source (
    key $id,
    project bigint not null,
    session bigint not null,
    importer text not null,
    path text not null,
    generation bigint not null,
    size bigint not null,
    read_to bigint not null,
    mtime_ns bigint not null,
    checked $bytes not null,
    tail $bytes not null,
    state $bytes not null,
    note text,
    updated_ms bigint not null,
    unique (importer, path, generation)
);
create index source_session on source (session);

-- The source's raw bytes from `start` on, compressed. All frames and the tail make the file.
create table frame (
    source bigint not null,
    start bigint not null,
    bytes bigint not null,
    digest $bytes not null,
    body $bytes not null,
    primary key (source, start)
);

-- The source's own id of a record: where it stands in the ledger.
create table record (
    project bigint not null,
    native $bytes not null,
    session bigint not null,
    seq bigint not null,
    primary key (project, native)
)$clustered;
create index record_session on record (session);

-- Who did what. session 0 is the project's own chain.
create table audit (
    project bigint not null,
    session bigint not null,
    number bigint not null,
    time_ms bigint not null,
    actor text not null,
    action text not null,
    facts text not null,
    chain $bytes not null,
    primary key (project, session, number)
)$clustered;

-- What was erased and must not come back: a keyed digest of where it came from.
create table tombstone (
    mark $bytes primary key,
    erased_ms bigint not null
);
