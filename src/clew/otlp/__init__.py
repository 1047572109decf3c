"""OpenTelemetry traces: the wire formats, and what their spans mean to a ledger.

    bytes --protobuf, jsonform--> OtlpSpan --mapping--> what a session records
    spans of a session --writing--> OtlpSpan --protobuf, jsonform--> bytes

`semconv` is the one table of attribute names, old and new; `messages` reads the conversation
that a model span carries. Pure: nothing here knows of storage or of HTTP.
"""
