-- Every statement of the ledger that both databases run, by name. Parameters are :name.
-- Overrides for one dialect stand in queries.<dialect>.sql.

-- name: meta_get
select value from meta where name = :name;

-- name: meta_set
insert into meta (name, value) values (:name, :value)
on conflict (name) do update set value = excluded.value;

-- name: meta_drop
delete from meta where name = :name;

-- name: meta_backups
select name from meta where name like 'backup:%' order by name;

-- name: meta_erasures
select name, value from meta where name like 'erase:%' order by name;

-- name: project_get
select key, name, settings, audit_number, audit_chain from project where name = :name;

-- name: project_by_key
select key, name, settings, audit_number, audit_chain from project where key = :project;

-- name: project_add
insert into project (name, audit_chain) values (:name, :chain)
on conflict (name) do nothing;

-- name: project_list
select key, name, settings from project order by name;

-- name: project_settings
update project set settings = :settings where key = :project;

-- name: project_audited
update project set audit_number = :number, audit_chain = :chain
where key = :project and audit_number = :number - 1;

-- name: session_add
insert into session (project, id, frontend, user_id, title, title_rank, status, agent, created_ms,
    forked_session, forked_seq, spawned_by, imported_from)
values (:project, :id, :frontend, :user_id, :title, :title_rank, 'open', :agent, :created_ms,
    :forked_session, :forked_seq, :spawned_by, :imported_from)
returning key;

-- name: session_by_id
select key, project, id, status, title, title_rank from session
where id = :id and (cast(:project as bigint) is null or project = :project);

-- name: session_by_key
select key, project, id, status, title, title_rank from session where key = :session;

-- name: session_by_prefix
select id from session where id >= :low and id < :high
    and (cast(:project as bigint) is null or project = :project) order by id limit 3;

-- name: session_by_address
select key, project, id, status, title, title_rank from session
where project = :project and frontend = :frontend and user_id = :user_id;

-- name: session_by_import
select key, project, id, status, title, title_rank from session
where project = :project and imported_from = :imported_from;

-- name: sessions_by_import
select s.key, s.project from project p cross join session s
where s.project = p.key and s.imported_from = :imported_from order by s.key;

-- name: session_rebind
update session set frontend = :frontend, user_id = :user_id where key = :session;

-- name: session_retitle
update session set title = :title, title_rank = :rank where key = :session and title_rank <= :rank;

-- name: session_status
update session set status = :status where key = :session;

-- name: session_orphans
-- What was spawned by a session that was not known yet: `importer:name` or `importer:name#call`.
select key, project, spawned_by from session where spawned_by like '%:%';

-- name: sessions_spawned
-- Who spawned what, in one project or in all, oldest first.
select key, id, spawned_by, imported_from from session
where (cast(:project as bigint) is null or project = :project) and spawned_by is not null
order by key;

-- name: session_children
-- Sessions that one has spawned, with the call that did.
select s.id, s.spawned_by, s.title, s.agent, h.messages from session s
join head h on h.session = s.key
where s.project = :project and s.status <> 'erased'
    and (s.spawned_by = :id or s.spawned_by like :calls) order by s.key;

-- name: session_branches
-- Sessions that were branched from one, and where.
select s.id, s.forked_seq, s.title, s.created_ms, h.messages from session s
join head h on h.session = s.key
where s.project = :project and s.status <> 'erased' and s.forked_session = :id order by s.key;

-- name: session_largest
-- Which sessions hold the most: bytes that were handed in.
select s.id, s.title, p.name, count(*), sum(e.bytes) from entry e
join session s on s.key = e.session join project p on p.key = s.project
where (cast(:project as bigint) is null or e.project = :project) and s.status <> 'erased'
group by s.id, s.title, p.name order by 5 desc, 1 limit :limit;

-- name: session_find
-- Sessions as a person looks for them: those that run first, then the newest.
select s.id, exists(select 1 from span r where r.session = s.key
    and r.status in ('running', 'waiting')) as runs
from head h join session s on s.key = h.session
where (cast(:project as bigint) is null or s.project = :project)
    and (cast(:status as text) is null or s.status = :status)
    and (cast(:agent as text) is null or s.agent = :agent)
    and (cast(:words as text) is null or lower(s.title) like :words)
    and (cast(:since_ms as bigint) is null or h.updated_ms >= :since_ms)
    and (:spawned = 1 or s.spawned_by is null) and s.status <> 'erased'
    and (cast(:model as text) is null or exists(select 1 from usage u
        where u.session = s.key and u.model = :model))
    and (:failed = 0 or exists(select 1 from span f where f.session = s.key
        and f.status in ('error', 'timeout', 'abandoned')))
    and (:compacted = 0 or exists(select 1 from entry e where e.session = s.key
        and e.kind = 'compaction' and e.kind in ('compaction', 'config', 'label', 'repair', 'snapshot')))
order by runs desc, case cast(:sort as text)
        when 'created' then s.created_ms
        when 'messages' then h.messages
        when 'duration' then h.updated_ms - s.created_ms
        when 'tokens' then (select coalesce(sum(u.input + u.output + u.cache_read + u.cache_write), 0)
            from usage u where u.session = s.key)
        else h.updated_ms end desc,
    h.updated_ms desc, h.session desc limit :limit offset :skip;

-- name: session_card
-- What a list tells of one session beside what it is.
select h.turn,
    (select count(*) from span t where t.session = :session and t.kind = 'tool'),
    (select count(*) from span f where f.session = :session and f.kind <> 'turn'
        and f.status in ('error', 'timeout', 'abandoned')),
    (select count(*) from session b where b.project = s.project and b.forked_session = s.id),
    (select count(*) from checkpoint c where c.session = :session),
    (select coalesce(sum(u.input + u.cache_read + u.cache_write), 0) from usage u
        where u.session = :session),
    (select coalesce(sum(u.output), 0) from usage u where u.session = :session)
from head h join session s on s.key = h.session where h.session = :session;

-- name: session_spawned_by
update session set spawned_by = :spawned_by where key = :session;

-- name: session_pin
update session set pinned = :pinned where key = :session;

-- name: session_blank
update session set status = 'erased', title = null, title_rank = 0, frontend = null,
    user_id = null, agent = null, spawned_by = null, imported_from = null
where key = :session;

-- name: session_info
select s.id, p.name, s.title, s.status, s.frontend, s.user_id, s.agent, a.id, h.at_seq,
    h.last_seq - h.first_seq + 1, h.messages, s.created_ms, h.updated_ms, s.forked_session,
    s.forked_seq, s.spawned_by, s.imported_from, s.pinned, s.key
from session s join project p on p.key = s.project join head h on h.session = s.key
left join session a on a.key = h.at_session
where s.key = :session;

-- name: session_list
select s.id, p.name, s.title, s.status, s.frontend, s.user_id, s.agent, a.id, h.at_seq,
    h.last_seq - h.first_seq + 1, h.messages, s.created_ms, h.updated_ms, s.forked_session,
    s.forked_seq, s.spawned_by, s.imported_from, s.pinned, s.key
from head h join session s on s.key = h.session join project p on p.key = s.project
left join session a on a.key = h.at_session
where (cast(:project as bigint) is null or s.project = :project)
    and (cast(:status as text) is null or s.status = :status)
    and (cast(:agent as text) is null or s.agent = :agent)
    and (cast(:frontend as text) is null or s.frontend = :frontend)
    and (cast(:user_id as text) is null or s.user_id = :user_id)
    and (cast(:since_ms as bigint) is null or h.updated_ms >= :since_ms)
    and (cast(:until_ms as bigint) is null or h.updated_ms < :until_ms)
    and (:spawned = 1 or s.spawned_by is null)
    and s.status <> 'erased'
    and (cast(:before_ms as bigint) is null
        or h.updated_ms < :before_ms or (h.updated_ms = :before_ms and h.session < :before_key))
order by h.updated_ms desc, h.session desc limit :limit;

-- name: audit_erased
select count(*) from audit where action = 'erase';

-- name: session_choice
-- The keys and ids of what `session_list` would give without its limit.
select s.key, s.id from head h join session s on s.key = h.session
where (cast(:project as bigint) is null or s.project = :project)
    and (cast(:agent as text) is null or s.agent = :agent)
    and (cast(:since_ms as bigint) is null or h.updated_ms >= :since_ms)
    and (cast(:until_ms as bigint) is null or h.updated_ms < :until_ms)
    and s.status <> 'erased'
order by s.key;

-- name: session_keys
select key, project, id from session
where cast(:project as bigint) is null or project = :project order by key;

-- name: session_lineage
-- Where every session comes from, and where its head stands.
select s.key, s.id, s.forked_session, s.spawned_by, h.at_session, h.at_seq, s.agent, h.messages
from session s join head h on h.session = s.key
where (cast(:project as bigint) is null or s.project = :project) and s.status <> 'erased'
order by s.key;

-- name: session_labelled
-- Sessions with a checkpoint of a name.
select distinct session from checkpoint where label = :label and hidden_ms is null;

-- name: session_sharers
-- Other sessions of which a line, the head or a move lies on an entry of this one.
select s.key, s.id, l.parent_seq, s.status from line l join session s on s.key = l.session
where l.parent_session = :session and l.session <> :session
union
select s.key, s.id, h.at_seq, s.status from head h join session s on s.key = h.session
where h.at_session = :session and h.session <> :session
union
select s.key, s.id, m.from_seq, s.status from move m join session s on s.key = m.session
where m.from_session = :session and m.session <> :session
union
select s.key, s.id, m.to_seq, s.status from move m join session s on s.key = m.session
where m.to_session = :session and m.session <> :session;

-- name: session_sizes
select s.id, h.updated_ms, coalesce((select sum(e.bytes) from entry e
    where e.project = s.project and e.session = s.key and e.digest is null), 0)
from session s join head h on h.session = s.key
where s.project = :project and s.status <> 'erased' and s.pinned = 0
order by h.updated_ms desc, s.key desc;

-- name: head_add
insert into head (session, at_session, at_seq, last_seq, first_seq, chain, messages, updated_ms,
    audit_number, audit_chain)
values (:session, :at_session, :at_seq, :last_seq, :last_seq + 1, :chain, :messages, :updated_ms,
    :audit_number, :audit_chain);

-- name: head_look
select h.session, (select project from session where key = h.session),
    (select id from session where key = h.session),
    (select status from session where key = h.session), h.at_session, h.at_seq, h.last_seq, h.chain,
    h.version, h.messages, h.moves, h.undo_top, h.audit_number, h.audit_chain, h.lease_holder,
    h.lease_token, h.lease_until_ms, h.first_seq, h.events, h.event_chain, h.turn
from head h where h.session = :session;

-- name: head_sequences
select h.session, s.id, h.last_seq + h.events from head h join session s on s.key = h.session
where s.status <> 'erased' and (cast(:project as bigint) is null or s.project = :project);

-- name: head_end
select last_seq from head where session = :session;

-- name: head_turn
update head set turn = :turn where session = :session;

-- name: head_list
select session, last_seq, first_seq from head order by session;

-- name: head_appended
update head set at_session = :session, at_seq = :last_seq, last_seq = :last_seq, chain = :chain,
    version = version + 1, messages = :messages, turn = :turn, updated_ms = :updated_ms
where session = :session and version = :version;

-- name: head_saved
update head set at_session = :at_session, at_seq = :at_seq, last_seq = :last_seq,
    chain = :chain, messages = :messages, moves = :moves, undo_top = :undo_top, audit_number = :audit_number,
    audit_chain = :audit_chain, events = :events, event_chain = :event_chain, turn = :turn,
    updated_ms = coalesce(cast(:updated_ms as bigint), updated_ms), version = version + 1
where session = :session and version = :version;

-- name: head_lease
update head set lease_holder = :holder, lease_token = :token, lease_until_ms = :until_ms
where session = :session;

-- name: head_evented
update head set events = :events, event_chain = :event_chain, version = version + 1,
    updated_ms = case when :time_ms > updated_ms then :time_ms else updated_ms end
where session = :session and version = :version;

-- name: line_add
insert into line (session, start, parent_session, parent_seq)
values (:session, :start, :parent_session, :parent_seq);

-- name: line_of
select start, parent_session, parent_seq from line
where session = :session and start <= :seq order by start desc limit 1;

-- name: line_list
select start, parent_session, parent_seq from line where session = :session order by start;

-- name: entry_add
insert into entry (project, session, seq, kind, role, time_ms, format, body, blob, source, start,
    bytes, meta, nonce, chain, turn)
values (:project, :session, :seq, :kind, :role, :time_ms, :format, :body, :blob, :source, :start,
    :bytes, :meta, :nonce, :chain, :turn);

-- name: entry_range
select e.seq, e.kind, e.role, e.time_ms, e.format, e.body, e.blob, e.source, e.start, e.bytes,
    e.meta
from entry e where e.project = :project and e.session = :session
    and e.seq between :low and :high order by e.seq;

-- name: entry_range_back
select e.seq, e.kind, e.role, e.time_ms, e.format, e.body, e.blob, e.source, e.start, e.bytes,
    e.meta
from entry e where e.project = :project and e.session = :session
    and e.seq between :low and :high order by e.seq desc limit :limit;

-- name: entry_exists
select 1 from entry where project = :project and session = :session and seq = :seq;

-- name: entry_kind
select kind from entry e join session s on s.key = e.session
where e.project = s.project and e.session = :session and e.seq = :seq;

-- name: entry_chain
select chain from entry where project = :project and session = :session and seq = :seq;

-- name: entry_time
select time_ms from entry where project = :project and session = :session and seq = :seq;

-- name: entry_by_time
-- The newest entry of a session at a time.
select seq, time_ms from entry
where project = :project and session = :session and time_ms <= :time_ms
order by seq desc limit 1;

-- name: entry_turn
select turn from entry where project = :project and session = :session and seq = :seq;

-- name: entry_prompts
select seq from entry where project = :project and session = :session and role = 'user'
    and kind = 'message' and seq between :low and :high order by seq;

-- name: entry_set_turn
update entry set turn = :turn where project = :project and session = :session
    and seq between :low and :high;

-- name: entry_verify
select seq, kind, role, time_ms, format, body, blob, source, start, bytes, meta, nonce, digest,
    chain, turn
from entry where project = :project and session = :session and seq >= :low
order by seq limit :limit;

-- name: entry_last_kind
select seq, meta from entry where session = :session and kind = :kind
    and kind in ('compaction', 'config', 'label', 'repair', 'snapshot')
    and seq between :low and :high order by seq desc limit 1;

-- name: entry_of_kind
select seq from entry where session = :session and kind = :kind
    and kind in ('compaction', 'config', 'label', 'repair', 'snapshot')
    and seq between :low and :high order by seq desc;

-- name: entry_last_user
select seq from entry where project = :project and session = :session and role = 'user'
    and kind = 'message' and seq between :low and :high order by seq desc limit :limit;

-- name: entry_landmarks
-- What a timeline shows of a log: prompts, and what is no message. Newest first.
select seq, kind, time_ms, turn from entry where project = :project and session = :session
    and seq between :low and :high and ((kind = 'message' and role = 'user')
        or kind in ('compaction', 'config', 'repair', 'snapshot', 'handoff'))
order by seq desc limit :limit;

-- name: entry_count
select count(*) from entry where project = :project and session = :session
    and kind = 'message' and seq between :low and :high;

-- name: entry_newest
select max(id) from entry;

-- name: entry_sessions_after
select distinct session from entry where id > :cursor;

-- name: newest_rows
select coalesce((select max(id) from entry), 0), coalesce((select max(id) from event), 0);

-- name: sessions_with_rows_after
select session from entry where id > :entry union select session from event where id > :event;

-- name: entry_by_id
select project, session, seq, kind, role, time_ms, format, body, blob, source, start, bytes, meta
from entry where id = :id;

-- name: entry_print
select chain from entry where id = :id;

-- name: entry_for_index
select id, seq, kind, role, time_ms, format, body, blob, source, start, bytes, meta
from entry where project = :project and session = :session and seq > :after
order by seq limit :limit;

-- name: entry_sizes
select seq, bytes from entry where project = :project and session = :session
    and digest is null order by seq;

-- name: entry_body
select body, blob, source, start, bytes, nonce from entry
where project = :project and session = :session and seq = :seq and digest is null;

-- name: entry_erased
select e.id from entry e join session s on s.key = e.session
where e.project = s.project and e.session = :session and e.digest is not null;

-- name: entry_erase
update entry set body = null, blob = null, source = null, start = null, nonce = null,
    digest = :digest where project = :project and session = :session and seq = :seq;

-- name: blob_used
select 1 from entry where blob = :blob
union all select 1 from event where blob = :blob limit 1;

-- name: entry_stats
select count(*), coalesce(sum(bytes), 0) from entry
where cast(:project as bigint) is null or project = :project;

-- name: entry_page
select e.seq, e.kind, e.role, e.time_ms, e.format, e.body, e.blob, e.source, e.start, e.bytes,
    e.meta
from entry e where e.project = :project and e.session = :session
    and e.seq >= :low order by e.seq limit :limit;

-- name: event_add
insert into event (session, sequence, number, kind, ref, turn, time_ms, body, blob, bytes, nonce,
    chain)
values (:session, :sequence, :number, :kind, :ref, :turn, :time_ms, :body, :blob, :bytes, :nonce,
    :chain);

-- name: event_at
select sequence, number from event where session = :session and sequence <= :sequence
order by sequence desc limit 1;

-- name: event_since
select sequence, number, kind, ref, turn, time_ms, body, blob, bytes from event
where session = :session and sequence > :after order by sequence limit :limit;

-- name: event_get
select sequence, number, kind, ref, turn, time_ms, body, blob, bytes from event
where session = :session and sequence = :sequence;

-- name: event_updates
select sequence, number, kind, ref, turn, time_ms, body, blob, bytes from event
where session = :session and ref = :ref and kind = 'update' order by sequence;

-- name: event_verify
select sequence, number, kind, ref, turn, time_ms, body, blob, bytes, nonce, digest, chain
from event where session = :session and sequence > :after order by sequence limit :limit;

-- name: span_add
insert into span (project, session, id, kind, name, turn, ordinal, sequence, finish_sequence,
    status, late, owner, chat, message, call_id, parent, batch, attempt, effect, started_us,
    finished_us, latency_us, created_ms, error, error_type, input_bytes, output_bytes, tokens_used,
    cache_tokens, reasoning_tokens, provider, model, tier, complexity, request_type, fallback,
    retries, tokens_in, tokens_out, cache_read, cache_write, reasoning, first_token_us, cost,
    status_code, response_id)
values (:project, :session, :id, :kind, :name, :turn, :ordinal, :sequence, :finish_sequence,
    :status, :late, :owner, :chat, :message, :call_id, :parent, :batch, :attempt, :effect,
    :started_us, :finished_us, :latency_us, :created_ms, :error, :error_type, :input_bytes,
    :output_bytes, :tokens_used, :cache_tokens, :reasoning_tokens, :provider, :model, :tier,
    :complexity, :request_type, :fallback, :retries, :tokens_in, :tokens_out, :cache_read,
    :cache_write, :reasoning, :first_token_us, :cost, :status_code, :response_id);

-- name: span_put
update span set name = :name, finish_sequence = :finish_sequence, status = :status, late = :late,
    owner = :owner, chat = :chat, message = :message, call_id = :call_id, parent = :parent,
    batch = :batch, attempt = :attempt, effect = :effect, started_us = :started_us,
    finished_us = :finished_us, latency_us = :latency_us, error = :error,
    error_type = :error_type, input_bytes = :input_bytes, output_bytes = :output_bytes,
    tokens_used = :tokens_used, cache_tokens = :cache_tokens, reasoning_tokens = :reasoning_tokens,
    provider = :provider, model = :model, tier = :tier, complexity = :complexity,
    request_type = :request_type, fallback = :fallback, retries = :retries,
    tokens_in = :tokens_in, tokens_out = :tokens_out, cache_read = :cache_read,
    cache_write = :cache_write, reasoning = :reasoning, first_token_us = :first_token_us,
    cost = :cost, status_code = :status_code, response_id = :response_id
where session = :session and sequence = :sequence;

-- name: span_any
select 1 from span where session = :session limit 1;

-- name: span_between
select 1 from span where project = :project and id >= :low and id < :high limit 1;

-- name: span_get
select project, session, id, kind, name, turn, ordinal, sequence, finish_sequence,
    status, late, owner, chat, message, call_id, parent, batch, attempt, effect, started_us,
    finished_us, latency_us, created_ms, error, error_type, input_bytes, output_bytes, tokens_used,
    cache_tokens, reasoning_tokens, provider, model, tier, complexity, request_type, fallback,
    retries, tokens_in, tokens_out, cache_read, cache_write, reasoning, first_token_us, cost,
    status_code, response_id
from span where project = :project and id = :id;

-- name: span_page
select project, session, id, kind, name, turn, ordinal, sequence, finish_sequence,
    status, late, owner, chat, message, call_id, parent, batch, attempt, effect, started_us,
    finished_us, latency_us, created_ms, error, error_type, input_bytes, output_bytes, tokens_used,
    cache_tokens, reasoning_tokens, provider, model, tier, complexity, request_type, fallback,
    retries, tokens_in, tokens_out, cache_read, cache_write, reasoning, first_token_us, cost,
    status_code, response_id
from span where session = :session and sequence > :after
    and (cast(:kind as text) is null or kind = :kind)
    and (cast(:name as text) is null or name = :name)
    and (cast(:status as text) is null or status = :status)
    and (cast(:turn as bigint) is null or turn = :turn)
    and (cast(:chat as text) is null or chat = :chat)
    and (cast(:call_id as text) is null or call_id = :call_id)
order by sequence limit :limit;

-- name: span_tree
-- What is drawn of each span.
select sequence, id, parent, kind, name, status, turn, started_us, latency_us, batch, model,
    tokens_in, tokens_out, cache_read, cache_write, reasoning, cost, attempt, late,
    sequence - (select e.number from event e
        where e.session = s.session and e.sequence = s.sequence)
from span s where session = :session and sequence > :after order by sequence limit :limit;

-- name: span_last_sign
-- The newest moment at which an owner is known to have run something in a session.
select max(coalesce(finished_us, started_us)) from span
where session = :session and owner = :owner;

-- name: span_last_ordinal
select ordinal from span where session = :session and turn = :turn order by ordinal desc limit 1;

-- name: span_running
-- What runs anywhere, with who runs it.
select s.session, s.id, s.owner, o.host, o.boot, o.pid, o.started, o.seen_ms
from span s join owner o on o.key = s.owner
where s.status in ('running', 'waiting')
    and (cast(:project as bigint) is null or s.project = :project);

-- name: span_blank
update span set name = '', chat = null, message = null, call_id = null, error = null,
    error_type = null, batch = null, request_type = null, response_id = null, input_bytes = null,
    output_bytes = null
where session = :session;

-- name: span_stats
select count(*), coalesce(sum(case when status in ('running', 'waiting') then 1 else 0 end), 0)
from span where cast(:project as bigint) is null or project = :project;

-- name: owner_add
insert into owner (id, host, boot, pid, started, actor, since_ms, seen_ms)
values (:id, :host, :boot, :pid, :started, :actor, :now, :now)
on conflict (id) do update set seen_ms = excluded.seen_ms
returning key;

-- name: owner_key
select key from owner where id = :id;

-- name: owner_left
update owner set boot = :boot, seen_ms = :now where id = :id;

-- name: event_erase
update event set body = null, blob = null, nonce = null, digest = :digest
where session = :session and sequence = :sequence;

-- name: event_bodies
select sequence, body, blob, bytes, nonce from event
where session = :session and digest is null order by sequence;

-- name: blob_add
insert into blob (id, codec, bytes, body) values (:id, :codec, :bytes, :body)
on conflict (id) do nothing;

-- name: blob_get
select codec, bytes, body from blob where id = :id;

-- name: blob_drop
delete from blob where id = :id;

-- name: blob_ids
select id from blob;

-- name: checkpoint_add
insert into checkpoint (id, project, session, pre_session, pre_seq, post_session, post_seq, label,
    reason, tokens_before, tokens_after, number, created_ms)
values (:id, :project, :session, :pre_session, :pre_seq, :post_session, :post_seq, :label,
    :reason, :tokens_before, :tokens_after, :number, :created_ms);

-- name: checkpoint_get
select c.id, c.session, c.pre_session, c.pre_seq, c.post_session, c.post_seq, c.label, c.reason,
    c.tokens_before, c.tokens_after, c.created_ms
from checkpoint c where c.session = :session and c.id = :id;

-- name: checkpoint_prefix
select c.id from checkpoint c where c.session = :session and c.id like :pattern
    and c.hidden_ms is null order by c.id limit 3;

-- name: checkpoint_list
select c.id, c.session, c.pre_session, c.pre_seq, c.post_session, c.post_seq, c.label, c.reason,
    c.tokens_before, c.tokens_after, c.created_ms
from checkpoint c where c.session = :session and c.hidden_ms is null
    and (cast(:after as text) is null or c.number < (select b.number from checkpoint b
        where b.session = :session and b.id = :after))
order by c.number desc limit :limit;

-- name: checkpoint_all
select c.id, c.session, c.pre_session, c.pre_seq, c.post_session, c.post_seq, c.label, c.reason
from checkpoint c where c.session = :session order by c.id;

-- name: checkpoint_old
select c.session, c.id from checkpoint c join session s on s.key = c.session
where c.project = :project and c.created_ms < :before_ms and c.hidden_ms is null and s.pinned = 0
    and exists (select 1 from checkpoint n where n.session = c.session and n.hidden_ms is null
        and n.number > c.number);

-- name: checkpoint_hide
update checkpoint set hidden_ms = :now
where session = :session and id = :id and hidden_ms is null;

-- name: checkpoint_blank
update checkpoint set label = '' where session = :session;

-- name: move_add
insert into move (session, number, action, from_session, from_seq, to_session, to_seq, below,
    time_ms)
values (:session, :number, :action, :from_session, :from_seq, :to_session, :to_seq, :below,
    :time_ms);

-- name: move_get
select number, action, from_session, from_seq, to_session, to_seq, below, time_ms from move
where session = :session and number = :number;

-- name: move_list
select number, action, from_session, from_seq, to_session, to_seq, below, time_ms from move
where session = :session and (cast(:before as bigint) is null or number < :before)
order by number desc limit :limit;

-- name: places_elsewhere
-- Where a session stood, or what a line of it hangs on, in the log of another.
select from_session, from_seq from move where session = :session and from_session <> :session
union
select to_session, to_seq from move where session = :session and to_session <> :session
union
select parent_session, parent_seq from line
where session = :session and parent_session <> :session;

-- name: idempotency_add
insert into idempotency (session, key, first_seq, last_seq, digest)
values (:session, :key, :first_seq, :last_seq, :digest);

-- name: idempotency_get
select first_seq, last_seq, digest from idempotency where session = :session and key = :key;

-- name: idempotency_list
select key, first_seq, last_seq, digest from idempotency where session = :session order by key;

-- name: idempotency_forget
delete from idempotency where session = :session;

-- name: usage_set
insert into usage (project, call, session, seq, time_ms, model, provider, input, output,
    cache_read, cache_write, reasoning, cost)
values (:project, :call, :session, :seq, :time_ms, :model, :provider, :input, :output,
    :cache_read, :cache_write, :reasoning, :cost)
on conflict (project, call) do update set
    model = coalesce(excluded.model, usage.model),
    input = case when excluded.input > usage.input then excluded.input else usage.input end,
    output = case when excluded.output > usage.output then excluded.output else usage.output end,
    cache_read = case when excluded.cache_read > usage.cache_read then excluded.cache_read
        else usage.cache_read end,
    cache_write = case when excluded.cache_write > usage.cache_write then excluded.cache_write
        else usage.cache_write end,
    reasoning = case when excluded.reasoning > usage.reasoning then excluded.reasoning
        else usage.reasoning end,
    cost = case when excluded.cost is not null and (usage.cost is null
        or excluded.cost > usage.cost) then excluded.cost else usage.cost end,
    repeated = case when excluded.session <> usage.session then 1 else usage.repeated end,
    seq = case when excluded.session = usage.session and excluded.seq > usage.seq
        then excluded.seq else usage.seq end,
    time_ms = case when excluded.session = usage.session and excluded.seq > usage.seq
        then excluded.time_ms else usage.time_ms end;

-- name: usage_moved
-- A call that one span alone told of, and under another name now.
delete from usage where project = :project and call = :call and session = :session and seq = 0
    and repeated = 0 and not exists (select 1 from span s
        where s.session = :session and s.response_id = :response_id and s.id <> :id);

-- name: usage_list
select call, seq, time_ms, model, provider, input, output, cache_read, cache_write, reasoning,
    cost, session, repeated
from usage where session = :session order by seq, call;

-- name: usage_get
select call, seq, time_ms, model, provider, input, output, cache_read, cache_write, reasoning,
    cost, session, repeated
from usage where project = :project and call = :call;

-- name: usage_rows
select u.time_ms, u.model, u.provider, p.name, u.input, u.output, u.cache_read, u.cache_write,
    u.reasoning, u.cost
from usage u join project p on p.key = u.project
where (cast(:project as bigint) is null or u.project = :project)
    and (cast(:since_ms as bigint) is null or u.time_ms >= :since_ms)
    and (cast(:until_ms as bigint) is null or u.time_ms < :until_ms);

-- name: usage_of_session
select u.time_ms, u.model, u.provider, null, u.input, u.output, u.cache_read, u.cache_write,
    u.reasoning, u.cost
from usage u where u.session = :session limit :limit;

-- name: span_tools
-- How often each tool was called, how often it failed, and how long it took, in microseconds.
select name, count(*), sum(case when status in ('error', 'timeout', 'abandoned') then 1 else 0 end),
    coalesce(sum(latency_us), 0), coalesce(max(latency_us), 0)
from span where kind = 'tool' and (cast(:project as bigint) is null or project = :project)
    and (cast(:since_us as bigint) is null or started_us >= :since_us)
group by name order by 4 desc, name limit :limit;

-- name: span_tiers
-- Model calls by the tier that routed them.
select tier, count(*), sum(case when status in ('error', 'timeout', 'abandoned') then 1 else 0 end),
    coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), coalesce(sum(cost), 0),
    coalesce(sum(latency_us), 0)
from span where tier is not null and (cast(:project as bigint) is null or project = :project)
    and (cast(:since_us as bigint) is null or started_us >= :since_us)
group by tier order by tier;

-- name: usage_series
-- How full the context was at each model call of a session, and how much was said.
select seq, input + cache_read + cache_write, output from usage where session = :session
order by seq;

-- name: source_get
select key, project, session, generation, size, read_to, mtime_ns, checked, tail, state, note
from source where importer = :importer and path = :path order by generation desc limit 1;

-- name: source_seen
select path, size, mtime_ns from source where importer = :importer order by generation;

-- name: source_add
insert into source (project, session, importer, path, generation, size, read_to, mtime_ns, checked,
    tail, state, note, updated_ms)
values (:project, :session, :importer, :path, :generation, 0, 0, 0, :empty, :empty, :empty, null,
    :updated_ms)
returning key;

-- name: source_read
update source set size = :size, read_to = :read_to, mtime_ns = :mtime_ns, checked = :checked,
    tail = :tail, state = :state, note = :note, updated_ms = :updated_ms where key = :source;

-- name: source_list
select s.key, s.importer, s.path, s.generation, s.size, s.read_to, s.tail, s.note, s.session
from source s where s.session = :session order by s.key;

-- name: source_keys
select key from source order by key;

-- name: source_forget
update source set path = 'erased:' || cast(key as text), tail = :empty, state = :empty,
    checked = :empty, note = 'erased' where key = :source;

-- name: frame_add
insert into frame (source, start, bytes, digest, body)
values (:source, :start, :bytes, :digest, :body);

-- name: frame_of
select start, bytes, body from frame where source = :source and start <= :start
order by start desc limit 1;

-- name: frame_check
select digest, body from frame where source = :source and start = :start;

-- name: frame_spans
select start, bytes from frame where source = :source order by start;

-- name: frame_replace
update frame set body = :body, digest = :digest where source = :source and start = :start;

-- name: source_used
select start, bytes from entry where project = :project and session = :session
    and source = :source;

-- name: entries_of_no_source
-- How many entries of a session were not imported.
select count(*) from entry where project = :project and session = :session and source is null;

-- name: record_add
insert into record (project, native, session, seq) values (:project, :native, :session, :seq)
on conflict (project, native) do nothing;

-- name: record_get
select session, seq from record where project = :project and native = :native;

-- name: record_forget
delete from record where session = :session and seq in (select e.seq from entry e
    where e.project = record.project and e.session = :session and e.digest is not null);

-- name: audit_add
insert into audit (project, session, number, time_ms, actor, action, facts, chain)
values (:project, :session, :number, :time_ms, :actor, :action, :facts, :chain);

-- name: audit_chain
select number, time_ms, actor, action, facts, chain from audit
where project = :project and session = :session and number > :after order by number limit :limit;

-- name: audit_list
select p.name, s.id, a.number, a.time_ms, a.actor, a.action, a.facts, a.chain
from audit a join project p on p.key = a.project left join session s on s.key = a.session
where (cast(:project as bigint) is null or a.project = :project)
    and (cast(:session as bigint) is null or a.session = :session)
    and (cast(:action as text) is null or a.action = :action)
    and (cast(:since_ms as bigint) is null or a.time_ms >= :since_ms)
    and (cast(:before as bigint) is null or case when cast(:session as bigint) is not null
        then a.number < :before
        else (a.time_ms, a.project, a.session, a.number)
            < (:before_ms, :before_project, :before_session, :before) end)
order by case when cast(:session as bigint) is null then a.time_ms end desc, a.project desc,
    a.session desc, a.number desc limit :limit;

-- name: tombstone_add
insert into tombstone (mark, erased_ms) values (:mark, :erased_ms) on conflict (mark) do nothing;

-- name: tombstone_get
select erased_ms from tombstone where mark = :mark;

-- name: token_add
insert into token (id, secret, name, scopes, project, created_ms, created_by, expires_ms)
values (:id, :secret, :name, :scopes, :project, :created_ms, :created_by, :expires_ms);

-- name: token_get
select id, secret, name, scopes, project, created_ms, created_by, expires_ms, used_ms, revoked_ms
from token where id = :id;

-- name: token_list
select id, secret, name, scopes, project, created_ms, created_by, expires_ms, used_ms, revoked_ms
from token where cast(:project as text) is null or project = :project
order by created_ms desc, id desc;

-- name: token_any
-- Whether a token was ever made that opens what a handle on this project sees.
select 1 from token
where cast(:project as text) is null or project is null or project = :project limit 1;

-- name: token_revoke
update token set revoked_ms = :now where id = :id and revoked_ms is null;

-- name: token_used
update token set used_ms = :now where id = :id and (used_ms is null or used_ms <= :before);

-- name: count_sessions
select count(*), coalesce(sum(case when spawned_by is not null then 1 else 0 end), 0)
from session where status <> 'erased'
    and (cast(:project as bigint) is null or project = :project);

-- name: count_checkpoints
select count(*) from checkpoint where hidden_ms is null
    and (cast(:project as bigint) is null or project = :project);

-- name: copy_meta
-- From here on: what a copy into another database reads and writes, table by table, in pages.
select name, value from meta
where name > :after_name order by name limit :limit;

-- name: paste_meta
insert into meta (name, value)
values (:name, :value) on conflict (name) do update set value = excluded.value;

-- name: copy_project
select key, name, settings, audit_number, audit_chain from project
where key > :after_key order by key limit :limit;

-- name: paste_project
insert into project (key, name, settings, audit_number, audit_chain)
values (:key, :name, :settings, :audit_number, :audit_chain);

-- name: copy_session
select key, project, id, frontend, user_id, title, title_rank, status, agent, created_ms,
    forked_session, forked_seq, spawned_by, imported_from, pinned from session
where key > :after_key order by key limit :limit;

-- name: paste_session
insert into session (key, project, id, frontend, user_id, title, title_rank, status, agent,
    created_ms, forked_session, forked_seq, spawned_by, imported_from, pinned)
values (:key, :project, :id, :frontend, :user_id, :title, :title_rank, :status, :agent,
    :created_ms, :forked_session, :forked_seq, :spawned_by, :imported_from, :pinned);

-- name: copy_head
select session, at_session, at_seq, last_seq, first_seq, chain, version, messages, updated_ms,
    moves, undo_top, audit_number, audit_chain, lease_holder, lease_token, lease_until_ms, events,
    event_chain, turn from head
where session > :after_session order by session limit :limit;

-- name: paste_head
insert into head (session, at_session, at_seq, last_seq, first_seq, chain, version, messages,
    updated_ms, moves, undo_top, audit_number, audit_chain, lease_holder, lease_token,
    lease_until_ms, events, event_chain, turn)
values (:session, :at_session, :at_seq, :last_seq, :first_seq, :chain, :version, :messages,
    :updated_ms, :moves, :undo_top, :audit_number, :audit_chain, :lease_holder, :lease_token,
    :lease_until_ms, :events, :event_chain, :turn);

-- name: copy_line
select session, start, parent_session, parent_seq from line
where (session, start) > (:after_session, :after_start) order by session, start limit :limit;

-- name: paste_line
insert into line (session, start, parent_session, parent_seq)
values (:session, :start, :parent_session, :parent_seq);

-- name: copy_entry
select id, project, session, seq, kind, role, time_ms, format, body, blob, source, start,
    bytes, meta, nonce, digest, chain, turn from entry
where id > :after_id order by id limit :limit;

-- name: paste_entry
insert into entry (id, project, session, seq, kind, role, time_ms, format, body, blob, source,
    start, bytes, meta, nonce, digest, chain, turn)
values (:id, :project, :session, :seq, :kind, :role, :time_ms, :format, :body, :blob, :source,
    :start, :bytes, :meta, :nonce, :digest, :chain, :turn);

-- name: copy_blob
select id, codec, bytes, body from blob
where id > :after_id order by id limit :limit;

-- name: paste_blob
insert into blob (id, codec, bytes, body)
values (:id, :codec, :bytes, :body);

-- name: copy_checkpoint
select id, project, session, pre_session, pre_seq, post_session, post_seq, label, reason,
    tokens_before, tokens_after, number, created_ms, hidden_ms from checkpoint
where id > :after_id order by id limit :limit;

-- name: paste_checkpoint
insert into checkpoint (id, project, session, pre_session, pre_seq, post_session, post_seq,
    label, reason, tokens_before, tokens_after, number, created_ms, hidden_ms)
values (:id, :project, :session, :pre_session, :pre_seq, :post_session, :post_seq, :label,
    :reason, :tokens_before, :tokens_after, :number, :created_ms, :hidden_ms);

-- name: copy_move
select session, number, action, from_session, from_seq, to_session, to_seq, below, time_ms
    from move
where (session, number) > (:after_session, :after_number) order by session, number limit :limit;

-- name: paste_move
insert into move (session, number, action, from_session, from_seq, to_session, to_seq, below,
    time_ms)
values (:session, :number, :action, :from_session, :from_seq, :to_session, :to_seq, :below,
    :time_ms);

-- name: copy_idempotency
select session, key, first_seq, last_seq, digest from idempotency
where (session, key) > (:after_session, :after_key) order by session, key limit :limit;

-- name: paste_idempotency
insert into idempotency (session, key, first_seq, last_seq, digest)
values (:session, :key, :first_seq, :last_seq, :digest);

-- name: copy_usage
select project, call, session, seq, time_ms, model, provider, input, output, cache_read,
    cache_write, reasoning, cost, repeated from usage
where (project, call) > (:after_project, :after_call) order by project, call limit :limit;

-- name: paste_usage
insert into usage (project, call, session, seq, time_ms, model, provider, input, output,
    cache_read, cache_write, reasoning, cost, repeated)
values (:project, :call, :session, :seq, :time_ms, :model, :provider, :input, :output,
    :cache_read, :cache_write, :reasoning, :cost, :repeated);

-- name: copy_source
select key, project, session, importer, path, generation, size, read_to, mtime_ns, checked,
    tail, state, note, updated_ms from source
where key > :after_key order by key limit :limit;

-- name: paste_source
insert into source (key, project, session, importer, path, generation, size, read_to,
    mtime_ns, checked, tail, state, note, updated_ms)
values (:key, :project, :session, :importer, :path, :generation, :size, :read_to, :mtime_ns,
    :checked, :tail, :state, :note, :updated_ms);

-- name: copy_frame
select source, start, bytes, digest, body from frame
where (source, start) > (:after_source, :after_start) order by source, start limit :limit;

-- name: paste_frame
insert into frame (source, start, bytes, digest, body)
values (:source, :start, :bytes, :digest, :body);

-- name: copy_record
select project, native, session, seq from record
where (project, native) > (:after_project, :after_native) order by project, native limit :limit;

-- name: paste_record
insert into record (project, native, session, seq)
values (:project, :native, :session, :seq);

-- name: copy_audit
select project, session, number, time_ms, actor, action, facts, chain from audit
where (project, session, number) > (:after_project, :after_session, :after_number)
order by project, session, number limit :limit;

-- name: paste_audit
insert into audit (project, session, number, time_ms, actor, action, facts, chain)
values (:project, :session, :number, :time_ms, :actor, :action, :facts, :chain);

-- name: copy_tombstone
select mark, erased_ms from tombstone
where mark > :after_mark order by mark limit :limit;

-- name: paste_tombstone
insert into tombstone (mark, erased_ms)
values (:mark, :erased_ms);

-- name: copy_event
select
    id, session, sequence, number, kind, ref, turn, time_ms, body, blob, bytes, nonce, digest,
    chain
from event where id > :after_id order by id limit :limit;

-- name: paste_event
insert into event (
    id, session, sequence, number, kind, ref, turn, time_ms, body, blob, bytes, nonce, digest,
    chain)
values (
    :id, :session, :sequence, :number, :kind, :ref, :turn, :time_ms, :body, :blob, :bytes, :nonce,
    :digest, :chain);

-- name: copy_span
select
    key, project, session, id, kind, name, turn, ordinal, sequence, finish_sequence, status, late,
    owner, chat, message, call_id, parent, batch, attempt, effect, started_us, finished_us,
    latency_us, created_ms, error, error_type, input_bytes, output_bytes, tokens_used,
    cache_tokens, reasoning_tokens, provider, model, tier, complexity, request_type, fallback,
    retries, tokens_in, tokens_out, cache_read, cache_write, reasoning, first_token_us, cost,
    status_code, response_id
from span where key > :after_key order by key limit :limit;

-- name: paste_span
insert into span (
    key, project, session, id, kind, name, turn, ordinal, sequence, finish_sequence, status, late,
    owner, chat, message, call_id, parent, batch, attempt, effect, started_us, finished_us,
    latency_us, created_ms, error, error_type, input_bytes, output_bytes, tokens_used,
    cache_tokens, reasoning_tokens, provider, model, tier, complexity, request_type, fallback,
    retries, tokens_in, tokens_out, cache_read, cache_write, reasoning, first_token_us, cost,
    status_code, response_id)
values (
    :key, :project, :session, :id, :kind, :name, :turn, :ordinal, :sequence, :finish_sequence,
    :status, :late, :owner, :chat, :message, :call_id, :parent, :batch, :attempt, :effect,
    :started_us, :finished_us, :latency_us, :created_ms, :error, :error_type, :input_bytes,
    :output_bytes, :tokens_used, :cache_tokens, :reasoning_tokens, :provider, :model, :tier,
    :complexity, :request_type, :fallback, :retries, :tokens_in, :tokens_out, :cache_read,
    :cache_write, :reasoning, :first_token_us, :cost, :status_code, :response_id);

-- name: copy_owner
select
    key, id, host, boot, pid, started, actor, since_ms, seen_ms
from owner where key > :after_key order by key limit :limit;

-- name: paste_owner
insert into owner (
    key, id, host, boot, pid, started, actor, since_ms, seen_ms)
values (
    :key, :id, :host, :boot, :pid, :started, :actor, :since_ms, :seen_ms);

-- name: copy_token
select
    id, secret, name, scopes, project, created_ms, created_by, expires_ms, used_ms, revoked_ms
from token where id > :after_id order by id limit :limit;

-- name: paste_token
insert into token (
    id, secret, name, scopes, project, created_ms, created_by, expires_ms, used_ms, revoked_ms)
values (
    :id, :secret, :name, :scopes, :project, :created_ms, :created_by, :expires_ms, :used_ms,
    :revoked_ms);
