create table conversations (id text primary key, name text, model text);
create table responses (
    id text primary key, model text, prompt text, system text, response text, conversation_id text,
    datetime_utc text
);
create table attachments (id text primary key, type text, path text, url text, content blob);
create table fragments (id integer primary key, hash text, content text, datetime_utc text, source text);
create table schemas (id text primary key, content text);
create table messages (hash text primary key, parent_hash text, role text, provider_metadata text);
create table parts (
    id integer primary key, message_hash text, position integer, type text, tool_name text, text text,
    payload text
);
create table part_attachments (part_id integer, attachment_id text, "order" integer);
create table threads (id text primary key, name text, tip_message_hash text, forked_from text, datetime_utc text);
create table turns (
    id text primary key, thread_id text, parent_message_hash text, tip_message_hash text, model text,
    resolved_model text, options_json text, schema_id text, input_tokens integer, output_tokens integer,
    token_details text, duration_ms integer, datetime_utc text, response_json text
);
create table turn_fragments (turn_id text, fragment_id integer, "order" integer, kind text);
create table tool_instances (id integer primary key, plugin text, name text, arguments text);
insert into tool_instances values (1, 'vault', 'Vault', '{"token": "SECRET-instance"}');
insert into fragments values (1, 'h1', 'Tides come twice a day.', '2026-06-01T08:00:00+00:00', 'tides.txt');
insert into attachments values ('a1', 'image/png', null, null, x'89504e47');
insert into threads values ('01jz0000000000000000000001', 'When is high tide?', null, null, '2026-06-01 08:00:00+00:00');
insert into parts values (1, 'b2:01', 0, 'text', null, 'Be brief.', null);
insert into messages values ('b2:01', null, 'system', null);
insert into parts values (2, 'b2:02', 0, 'text', null, null, '{"text_ref": [{"fragment": 1}, {"literal": "\nWhen is high tide?"}]}');
insert into parts values (3, 'b2:02', 1, 'attachment', null, null, '{"attachment": {"id": "a1"}}');
insert into part_attachments values (3, 'a1', 0);
insert into messages values ('b2:02', 'b2:01', 'user', null);
insert into parts values (4, 'b2:03', 0, 'reasoning', null, 'Ask the gauge.', '{"provider_metadata": {"anthropic": {"signature": "c2ln"}}}');
insert into parts values (5, 'b2:03', 1, 'tool_call', 'gauge', null, '{"name": "gauge", "arguments": {"port": "Husum"}, "tool_call_id": "tc_1"}');
insert into messages values ('b2:03', 'b2:02', 'assistant', '{"anthropic": {"id": "m1"}}');
insert into turns values ('01jz00000000000000000000t1', '01jz0000000000000000000001', 'b2:02', 'b2:03', 'tide-1', 'tide-1-0601', '{"temperature": 0}', null, 80, 9, '{"prompt_tokens_details": {"cached_tokens": 16}}', 500, '2026-06-01T08:00:01+00:00', '{"usage": {"$": "0.0.text"}}');
insert into turn_fragments values ('01jz00000000000000000000t1', 1, 0, 'prompt');
update threads set tip_message_hash = 'b2:03' where id = '01jz0000000000000000000001';
insert into parts values (6, 'b2:04', 0, 'tool_result', 'gauge', null, '{"name": "gauge", "output": "14:10", "tool_call_id": "tc_1"}');
insert into messages values ('b2:04', 'b2:03', 'tool', null);
insert into parts values (7, 'b2:05', 0, 'text', null, 'At 14:10.', null);
insert into parts values (8, 'b2:05', 1, 'hologram', null, null, '[1]');
insert into messages values ('b2:05', 'b2:04', 'assistant', null);
insert into turns values ('01jz00000000000000000000t2', '01jz0000000000000000000001', 'b2:04', 'b2:05', 'tide-1', null, '{}', null, 95, 4, null, 400, '2026-06-01T08:00:03+00:00', null);
update threads set tip_message_hash = 'b2:05' where id = '01jz0000000000000000000001';
insert into threads values ('01jz0000000000000000000002', 'a fork', 'b2:05', '01jz0000000000000000000001', '2026-06-01 09:00:00+00:00');
insert into parts values (9, 'b2:06', 0, 'text', null, 'And low tide?', null);
insert into messages values ('b2:06', 'b2:05', 'user', null);
insert into parts values (10, 'b2:07', 0, 'text', null, 'At 20:20.', null);
insert into messages values ('b2:07', 'b2:06', 'assistant', null);
insert into turns values ('01jz00000000000000000000t3', '01jz0000000000000000000002', 'b2:06', 'b2:07', 'tide-1', null, null, null, 110, 5, null, 300, '2026-06-01T09:00:01+00:00', null);
update threads set tip_message_hash = 'b2:07' where id = '01jz0000000000000000000002';
insert into threads values ('01jz0000000000000000000003', 'Hello', null, null, '2026-06-02 08:00:00+00:00');
insert into parts values (11, 'b2:08', 0, 'text', null, 'Hello', null);
insert into messages values ('b2:08', 'b2:01', 'user', null);
insert into parts values (12, 'b2:09', 0, 'text', null, 'Hi.', null);
insert into messages values ('b2:09', 'b2:08', 'assistant', null);
insert into turns values ('01jz00000000000000000000t4', '01jz0000000000000000000003', 'b2:08', 'b2:09', 'tide-1', null, null, null, 20, 2, null, 200, '2026-06-02T08:00:01+00:00', null);
update threads set tip_message_hash = 'b2:09' where id = '01jz0000000000000000000003';
insert into parts values (13, 'b2:10', 0, 'text', null, 'Good morning', null);
insert into messages values ('b2:10', 'b2:01', 'user', null);
insert into parts values (14, 'b2:11', 0, 'text', null, 'Morning!', null);
insert into messages values ('b2:11', 'b2:10', 'assistant', null);
insert into turns values ('01jz00000000000000000000t5', '01jz0000000000000000000003', 'b2:10', 'b2:11', 'tide-1', null, null, null, 21, 2, null, 200, '2026-06-02T08:10:01+00:00', null);
update threads set tip_message_hash = 'b2:11' where id = '01jz0000000000000000000003';
