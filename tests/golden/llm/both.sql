create table conversations (id text primary key, name text, model text);
create table responses (
    id text primary key, model text, prompt text, system text, response text, conversation_id text,
    datetime_utc text, input_tokens integer, output_tokens integer, token_details text
);
create table tool_instances (id integer primary key, arguments text);
insert into tool_instances values (1, '{"token": "SECRET-instance"}');
insert into conversations values ('01k00000000000000000000001', 'Name a moth', 'moth-1');
insert into responses values ('01k000000000000000000000r1', 'moth-1', 'Name a moth', null, 'Hawk moth.', '01k00000000000000000000001', '2026-07-01T08:00:00+00:00', 10, 3, null);
insert into responses values ('01k000000000000000000000r2', 'moth-1', 'Another', null, 'Death''s-head.', '01k00000000000000000000001', '2026-07-01T08:01:00+00:00', 18, 4, null);
create table messages (hash text primary key, parent_hash text, role text, provider_metadata text);
create table parts (
    id integer primary key, message_hash text, position integer, type text, tool_name text, text text,
    payload text
);
create table threads (id text primary key, name text, tip_message_hash text, forked_from text, datetime_utc text);
create table turns (
    id text primary key, thread_id text, parent_message_hash text, tip_message_hash text, model text,
    resolved_model text, options_json text, schema_id text, input_tokens integer, output_tokens integer,
    token_details text, duration_ms integer, datetime_utc text, response_json text
);
insert into parts values (1, 'b2:21', 0, 'text', null, 'Name a moth', null);
insert into messages values ('b2:21', null, 'user', null);
insert into parts values (2, 'b2:22', 0, 'text', null, 'Hawk moth.', null);
insert into messages values ('b2:22', 'b2:21', 'assistant', null);
insert into parts values (3, 'b2:23', 0, 'text', null, 'Another', null);
insert into messages values ('b2:23', 'b2:22', 'user', null);
insert into parts values (4, 'b2:24', 0, 'text', null, 'Death''s-head.', null);
insert into messages values ('b2:24', 'b2:23', 'assistant', null);
insert into parts values (5, 'b2:25', 0, 'text', null, 'A third', null);
insert into messages values ('b2:25', 'b2:24', 'user', null);
insert into parts values (6, 'b2:26', 0, 'text', null, 'Emperor moth.', null);
insert into messages values ('b2:26', 'b2:25', 'assistant', null);
insert into turns values ('01k000000000000000000000t3', '01k00000000000000000000001', 'b2:25', 'b2:26', 'moth-1', null, '{}', null, 27, 3, null, 100, '2026-07-02T08:00:00+00:00', null);
insert into threads values ('01k00000000000000000000001', 'A third', 'b2:26', null, '2026-07-02 08:00:00+00:00');
