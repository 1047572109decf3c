r"""The rule table: what a secret or a personal datum looks like. Data, and nothing else.

A rule is found in two steps. Its `core` is a short pattern of bounded length that ordinary
text rarely matches; the cores of all rules are one automaton, so that clean text is read
once. Where a core matches, the rule's `pattern` is tried at exactly that place, within a
window, and its `check` may refuse or narrow the match. Group 1, where there is one, is what
gets replaced. A match that reaches the end of the window goes on through `grow`.

The rules were written from the providers' public descriptions of their token formats.
Lengths are lower bounds that also hold for a token cut off in the middle.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

from clew.redaction import coloured, encoded, places, shapes
from clew.redaction.configured import CONFIGURED
from clew.redaction.providers import PROVIDERS
from clew.redaction.rule import (
    EMAIL,
    HOST,
    IP,
    MAC,
    NAME,
    PHONE,
    SECRET,
    TYPES,
    USER,
    Check,
    Rule,
)
from clew.redaction.words import FLAG, KEYWORD, KEYWORD_FIRST

__all__ = [
    "EMAIL",
    "ENGINE_RULES",
    "HOST",
    "IP",
    "MAC",
    "NAME",
    "PHONE",
    "RULES",
    "SECRET",
    "SECRET_RULES",
    "TYPES",
    "USER",
    "Check",
    "Rule",
    "ruleset",
]

ENGINE_RULES = {
    "secret-key": SECRET,
    "known-secret": SECRET,
    "listed-name": NAME,
}
"""Finds that no pattern makes: a whole value under a telling key, and what the user listed."""

_URL64 = rb"[A-Za-z0-9_-]"

_HOOKS = (
    rb"(?:hooks\.zapier\.com/hooks/catch|chat\.googleapis\.com/v1/spaces"
    rb"|hook\.[a-z0-9]{2,5}\.make\.com|maker\.ifttt\.com/(?:trigger|use)|webhook\.site"
    rb"|discord(?:app)?\.com/api/v[0-9]{1,2}/webhooks|feishu\.cn/open-apis/bot)"
)

_SHAPES = (
    Rule(
        "private-key", SECRET, b"-", rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY",
        rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        shapes.private_key, edge=False,
    ),
    Rule(
        "jwt", SECRET, b"e", rb"eyJ[A-Za-z0-9_-]{10}",
        rb"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*", shapes.jwt,
        grow=rb"[A-Za-z0-9_.-]*", window=2048,
    ),
    Rule(
        "bearer", SECRET, b"bB", rb"[bB](?:earer|EARER)[ +]{1,2}[A-Za-z0-9._~+/-]{10}",
        rb"[A-Za-z]{6}[ +]{1,2}([A-Za-z0-9._~+/-]{10,}=*)", shapes.bearer,
        grow=rb"[A-Za-z0-9._~+/-]*=*",
    ),
    Rule(
        "basic-auth", SECRET, b"bB", rb"[bB](?:asic|ASIC)[ +]{1,2}[A-Za-z0-9+/]{8}",
        rb"[A-Za-z]{5}[ +]{1,2}([A-Za-z0-9+/_-]{8,}={0,2})", shapes.basic_auth,
        grow=rb"[A-Za-z0-9+/]*={0,2}",
    ),
    Rule(
        "authorization", SECRET, b"aA", rb"(?i:authorization)[\\]{0,4}[\"']?[:=]",
        rb"(?i)authorization[\\]{0,4}[\"']?\s{0,4}[:=]\s{0,4}[\\]{0,4}[\"']?"
        rb"(?:(?:token|apikey(?:-v[0-9])?|key|bearer|digest|negotiate|ssws|bot|pve(?:api)?token|client-id"
        rb"|genie ?key|sso-key|shippotoken|deepl-auth-key|aws4-hmac-sha256)[\s=]{1,4})?"
        rb"([^\s\x00\"'\\,;<>{}$]{8,})", shapes.random_value, edge=False,
        grow=rb"[A-Za-z0-9._~+/=-]*",
    ),
    Rule(
        "cookie", SECRET, b"cC",
        rb"(?i:cookie)[\\]{0,4}[\"']?:\s{0,2}[\\]{0,4}[\"']?[A-Za-z0-9_.-]{2}",
        rb"(?i)cookie[\\]{0,4}[\"']?:\s{0,2}[\\]{0,4}[\"']?([A-Za-z0-9_.-]{2,64}=[^\s\x00\"'\\,<>;]{8,}"
        rb"(?:;\s?[A-Za-z0-9_.-]{1,64}=[^\s\x00\"'\\,<>;]*)*)", shapes.cookie, edge=False,
        window=4096,
    ),
    Rule(
        "url-password", SECRET, b":",
        rb"://[^\s\x00/:@\"'<>`]{0,48}:[^\s\x00/@\"'<>`]{2,80}@[A-Za-z0-9\[$<{]",
        rb"://[^\s\x00/:@\"'<>`]{0,48}:([^\s\x00/@\"'<>`]{2,80})@", shapes.url_password, edge=False,
    ),
    Rule(
        "url-password-cut", SECRET, b":", rb"://[A-Za-z0-9_.%+-]{0,48}:[^\s\x00/:@\"'<>`]{8}",
        rb"://[A-Za-z0-9_.%+-]{0,48}:([^\s\x00/:@\"'<>`]{8,80})",
        shapes.url_password_cut, edge=False,
    ),
    Rule(
        "url-token", SECRET, b":", rb"://[A-Za-z0-9_=.-]{20,250}@",
        rb"://([A-Za-z0-9_=.-]{20,250})@", shapes.random_value, edge=False,
    ),
    Rule(
        "signed-url", SECRET, b"?&",
        rb"[?&](?i:x-amz-signature|x-amz-security-token|x-goog-signature|signature|sig|code|key|appid"
        rb"|apikey|hash|st|jwt|auth|access|session|ticket|sid|sas|pw|pass)=",
        rb"[?&][A-Za-z-]{2,20}=([A-Za-z0-9%+/_.=-]{16,})", shapes.long_random, edge=False,
        grow=rb"[A-Za-z0-9%+/_.=-]*",
    ),
    Rule(
        "teams-webhook", SECRET, b".o",
        rb"(?:\.webhook\.office\.com|outlook\.office(?:365)?\.com/webhook)",
        rb"(?:\.webhook|outlook)\.office(?:365)?\.com/webhook[a-z0-9]{0,3}/"
        rb"([A-Za-z0-9@-]{20,100}[A-Za-z0-9@_/-]{0,300})", edge=False,
    ),
    Rule(
        "webhook", SECRET, b"chdmwf", _HOOKS,
        _HOOKS + rb"[a-z/]{0,12}/([A-Za-z0-9_/%=&?.-]{16,300})", shapes.web_path, edge=False,
    ),
    Rule(
        "slack-webhook", SECRET, b"h",
        rb"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]",
        rb"hooks\.slack\.com/[a-z]{8,9}/([A-Za-z0-9/]{20,})", edge=False,
        grow=rb"[A-Za-z0-9/]*",
    ),
    Rule(
        "discord-webhook", SECRET, b"d", rb"discord(?:app)?\.com/api/webhooks/[0-9]",
        rb"discord(?:app)?\.com/api/webhooks/([0-9]{10,25}/[A-Za-z0-9_-]{20,})", edge=False,
        grow=_URL64 + b"*",
    ),
    Rule(
        "curl-user", SECRET, b"-",
        rb"-(?:u|-user)[ =]{1,2}[\"']?[^\s\x00:\"']{1,40}:[^\s\x00\"']{4}",
        rb"-(?:u|-user)[ =]{1,2}[\"']?[^\s\x00:\"']{1,40}:([^\s\x00\"']{4,80})",
        shapes.not_placeholder,
    ),
    Rule(
        "flag", SECRET, b"-",
        FLAG + rb"[ =]{1,2}[\"']?[^\s\x00\"'-]",
        rb"(" + FLAG + rb")[ =]{1,2}[\"']?([^\s\x00\"'\\]{6,200})", shapes.flag,
    ),
)  # fmt: skip

_FILES = (
    Rule(
        "putty-key", SECRET, b"P", rb"Private-Lines: [0-9]",
        rb"Private-Lines: [0-9]{1,4}", shapes.putty,
    ),
    Rule(
        "password-hash", SECRET, b"$",
        rb"\$(?:2[abxy]?|apr1|[156y]|7|argon2(?:id|i|d)|scrypt|pbkdf2-sha(?:1|256|512))\$"
        rb"[A-Za-z0-9./=,$+-]{12}",
        rb"\$[a-z0-9-]{1,14}\$[A-Za-z0-9./=,$+-]{20,}", shapes.jumble, edge=False,
        grow=rb"[A-Za-z0-9./=,$+-]*",
    ),
    Rule(
        "ansible-vault", SECRET, b"$", rb"\$ANSIBLE_VAULT;[0-9]",
        rb"\$ANSIBLE_VAULT;[0-9.]{1,5};[A-Z0-9]{3,12}(?:;[^\s\x00\\;]{1,64})?"
        rb"(?:(?:\s|\\{1,3}[nr]){1,24}[0-9a-f]{2,})+", edge=False,
        grow=rb"(?:(?:\s|\\{1,3}[nr]){0,24}[0-9a-f]{2,})*",
    ),
    Rule(
        "pgpass", SECRET, b":",
        rb":(?:543[0-9]|6432):[A-Za-z0-9_*-]{1,63}:[^\s\x00:]{1,63}:[^\s\x00:]",
        rb":(?:543[0-9]|6432):[A-Za-z0-9_*-]{1,63}:[^\s\x00:]{1,63}:([^\s\x00\"'\\]{4,128})",
        shapes.argument, edge=False,
    ),
    Rule(
        "otpauth", SECRET, b"o", rb"otpauth://[a-z]{4}/",
        rb"otpauth://[a-z]{4}/[^\s\x00\"'<>]{0,300}[?&]secret=([A-Za-z2-7=%]{8,200})",
    ),
    Rule(
        "private-jwk", SECRET, b"\"'",
        rb"[\"']d[\\]{0,4}[\"']\s{0,4}:\s{0,4}[\\]{0,4}[\"'][A-Za-z0-9_-]{30}",
        rb"[\"']d[\\]{0,4}[\"']\s{0,4}:\s{0,4}[\\]{0,4}[\"']([A-Za-z0-9_-]{30,})",
        shapes.random_value, edge=False, grow=_URL64 + rb"*",
    ),
)  # fmt: skip

_QUOTE = rb"[\\]{0,4}[\"']?"
_WORD = _QUOTE + rb"([^\s\x00\"'\\]{4,200})"

_SQL = rb"(?i:identified\s{1,3}(?:with\s{1,3}[a-z0-9_'\"]{1,40}\s{1,3})?(?:by|as)|password)"
_CONNECT = (
    rb"(?:mysqli?_(?:real_|p)?connect|pg_p?connect|new (?:mysqli|PDO)"
    rb"|DriverManager\.getConnection|DBI(?:\.|->)connect|NetworkCredential|PSCredential)"
    rb"[\])\"]{0,2}(?:::new)?\("
)
_DEVICE = (
    rb"(?:snmp-server community|enable (?:secret|password)"
    rb"|username [^\s\x00]{1,32}(?: privilege [0-9]{1,2})? (?:secret|password)"
    rb"|key-string|pre-shared-key|pac key|neighbor [^\s\x00]{3,40} password) "
)

_COMMANDS = (
    Rule(
        "mysql-password", SECRET, b"m", rb"(?:mysql|mariadb)[a-z_-]{0,10} ",
        rb"(?:mysql|mariadb)[a-z_-]{0,10} (?:[^\n|;&]{0,120} )??-p" + _WORD, shapes.argument,
    ),
    Rule(
        "ssh-password", SECRET, b"s", rb"sshpass\s{1,4}-p",
        rb"sshpass\s{1,4}-p\s{0,4}" + _WORD, shapes.argument,
    ),
    Rule(
        "docker-login", SECRET, b"dphn", rb"(?:docker|podman|helm|nerdctl) login ",
        rb"[a-z]{4,7} login (?:[^\n|;&]{0,120} )??(?:-p|--password)(?:\s{1,4}|=)" + _WORD,
        shapes.argument,
    ),
    Rule(
        "htpasswd", SECRET, b"h", rb"htpasswd\s{1,4}-",
        rb"htpasswd(?:\s{1,4}-[A-Za-z]{1,8}){0,4}\s{1,4}-[A-Za-z]{0,6}b[A-Za-z]{0,6}"
        rb"(?:\s{1,4}-[A-Za-z]{1,8}){0,4}"
        rb"\s{1,4}[^\s\x00-][^\s\x00]{0,120}\s{1,4}[^\s\x00]{1,64}\s{1,4}" + _WORD, shapes.argument,
    ),
    Rule(
        "openssl-pass", SECRET, b"-", rb"-pass(?:in|out)?\s{1,4}[\"']?pass:",
        rb"-pass(?:in|out)?\s{1,4}[\"']?pass:([^\s\x00\"'\\]{4,200})", shapes.argument,
    ),
    Rule(
        "archive-password", SECRET, b"uz", rb"(?:un)?zip\s{1,4}[^\n|;&]{0,60}-P",
        rb"(?:un)?zip (?:[^\n|;&]{0,60} )??-P\s{0,4}" + _WORD, shapes.argument,
    ),
    Rule(
        "aws-configure", SECRET, b"a", rb"aws configure set ",
        rb"aws configure set ([A-Za-z0-9_.-]{1,80})\s{1,4}" + _WORD, shapes.flag,
    ),
    Rule(
        "piped-password", SECRET, b"e", rb"echo (?:-n )?[\"']?[^\s\x00\"']{4,80}[\"']? ?\| ?[a-z]",
        rb"echo (?:-n )?" + _WORD + rb"[\"']? ?\| ?"
        rb"(?:sudo\s[^\n|;&]{0,20}-S|[^\n|;&]{1,80}--password-stdin)", shapes.argument,
    ),
    Rule(
        "auth-pair", SECRET, b"aB", rb"(?:auth\s{0,2}=\s{0,2}|BasicAuth)\(\s{0,4}[\\]{0,4}[\"']",
        rb"(?:auth\s{0,2}=\s{0,2}|BasicAuth)\(\s{0,4}[\\]{0,4}[\"'][^\s\x00\"'\\]{1,64}[\\]{0,4}[\"']"
        rb"\s{0,4},\s{0,4}[\\]{0,4}[\"']([^\s\x00\"'\\]{4,200})", shapes.argument, edge=False,
    ),
    Rule(
        "connect-call", SECRET, b"mpnDNPR", _CONNECT,
        _CONNECT + rb"\s{0,8}(?:(?:[\\]{0,4}[\"'][^\"'\n]{0,120}[\"']"
        rb"|[A-Za-z_$][A-Za-z0-9_.$>-]{0,60})\s{0,4},\s{0,8}){1,3}"
        rb"[\\]{0,4}[\"']([^\s\x00\"'\\]{4,128})[\\]{0,4}[\"']", shapes.argument,
    ),
    Rule(
        "sql-password", SECRET, b"iIpP", _SQL + rb"\s{1,3}[\\]{0,4}['\"][^\s\x00'\"]",
        _SQL + rb"\s{1,3}[\\]{0,4}['\"]([^\s\x00'\"\\]{4,128})", shapes.argument,
    ),
    Rule(
        "secure-string", SECRET, b"C", rb"ConvertTo-SecureString\s",
        rb"ConvertTo-SecureString\s{1,4}(?:-[A-Z][A-Za-z]{2,12}\s{1,4}){0,3}[\\]{0,4}[\"']"
        rb"([^\s\x00\"'\\]{4,128})", shapes.argument,
    ),
    Rule(
        "network-device", SECRET, b"seukpn", _DEVICE + rb"[^\s\x00]",
        _DEVICE + rb"(?:[0-9] )?" + _WORD, shapes.device,
    ),
    Rule(
        "client-password", SECRET, b"rslv",
        rb"(?:redis-cli|sqlcmd|ldap(?:search|modify|add|passwd)|vault login|smbclient) ",
        rb"(?:redis-cli(?: [^\n|;&]{0,80})?? -a|sqlcmd(?: [^\n|;&]{0,120})?? -P"
        rb"|ldap[a-z]{3,8}(?: [^\n|;&]{0,160})?? -w|vault login(?: -[a-z=-]{1,30}){0,3}"
        rb"|smbclient(?: [^\n|;&]{0,120})?? -U [^\s\x00%]{1,40}%)\s{0,4}" + _WORD, shapes.argument,
    ),
    Rule(
        "element", SECRET, b"<",
        rb"<[A-Za-z0-9_.:-]{0,24}(?i:pass|pwd|secret|token|key|credential)[A-Za-z0-9_.:-]{0,12}>"
        rb"[^\s\x00<>]",
        rb"<([A-Za-z0-9_.:-]{3,48})>([^\s\x00<>]{4,400})", shapes.tagged, edge=False,
    ),
    Rule(
        "netrc", SECRET, b"l", rb"login\s{1,4}[^\s\x00]{1,64}\s{1,8}password\s{1,4}[^\s\x00]{4}",
        rb"login\s{1,4}[^\s\x00]{1,64}\s{1,8}password\s{1,4}" + _WORD, shapes.argument,
    ),
    Rule(
        "name-value", SECRET, b"nN",
        rb"[nN]ame:\s{1,4}[\"']?[A-Za-z0-9_.-]{2,48}[\"']?(?:\s|\\{1,4}n){1,40}value:",
        rb"[nN]ame:\s{1,4}[\"']?([A-Za-z0-9_.-]{2,48})[\"']?(?:\s|\\{1,4}n){1,40}value:\s{1,4}"
        + _WORD, shapes.element,
    ),
    Rule(
        "secret-list", SECRET, b"psPStTaAcC",
        rb"(?i:passwords|passphrases|secrets|credentials|api[_-]?keys|access[_-]?keys)"
        rb"[\\]{0,4}[\"']?\s{0,4}[:=]\s{0,4}\[\s{0,12}[\\]{0,4}[\"'][^\s\x00\"']",
        rb"[A-Za-z_-]{7,12}[\\]{0,4}[\"']?\s{0,4}[:=]\s{0,4}\[\s{0,12}[\\]{0,4}[\"']"
        rb"([^\s\x00\"'\\\[\]]{4,}(?:[\\]{0,4}[\"'],\s*[\\]{0,4}[\"'][^\s\x00\"'\\\[\]]+)*)",
        shapes.secret_list, window=2048,
    ),
)  # fmt: skip

_TAIL = rb"[A-Za-z0-9_-]{0,12}[\\]{0,4}[\"'`]?\]?"
_EQUALS = rb"(?::=|=>|={1,3}|:|\xef\xbc\x9a|\xe6\x98\xaf|\xe3\x81\xaf|%3[dDaA])"
_SIGN = rb"\s{0,6}" + _EQUALS + rb"\s{0,6}"
_ASSIGNED = (
    KEYWORD + _TAIL + rb"(?::[ ]?[A-Za-z \[\]|.]{1,24})??" + _SIGN
    + rb"(?:[\\]{0,4}[bruf]{0,2}[\"'`][^\s\x00\"'`\\]{4}"
    + rb"|[^\s\x00\x1b\"'`\\<>(){}\[\],;&|]{6})"
)  # fmt: skip

_ASSIGNMENTS = (
    Rule(
        "assignment", SECRET, KEYWORD_FIRST,
        KEYWORD + _TAIL + rb"(?::[ ]?[A-Za-z \[\]|.]{1,24})?" + _SIGN
        + rb"(?:[\\]{0,4}[bruf]{0,2}[\"'`][^\s\x00\"'`]|[^\s\x00\"'`\\<>()\[\]{},;=]{4})",
        _ASSIGNED,
        shapes.assignment, edge=False, window=shapes.ASSIGNED_BYTES,
        grow=rb"[^\s\x00\x1b\"'`\\<>(){}\[\],;&|]*",
    ),
)  # fmt: skip

_VALUE = rb"[A-Za-z0-9_+/=.:~|-]"
_OPEN = rb"[=:]>?\s?[\\]{0,4}[\"'`]?"
_NAMED = (
    rb"(?i:key|pat|login|cert|hmac|salt|seed|dsn|api|token|secret|pass)[A-Za-z0-9_]?"
    rb"[\\]{0,4}[\"'`]?\]?\s?" + _OPEN
)

_SPEAKING = (
    rb"(?i:password|passphrase|passwd|token|secret|api[ _-]?key|(?:access|secret)[ _-]?key)s?"
    rb"(?:\s{1,3}(?:(?i:is|was|to|of|ist|es|est|jest|for [a-z]{1,16} is|=|:)|\xc3\xa8))?:?"
    rb"(?:\s|\\{1,4}[nr]){1,6}(?:[\\]{0,4}[\"'`]|\*{1,2})?"
)

_COLOURED = (
    Rule(
        "assignment-coloured", SECRET, KEYWORD_FIRST,
        rb"(?:" + KEYWORD + rb"|(?i:key))" + _TAIL
        + rb"\s{0,2}(?:" + _EQUALS + rb"\s{0,2}[\\]{0,4}[\"'`]?)?" + coloured.ESCAPE,
        rb"(?:" + KEYWORD + rb"|(?i:key))",
        partial(
            coloured.within, assignment=_ASSIGNED, named=_NAMED + rb"(" + _VALUE + rb"{16,})"
        ),
        edge=False, window=coloured.WINDOW_BYTES, grow=rb"[^\s\x00\x1b\"'`\\<>(){}\[\],;&|]*",
    ),
)  # fmt: skip

_BY_NAME = (
    Rule(
        "named-value", SECRET, b"kKpPlLcChHsSdDaAtT", _NAMED + rb"[A-Za-z0-9_+-]{8}",
        _NAMED + rb"(" + _VALUE + rb"{16,})", shapes.named_value, edge=False, window=320,
        grow=_VALUE + rb"*",
    ),
    Rule(
        "hex-value", SECRET, b"=:", _OPEN + rb"[0-9a-f]{8}(?:[0-9a-f]{4}|-[0-9a-f]{4}-)",
        _OPEN + rb"([0-9a-f]" + _VALUE + rb"{15,})", shapes.named_value, edge=False, window=320,
        grow=_VALUE + rb"*",
    ),
    Rule(
        "spoken", SECRET, b"pPtTsSaA", _SPEAKING + rb"[A-Za-z0-9_+/=.!@#$%^&*~:-]{8}",
        _SPEAKING + rb"([A-Za-z0-9_+/=.!@#$%^&*~:-]{8,})", shapes.spoken,
        grow=rb"[A-Za-z0-9_+/=~-]*",
    ),
)  # fmt: skip
"""Values that a name before them tells: `mailgun_key`, `Algolia: …`, "the token is …"."""

# Letters beyond ASCII, as UTF-8; not the typographic signs, which begin with E2 80.
_LETTER = rb"(?:[\xc3-\xdf][\x80-\xbf]|[\xe0\xe1\xe4-\xed][\x80-\xbf]{2})"
_NAME = rb"(?:[A-Za-z0-9_]|" + _LETTER + rb")(?:[A-Za-z0-9_.@-]|" + _LETTER + rb"){0,63}"
_SURNAME = rb" (?:[A-Z]|" + _LETTER + rb")(?:[A-Za-z-]|" + _LETTER + rb"){1,30}"
_SLASH = rb"(?i:%(?:25)?(?:2f|5c))"

_PROMPT = rb"@[A-Za-z0-9][A-Za-z0-9.-]{0,62}:[~/][^\s\x00@:$#]{0,60}[$#] "
_INSIDE = rb"\.(?:internal|corp|lan|local|intranet|localdomain|home\.arpa)\b"
_CALLED = (
    rb"(?i:tel|phone|telephone|mobile|fax|telefon|whatsapp|cell)(?:[_ ]?(?i:number|no|nr))?"
    rb"[\\]{0,4}[\"']?\s?[:=]\s?[\\]{0,4}[\"']?"
)

_PERSONAL = (
    Rule(
        "email", EMAIL, b"@%", rb"(?:@|%40)[A-Za-z0-9\x80-\xdf-]{1,40}\.[A-Za-z0-9]",
        rb"(?:@|%40)(?:[A-Za-z0-9\x80-\xdf-]{1,63}\.){1,6}[A-Za-z]{2,24}\b", places.email,
        edge=False,
    ),
    Rule(
        "home", USER, b"/", rb"/(?:home|Users)/[A-Za-z0-9_\xc3-\xed]",
        rb"/(?:home|Users)/(?:(" + _NAME + rb"(?:" + _SURNAME + rb"){1,2})/|(" + _NAME + rb"))",
        places.home, edge=False,
    ),
    Rule(
        "home-encoded", USER, b"%", _SLASH + rb"(?:home|Users)" + _SLASH + rb"[A-Za-z0-9_]",
        _SLASH + rb"(?:home|Users)" + _SLASH + rb"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})",
        places.home_encoded, edge=False,
    ),
    Rule(
        "home-windows", USER, b"\\", rb"[\\]{1,4}Users[\\]{1,4}[A-Za-z0-9_\xc3-\xed]",
        rb"[\\]{1,4}Users[\\]{1,4}(" + _NAME + rb"(?:" + _SURNAME + rb")?)",
        places.home_windows, edge=False,
    ),
    Rule(
        "home-slug", USER, b"-", rb"-(?:home|Users)-[A-Za-z0-9]",
        rb"-(?:home|Users)-([A-Za-z0-9][A-Za-z0-9_]{0,63})", places.home_slug, edge=False,
    ),
    Rule(
        "prompt", USER, b"@", _PROMPT, _PROMPT, places.prompt_user, edge=False,
    ),
    Rule(
        "prompt-host", HOST, b"@", _PROMPT, _PROMPT, places.prompt_host, edge=False,
    ),
    Rule(
        "host", HOST, b".", _INSIDE, _INSIDE, places.inside_host, edge=False,
    ),
    Rule(
        "phone", PHONE, b"+", rb"\+[1-9][0-9 .(-][0-9 ().-]{6}",
        rb"\+[1-9][0-9]{0,2}(?:[ .()-]{0,2}[0-9]{1,12}){1,6}", places.phone, edge=False,
    ),
    Rule(
        "phone-labelled", PHONE, b"tTpPmMfFcCwW", _CALLED + rb"[0-9(][0-9 ()./-]{5}",
        _CALLED + rb"([0-9(][0-9 ()./-]{5,24})", places.phone_labelled,
    ),
    Rule(
        "mac", MAC, b"0123456789abcdefABCDEF",
        rb"[0-9a-fA-F]{2}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}:[0-9a-fA-F]",
        rb"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", places.mac,
    ),
    Rule(
        "ipv4", IP, b"123456789", rb"[1-9][0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", places.ipv4,
    ),
    Rule(
        "ipv6", IP, b"23", rb"[23][0-9a-fA-F]{3}:[0-9a-fA-F]{0,4}:[0-9a-fA-F:]",
        rb"[0-9a-fA-F:]{6,45}", places.ipv6,
    ),
)  # fmt: skip


_WHOLE = {
    "onepassword": 40,
    "airtable": 82,
    "azure-client": 40,
    "sendgrid": 69,
    "telegram-bot": 44,
    "discord-bot": 66,
    "salesforce-session": 100,
    "jwt": 80,
}
"""Bytes of a whole one, of the kinds that are not in a table of tokens."""


def _wrapping(rule: Rule) -> Rule:
    nominal = _WHOLE.get(rule.name, 0)
    return replace(rule, check=partial(shapes.wrapping, check=rule.check, nominal=nominal))


RULES: tuple[Rule, ...] = (
    *map(
        _wrapping,
        PROVIDERS
        + _SHAPES
        + _FILES
        + _COMMANDS
        + _ASSIGNMENTS
        + _COLOURED
        + _BY_NAME
        + CONFIGURED
        + (encoded.RULE,),
    ),
    *_PERSONAL,
)
"""All rules, in the order in which they name a finding that several of them make."""

SECRET_RULES: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.type == SECRET)


def ruleset(rules: tuple[Rule, ...] = RULES) -> str:
    """A digest of the table, to tell rows redacted by other rules: `sha256:<64 hex>`."""
    text = "\n".join(f"{rule.name} {rule.type} {rule.pattern!r}" for rule in rules)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
