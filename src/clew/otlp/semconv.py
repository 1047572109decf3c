"""The one table of attribute names: which of them say what of a span, old and new.

Read many, write one: a row per name that senders are known to use, in the order in which they
are believed; the first row of a field that stands in `gen_ai` or `clew` is the name that we
write. What no row names is kept verbatim in the attributes of the span.

Sources: the GenAI semantic conventions (open-telemetry/semantic-conventions-genai; `gen_ai` as
of `SCHEMA_URL`, `gen_ai-old` for names that it or its predecessors dropped), OpenInference,
MLflow, LangSmith, OpenLLMetry (Traceloop), Strands, Sentry, the Vercel AI SDK, Google's ADK
and Pydantic AI as their own code writes them.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = 1
"""Goes up with every change of the table; stored with each span that was read through it."""

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
"""The schema of the names that we write."""


class Row(NamedTuple):
    """One name of one field. `unit` is what the value counts in where that differs."""

    field: str
    attribute: str
    vocabulary: str
    unit: str = ""


NEW, OLD, OPENINFERENCE, CLEW = "gen_ai", "gen_ai-old", "openinference", "clew"
MLFLOW, LANGSMITH, TRACELOOP, STRANDS = "mlflow", "langsmith", "traceloop", "strands"
SENTRY, VERCEL, ADK, PYDANTIC = "sentry", "vercel", "google-adk", "pydantic-ai"
OTHER = "other"

TABLE: tuple[Row, ...] = (
    # what kind of thing it is
    Row("operation", "clew.kind", CLEW),
    Row("operation", "gen_ai.operation.name", NEW),
    Row("operation", "openinference.span.kind", OPENINFERENCE),
    Row("operation", "mlflow.spanType", MLFLOW),
    Row("operation", "langsmith.span.kind", LANGSMITH),
    Row("operation", "traceloop.span.kind", TRACELOOP),
    Row("operation", "llm.request.type", TRACELOOP),
    Row("operation", "ai.operationId", VERCEL),
    Row("operation", "sentry.op", SENTRY),
    # the conversation that it belongs to, and who speaks
    Row("conversation", "gen_ai.conversation.id", NEW),
    Row("conversation", "session.id", OPENINFERENCE),
    Row("conversation", "mlflow.trace.session", MLFLOW),
    # langsmith.trace.session_id is left out: LangSmith calls its projects sessions.
    Row("conversation", "langsmith.metadata.thread_id", LANGSMITH),
    Row("conversation", "langsmith.metadata.session_id", LANGSMITH),
    Row("conversation", "langsmith.metadata.conversation_id", LANGSMITH),
    Row("conversation", "thread_id", LANGSMITH),
    Row("conversation", "session_id", LANGSMITH),
    Row("conversation", "conversation_id", LANGSMITH),
    Row("conversation", "gen_ai.session.id", OLD),
    Row("conversation", "traceloop.association.properties.session_id", TRACELOOP),
    Row("conversation", "traceloop.association.properties.thread_id", TRACELOOP),
    Row("conversation", "traceloop.association.properties.conversation_id", TRACELOOP),
    Row("conversation", "gcp.vertex.agent.session_id", ADK),
    Row("conversation", "ai.telemetry.metadata.sessionId", VERCEL),
    Row("conversation", "langfuse.session.id", OTHER),
    Row("conversation", "Helicone-Session-Id", OTHER),
    Row("agent", "gen_ai.agent.name", NEW),
    Row("agent", "agent.name", OPENINFERENCE),
    Row("workflow", "gen_ai.workflow.name", NEW),
    Row("workflow", "traceloop.entity.name", TRACELOOP),
    Row("workflow", "langsmith.trace.name", LANGSMITH),
    # tools
    Row("tool", "gen_ai.tool.name", NEW),
    Row("tool", "tool.name", OPENINFERENCE),
    Row("tool", "ai.toolCall.name", VERCEL),
    Row("call_id", "gen_ai.tool.call.id", NEW),
    Row("call_id", "tool.id", OPENINFERENCE),
    Row("call_id", "tool_call.id", OPENINFERENCE),
    Row("call_id", "ai.toolCall.id", VERCEL),
    Row("tool_input", "gen_ai.tool.call.arguments", NEW),
    Row("tool_input", "gen_ai.tool.input", SENTRY),
    Row("tool_input", "ai.toolCall.args", VERCEL),
    Row("tool_input", "gcp.vertex.agent.tool_call_args", ADK),
    Row("tool_input", "tool_arguments", PYDANTIC),
    Row("tool_output", "gen_ai.tool.call.result", NEW),
    Row("tool_output", "gen_ai.tool.output", SENTRY),
    Row("tool_output", "gen_ai.tool.message", SENTRY),
    Row("tool_output", "ai.toolCall.result", VERCEL),
    Row("tool_output", "gcp.vertex.agent.tool_response", ADK),
    Row("tool_output", "tool_response", PYDANTIC),
    # what went in and came out, whatever it was
    Row("input", "clew.input", CLEW),
    Row("input", "input.value", OPENINFERENCE),
    Row("input", "mlflow.spanInputs", MLFLOW),
    Row("input", "traceloop.entity.input", TRACELOOP),
    Row("output", "clew.output", CLEW),
    Row("output", "output.value", OPENINFERENCE),
    Row("output", "mlflow.spanOutputs", MLFLOW),
    Row("output", "traceloop.entity.output", TRACELOOP),
    # the conversation in a model call; indexed names stand in PREFIXES
    Row("messages_in", "gen_ai.input.messages", NEW),
    Row("messages_in", "gen_ai.request.messages", SENTRY),
    Row("messages_in", "gen_ai.prompt", OLD),
    Row("messages_in", "ai.prompt.messages", VERCEL),
    Row("messages_out", "gen_ai.output.messages", NEW),
    Row("messages_out", "gen_ai.completion", OLD),
    Row("text_out", "gen_ai.response.text", SENTRY),
    Row("text_out", "ai.response.text", VERCEL),
    Row("calls_out", "gen_ai.response.tool_calls", SENTRY),
    Row("calls_out", "ai.response.toolCalls", VERCEL),
    Row("instructions", "gen_ai.system_instructions", NEW),
    # models
    Row("provider", "gen_ai.provider.name", NEW),
    Row("provider", "gen_ai.system", OLD),
    Row("provider", "llm.provider", OPENINFERENCE),
    Row("provider", "llm.system", OPENINFERENCE),
    Row("provider", "mlflow.llm.provider", MLFLOW),
    Row("provider", "ai.model.provider", VERCEL),
    Row("model", "gen_ai.response.model", NEW),
    Row("model", "llm.response.model_name", OPENINFERENCE),
    Row("model", "ai.response.model", VERCEL),
    Row("model_asked", "gen_ai.request.model", NEW),
    Row("model_asked", "llm.request.model_name", OPENINFERENCE),
    Row("model_asked", "llm.model_name", OPENINFERENCE),
    Row("model_asked", "embedding.model_name", OPENINFERENCE),
    Row("model_asked", "mlflow.llm.model", MLFLOW),
    Row("model_asked", "ai.model.id", VERCEL),
    Row("model_asked", "llm.request.model", TRACELOOP),
    Row("response_id", "gen_ai.response.id", NEW),
    Row("response_id", "ai.response.id", VERCEL),
    Row("finish_reasons", "gen_ai.response.finish_reasons", NEW),
    Row("finish_reasons", "llm.finish_reason", OPENINFERENCE),
    Row("finish_reasons", "ai.response.finishReason", VERCEL),
    Row("first_token", "gen_ai.response.time_to_first_chunk", NEW, "s"),
    Row("first_token", "gen_ai.server.time_to_first_token", STRANDS, "ms or s"),
    Row("first_token", "ai.response.msToFirstChunk", VERCEL, "ms"),
    # tokens: the totals of most senders hold what went through the cache
    Row("input_tokens", "gen_ai.usage.input_tokens", NEW),
    Row("input_tokens", "gen_ai.usage.prompt_tokens", OLD),
    Row("input_tokens", "llm.token_count.prompt", OPENINFERENCE),
    Row("input_tokens", "llm.usage.prompt_tokens", TRACELOOP),
    Row("input_tokens", "ai.usage.inputTokens", VERCEL),
    Row("input_tokens", "ai.usage.promptTokens", VERCEL),
    Row("output_tokens", "gen_ai.usage.output_tokens", NEW),
    Row("output_tokens", "gen_ai.usage.completion_tokens", OLD),
    Row("output_tokens", "llm.token_count.completion", OPENINFERENCE),
    Row("output_tokens", "llm.usage.completion_tokens", TRACELOOP),
    Row("output_tokens", "ai.usage.outputTokens", VERCEL),
    Row("output_tokens", "ai.usage.completionTokens", VERCEL),
    Row("total_tokens", "gen_ai.usage.total_tokens", SENTRY),
    Row("total_tokens", "llm.token_count.total", OPENINFERENCE),
    Row("total_tokens", "llm.usage.total_tokens", TRACELOOP),
    Row("cache_read", "gen_ai.usage.cache_read.input_tokens", NEW),
    Row("cache_read", "gen_ai.usage.cache_read_input_tokens", STRANDS),
    Row("cache_read", "gen_ai.usage.input_tokens.cached", SENTRY),
    Row("cache_read", "llm.token_count.prompt_details.cache_read", OPENINFERENCE),
    Row("cache_read", "ai.usage.cachedInputTokens", VERCEL),
    Row("cache_write", "gen_ai.usage.cache_write.input_tokens", NEW),
    Row("cache_write", "gen_ai.usage.cache_creation.input_tokens", OLD),
    Row("cache_write", "gen_ai.usage.cache_creation_input_tokens", TRACELOOP),
    Row("cache_write", "gen_ai.usage.cache_write_input_tokens", STRANDS),
    Row("cache_write", "gen_ai.usage.input_tokens.cache_write", SENTRY),
    Row("cache_write", "llm.token_count.prompt_details.cache_write", OPENINFERENCE),
    Row("reasoning", "gen_ai.usage.reasoning.output_tokens", NEW),
    Row("reasoning", "gen_ai.usage.output_tokens.reasoning", SENTRY),
    Row("reasoning", "gen_ai.usage.reasoning_tokens", TRACELOOP),
    Row("reasoning", "llm.token_count.completion_details.reasoning", OPENINFERENCE),
    Row("reasoning", "ai.usage.reasoningTokens", VERCEL),
    Row("usage", "mlflow.chat.tokenUsage", MLFLOW),
    # there is no name for cost in gen_ai
    Row("cost", "clew.cost", CLEW),
    Row("cost", "llm.cost.total", OPENINFERENCE),
    Row("cost", "gen_ai.usage.total_cost", SENTRY),
    Row("cost", "gen_ai.usage.cost", OTHER),
    Row("cost", "mlflow.llm.cost", MLFLOW),
    # how it went
    Row("error_type", "error.type", NEW),
    Row("status_code", "http.response.status_code", NEW),
    Row("status_code", "http.status_code", OLD),
    # what only Clew knows
    Row("outcome", "clew.outcome", CLEW),
    Row("attempt", "clew.attempt", CLEW),
    Row("effect", "clew.effect", CLEW),
    Row("batch", "clew.batch", CLEW),
    Row("chat", "clew.chat", CLEW),
    Row("tier", "clew.tier", CLEW),
    Row("complexity", "clew.complexity", CLEW),
    Row("request_type", "clew.request_type", CLEW),
    Row("fallback", "clew.fallback", CLEW),
    Row("retries", "clew.retries", CLEW),
    Row("tokens_used", "clew.tokens_used", CLEW),
    Row("cache_tokens", "clew.cache_tokens", CLEW),
    Row("reasoning_tokens", "clew.reasoning_tokens", CLEW),
)

PREFIXES: dict[str, str] = {
    "gen_ai.prompt.": "in",
    "gen_ai.completion.": "out",
    "llm.input_messages.": "in",
    "llm.output_messages.": "out",
}
"""Names that go on with the number of a message: older GenAI, OpenLLMetry and OpenInference."""

DETAILS_EVENT = "gen_ai.client.inference.operation.details"
"""An event of a model span that carries attributes which belong to the span."""

STREAM_EVENT = "First Token Stream Event"
"""OpenInference marks the first token by an event and no attribute."""

METADATA = ("metadata", "langsmith.metadata")
"""Attributes that hold a JSON object in which a conversation may be named."""

METADATA_NAMES = ("thread_id", "session_id", "conversation_id")

PENDING = ("logfire.span_type", "pending_span", "logfire.pending_parent_id")
"""Logfire tells of a span that starts by a child of it: attribute, its value, the real parent."""

KINDS: dict[str, str] = {
    **dict.fromkeys(("turn", "tool", "model", "agent", "command", "other"), ""),
    **dict.fromkeys(("execute_tool", "function", "ai.toolcall", "gen_ai.execute_tool"), "tool"),
    **dict.fromkeys(("chat", "llm", "chat_model", "completion", "text_completion"), "model"),
    **dict.fromkeys(("generate_content", "responses", "message", "gen_ai.chat"), "model"),
    **dict.fromkeys(("ai.generatetext.dogenerate", "ai.streamtext.dostream"), "model"),
    **dict.fromkeys(("ai.generateobject.dogenerate", "ai.streamobject.dostream"), "model"),
    **dict.fromkeys(("invoke_agent", "invoke_workflow", "workflow"), "agent"),
    **dict.fromkeys(("ai.generatetext", "ai.streamtext", "gen_ai.invoke_agent"), "agent"),
    **dict.fromkeys(("ai.generateobject", "ai.streamobject"), "agent"),
    "chain": "chain",
}
"""What an operation is to us. A value that names our own kind stands for itself; a `chain` is
an agent's run where it is the root of its trace, and glue elsewhere. All others: `other`.
"""

OUTCOMES: dict[str, str] = {
    **dict.fromkeys(("timeout", "timeouterror", "asyncio.timeouterror", "timed_out"), "timeout"),
    **dict.fromkeys(("deadlineexceeded", "deadline_exceeded", "readtimeout"), "timeout"),
    **dict.fromkeys(("cancelled", "canceled", "cancellederror"), "cancelled"),
    **dict.fromkeys(("asyncio.cancellederror", "keyboardinterrupt", "aborterror"), "cancelled"),
    **dict.fromkeys(("permission_denied", "permissiondenied", "denied"), "denied"),
}
"""What a type of error says about how a span ended; all others: `error`."""

FIELDS: dict[str, tuple[str, int]] = {
    row.attribute: (row.field, rank) for rank, row in enumerate(TABLE)
}
"""The field that an attribute tells, and how much it is believed: a lower number wins."""


UNITS: dict[str, str] = {row.attribute: row.unit for row in TABLE if row.unit}
"""What a value counts in, where that is not the same everywhere."""


def written(field: str) -> str:
    """The name under which a field is written."""
    return next(
        row.attribute for row in TABLE if row.field == field and row.vocabulary in (NEW, CLEW)
    )
