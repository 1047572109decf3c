-- What only PostgreSQL says this way: a row lock where SQLite's writer is alone anyway.

-- name: tables
select table_name::text from information_schema.tables where table_schema = current_schema();

-- name: head_get
select h.session, (select project from session where key = h.session),
    (select id from session where key = h.session),
    (select status from session where key = h.session), h.at_session, h.at_seq, h.last_seq, h.chain,
    h.version, h.messages, h.moves, h.undo_top, h.audit_number, h.audit_chain, h.lease_holder,
    h.lease_token, h.lease_until_ms, h.first_seq, h.events, h.event_chain, h.turn
from head h where h.session = :session for update of h;

-- name: project_lock
select key, name, settings, audit_number, audit_chain from project where key = :project for update;
