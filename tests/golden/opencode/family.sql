create table project (id text primary key, worktree text not null);
create table session (
    id text primary key, project_id text not null, parent_id text, slug text not null,
    directory text not null, title text not null, version text not null, share_url text,
    cost real default 0 not null, tokens_input integer default 0 not null, revert text,
    permission text, time_created integer not null, time_updated integer not null,
    time_compacting integer, time_archived integer
);
create table message (
    id text primary key, session_id text not null, time_created integer not null,
    time_updated integer not null, data text not null
);
create table part (
    id text primary key, message_id text not null, session_id text not null,
    time_created integer not null, time_updated integer not null, data text not null
);
create table event_sequence (aggregate_id text primary key, seq integer not null, owner_id text);
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_orig', 'p1', null, 'quiet-pear', '/home/ada/pears', 'Count pears', '1.18.33', 'https://example.org/SECRET-link', null, 1765432100000, 1765432100500, null);
insert into message values ('msg_21', 'ses_orig', 1765432100010, 1765432100910, '{"role":"user","time":{"created":1765432100010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0001', 'msg_21', 'ses_orig', 1765432100010, 1765432100910, '{"type":"text","text":"Count the pears."}');
insert into message values ('msg_22', 'ses_orig', 1765432100020, 1765432100920, '{"role":"assistant","parentID":"msg_21","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":10,"output":2,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100020,"completed":1765432100820},"finish":"tool-calls"}');
insert into part values ('prt_0002', 'msg_22', 'ses_orig', 1765432100020, 1765432100920, '{"type":"tool","tool":"task","callID":"call_t","state":{"status":"completed","input":{"prompt":"Count.","subagent_type":"general"},"output":"12","title":"task","metadata":{"sessionId":"ses_child"},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into message values ('msg_23', 'ses_orig', 1765432100030, 1765432100930, '{"role":"assistant","parentID":"msg_21","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":12,"output":3,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100030,"completed":1765432100830},"finish":"stop"}');
insert into part values ('prt_0003', 'msg_23', 'ses_orig', 1765432100030, 1765432100930, '{"type":"text","text":"Twelve."}');
insert into message values ('msg_24', 'ses_orig', 1765432100040, 1765432100940, '{"role":"user","time":{"created":1765432100040},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0004', 'msg_24', 'ses_orig', 1765432100040, 1765432100940, '{"type":"text","text":"And apples?"}');
insert into message values ('msg_25', 'ses_orig', 1765432100050, 1765432100950, '{"role":"assistant","parentID":"msg_24","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":14,"output":4,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100050,"completed":1765432100850},"finish":"stop"}');
insert into part values ('prt_0005', 'msg_25', 'ses_orig', 1765432100050, 1765432100950, '{"type":"text","text":"Five."}');
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_child', 'p1', 'ses_orig', 'quiet-pear', '/home/ada/pears', 'Child session - 2025-12-11T05:48:20.000Z', '1.18.33', 'https://example.org/SECRET-link', null, 1765432100022, 1765432100522, null);
insert into message values ('msg_26', 'ses_child', 1765432100023, 1765432100923, '{"role":"user","time":{"created":1765432100023},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0006', 'msg_26', 'ses_child', 1765432100023, 1765432100923, '{"type":"text","text":"Count."}');
insert into message values ('msg_27', 'ses_child', 1765432100024, 1765432100924, '{"role":"assistant","parentID":"msg_26","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":5,"output":1,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100024,"completed":1765432100824},"finish":"stop"}');
insert into part values ('prt_0007', 'msg_27', 'ses_child', 1765432100024, 1765432100924, '{"type":"text","text":"12"}');
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_fork', 'p1', null, 'quiet-pear', '/home/ada/pears', 'Count pears (fork #1)', '1.18.33', 'https://example.org/SECRET-link', null, 1765432160000, 1765432160500, null);
insert into message values ('msg_31', 'ses_fork', 1765432100010, 1765432100910, '{"role":"user","time":{"created":1765432100010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0008', 'msg_31', 'ses_fork', 1765432100010, 1765432100910, '{"type":"text","text":"Count the pears."}');
insert into message values ('msg_32', 'ses_fork', 1765432100020, 1765432100920, '{"role":"assistant","parentID":"msg_31","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":10,"output":2,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100020,"completed":1765432100820},"finish":"tool-calls"}');
insert into part values ('prt_0009', 'msg_32', 'ses_fork', 1765432100020, 1765432100920, '{"type":"tool","tool":"task","callID":"call_t","state":{"status":"completed","input":{"prompt":"Count.","subagent_type":"general"},"output":"12","title":"task","metadata":{"sessionId":"ses_child"},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into message values ('msg_33', 'ses_fork', 1765432100030, 1765432100930, '{"role":"assistant","parentID":"msg_31","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":12,"output":3,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100030,"completed":1765432100830},"finish":"stop"}');
insert into part values ('prt_0010', 'msg_33', 'ses_fork', 1765432100030, 1765432100930, '{"type":"text","text":"Twelve."}');
insert into message values ('msg_38', 'ses_fork', 1765432160010, 1765432160910, '{"role":"user","time":{"created":1765432160010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0011', 'msg_38', 'ses_fork', 1765432160010, 1765432160910, '{"type":"text","text":"And plums?"}');
insert into message values ('msg_39', 'ses_fork', 1765432160020, 1765432160920, '{"role":"assistant","parentID":"msg_38","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":16,"output":5,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432160020,"completed":1765432160820},"finish":"stop"}');
insert into part values ('prt_0012', 'msg_39', 'ses_fork', 1765432160020, 1765432160920, '{"type":"text","text":"Seven."}');
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_fork2', 'p1', null, 'quiet-pear', '/home/ada/pears', 'Count pears (fork #2)', '1.18.33', 'https://example.org/SECRET-link', null, 1765432170000, 1765432170500, null);
insert into message values ('msg_41', 'ses_fork2', 1765432100010, 1765432100910, '{"role":"user","time":{"created":1765432100010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0013', 'msg_41', 'ses_fork2', 1765432100010, 1765432100910, '{"type":"text","text":"Count the pears."}');
insert into message values ('msg_42', 'ses_fork2', 1765432100020, 1765432100920, '{"role":"assistant","parentID":"msg_41","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":10,"output":2,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100020,"completed":1765432100820},"finish":"tool-calls"}');
insert into part values ('prt_0014', 'msg_42', 'ses_fork2', 1765432100020, 1765432100920, '{"type":"tool","tool":"task","callID":"call_t","state":{"status":"completed","input":{"prompt":"Count.","subagent_type":"general"},"output":"12","title":"task","metadata":{"sessionId":"ses_child"},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into message values ('msg_43', 'ses_fork2', 1765432100030, 1765432100930, '{"role":"assistant","parentID":"msg_41","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":12,"output":3,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100030,"completed":1765432100830},"finish":"stop"}');
insert into part values ('prt_0015', 'msg_43', 'ses_fork2', 1765432100030, 1765432100930, '{"type":"text","text":"Twelve."}');
insert into message values ('msg_48', 'ses_fork2', 1765432160010, 1765432160910, '{"role":"user","time":{"created":1765432160010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0016', 'msg_48', 'ses_fork2', 1765432160010, 1765432160910, '{"type":"text","text":"And plums?"}');
insert into message values ('msg_49', 'ses_fork2', 1765432170020, 1765432170920, '{"role":"assistant","parentID":"msg_48","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":16,"output":6,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432170020,"completed":1765432170820},"finish":"stop"}');
insert into part values ('prt_0017', 'msg_49', 'ses_fork2', 1765432170020, 1765432170920, '{"type":"text","text":"Eight, I think."}');
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_back', 'p1', null, 'quiet-pear', '/home/ada/pears', 'Taken back', '1.18.33', 'https://example.org/SECRET-link', null, 1765432180000, 1765432180500, null);
insert into message values ('msg_51', 'ses_back', 1765432180010, 1765432180910, '{"role":"user","time":{"created":1765432180010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0018', 'msg_51', 'ses_back', 1765432180010, 1765432180910, '{"type":"text","text":"Water the trees."}');
insert into message values ('msg_52', 'ses_back', 1765432180020, 1765432180920, '{"role":"assistant","parentID":"msg_51","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":1,"output":1,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432180020,"completed":1765432180820},"finish":"stop"}');
insert into part values ('prt_0019', 'msg_52', 'ses_back', 1765432180020, 1765432180920, '{"type":"text","text":"Watered."}');
insert into message values ('msg_53', 'ses_back', 1765432180030, 1765432180930, '{"role":"user","time":{"created":1765432180030},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0020', 'msg_53', 'ses_back', 1765432180030, 1765432180930, '{"type":"text","text":"Cut them down."}');
insert into message values ('msg_54', 'ses_back', 1765432180040, 1765432180940, '{"role":"assistant","parentID":"msg_53","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":2,"output":1,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432180040,"completed":1765432180840},"finish":"stop"}');
insert into part values ('prt_0021', 'msg_54', 'ses_back', 1765432180040, 1765432180940, '{"type":"text","text":"Cut."}');
update session set revert = '{"messageID":"msg_53","snapshot":"4c3e"}' where id = 'ses_back';
insert into event_sequence values ('ses_orig', 9, null);
insert into event_sequence values ('ses_child', 10, null);
insert into event_sequence values ('ses_fork', 11, null);
insert into event_sequence values ('ses_fork2', 12, null);
insert into event_sequence values ('ses_back', 13, null);
