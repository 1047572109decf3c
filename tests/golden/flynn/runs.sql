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
insert into sessions values ('01K0RUN0000000000000000001', 'Plums in jars', 'claude-sonnet-4-6', '2026-06-28T09:00:00.000000000Z', '2026-06-28T09:00:00.000000000Z', 0);
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 1, '2026-06-28T09:00:01.000000000Z', 'session.started', 'agent', '{"event": "{\"seq\": 1, \"time\": \"2026-06-28T09:00:01.000000000Z\", \"kind\": \"session.started\", \"actor\": \"agent\", \"text\": \"How many plums fit in a jar?\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 2, '2026-06-28T09:00:02.000000000Z', 'turn.started', 'agent', '{"event": "{\"seq\": 2, \"time\": \"2026-06-28T09:00:02.000000000Z\", \"kind\": \"turn.started\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 3, '2026-06-28T09:00:03.000000000Z', 'assistant.message', 'agent', '{"event": "{\"seq\": 3, \"time\": \"2026-06-28T09:00:03.000000000Z\", \"kind\": \"assistant.message\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\", \"text\": \"I will measure.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 4, '2026-06-28T09:00:03.500000000Z', 'dispatch.start', 'agent', '{"action": "measure", "call": 1, "trust": "agent", "goal": "01K0RUN0000000000000000001"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 5, '2026-06-28T09:00:04.000000000Z', 'tool.call', 'agent', '{"event": "{\"seq\": 5, \"time\": \"2026-06-28T09:00:04.000000000Z\", \"kind\": \"tool.call\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\", \"tool\": \"measure\", \"toolUseID\": \"tu_1\", \"input\": {\"jar\": \"one litre\", \"fruit\": \"plum ☂\"}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 6, '2026-06-28T09:00:04.000000000Z', 'tool.call', 'agent', '{"event": "{\"seq\": 6, \"time\": \"2026-06-28T09:00:04.000000000Z\", \"kind\": \"tool.call\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\", \"tool\": \"weigh\", \"toolUseID\": \"tu_2\", \"input\": {}}"}', '');
insert into blobs values ('cc4951ec809d8832f22a735edf236b574d711e83b13e03f0e27f2e7bf1413d6b', '{"event": "{\"seq\": 7, \"kind\": \"tool.result\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\", \"tool\": \"measure\", \"toolUseID\": \"tu_1\", \"result\": \"11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n11\\n\"}"}', 373, 1);
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 7, '2026-06-28T09:00:05.000000000Z', 'tool.result', 'agent', 'null', 'cc4951ec809d8832f22a735edf236b574d711e83b13e03f0e27f2e7bf1413d6b');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 8, '2026-06-28T09:00:06.000000000Z', 'tool.result', 'agent', '{"event": "{\"seq\": 8, \"time\": \"2026-06-28T09:00:06.000000000Z\", \"kind\": \"tool.result\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\", \"tool\": \"weigh\", \"toolUseID\": \"tu_2\", \"result\": \"no scale\", \"isError\": true}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 9, '2026-06-28T09:00:07.000000000Z', 'turn.completed', 'agent', '{"event": "{\"seq\": 9, \"time\": \"2026-06-28T09:00:07.000000000Z\", \"kind\": \"turn.completed\", \"actor\": \"agent\", \"turn\": 1, \"goal\": \"01K0RUN0000000000000000001\", \"stopReason\": \"tool_use\", \"usage\": {\"inputTokens\": 900, \"outputTokens\": 30, \"cacheReadTokens\": 700, \"cacheWriteTokens\": 100}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 10, '2026-06-28T09:00:08.000000000Z', 'turn.started', 'agent', '{"event": "{\"seq\": 10, \"time\": \"2026-06-28T09:00:08.000000000Z\", \"kind\": \"turn.started\", \"actor\": \"agent\", \"turn\": 2, \"goal\": \"01K0RUN0000000000000000001\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 11, '2026-06-28T09:00:09.000000000Z', 'assistant.message', 'agent', '{"event": "{\"seq\": 11, \"time\": \"2026-06-28T09:00:09.000000000Z\", \"kind\": \"assistant.message\", \"actor\": \"agent\", \"turn\": 2, \"goal\": \"01K0RUN0000000000000000001\", \"text\": \"Eleven plums.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 12, '2026-06-28T09:00:09.000000000Z', 'turn.completed', 'agent', '{"event": "{\"seq\": 12, \"time\": \"2026-06-28T09:00:09.000000000Z\", \"kind\": \"turn.completed\", \"actor\": \"agent\", \"turn\": 2, \"goal\": \"01K0RUN0000000000000000001\", \"stopReason\": \"end_turn\", \"usage\": {\"inputTokens\": 1000, \"outputTokens\": 5}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 13, '2026-06-28T09:00:10.000000000Z', 'session.converged', 'agent', '{"event": "{\"seq\": 13, \"time\": \"2026-06-28T09:00:10.000000000Z\", \"kind\": \"session.converged\", \"actor\": \"agent\", \"text\": \"Eleven plums.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 14, '2026-06-28T09:00:11.000000000Z', 'spine.record', 'agent', '{"root": "ab"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 15, '2026-06-28T09:00:12.000000000Z', 'assistant.message', 'agent', 'half a pay', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('01K0RUN0000000000000000001', 16, '2026-06-28T09:00:13.000000000Z', 'tool.result', 'agent', 'null', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('sess-1', 1, '2026-06-28T09:00:20.000000000Z', 'session.started', 'agent', '{"event": "{\"seq\": 1, \"time\": \"2026-06-28T09:00:20.000000000Z\", \"kind\": \"session.started\", \"actor\": \"agent\", \"text\": \"Peel a turnip.\"}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('sess-1', 2, '2026-06-28T09:00:21.000000000Z', 'turn.started', 'agent', '{"event": "{\"seq\": 2, \"time\": \"2026-06-28T09:00:21.000000000Z\", \"kind\": \"turn.started\", \"actor\": \"agent\", \"turn\": 1}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('sess-1', 3, '2026-06-28T09:00:22.000000000Z', 'turn.completed', 'agent', '{"event": "{\"seq\": 3, \"time\": \"2026-06-28T09:00:22.000000000Z\", \"kind\": \"turn.completed\", \"actor\": \"agent\", \"turn\": 1, \"stopReason\": \"max_tokens\", \"usage\": {\"inputTokens\": 10, \"outputTokens\": 0}}"}', '');
insert into events (stream, seq, time, type, actor, payload, payload_blob) values
    ('sess-1', 4, '2026-06-28T09:00:23.000000000Z', 'session.stalled', 'agent', '{"event": "{\"seq\": 4, \"time\": \"2026-06-28T09:00:23.000000000Z\", \"kind\": \"session.stalled\", \"actor\": \"agent\", \"error\": \"budget exceeded\"}"}', '');
