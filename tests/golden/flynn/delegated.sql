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
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 1, '2026-06-28T09:00:01.000000000Z', 'session.started', 'agent', '{"event": "{\"seq\": 1, \"time\": \"2026-06-28T09:00:01.000000000Z\", \"kind\": \"session.started\", \"actor\": \"agent\", \"text\": \"Sort the apples and the pears.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 2, '2026-06-28T09:00:02.000000000Z', 'turn.started', 'agent', '{"event": "{\"seq\": 2, \"time\": \"2026-06-28T09:00:02.000000000Z\", \"kind\": \"turn.started\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000002\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 3, '2026-06-28T09:00:03.000000000Z', 'tool.call', 'agent', '{"event": "{\"seq\": 3, \"time\": \"2026-06-28T09:00:03.000000000Z\", \"kind\": \"tool.call\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000002\", \"tool\": \"spawn\", \"toolUseID\": \"s1\", \"input\": {\"objective\": \"Sort the apples.\"}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 4, '2026-06-28T09:00:04.000000000Z', 'tool.call', 'agent', '{"event": "{\"seq\": 4, \"time\": \"2026-06-28T09:00:04.000000000Z\", \"kind\": \"tool.call\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000002\", \"tool\": \"spawn\", \"toolUseID\": \"s2\", \"input\": {\"objective\": \"Sort the pears.\"}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 5, '2026-06-28T09:00:05.000000000Z', 'child.spawned', 'agent', '{"event": "{\"seq\": 5, \"time\": \"2026-06-28T09:00:05.000000000Z\", \"kind\": \"child.spawned\", \"actor\": \"agent\", \"goal\": \"01K0RUN0000000000000000002\", \"child\": \"goal-a\", \"toolUseID\": \"s1\", \"text\": \"Sort the apples.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 6, '2026-06-28T09:00:06.000000000Z', 'child.spawned', 'agent', '{"event": "{\"seq\": 6, \"time\": \"2026-06-28T09:00:06.000000000Z\", \"kind\": \"child.spawned\", \"actor\": \"agent\", \"goal\": \"01K0RUN0000000000000000002\", \"child\": \"goal-b\", \"toolUseID\": \"s2\", \"text\": \"Sort the pears.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 7, '2026-06-28T09:00:07.000000000Z', 'turn.started', 'agent', '{"event": "{\"seq\": 7, \"time\": \"2026-06-28T09:00:07.000000000Z\", \"kind\": \"turn.started\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-a\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 8, '2026-06-28T09:00:08.000000000Z', 'turn.started', 'agent', '{"event": "{\"seq\": 8, \"time\": \"2026-06-28T09:00:08.000000000Z\", \"kind\": \"turn.started\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-b\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 9, '2026-06-28T09:00:09.000000000Z', 'assistant.message', 'agent', '{"event": "{\"seq\": 9, \"time\": \"2026-06-28T09:00:09.000000000Z\", \"kind\": \"assistant.message\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-a\", \"text\": \"Apples: by colour.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 10, '2026-06-28T09:00:10.000000000Z', 'tool.call', 'agent', '{"event": "{\"seq\": 10, \"time\": \"2026-06-28T09:00:10.000000000Z\", \"kind\": \"tool.call\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-b\", \"tool\": \"look\", \"toolUseID\": \"tu_9\", \"input\": {\"at\": \"pears\"}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 11, '2026-06-28T09:00:11.000000000Z', 'turn.completed', 'agent', '{"event": "{\"seq\": 11, \"time\": \"2026-06-28T09:00:11.000000000Z\", \"kind\": \"turn.completed\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-a\", \"stopReason\": \"end_turn\", \"usage\": {\"inputTokens\": 50, \"outputTokens\": 5}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 12, '2026-06-28T09:00:12.000000000Z', 'tool.result', 'agent', '{"event": "{\"seq\": 12, \"time\": \"2026-06-28T09:00:12.000000000Z\", \"kind\": \"tool.result\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-b\", \"tool\": \"look\", \"toolUseID\": \"tu_9\", \"result\": \"no pears\", \"isError\": true}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 13, '2026-06-28T09:00:13.000000000Z', 'turn.completed', 'agent', '{"event": "{\"seq\": 13, \"time\": \"2026-06-28T09:00:13.000000000Z\", \"kind\": \"turn.completed\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"goal-b\", \"stopReason\": \"tool_use\", \"usage\": {\"inputTokens\": 40, \"outputTokens\": 7}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 14, '2026-06-28T09:00:14.000000000Z', 'child.completed', 'agent', '{"event": "{\"seq\": 14, \"time\": \"2026-06-28T09:00:14.000000000Z\", \"kind\": \"child.completed\", \"actor\": \"agent\", \"goal\": \"01K0RUN0000000000000000002\", \"child\": \"goal-a\", \"toolUseID\": \"s1\", \"result\": \"Apples: by colour.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 15, '2026-06-28T09:00:15.000000000Z', 'child.completed', 'agent', '{"event": "{\"seq\": 15, \"time\": \"2026-06-28T09:00:15.000000000Z\", \"kind\": \"child.completed\", \"actor\": \"agent\", \"goal\": \"01K0RUN0000000000000000002\", \"child\": \"goal-b\", \"toolUseID\": \"s2\", \"result\": \"there are none\", \"isError\": true}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 16, '2026-06-28T09:00:16.000000000Z', 'turn.completed', 'agent', '{"event": "{\"seq\": 16, \"time\": \"2026-06-28T09:00:16.000000000Z\", \"kind\": \"turn.completed\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000002\", \"stopReason\": \"tool_use\", \"usage\": {\"inputTokens\": 200, \"outputTokens\": 9, \"cacheReadTokens\": 64}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000002', 17, '2026-06-28T09:00:17.000000000Z', 'session.converged', 'agent', '{"event": "{\"seq\": 17, \"time\": \"2026-06-28T09:00:17.000000000Z\", \"kind\": \"session.converged\", \"actor\": \"agent\", \"text\": \"The apples are sorted; there are no pears.\"}"}', '');
