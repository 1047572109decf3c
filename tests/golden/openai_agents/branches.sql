create table agent_sessions (session_id text primary key, created_at timestamp, updated_at timestamp);
create table agent_messages (
    id integer primary key autoincrement, session_id text not null, message_data text not null,
    created_at timestamp
);
create table message_structure (
    id integer primary key autoincrement, session_id text, message_id integer, branch_id text,
    message_type text, sequence_number integer, user_turn_number integer, branch_turn_number integer,
    tool_name text, created_at timestamp
);
create table turn_usage (
    id integer primary key autoincrement, session_id text, branch_id text, user_turn_number integer,
    requests integer, input_tokens integer, output_tokens integer, total_tokens integer,
    input_tokens_details json, output_tokens_details json, created_at timestamp
);
insert into agent_sessions values ('adv', '2026-05-02 10:00:00', '2026-05-02 10:00:00');
insert into agent_messages (session_id, message_data, created_at) values
    ('adv', '{"role": "user", "content": "Name a pear."}', '2026-05-02 10:00:01');
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 1, 'main', 1);
insert into agent_messages (session_id, message_data, created_at) values
    ('adv', '{"id": "m1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Conference."}]}', '2026-05-02 10:00:02');
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 2, 'main', 2);
insert into turn_usage (session_id, branch_id, user_turn_number, requests, input_tokens, output_tokens, total_tokens, input_tokens_details, output_tokens_details, created_at)
    values ('adv', 'main', 1, 1, 30, 4, 34, '{"cached_tokens": 10}', '{"reasoning_tokens": 2}', '2026-05-02 10:00:02');
insert into agent_messages (session_id, message_data, created_at) values
    ('adv', '{"role": "user", "content": "Another."}', '2026-05-02 10:00:03');
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 3, 'main', 3);
insert into agent_messages (session_id, message_data, created_at) values
    ('adv', '{"id": "m2", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Williams."}]}', '2026-05-02 10:00:04');
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 4, 'main', 4);
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 1, 'side', 5);
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 2, 'side', 6);
insert into agent_messages (session_id, message_data, created_at) values
    ('adv', '{"role": "user", "content": "An apple instead."}', '2026-05-02 10:00:05');
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 5, 'side', 7);
insert into agent_messages (session_id, message_data, created_at) values
    ('adv', '{"id": "m3", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Boskoop."}]}', '2026-05-02 10:00:06');
insert into message_structure (session_id, message_id, branch_id, sequence_number) values ('adv', 6, 'side', 8);
