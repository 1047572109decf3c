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
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_long', 'p1', null, 'quiet-pear', '/home/ada/pears', 'A long walk', '1.18.33', 'https://example.org/SECRET-link', null, 1765432100000, 1765432100500, 1765432109999);
insert into message values ('msg_11', 'ses_long', 1765432100010, 1765432100910, '{"role":"user","time":{"created":1765432100010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0001', 'msg_11', 'ses_long', 1765432100010, 1765432100910, '{"type":"text","text":"Walk to the mill."}');
insert into message values ('msg_12', 'ses_long', 1765432100020, 1765432100920, '{"role":"assistant","parentID":"msg_11","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":100,"output":10,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100020,"completed":1765432100820},"finish":"stop"}');
insert into part values ('prt_0002', 'msg_12', 'ses_long', 1765432100020, 1765432100920, '{"type":"text","text":"I am at the mill."}');
insert into message values ('msg_13', 'ses_long', 1765432100030, 1765432100930, '{"role":"user","time":{"created":1765432100030},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0003', 'msg_13', 'ses_long', 1765432100030, 1765432100930, '{"type":"text","text":"And to the brook."}');
insert into message values ('msg_14', 'ses_long', 1765432100040, 1765432100940, '{"role":"assistant","parentID":"msg_13","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":200,"output":20,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100040,"completed":1765432100840},"finish":"tool-calls"}');
insert into part values ('prt_0004', 'msg_14', 'ses_long', 1765432100040, 1765432100940, '{"type":"tool","tool":"walk","callID":"call_1","state":{"status":"completed","input":{"to":"brook"},"output":"wet feet","title":"walk","metadata":{},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into message values ('msg_15', 'ses_long', 1765432100050, 1765432100950, '{"role":"user","time":{"created":1765432100050},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0005', 'msg_15', 'ses_long', 1765432100050, 1765432100950, '{"type":"compaction","auto":true,"tail_start_id":"msg_13"}');
insert into message values ('msg_16', 'ses_long', 1765432100060, 1765432100960, '{"role":"assistant","parentID":"msg_15","mode":"compaction","agent":"compaction","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":300,"output":30,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100060,"completed":1765432100860},"finish":"stop","summary":true}');
insert into part values ('prt_0006', 'msg_16', 'ses_long', 1765432100060, 1765432100960, '{"type":"text","text":"The mill was reached."}');
insert into message values ('msg_17', 'ses_long', 1765432100070, 1765432100970, '{"role":"user","time":{"created":1765432100070},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0007', 'msg_17', 'ses_long', 1765432100070, 1765432100970, '{"type":"text","text":"Continue if you have next steps.","synthetic":true}');
insert into message values ('msg_18', 'ses_long', 1765432100080, 1765432100980, '{"role":"assistant","parentID":"msg_17","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":50,"output":5,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100080,"completed":1765432100880},"finish":"stop"}');
insert into part values ('prt_0008', 'msg_18', 'ses_long', 1765432100080, 1765432100980, '{"type":"text","text":"On to the hill."}');
insert into message values ('msg_19', 'ses_long', 1765432100090, 1765432100990, '{"role":"user","time":{"created":1765432100090},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0009', 'msg_19', 'ses_long', 1765432100090, 1765432100990, '{"type":"compaction","auto":false}');
insert into message values ('msg_1a', 'ses_long', 1765432100091, 1765432100991, '{"role":"assistant","parentID":"msg_19","mode":"compaction","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100091,"completed":1765432100891},"finish":"stop","summary":true,"error":{"name":"MessageAbortedError","data":{"message":"Aborted"}}}');
insert into part values ('prt_0010', 'msg_1a', 'ses_long', 1765432100091, 1765432100991, '{"type":"text","text":"The mi"}');
