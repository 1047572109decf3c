r"""Rules for names and values that something else than a sign joins: a comma, an attribute, a
verb, two fields of one object. Data.
"""

from __future__ import annotations

from clew.redaction import shapes
from clew.redaction.rule import SECRET, Rule
from clew.redaction.words import FLAG, KEYWORD, KEYWORD_FIRST

_QUOTE = rb"[\\]{0,4}[\"'`]"
_QUOTE_MAYBE = rb"[\\]{0,4}[\"'`]?"
_BREAK = rb"(?:\s|\\{1,4}[nrt])"
_END = rb"[A-Za-z0-9_-]{0,12}"
_BYTE = rb"[^\s\x00\"'`\\]"
_NAME = rb"([A-Za-z0-9_.-]{2,48})"
_COLON = rb"\s{0,4}:\s{0,4}"
# A quote that was written for HTML, a URL or CSV.
_WRITTEN = rb"(?:\"\"|&quot;|&#34;|&#x22;|(?:%5[cC])?%22)"
_VERB = rb"(?i:to|is|as|with|=|:)"
_SHOUTED = (
    rb"[A-Z0-9_](?:KEY|TOKEN|SECRET|PASSWORD|PASS|PWD)[\"'`*]{0,2}\s{1,2}" + _VERB
    + rb"\s{1,2}[\"'`*]{0,2}"
)  # fmt: skip
_SET = rb"(?:setx|set -[gUxe]{1,4}|secrets? set|env add|config set|vars set|ENV)(?: /[mM])?\s{1,4}"

CONFIGURED = (
    Rule(
        "listed-pair", SECRET, KEYWORD_FIRST,
        rb"(?:" + KEYWORD + rb"|(?i:key|salt))" + _END + _QUOTE + rb"\s{0,4},\s{0,12}" + _QUOTE
        + _BYTE + rb"{4}",
        rb"(?:" + KEYWORD + rb"|(?i:key|salt))" + _END + _QUOTE + rb"\s{0,4},\s{0,12}" + _QUOTE
        + rb"(" + _BYTE + rb"{4,400})", shapes.paired, edge=False, grow=_BYTE + rb"*",
    ),
    Rule(
        "listed-flag", SECRET, b"-",
        FLAG + rb"(?:" + _QUOTE + rb",|" + _QUOTE_MAYBE + _BREAK + rb")",
        rb"(" + FLAG + rb")" + _QUOTE_MAYBE + rb",?" + _BREAK + rb"{0,24}(?:- )?" + _QUOTE_MAYBE
        + rb"([^\s\x00\"'`\\-]" + _BYTE + rb"{5,200})", shapes.flag,
    ),
    Rule(
        "mysql-list", SECRET, b"m", rb"(?:mysql|mariadb)[a-z_-]{0,10}" + _QUOTE + rb",",
        rb"(?:mysql|mariadb)[a-z_-]{0,10}" + _QUOTE + rb",(?:\s{0,12}" + _QUOTE
        + rb"[^\"'\n]{0,60}" + _QUOTE + rb",){0,8}?\s{0,12}" + _QUOTE + rb"-p(" + _BYTE
        + rb"{4,200})", shapes.argument,
    ),
    Rule(
        "written-quotes", SECRET, KEYWORD_FIRST,
        KEYWORD + _END + _WRITTEN + rb"?\s{0,4}(?:[:=]|%3[aAdD])(?:\s|%20|\+){0,4}" + _WRITTEN,
        KEYWORD + _END + _WRITTEN + rb"?\s{0,4}(?:[:=]|%3[aAdD])(?:\s|%20|\+){0,4}" + _WRITTEN
        + rb"([^\s\x00\"\\<>]{4,400}?)(?:&quot;|&#|%22|%5[cC]|[\"\\<>\s]|$)", shapes.paired,
        edge=False,
    ),
    Rule(
        "prompted", SECRET, b"kKpPsStT",
        rb"(?i:key|password|secret|token) \[[^\]\s]{0,40}\]: [^\s]{8}",
        rb"(?i:key|password|secret|token) \[[^\]\s]{0,40}\]: ([^\s\x00\"'\\]{8,200})",
        shapes.argument,
    ),
    Rule(
        "attributes", SECRET, b"kKnNiI",
        rb"(?i:key|name|id)=" + _QUOTE + rb"[A-Za-z0-9_.:-]{2,48}" + _QUOTE + rb"\s{1,8}[vV]alue=",
        rb"(?i:key|name|id)=" + _QUOTE + rb"([A-Za-z0-9_.:-]{2,48})" + _QUOTE
        + rb"\s{1,8}[vV]alue=" + _QUOTE + rb"(" + _BYTE + rb"{4,400})", shapes.element,
    ),
    Rule(
        "variable", SECRET, b"v",
        rb"variable\s{1,4}" + _QUOTE + rb"[A-Za-z0-9_-]{2,48}" + _QUOTE + rb"\s{0,4}\{",
        rb"variable\s{1,4}" + _QUOTE + _NAME + _QUOTE
        + rb"\s{0,4}\{[^{}]{0,300}?default\s{0,8}=\s{0,4}" + _QUOTE + rb"(" + _BYTE + rb"{4,400})",
        shapes.element, window=1024,
    ),
    Rule(
        "set-command", SECRET, b"sScevE", _SET + rb"[A-Za-z0-9_.-]",
        _SET + rb"([A-Za-z0-9_.-]{1,48})\s{1,4}(?:(?:--body|-b)[ =]?)?" + _QUOTE_MAYBE
        + rb"(" + _BYTE + rb"{4,400})", shapes.set_to,
    ),
    Rule(
        "shouted", SECRET, bytes(range(48, 58)) + bytes(range(65, 91)) + b"_",
        _SHOUTED + rb"[A-Za-z0-9_+/=.!@#$%^&~:-]{8}",
        _SHOUTED + rb"([A-Za-z0-9_+/=.!@#$%^&~:-]{8,})", shapes.paired, edge=False,
        grow=rb"[A-Za-z0-9_+/=~-]*",
    ),
    Rule(
        "object-value", SECRET, KEYWORD_FIRST,
        KEYWORD + _END + _QUOTE + _COLON + rb"\{",
        KEYWORD + _END + _QUOTE + _COLON + rb"\{" + _BREAK + rb"{0,24}(?:" + _QUOTE
        + rb"[A-Za-z_]{2,16}" + _QUOTE + _COLON + rb"(?:" + _QUOTE + rb"[^\"'\n]{0,40}" + _QUOTE
        + rb"|true|false|[0-9]{1,6})," + _BREAK + rb"{0,24}){0,3}?" + _QUOTE + rb"value" + _QUOTE
        + _COLON + _QUOTE + rb"(" + _BYTE + rb"{4,400})", shapes.paired, edge=False, window=1024,
    ),
    Rule(
        "labelled-value", SECRET, b"tlifnk",
        rb"(?:type|label|id|field|name|key)" + _QUOTE + _COLON + _QUOTE + rb"[A-Za-z0-9_. -]{2,48}"
        + _QUOTE + rb"," + _BREAK + rb"{0,24}" + _QUOTE + rb"value",
        rb"(?:type|label|id|field|name|key)" + _QUOTE + _COLON + _QUOTE
        + rb"([A-Za-z0-9_. -]{2,48})" + _QUOTE + rb"," + _BREAK + rb"{0,24}" + _QUOTE + rb"value"
        + _QUOTE + _COLON + _QUOTE + rb"(" + _BYTE + rb"{4,400})", shapes.element,
    ),
)  # fmt: skip
