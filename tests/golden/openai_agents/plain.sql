create table agent_sessions (session_id text primary key, created_at timestamp, updated_at timestamp);
create table agent_messages (
    id integer primary key autoincrement, session_id text not null, message_data text not null,
    created_at timestamp
);
create table credentials (token text);
insert into credentials values ('SECRET-1');
insert into agent_sessions values ('1', '2026-05-01 10:00:00', '2026-05-01 10:00:00');
insert into agent_sessions values ('empty', '2026-05-01 10:00:01', '2026-05-01 10:00:01');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"role": "user", "content": "How warm is it in Orchard Street? ☂"}', '2026-05-01 10:00:02');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Ask the sensor"}]}', '2026-05-01 10:00:03');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read_sensor", "arguments": "{\"street\": \"Orchard\"}"}', '2026-05-01 10:00:03');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"type": "function_call_output", "call_id": "call_1", "output": "{\"celsius\": 21}"}', '2026-05-01 10:00:05');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "21 °C."}]}', '2026-05-01 10:00:06');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', 'no JSON at all', '2026-05-01 10:00:07');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"__enc__": 1, "v": 1, "kid": "k", "payload": "c2VhbGVk"}', '2026-05-01 10:00:08');
insert into agent_messages (session_id, message_data, created_at) values
    ('1', '{"role": "user", "content": [{"type": "input_text", "text": "And this?"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]}', '2026-05-01 10:00:09');
