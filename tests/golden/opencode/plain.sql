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
create table account (id text primary key, access_token text not null, refresh_token text not null);
create table credential (id text primary key, label text not null, value text not null);
create table control_account (email text, access_token text);
create table session_share (session_id text primary key, id text, secret text not null, url text);
insert into account values ('a1', 'SECRET-access', 'SECRET-refresh');
insert into credential values ('c1', 'anthropic', 'SECRET-key');
insert into control_account values ('ada@example.org', 'SECRET-control');
insert into session_share values ('ses_plain', 's1', 'SECRET-share', 'https://example.org/s/s1');
insert into session (id, project_id, parent_id, slug, directory, title, version, share_url, revert, time_created, time_updated, time_archived)
    values ('ses_plain', 'p1', null, 'quiet-pear', '/home/ada/pears', 'New session - 2025-12-11T05:48:20.000Z', '1.18.33', 'https://example.org/SECRET-link', null, 1765432100000, 1765432100500, null);
insert into message values ('msg_01', 'ses_plain', 1765432100010, 1765432100910, '{"role":"user","time":{"created":1765432100010},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0001', 'msg_01', 'ses_plain', 1765432100010, 1765432100910, '{"type":"text","text":"How ripe are the pears? ☂"}');
insert into part values ('prt_0002', 'msg_01', 'ses_plain', 1765432100010, 1765432100910, '{"type":"text","text":"Called the Read tool with the following input: {\"filePath\":\"/home/ada/pears/log.txt\"}","synthetic":true}');
insert into part values ('prt_0003', 'msg_01', 'ses_plain', 1765432100010, 1765432100910, '{"type":"file","mime":"text/plain","filename":"log.txt","url":"data:text/plain;base64,cGVhcg=="}');
insert into part values ('prt_0004', 'msg_01', 'ses_plain', 1765432100010, 1765432100910, '{"type":"file","mime":"image/png","filename":"pear.png","url":"data:image/png;base64,iVBORw0KGgo="}');
insert into message values ('msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"role":"assistant","parentID":"msg_01","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0.0042,"tokens":{"input":120,"output":30,"reasoning":12,"cache":{"read":4000,"write":50}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100020,"completed":1765432100820},"finish":"tool-calls"}');
insert into part values ('prt_0005', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"step-start","snapshot":"4c3e"}');
insert into part values ('prt_0006', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"reasoning","text":"Squeeze one.","metadata":{"anthropic":{"signature":"c2lnbmVk"}},"time":{"start":1765432100021,"end":1765432100022}}');
insert into part values ('prt_0007', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"text","text":"Let me squeeze one."}');
insert into part values ('prt_0008', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"tool","tool":"bash","callID":"toolu_1","state":{"status":"completed","input":{"command":"squeeze 1"},"output":"soft\n","title":"bash","metadata":{"exit":0},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into part values ('prt_0009', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"tool","tool":"read","callID":"toolu_2","state":{"status":"completed","input":{"filePath":"/home/ada/pears/pear.png"},"attachments":[{"type":"file","mime":"image/png","url":"data:image/png;base64,iVBORw0KGgo="}],"output":"Image read successfully","title":"read","metadata":{},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into part values ('prt_0010', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"tool","tool":"bash","callID":"toolu_3","state":{"status":"error","input":{"command":"squeeze 99"},"error":"there are but 12 pears","metadata":{},"time":{"start":1765432100000,"end":1765432100005}}}');
insert into part values ('prt_0011', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"step-finish","reason":"tool-calls","cost":0.0042,"tokens":{"input":120,"output":30,"reasoning":12,"cache":{"read":4000,"write":50}}}');
insert into part values ('prt_0012', 'msg_02', 'ses_plain', 1765432100020, 1765432100920, '{"type":"patch","hash":"444a","files":["/home/ada/pears/log.txt"]}');
insert into message values ('msg_03', 'ses_plain', 1765432100030, 1765432100930, '{"role":"assistant","parentID":"msg_01","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":10,"output":5,"reasoning":0,"cache":{"read":4100,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100030,"completed":1765432100830},"finish":"stop"}');
insert into part values ('prt_0013', 'msg_03', 'ses_plain', 1765432100030, 1765432100930, '{"type":"text","text":"They are soft. half a smile: \ud83d"}');
insert into message values ('msg_04', 'ses_plain', 1765432100040, 1765432100940, '{"role":"user","time":{"created":1765432100040},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0014', 'msg_04', 'ses_plain', 1765432100040, 1765432100940, '{"type":"text","text":"<system-reminder>Plan mode is active.</system-reminder>","synthetic":true}');
insert into message values ('msg_05', 'ses_plain', 1765432100050, 1765432100950, '{"role":"assistant","parentID":"msg_04","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100050,"completed":1765432100850},"finish":"stop","error":{"name":"APIError","data":{"message":"Overloaded","isRetryable":true}}}');
insert into message values ('msg_06', 'ses_plain', 1765432100060, 1765432100960, '{"role":"user","time":{"created":1765432100060},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0015', 'msg_06', 'ses_plain', 1765432100060, 1765432100960, '{"type":"text","text":"Go on, please."}');
insert into part values ('prt_0016', 'msg_06', 'ses_plain', 1765432100060, 1765432100960, '{"type":"text","text":"not for the model","ignored":true}');
insert into message values ('msg_07', 'ses_plain', 1765432100070, 1765432100970, '{"role":"assistant","parentID":"msg_06","mode":"build","agent":"build","path":{"cwd":"/home/ada/pears","root":"/home/ada/pears"},"cost":0,"tokens":{"input":7,"output":3,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"claude-sonnet-4-5","providerID":"anthropic","time":{"created":1765432100070}}');
insert into part values ('prt_0017', 'msg_07', 'ses_plain', 1765432100070, 1765432100970, '{"type":"tool","tool":"bash","callID":"toolu_4","state":{"status":"running","input":{"command":"sleep 9"},"metadata":{},"time":{"start":1765432100000}}}');
insert into part values ('prt_0018', 'msg_07', 'ses_plain', 1765432100070, 1765432100970, '{"type":"tool","tool":"bash","callID":"toolu_5","state":{"status":"pending","input":{},"raw":"{\"comm"}}');
insert into message values ('msg_08', 'ses_plain', 1765432100080, 1765432100980, '{"role":"user","time":{"created":1765432100080},"agent":"build","model":{"providerID":"anthropic","modelID":"claude-sonnet-4-5"}}');
insert into part values ('prt_0019', 'msg_08', 'ses_plain', 1765432100080, 1765432100980, '{"type":"subtask","prompt":"Count the pears","description":"count","agent":"general"}');
insert into part values ('prt_0020', 'msg_08', 'ses_plain', 1765432100080, 1765432100980, '{"type":"hologram","beam":1}');
insert into message values ('msg_09', 'ses_plain', 1765432100090, 1765432100990, 'no JSON at all');
update session set title = 'Ripe pears' where id = 'ses_plain';
insert into event_sequence values ('ses_plain', 31, null);
