create table conversations (id text primary key, name text, model text);
create table responses (
    id text primary key, model text, prompt text, system text, prompt_json text, options_json text,
    response text, response_json text, conversation_id text, duration_ms integer, datetime_utc text,
    input_tokens integer, output_tokens integer, token_details text, schema_id text,
    resolved_model text, reasoning text
);
create table attachments (id text primary key, type text, path text, url text, content blob);
create table prompt_attachments (response_id text, attachment_id text, "order" integer);
create table fragments (id integer primary key, hash text, content text, datetime_utc text, source text);
create table prompt_fragments (response_id text, fragment_id integer, "order" integer);
create table system_fragments (response_id text, fragment_id integer, "order" integer);
create table schemas (id text primary key, content text);
create table tools (id integer primary key, hash text, name text, description text, input_schema text);
create table tool_calls (
    id integer primary key, response_id text, tool_id integer, name text, arguments text, tool_call_id text
);
create table tool_results (
    id integer primary key, response_id text, tool_id integer, name text, output text,
    tool_call_id text, instance_id integer, exception text
);
create table tool_results_attachments (tool_result_id integer, attachment_id text, "order" integer);
create table tool_instances (id integer primary key, plugin text, name text, arguments text);
insert into tool_instances values (1, 'vault', 'Vault', '{"token": "SECRET-instance"}');
create table fragment_aliases (alias text primary key, fragment_id integer);
insert into fragment_aliases values ('SECRET-alias', 1);
insert into conversations values ('01jx0000000000000000000001', 'Which lamp is this?', 'lamp-4');
insert into fragments values (1, 'h1', 'All lamps are numbered.', '2026-05-01T08:00:00+00:00', 'lamps.txt');
insert into fragments values (2, 'h2', 'You know lamps.', '2026-05-01T08:00:00+00:00', null);
insert into attachments values ('a1', 'image/png', null, null, x'89504e470d0a1a0a');
insert into attachments values ('a2', 'application/pdf', '/home/maja/lamp.pdf', null, null);
insert into attachments values ('a3', 'image/jpeg', null, 'https://lamps.example/3.jpg', null);
insert into schemas values ('s1', '{"type": "object"}');
insert into responses values (
    '01jx00000000000000000000r1', 'lamp-4', 'Which lamp is this?', 'Answer in one line.',
    '{"messages": ["all of it, again"]}', '{"temperature": 0.2}', '', null,
    '01jx0000000000000000000001', 900, '2026-05-01T08:00:01.500000+00:00', 120, 12,
    '{"prompt_tokens_details": {"cached_tokens": 20}, "completion_tokens_details": {"reasoning_tokens": 4}}',
    null, 'lamp-4-0501', 'The number tells.'
);
insert into prompt_fragments values ('01jx00000000000000000000r1', 1, 0);
insert into system_fragments values ('01jx00000000000000000000r1', 2, 0);
insert into prompt_attachments values ('01jx00000000000000000000r1', 'a1', 0);
insert into prompt_attachments values ('01jx00000000000000000000r1', 'a2', 1);
insert into tool_calls values (1, '01jx00000000000000000000r1', 1, 'look_up', '{"number": 7}', 'tc_1');
insert into tool_calls values (2, '01jx00000000000000000000r1', 1, 'look_up', '{"number": 8}', 'tc_2');
insert into responses values (
    '01jx00000000000000000000r2', 'lamp-4', '', 'Answer in one line.', null, '{}', 'A desk lamp. 💡', '{"id": "x"}',
    '01jx0000000000000000000001', 700, '2026-05-01T08:00:03+00:00', 150, 6,
    '{"cache_read_input_tokens": 30, "cache_creation_input_tokens": 10}', 's1', null, null
);
insert into system_fragments values ('01jx00000000000000000000r2', 2, 0);
insert into tool_results values (1, '01jx00000000000000000000r2', 1, 'look_up', 'desk lamp', 'tc_1', 1, null);
insert into tool_results values (2, '01jx00000000000000000000r2', 1, 'look_up', 'Error: no such lamp', 'tc_2', null, 'KeyError: 8');
insert into tool_results_attachments values (1, 'a3', 0);
insert into responses values (
    '01jx00000000000000000000r3', 'lamp-4', 'Alone', null, null, '{}', 'Outside any conversation.', null,
    null, 10, '2026-05-02T08:00:00+00:00', null, null, null, null, null, null
);
