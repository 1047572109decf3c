create table schema_version (version integer not null);
insert into schema_version values (30);
create table system_prompts (hash text primary key, prompt text not null);
insert into system_prompts values ('h1', 'You are Hermes, newer.');
create table secrets (value text);
insert into secrets values ('SECRET-newer');
create table sessions (
    id text primary key, source text not null, session_key text, model text, model_config text, system_prompt text,
    system_prompt_hash text, parent_session_id text, started_at real not null, ended_at real, end_reason text,
    message_count integer default 0, input_tokens integer default 0, output_tokens integer default 0, cwd text,
    title text, last_activity_at real, last_activity_description text, compression_recovery_deadline real
);
create table messages (
    id integer primary key autoincrement, session_id text not null, role text not null, content text,
    tool_call_id text, tool_calls text, tool_name text, timestamp real not null, _compressed_summary integer not null default 0,
    active integer not null default 1, compacted integer not null default 0
);
insert into sessions (id, source, session_key, model, system_prompt_hash, started_at, cwd)
    values ('20260901_100000_aaaa03', 'telegram', 'chat-7', 'moth-5', 'h1', 1788256800, '/home/maja/pond');
insert into messages (session_id, role, content, timestamp) values ('20260901_100000_aaaa03', 'user', 'What lives in the pond?', 1788256801);
update sessions set last_activity_at = 1788256801, last_activity_description = 'thinking' where id = '20260901_100000_aaaa03';
insert into messages (session_id, role, content, timestamp) values ('20260901_100000_aaaa03', 'assistant', 'Newts.', 1788256802);
update messages set active = 0, compacted = 1 where session_id = '20260901_100000_aaaa03';
insert into messages (session_id, role, content, timestamp, _compressed_summary) values ('20260901_100000_aaaa03', 'user', 'Earlier: newts.', 1788256803, 1);
update sessions set ended_at = 1788260000, end_reason = 'daily' where id = '20260901_100000_aaaa03';
insert into sessions (id, source, session_key, model, model_config, parent_session_id, started_at)
    values ('20260901_110000_bbbb03', 'telegram', 'chat-7', 'moth-5', '{"_branched_from": "another"}', '20260901_100000_aaaa03', 1788260001);
insert into messages (session_id, role, content, timestamp) values ('20260901_110000_bbbb03', 'user', 'Good morning', 1788260002);
