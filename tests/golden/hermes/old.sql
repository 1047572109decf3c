create table schema_version (version integer not null);
insert into schema_version values (9);
create table sessions (
    id text primary key, source text not null, model text, model_config text, system_prompt text,
    parent_session_id text, started_at real not null, ended_at real, end_reason text, message_count integer,
    tool_call_count integer, input_tokens integer, output_tokens integer, title text
);
create table messages (
    id integer primary key autoincrement, session_id text not null, role text not null, content text,
    tool_call_id text, tool_calls text, tool_name text, timestamp real not null, token_count integer,
    finish_reason text, reasoning text
);
create table api_keys (value text);
insert into api_keys values ('SECRET-key');
insert into sessions (id, source, model, started_at) values ('20260101_100000_aaaa02', 'cli', 'moth-1', 1767261600);
insert into messages (session_id, role, content, timestamp, reasoning) values ('20260101_100000_aaaa02', 'system', 'Be kind.', 1767261601, null);
insert into messages (session_id, role, content, timestamp) values ('20260101_100000_aaaa02', 'user', 'Plan a pond', 1767261602);
insert into messages (session_id, role, content, timestamp, reasoning) values ('20260101_100000_aaaa02', 'assistant', 'Dig.', 1767261603, 'A hole first');
update sessions set input_tokens = 30, output_tokens = 4 where id = '20260101_100000_aaaa02';
update sessions set ended_at = 1767261700, end_reason = 'branched' where id = '20260101_100000_aaaa02';
insert into sessions (id, source, model, parent_session_id, started_at)
    values ('20260101_101000_bbbb02', 'cli', 'moth-1', '20260101_100000_aaaa02', 1767261701);
insert into messages (session_id, role, content, timestamp) values
    ('20260101_101000_bbbb02', 'system', 'Be kind.', 1767261701.1),
    ('20260101_101000_bbbb02', 'user', 'Plan a pond', 1767261701.2),
    ('20260101_101000_bbbb02', 'assistant', 'Dig.', 1767261701.3),
    ('20260101_101000_bbbb02', 'user', 'How deep?', 1767261702);
insert into sessions (id, source, model, parent_session_id, started_at)
    values ('20260101_102000_cccc02', 'cli', 'moth-1', '20260101_101000_bbbb02', 1767261800);
insert into messages (session_id, role, content, timestamp) values ('20260101_102000_cccc02', 'user', 'Find the depth of ponds.', 1767261801);
insert into messages (session_id, role, content, timestamp) values ('20260101_102000_cccc02', 'assistant', '80 cm', 1767261802);
