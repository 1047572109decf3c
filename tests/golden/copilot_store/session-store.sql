create table schema_version (version integer not null);
insert into schema_version values (8);
create table sessions (id text primary key, cwd text, repository text, host_type text, branch text, summary text, created_at text, updated_at text);
create table turns (id integer primary key, session_id text, user_message text, assistant_response text);
create table assistant_usage_events (
    id integer primary key autoincrement, session_id text not null, turn_index integer, agent_id text,
    parent_tool_call_id text, model text not null, copilot_usage_model text, input_tokens integer,
    output_tokens integer, cache_read_tokens integer, cache_write_tokens integer,
    reasoning_tokens integer, total_nano_aiu integer, initiator text, created_at text
);
insert into sessions values ('7d000000-0000-4000-8000-000000000001', '/home/ada/orchard', 'ada/orchard', 'github', 'main', 'Trees', '2026-05-06 07:00:00', '2026-05-06 07:05:00');
insert into turns values (1, '7d000000-0000-4000-8000-000000000001', 'SECRET-prompt', 'SECRET-answer');
insert into assistant_usage_events (session_id, turn_index, model, copilot_usage_model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, total_nano_aiu, created_at)
    values ('7d000000-0000-4000-8000-000000000001', 0, 'auto', 'gpt-orchard', 1000, 40, 700, 100, 12, 5000000, '2026-05-06 07:00:09');
insert into assistant_usage_events (session_id, turn_index, agent_id, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, created_at)
    values ('7d000000-0000-4000-8000-000000000001', 0, 'agent-1', 'gpt-sapling', 300, 8, 100, null, '2026-05-06T07:00:12.500Z');
insert into assistant_usage_events (session_id, turn_index, model, input_tokens, output_tokens, created_at)
    values ('7d000000-0000-4000-8000-000000000002', 0, 'gpt-orchard', 90, 7, null);
