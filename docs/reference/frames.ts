// Made by `make docs` from the code; not edited by hand.

/**
 * What a client says. `subscribe` adds to what is followed, or begins anew behind another
 * sequence; `"all"` follows every session from now on. `unsubscribe` ends.
 */
export interface Ask {
  subscribe?: "all" | Which | null;
  unsubscribe?: Array<string> | "all" | null;
}

/** This reader is slow: frames are read from the table from here on, none is left out. */
export interface Behind {
  type: "behind";
  session: string;
  after: number;
  sequence: number;
}

/** All that had happened in a session when it was asked for, or since `behind`, was told. */
export interface CaughtUp {
  type: "caught_up";
  session: string;
  sequence: number;
}

/**
 * A named pointer to an entry. `pre` is where the session stood (what `branch` and
 * `restore` go back to); `post` is the compaction it was made for, if any.
 */
export interface Checkpoint {
  id: string;
  session: string;
  pre: Position | null;
  label: string;
  reason: string;
  created_ms: number;
  post?: Position | null;
  first_kept?: Position | null;
  summary?: string | null;
  tokens_before?: number | null;
  tokens_after?: number | null;
}

/** A checkpoint was made; `null` when it is not kept any more. */
export interface CheckpointFrame {
  type: "checkpoint";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  id: string;
  checkpoint: Checkpoint | null;
}

/**
 * The facts of a compaction overlay. `first_kept` is the oldest entry that a model still
 * sees as it was; everything older on the path is represented by `summary`. A foreign
 * compaction may have no summary here: it then stands in the next message.
 */
export interface Compaction {
  first_kept: Position;
  reason?: Reason;
  summary?: string | null;
  tokens_before?: number | null;
  tokens_after?: number | null;
  model?: string | null;
  covered?: number | null;
}

/** A summary was put in the place of what came before. */
export interface CompactionFrame {
  type: "compaction";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  seq: number;
  compaction: Compaction;
}

/**
 * One record of a session's log. It has a `body`, the JSON that was recorded, or
 * `body_base64`, its bytes; neither once it was erased, and neither in the answer to an append.
 */
export interface Entry {
  session: string;
  seq: number;
  kind: Kind;
  role: string | null;
  time_ms: number;
  format: string;
  meta?: Record<string, unknown>;
  body?: unknown;
  body_base64?: string;
}

/** An entry was appended. `truncated`: its body was too big to be sent along. */
export interface EntryFrame {
  type: "entry";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  entry: Entry;
  bytes: number;
  truncated?: boolean;
}

/** What stood here was erased. */
export interface ErasedFrame {
  type: "erased";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
}

/**
 * What is followed from here on, and from where. Where there are very many sessions they
 * are told in pieces; `more` says that another follows.
 */
export interface Following {
  type: "following";
  version?: number;
  sessions: Record<string, number>;
  everything?: boolean;
  traces?: boolean;
  snapshot?: Snapshot | null;
  truncated?: boolean;
  more?: boolean;
}

export type Frame = EntryFrame | CompactionFrame | SnapshotFrame | CheckpointFrame | HeadFrame | ToolStart | ToolFinish | ModelStart | ModelFinish | SpanStart | SpanFinish | SpanUpdate | ErasedFrame;

/** The head went elsewhere than forward: what a model sees is another history now. */
export interface HeadFrame {
  type: "head";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  move: Move | null;
}

/** What an entry records. */
export type Kind = "compaction" | "config" | "handoff" | "label" | "message" | "notice" | "repair" | "snapshot" | "unknown";

/** A model call ended. */
export interface ModelFinish {
  type: "model_call_finish";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

/** A model call began. */
export interface ModelStart {
  type: "model_call_start";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

/** A head that went elsewhere than forward: recorded, and undone by `undo()`. */
export interface Move {
  number: number;
  action: string;
  from: Position | null;
  to: Position | null;
  time_ms: number;
}

/** A place in the log: one entry of one session. Written `session:seq`. */
export interface Position {
  session: string;
  seq: number;
}

/** The last word before the server ends the stream. */
export interface Problem {
  type: "problem";
  code: number;
  problem: string;
  detail: string;
}

/** Why a compaction was made. */
export type Reason = "auto-threshold" | "manual" | "overflow-retry" | "timeout-retry";

/**
 * An agent's own state at a moment, an entry of the session's log.
 *
 * `version` is the entry's number: give it as `expected_version` to replace no other state
 * than this. `at` is the entry that it was taken behind.
 */
export interface Snapshot {
  session: string;
  version: number;
  state: unknown;
  bytes: number;
  digest: string;
  created_ms: number;
  at?: Position | null;
}

/** The agent's state changed; `null`: it was deleted. `truncated`: ask for it. */
export interface SnapshotFrame {
  type: "snapshot";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  seq: number;
  snapshot: Snapshot | null;
  bytes?: number;
  truncated?: boolean;
}

/** A span, with its outcome once it has ended; bodies only where one span was asked for. */
export interface Span {
  id: string;
  session: string;
  kind: string;
  name: string;
  turn: number;
  ordinal: number;
  sequence: number;
  status: string;
  started_us: number;
  created_ms: number;
  finished_us?: number | null;
  latency_ms?: number | null;
  late?: string | null;
  chat?: string | null;
  message?: Position | null;
  call_id?: string | null;
  parent?: string | null;
  batch?: string | null;
  attempt?: number;
  effect?: string | null;
  error?: string | null;
  error_type?: string | null;
  input?: unknown;
  output?: unknown;
  attributes?: Record<string, unknown>;
  input_bytes?: number | null;
  output_bytes?: number | null;
  tokens_used?: number | null;
  cache_tokens?: number | null;
  reasoning_tokens?: number | null;
  provider?: string | null;
  model?: string | null;
  tier?: string | null;
  complexity?: number | null;
  request_type?: string | null;
  fallback?: boolean | null;
  retries?: number | null;
  tokens_in?: number | null;
  tokens_out?: number | null;
  cache_read?: number | null;
  cache_write?: number | null;
  reasoning?: number | null;
  first_token_ms?: number | null;
  cost?: number | null;
  status_code?: number | null;
  response_id?: string | null;
  outcome?: string | null;
}

/** A turn, an agent's run, a command or something else ended. */
export interface SpanFinish {
  type: "span_finish";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

/** A turn, an agent's run, a command or something else began. */
export interface SpanStart {
  type: "span_start";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

/** Something was learnt about a span that goes on. */
export interface SpanUpdate {
  type: "span_update";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

export type Talk = Following | Behind | CaughtUp | Problem;

/** A tool call ended, or was told of when it was over. */
export interface ToolFinish {
  type: "tool_trace_finish";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

/** A tool call began. */
export interface ToolStart {
  type: "tool_trace_start";
  session: string;
  sequence: number;
  version?: number;
  time_ms: number;
  span: Span;
  truncated?: boolean;
}

/**
 * Sessions to follow: one; several, each behind the sequence that was seen (0: from the
 * beginning); or all, where those that are not named are followed from their beginning.
 */
export interface Which {
  session?: string | null;
  after?: number;
  sessions?: Record<string, number> | null;
  all?: Record<string, number> | null;
}
