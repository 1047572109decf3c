create table schema_version (version integer primary key, applied_at timestamp);
insert into schema_version values (5, 'SECRET-version');
create table sessions (
    id text primary key, name text not null default '', description text not null default '', user_set_name boolean default false,
    session_type text not null default 'user', working_dir text not null, created_at timestamp, updated_at timestamp,
    extension_data text default '{}', total_tokens integer, input_tokens integer, output_tokens integer,
    accumulated_total_tokens integer, accumulated_input_tokens integer, accumulated_output_tokens integer,
    schedule_id text, recipe_json text, user_recipe_values_json text
);
create table messages (
    id integer primary key autoincrement, session_id text not null, role text not null, content_json text not null,
    created_timestamp integer not null, timestamp timestamp, tokens integer, metadata_json text
);
insert into sessions (id, description, working_dir, created_at, updated_at, extension_data)
    values ('20251014_3', 'Old orchard', '/home/maja/orchard', '2025-10-14 10:00:00', '2025-10-14 10:00:00', '{"env": "SECRET-extension"}');
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_3', 'user', '[{"type": "text", "text": "Old question."}]', 1760436000);
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_3', 'assistant', '[{"type": "toolRequest", "id": "c1", "toolCall": {"status": "success", "value": {"name": "look", "arguments": {}}}}]', 1760436001);
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_3', 'user', '[{"type": "toolResponse", "id": "c1", "toolResult": {"status": "success", "value": [{"type": "text", "text": "seen"}]}}]', 1760436002);
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_3', 'assistant', '[{"type": "contextLengthExceeded", "msg": "too long"}]', 1760436003);
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_3', 'assistant', '[{"type": "text", "text": "Old answer."}]', 1760436004);
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_3', 'tool', '[]', 1760436005);
update sessions set accumulated_total_tokens = 110, accumulated_input_tokens = 90, accumulated_output_tokens = 20 where id = '20251014_3';
insert into sessions (id, description, working_dir, created_at, updated_at) values ('20251014_4', '', '/home/maja', '2025-10-14 11:00:00', '2025-10-14 11:00:00');
insert into messages (session_id, role, content_json, created_timestamp) values ('20251014_4', 'user', '[{"type": "text", "text": "Hello"}]', 1760439600);
update sessions set total_tokens = 7, input_tokens = 5, output_tokens = 2 where id = '20251014_4';
