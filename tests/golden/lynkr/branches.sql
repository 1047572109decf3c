create table sessions (
    id text primary key, created_at integer not null, updated_at integer not null, metadata text not null
);
create table session_history (
    id integer primary key autoincrement, session_id text not null, role text, type text, status integer,
    content text, metadata text, timestamp integer not null
);
create table memories (id integer primary key, content text);
insert into memories values (1, 'SECRET-1');
create table edits (session_id text, before_content text);
insert into edits values ('5f5e7c1e-0000-4000-8000-000000000001', 'SECRET-2');
insert into sessions values ('test', 1784100000050, 1784100009050, '{"client": "test"}');
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'user', 'message', null, '{"raw": [{"role": "user", "content": "Count the pears."}], "normalized": [{"role": "user", "content": "Count the pears."}]}', null, 1784100000100);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'message', 200, '{"id": "msg_b1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Seven."}], "usage": {"input_tokens": 10, "output_tokens": 2}}', '{"termination": "completion"}', 1784100000300);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'user', 'message', null, '{"raw": [{"role": "user", "content": "Count the pears."}, {"role": "assistant", "content": "Seven."}, {"role": "user", "content": "And the apples?"}], "normalized": [{"role": "user", "content": "Count the pears."}, {"role": "assistant", "content": "Seven."}, {"role": "user", "content": "And the apples?"}]}', null, 1784100000350);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'message', 200, '{"id": "msg_b2", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Nine."}], "usage": {"input_tokens": 10, "output_tokens": 2}}', '{"termination": "completion", "cacheHit": true}', 1784100000400);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'user', 'message', null, '{"raw": [{"role": "user", "content": "Make a title for: Count the pears."}], "normalized": [{"role": "user", "content": "Make a title for: Count the pears."}]}', null, 1784100000450);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'message', 200, '{"id": "msg_b3", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Pears"}], "usage": {"input_tokens": 10, "output_tokens": 2}}', '{"termination": "completion"}', 1784100000500);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'user', 'message', null, '{"raw": [{"role": "user", "content": "Count the pears."}, {"role": "assistant", "content": "Seven."}, {"role": "user", "content": "And the plums?"}], "normalized": [{"role": "user", "content": "Count the pears."}, {"role": "assistant", "content": "Seven."}, {"role": "user", "content": "And the plums?"}]}', null, 1784100000550);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'message', 200, '{"id": "msg_b4", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "None."}], "usage": {"input_tokens": 10, "output_tokens": 2}}', '{"termination": "completion"}', 1784100000600);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'user', 'message', null, '{"raw": [{"role": "user", "content": "Summary: seven pears, no plums."}, {"role": "user", "content": "Go on"}], "normalized": [{"role": "user", "content": "Summary: seven pears, no plums."}, {"role": "user", "content": "Go on"}]}', null, 1784100000650);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'message', 200, '[{"type": "text", "text": "There is nothing else."}]', '{"termination": "completion"}', 1784100000700);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'message', 200, 'half {', null, 1784100000710);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'user', 'message', null, '{"raw": [1, {"role": "user", "content": "still here"}], "normalized": []}', null, 1784100000720);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'system', 'note', null, '{"kept": true}', null, 1784100000730);
insert into session_history (session_id, role, type, status, content, metadata, timestamp) values
    ('test', 'assistant', 'error', 504, '{"error": "max_steps_exceeded", "limits": {"steps": 8}}', '{"termination": "max_steps"}', 1784100000740);
