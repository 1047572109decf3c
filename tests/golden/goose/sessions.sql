create table schema_version (version integer primary key, applied_at timestamp);
insert into schema_version values (15, 'SECRET-version');
create table provider_tokens (value text);
insert into provider_tokens values ('SECRET-token');
create table sessions (
    id text primary key, name text not null default '', description text not null default '', user_set_name boolean default false,
    session_type text not null default 'user', working_dir text not null, created_at timestamp, updated_at timestamp,
    extension_data text default '{}', total_tokens integer, input_tokens integer, output_tokens integer,
    cache_read_tokens integer, cache_write_tokens integer, accumulated_total_tokens integer,
    accumulated_input_tokens integer, accumulated_output_tokens integer, accumulated_cache_read_tokens integer,
    accumulated_cache_write_tokens integer, accumulated_cost real, schedule_id text, recipe_json text,
    user_recipe_values_json text, provider_name text, model_config_json text, goose_mode text not null default 'auto',
    archived_at timestamp, project_id text, parent_session_id text
);
create table messages (
    id integer primary key autoincrement, message_id text, session_id text not null, role text not null,
    content_json text not null, created_timestamp integer not null, timestamp timestamp default '2026-11-20 16:14:20',
    tokens integer, metadata_json text
);
create table usage_ledger (
    id integer primary key autoincrement, session_id text not null, created_timestamp integer not null, model text,
    input_tokens integer, output_tokens integer, total_tokens integer, cache_read_tokens integer,
    cache_write_tokens integer, cost real, cost_source text, is_compaction integer default 0
);
insert into sessions (id, name, working_dir, created_at, updated_at, extension_data, user_recipe_values_json, recipe_json, provider_name, model_config_json)
    values ('20260714_1', 'New session 1', '/home/maja/orchard', '2026-07-14 09:00:00', '2026-07-14 09:00:00',
    '{"env": "SECRET-extension"}', '{"key": "SECRET-recipe"}', '{"title": "Prune"}', 'anthropic', '{"model_name": "branch-4", "context_limit": 1000}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m1', '20260714_1', 'user', '[{"type": "text", "text": "Which trees need pruning? ☂"}, {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}]', 1784019600, '{"userVisible": true, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m2', '20260714_1', 'assistant', '[{"type": "thinking", "thinking": "Look first", "signature": "c2ln"}, {"type": "redactedThinking", "data": "b3BhcXVl"}, {"type": "text", "text": "I will look."}]', 1784019602, '{"userVisible": true, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m2', '20260714_1', 'assistant', '[{"type": "toolRequest", "id": "call_1", "toolCall": {"status": "success", "value": {"name": "camera__shot", "arguments": {"row": 3}}}}, {"type": "toolRequest", "id": "call_2", "toolCall": {"status": "error", "error": "-32602: no tool \"camra\""}}]', 1784019602, '{"userVisible": true, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m3', '20260714_1', 'user', '[{"type": "toolResponse", "id": "call_1", "toolResult": {"status": "success", "value": {"content": [{"type": "text", "text": "row 3"}, {"type": "image", "data": "iVBORw==", "mimeType": "image/png"}, {"type": "resource", "resource": {"uri": "tree://3.txt", "text": "old wood"}}, {"type": "resource", "resource": {"uri": "tree://3.bin", "mimeType": "x/y", "blob": "AAE="}}], "isError": true}}}, {"type": "toolResponse", "id": "call_2", "toolResult": {"status": "error", "error": "-32602: no tool \"camra\""}}]', 1784019603, '{"userVisible": true, "agentVisible": true}');
insert into usage_ledger (session_id, created_timestamp, model, input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, cost, cost_source)
    values ('20260714_1', 1784019603, 'branch-4', 140, 20, 160, 30, 10, 0.0125, 'provider_reported');
update sessions set name = 'Pruning the orchard', updated_at = '2026-07-14 09:00:04' where id = '20260714_1';
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m4', '20260714_1', 'assistant', '[{"type": "text", "text": "Row 3."}, {"type": "hologram", "x": 1}]', 1784019604, '{"userVisible": true, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m5', '20260714_1', 'assistant', '[{"type": "actionRequired", "data": {"actionType": "toolConfirmation", "id": "call_3"}}]', 1784019605, '{"userVisible": true, "agentVisible": false}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m6', '20260714_1', 'user', '[{"type": "text", "text": "And the hedge?"}]', 1784019606, '{"userVisible": true, "agentVisible": true}');
update messages set metadata_json = '{"userVisible": true, "agentVisible": false}' where session_id = '20260714_1';
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m7', '20260714_1', 'user', '[{"type": "text", "text": "Row 3 has old wood. The hedge was asked about."}]', 1784019607, '{"userVisible": false, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m8', '20260714_1', 'assistant', '[{"type": "text", "text": "Your context was compacted. The previous message contains a summary."}]', 1784019607, '{"userVisible": false, "agentVisible": true}');
insert into usage_ledger (session_id, created_timestamp, model, input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, cost, cost_source, is_compaction)
    values ('20260714_1', 1784019607, 'branch-4', 40, 5, 53, 6, 2, null, 'estimated', 1);
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m9', '20260714_1', 'assistant', '[{"type": "systemNotification", "notificationType": "inlineMessage", "msg": "Compaction complete"}]', 1784019607, '{"userVisible": true, "agentVisible": false}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m10', '20260714_1', 'user', '[{"type": "text", "text": "And the hedge?"}]', 1784019608, '{"userVisible": true, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m11', '20260714_1', 'assistant', '[{"type": "reasoning", "text": "Late in the year"}, {"type": "text", "text": "In autumn."}]', 1784019609000, null);
insert into sessions (id, name, user_set_name, session_type, working_dir, created_at, updated_at, provider_name, model_config_json, parent_session_id)
    values ('20260714_2', 'Count the trees', true, 'sub_agent', '/home/maja/orchard', '2026-07-14 09:01:00', '2026-07-14 09:01:40', 'anthropic', '{"model_name": "twig-1"}', '20260714_1');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m12', '20260714_2', 'user', '[{"type": "text", "text": "Count."}]', 1784019660, '{"userVisible": true, "agentVisible": true}');
insert into messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) values
    ('m13', '20260714_2', 'assistant', 'no list at all', 1784019661, '{"userVisible": true, "agentVisible": true}');
update sessions set accumulated_total_tokens = 33, accumulated_input_tokens = 30, accumulated_output_tokens = 3, accumulated_cache_read_tokens = 10,
    accumulated_cost = 0.001 where id = '20260714_2';
insert into sessions (id, name, working_dir, created_at, updated_at) values ('20260714_3', 'nothing said', '/home/maja', '2026-07-14 10:00:00', '2026-07-14 10:00:00');
