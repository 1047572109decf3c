create table sessions (
    id text primary key, title text not null default '', model text not null default '',
    created_at text not null, updated_at text not null, deleted integer not null default 0
);
create table turns (
    id text primary key, session_id text not null, seq integer not null, role text not null default '',
    content text not null default '', created_at text not null, deleted integer not null default 0
);
create table events (
    stream text not null, seq integer not null, time text not null, type text not null default '',
    actor text not null default '', payload text not null default 'null',
    trace_id text not null default '', span_id text not null default '',
    causation_id text not null default '', origin_instance_id text not null default '',
    schema_version integer not null default 1, principal text not null default '',
    payload_blob text not null default '', primary key (stream, seq)
);
create table blobs (content_id text not null primary key, body text not null, size integer not null, refs integer not null default 0);
create table resources (kind text, name text, spec text);
insert into resources values ('credential', 'provider', '{"key": "SECRET-1"}');
insert into events (stream, seq, time, type, actor, payload) values
    ('state', 1, '2026-06-28T08:59:59.000000000Z', 'memory.put', 'agent', '{"content": "SECRET-2"}');
insert into sessions values ('chat-7', 'Quinces', 'claude-haiku-4-5', '2026-07-01T10:00:00.000000000Z', '2026-07-01T10:00:00.000000000Z', 0);
insert into turns values ('t1', 'chat-7', 1, 'user', 'Are quinces eaten raw?', '2026-07-01T10:00:01.000000000Z', 0);
insert into turns values ('t2', 'chat-7', 2, 'assistant', 'Seldom: they are hard and sour.', '2026-07-01T10:00:02.000000000Z', 0);
insert into turns values ('t3', 'chat-7', 3, 'user', 'Never mind', '2026-07-01T10:00:03.000000000Z', 1);
insert into turns values ('t4', 'chat-7', 4, 'user', 'And cooked?', '2026-07-01T10:00:04.000000000Z', 0);
