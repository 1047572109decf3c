create table schema_version (version integer not null);
insert into schema_version values (22);
create table state_meta (key text primary key, value text);
insert into state_meta values ('token', 'SECRET-meta');
create table gateway_routing (scope text, session_key text, entry_json text, updated_at real);
insert into gateway_routing values ('', 'k', '{"token": "SECRET-routing"}', 1);
create table sessions (
    id text primary key, source text not null, user_id text, origin_json text, model text, model_config text,
    system_prompt text, parent_session_id text, started_at real not null, ended_at real, end_reason text,
    message_count integer default 0, tool_call_count integer default 0, input_tokens integer default 0,
    output_tokens integer default 0, cache_read_tokens integer default 0, cache_write_tokens integer default 0,
    reasoning_tokens integer default 0, cwd text, git_branch text, billing_provider text, billing_base_url text,
    billing_mode text, estimated_cost_usd real, actual_cost_usd real, cost_status text, cost_source text,
    title text, api_call_count integer default 0, rewind_count integer not null default 0, archived integer default 0
);
create table messages (
    id integer primary key autoincrement, session_id text not null, role text not null, content text,
    tool_call_id text, tool_calls text, tool_name text, timestamp real not null, token_count integer,
    finish_reason text, reasoning text, reasoning_content text, reasoning_details text, codex_reasoning_items text,
    codex_message_items text, observed integer default 0, active integer not null default 1,
    compacted integer not null default 0, api_content text
);
create table session_model_usage (
    session_id text not null, model text not null, billing_provider text not null default '',
    billing_base_url text not null default '', billing_mode text not null default '', task text not null default '',
    api_call_count integer default 0, input_tokens integer default 0, output_tokens integer default 0,
    cache_read_tokens integer default 0, cache_write_tokens integer default 0, reasoning_tokens integer default 0,
    estimated_cost_usd real default 0, actual_cost_usd real default 0, cost_status text, cost_source text,
    first_seen real, last_seen real,
    primary key (session_id, model, billing_provider, billing_base_url, billing_mode, task)
);
insert into sessions (id, source, model, model_config, system_prompt, started_at, cwd, billing_provider)
    values ('20260501_100000_aaaa01', 'cli', 'moth-4', '{"max_iterations": 9}', 'You are Hermes.', 1777629600.5, '/home/maja/garden', 'openai');
insert into messages (session_id, role, content, timestamp)
    values ('20260501_100000_aaaa01', 'session_meta', null, 1777629600.6);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'user',
    char(0) || 'json:[{"type": "text", "text": "Which moth is this? ☂"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]', 1777629601.25);
insert into messages (session_id, role, content, tool_calls, timestamp, finish_reason, reasoning, reasoning_details)
    values ('20260501_100000_aaaa01', 'assistant', '', '[{"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{\"wings\": 2}"}}, {"id": "call_2", "type": "function", "function": {"name": "look_up", "arguments": "{\"wings\": 4}"}}]',
    1777629603, 'tool_calls', 'Count the wings', '[{"type": "reasoning.text", "text": "Count the wings", "signature": "c2ln"}, {"type": "reasoning.encrypted", "data": "c2VhbGVk"}]');
insert into messages (session_id, role, content, tool_call_id, tool_name, timestamp)
    values ('20260501_100000_aaaa01', 'tool', '{"kind": "hawk moth"}', 'call_1', 'look_up', 1777629604);
insert into messages (session_id, role, content, tool_call_id, tool_name, timestamp)
    values ('20260501_100000_aaaa01', 'tool', 'none', 'call_2', 'look_up', 1777629604.5);
insert into messages (session_id, role, content, timestamp, finish_reason, codex_reasoning_items)
    values ('20260501_100000_aaaa01', 'assistant', 'A hawk moth.', 1777629606, 'stop', '[{"type": "reasoning", "id": "rs_1", "encrypted_content": "ZW5j", "summary": [{"type": "summary_text", "text": "Sure of it"}]}]');
insert into session_model_usage values ('20260501_100000_aaaa01', 'moth-4', 'openai', '', '', '', 2, 900, 60, 300, 20, 15, 0.02, 0, 'estimated', 'catalog', 1777629603, 1777629606);
update sessions set message_count = 5, tool_call_count = 2, api_call_count = 3, input_tokens = 1000, output_tokens = 70,
    cache_read_tokens = 300, cache_write_tokens = 20, reasoning_tokens = 15, estimated_cost_usd = 0.025,
    cost_status = 'estimated' where id = '20260501_100000_aaaa01';
insert into session_model_usage values ('20260501_100000_aaaa01', 'small-1', 'openai', '', '', 'title_generation', 1, 40, 5, 0, 0, 0, 0, 0, 'included', null, 1777629607, 1777629607);
insert into messages (session_id, role, content, timestamp)
    values ('20260501_100000_aaaa01', 'oracle', 'of a later version', 1777629608);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'user', 'Adn what does it eat?', 1777629610);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'assistant', 'Adn?', 1777629611);
update messages set active = 0 where id in (8, 9);
update sessions set rewind_count = 1 where id = '20260501_100000_aaaa01';
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'user', 'And what does it eat?', 1777629620);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'assistant', 'Nectar.', 1777629621);
update messages set active = 0, compacted = 1 where session_id = '20260501_100000_aaaa01' and active = 1;
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'user', '[CONTEXT COMPACTION — REFERENCE ONLY] A hawk moth was found.', 1777629630);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'assistant', 'Nectar.', 1777629621);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'user', 'From which flowers?', 1777629640);
insert into messages (session_id, role, content, timestamp) values ('20260501_100000_aaaa01', 'assistant', 'Honeysuckle.', 1777629641);
update sessions set title = 'Hawk moths' where id = '20260501_100000_aaaa01';
insert into sessions (id, source, model, model_config, parent_session_id, started_at)
    values ('20260501_110000_bbbb01', 'cli', 'moth-4', '{"_branched_from": "20260501_100000_aaaa01"}', '20260501_100000_aaaa01', 1777633200);
insert into messages (session_id, role, content, timestamp) values
    ('20260501_110000_bbbb01', 'user', '[CONTEXT COMPACTION — REFERENCE ONLY] A hawk moth was found.', 1777633200.1),
    ('20260501_110000_bbbb01', 'assistant', 'Nectar. ', 1777633200.2),
    ('20260501_110000_bbbb01', 'user', 'From which flowers?', 1777633200.3),
    ('20260501_110000_bbbb01', 'assistant', 'Honeysuckle.', 1777633200.4);
insert into messages (session_id, role, content, timestamp) values ('20260501_110000_bbbb01', 'user', 'At night?', 1777633210);
insert into messages (session_id, role, content, timestamp) values ('20260501_110000_bbbb01', 'assistant', 'At dusk.', 1777633211);
update sessions set ended_at = 1777636800, end_reason = 'compression' where id = '20260501_100000_aaaa01';
insert into sessions (id, source, model, parent_session_id, started_at)
    values ('20260501_120000_cccc01', 'cli', 'moth-4', '20260501_100000_aaaa01', 1777636801);
insert into messages (session_id, role, content, timestamp) values ('20260501_120000_cccc01', 'user', '[CONTEXT COMPACTION — REFERENCE ONLY] Hawk moths drink from honeysuckle.', 1777636802);
insert into messages (session_id, role, content, timestamp) values ('20260501_120000_cccc01', 'user', 'Count those in the garden.', 1777636803);
insert into sessions (id, source, model, model_config, parent_session_id, started_at)
    values ('20260501_120010_dddd01', 'tool', 'small-1', '{"_delegate_from": "20260501_120000_cccc01"}', '20260501_120000_cccc01', 1777636810);
insert into messages (session_id, role, content, timestamp) values ('20260501_120010_dddd01', 'user', 'Count moths.', 1777636811);
insert into messages (session_id, role, content, timestamp) values ('20260501_120010_dddd01', 'assistant', '7', 1777636812);
update sessions set input_tokens = 50, output_tokens = 1, api_call_count = 1, cost_status = 'included' where id = '20260501_120010_dddd01';
insert into sessions (id, source, user_id, model, started_at)
    values ('20260502_080000_eeee01', 'telegram', '42', 'moth-4', 1777708800);
insert into messages (session_id, role, content, timestamp) values ('20260502_080000_eeee01', 'user', 'Hello', 1777708801);
insert into messages (session_id, role, content, timestamp) values ('20260502_080000_eeee01', 'assistant', 'Hello!', 1777708802);
insert into messages (session_id, role, content, timestamp) values ('20260502_080000_eeee01', 'user', 'Forget this', 1777708803);
insert into messages (session_id, role, content, timestamp) values ('20260502_080000_eeee01', 'assistant', 'Forgotten.', 1777708804);
update messages set active = 0 where session_id = '20260502_080000_eeee01' and timestamp > 1777708802;
insert into sessions (id, source, started_at) values ('20260502_090000_ffff01', 'cli', 1777712400);
