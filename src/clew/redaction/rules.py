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
from collections.abc import Callable
from dataclasses import dataclass

from clew.redaction import places, shapes
from clew.redaction.linear import Match

Span = tuple[int, int]
Check = Callable[[bytes, Match], Span | None]

SECRET = "SECRET"  # noqa: S105 - the name of a placeholder
EMAIL = "EMAIL"
USER = "USER"
IP = "IP"
PHONE = "PHONE"
HOST = "HOST"
MAC = "MAC"
NAME = "NAME"
TYPES = (SECRET, EMAIL, IP, MAC, PHONE, HOST, NAME, USER)
"""Placeholder types; of overlapping finds the earlier type in this list names the whole."""

ENGINE_RULES = {
    "secret-key": SECRET,
    "known-secret": SECRET,
    "listed-name": NAME,
}
"""Finds that no pattern makes: a whole value under a telling key, and what the user listed."""

WINDOW_BYTES = 512


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding. `first` are the bytes that a match can begin with."""

    name: str
    type: str
    first: bytes
    core: bytes
    pattern: bytes
    check: Check = shapes.whole
    edge: bool = True
    """A match must begin where a word may begin."""
    grow: bytes | None = None
    window: int = WINDOW_BYTES


_B62 = rb"[A-Za-z0-9]"
_URL64 = rb"[A-Za-z0-9_-]"
_HEX = rb"[0-9a-f]"


def _token(name: str, heads: str, body: bytes, least: int, *, check: Check = shapes.token) -> Rule:
    """Tokens with a fixed beginning, then at least `least` bytes of one class."""
    literals = [head.encode() for head in heads.split()]
    head = b"(?:" + b"|".join(literal.replace(b".", rb"\.") for literal in literals) + b")"
    return Rule(
        name,
        SECRET,
        bytes({literal[0] for literal in literals}),
        head + body + b"{%d}" % min(least, 8),
        head + body + b"{%d,}" % least,
        check,
        grow=body + b"*",
    )


def _exact(name: str, first: bytes, pattern: bytes, *, check: Check = shapes.token) -> Rule:
    """Tokens of one short pattern that is its own core."""
    return Rule(name, SECRET, first, pattern, pattern + rb"\b", check)


_TOKENS = (
    _token("anthropic", "sk-ant-", _URL64, 10),
    _token("openrouter", "sk-or-", _URL64, 16),
    _token("openai-project", "sk-proj- sk-svcacct- sk-admin- sk-None-", _URL64, 16),
    _token("langfuse", "sk-lf- pk-lf-", _URL64, 16),
    _token("openai", "sk-", _B62, 20),
    _token("google-api", "AIza", _URL64, 30),
    _token("google-oauth", "ya29. GOCSPX- 1//0", _URL64, 20),
    _token("aws-bedrock", "ABSK bedrock-api-key-", rb"[A-Za-z0-9+/=]", 40),
    _token("github", "ghp_ gho_ ghs_ ghu_ ghr_", _B62, 16),
    _token("github-fine", "github_pat_", rb"[A-Za-z0-9_]", 20),
    _token(
        "gitlab",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glimt- glagent- gloas- glffct-",
        rb"[A-Za-z0-9_.-]",
        16,
    ),
    _token("slack", "xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", _URL64, 10),
    _token("slack-rotated", "xoxe.xoxp- xoxe.xoxb-", _URL64, 10),
    _token("stripe", "sk_live_ sk_test_ rk_live_ rk_test_ whsec_", rb"[A-Za-z0-9+/=]", 10),
    _token("hugging-face", "hf_ api_org_", _B62, 30),
    _token("npm", "npm_", _B62, 30),
    _token("pypi", "pypi-Ag", _URL64, 30),
    _token("xai", "xai-", _B62, 40),
    _token("groq", "gsk_", _B62, 40),
    _token("perplexity", "pplx-", _B62, 32),
    _token("replicate", "r8_", _B62, 32),
    _token("fireworks", "fw_", _B62, 22),
    _token("nvidia", "nvapi-", _URL64, 40),
    _token("together", "tgp_v1_", _URL64, 30),
    _token("cerebras", "csk-", _B62, 32),
    _token("voyage", "pa-", _URL64, 40),
    _token("jina", "jina_", _URL64, 40),
    _token("tavily", "tvly-", _URL64, 20),
    _token("langsmith", "lsv2_pt_ lsv2_sk_ lsv2_sy_", rb"[0-9a-f_]", 32),
    _token("shopify", "shpat_ shpca_ shppa_ shpss_", _HEX, 32),
    _token("square", "sq0atp- sq0csp- sq0idp-", _URL64, 22),
    _token("digitalocean", "dop_v1_ doo_v1_ dor_v1_", _HEX, 40),
    _token("doppler", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim.", rb"[A-Za-z0-9_.-]", 30),
    _token("linear", "lin_api_ lin_oauth_", _B62, 32),
    _token("notion", "ntn_", _B62, 40),
    _exact("notion-older", b"s", rb"secret_[A-Za-z0-9]{43}"),
    _token(
        "tailscale",
        "tskey-auth- tskey-api- tskey-client- tskey-scim- tskey-webhook-",
        rb"[A-Za-z0-9-]",
        20,
    ),
    _token("render", "rnd_", _B62, 28),
    _token("vercel-blob", "vercel_blob_rw_", rb"[A-Za-z0-9_]", 24),
    _token("figma", "figd_", _URL64, 30),
    _token("atlassian", "ATATT3 ATCTT3 ATBB", rb"[A-Za-z0-9_=-]", 28),
    _token("postman", "PMAK-", rb"[0-9a-f-]", 40),
    _token("new-relic", "NRAK-", rb"[A-Z0-9]", 24),
    _token("grafana", "glsa_ glc_", rb"[A-Za-z0-9_+/=]", 28),
    _token("sentry", "sntrys_ sntryu_", rb"[A-Za-z0-9_+/=]", 32),
    _token("vault", "hvs. hvb. hvr.", _URL64, 20),
    _token("pulumi", "pul-", _HEX, 40),
    _token("docker", "dckr_pat_ dckr_oat_", _URL64, 20),
    _token("supabase", "sbp_ sb_secret_", _URL64, 20),
    _token("planetscale", "pscale_tkn_ pscale_pw_ pscale_oauth_", rb"[A-Za-z0-9_.=-]", 30),
    _token("heroku", "HRKU-", _URL64, 30),
    _token("netlify", "nfp_", _B62, 36),
    _token("fly", "fm2_ fo1_", rb"[A-Za-z0-9+/=_-]", 40),
    _token("rubygems", "rubygems_", _HEX, 40),
    _token("age", "AGE-SECRET-KEY-1", rb"[A-Z0-9]", 40),
    _token("alibaba", "LTAI", _B62, 16),
    _token("tencent", "AKID", _B62, 32),
    _token("mailgun", "key-", _HEX, 32),
    _token("sonar", "squ_ sqp_ sqa_", _HEX, 40),
    _token("easypost", "EZAK EZTK", _B62, 50, check=shapes.varied),
    _token("facebook", "EAAG EAAC EAAB EAAE", _B62, 60, check=shapes.varied),
    _exact("aws-access-key", b"A", rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    _exact("databricks", b"d", rb"dapi[0-9a-f]{32}(?:-[0-9])?"),
    _exact("twilio", b"S", rb"SK[0-9a-f]{32}"),
    _exact("elevenlabs", b"s", rb"sk_[0-9a-f]{48}"),
    _exact("firecrawl", b"f", rb"fc-[0-9a-f]{32}"),
    _exact("mailchimp", b"0123456789abcdef", rb"[0-9a-f]{32}-us[0-9]{1,2}"),
    Rule(
        "sendgrid", SECRET, b"S", rb"SG\.[A-Za-z0-9_-]{16}",
        rb"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,}", grow=_URL64 + b"*",
    ),
    Rule(
        "telegram-bot", SECRET, b"0123456789", rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{8}",
        rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}", grow=_URL64 + b"*",
    ),
    Rule(
        "discord-bot", SECRET, b".", rb"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{20}",
        rb"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{26,}", shapes.discord, edge=False,
        grow=_URL64 + b"*",
    ),
    Rule(
        "airtable", SECRET, b"p", rb"pat[A-Za-z0-9]{14}\.[0-9a-f]{8}",
        rb"pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}", grow=_HEX + b"*",
    ),
    Rule(
        "terraform", SECRET, b".", rb"\.atlasv1\.[A-Za-z0-9_=-]{8}",
        rb"\.atlasv1\.[A-Za-z0-9_=-]{40,}", shapes.headed, edge=False, grow=rb"[A-Za-z0-9_=-]*",
    ),
    Rule(
        "azure-openai", SECRET, b"J", rb"JQQJ99[A-Z0-9]{6}", rb"JQQJ99[A-Za-z0-9]{20,}",
        shapes.headed, edge=False, grow=_B62 + b"*",
    ),
    Rule(
        "azure-client", SECRET, b"0123456789", rb"[0-9]Q~[A-Za-z0-9_~.-]{8}",
        rb"[0-9]Q~[A-Za-z0-9_~.-]{31,34}", shapes.azure_client, edge=False,
    ),
)  # fmt: skip

_FLAG = rb"--[a-z-]{0,24}(?:password|passwd|passphrase|secret|token|api-?key)"

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
        rb"(?:(?:token|apikey|key|bearer|digest|negotiate|aws4-hmac-sha256)\s{1,4})?"
        rb"([^\s\"'\\,;<>{}$]{8,})", shapes.random_value, edge=False,
        grow=rb"[A-Za-z0-9._~+/=-]*",
    ),
    Rule(
        "cookie", SECRET, b"cC",
        rb"(?i:cookie)[\\]{0,4}[\"']?:\s{0,2}[\\]{0,4}[\"']?[A-Za-z0-9_.-]{2}",
        rb"(?i)cookie[\\]{0,4}[\"']?:\s{0,2}[\\]{0,4}[\"']?([A-Za-z0-9_.-]{2,64}=[^\s\"'\\,<>;]{8,}"
        rb"(?:;\s?[A-Za-z0-9_.-]{1,64}=[^\s\"'\\,<>;]*)*)", shapes.cookie, edge=False,
        window=4096,
    ),
    Rule(
        "url-password", SECRET, b":",
        rb"://[^\s/:@\"'<>`]{0,48}:[^\s/@\"'<>`]{2,80}@[A-Za-z0-9\[$<{]",
        rb"://[^\s/:@\"'<>`]{0,48}:([^\s/@\"'<>`]{2,80})@", shapes.url_password, edge=False,
    ),
    Rule(
        "url-token", SECRET, b":", rb"://[A-Za-z0-9_-]{20,80}@",
        rb"://([A-Za-z0-9_-]{20,80})@", shapes.random_value, edge=False,
    ),
    Rule(
        "signed-url", SECRET, b"?&",
        rb"[?&](?i:x-amz-signature|x-amz-security-token|x-goog-signature|signature|sig|code)=",
        rb"[?&][A-Za-z-]{3,20}=([A-Za-z0-9%+/_.=-]{16,})", shapes.random_value, edge=False,
        grow=rb"[A-Za-z0-9%+/_.=-]*",
    ),
    Rule(
        "slack-webhook", SECRET, b"h", rb"hooks\.slack\.com/(?:services|workflows)/[A-Z0-9]",
        rb"hooks\.slack\.com/[a-z]{8,9}/([A-Za-z0-9/]{20,})", edge=False,
        grow=rb"[A-Za-z0-9/]*",
    ),
    Rule(
        "discord-webhook", SECRET, b"d", rb"discord(?:app)?\.com/api/webhooks/[0-9]",
        rb"discord(?:app)?\.com/api/webhooks/([0-9]{10,25}/[A-Za-z0-9_-]{20,})", edge=False,
        grow=_URL64 + b"*",
    ),
    Rule(
        "curl-user", SECRET, b"-", rb"-(?:u|-user)[ =]{1,2}[\"']?[^\s:\"']{1,40}:[^\s\"']{4}",
        rb"-(?:u|-user)[ =]{1,2}[\"']?[^\s:\"']{1,40}:([^\s\"']{4,80})", shapes.not_placeholder,
    ),
    Rule(
        "flag", SECRET, b"-",
        _FLAG + rb"[ =]{1,2}[\"']?[^\s\"'-]",
        rb"(" + _FLAG + rb")[ =]{1,2}[\"']?([^\s\"'\\]{6,200})", shapes.flag,
    ),
)  # fmt: skip

_QUOTE = rb"[\\]{0,4}[\"']?"
_WORD = _QUOTE + rb"([^\s\"'\\]{4,200})"

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
        rb"\s{1,4}[^\s-][^\s]{0,120}\s{1,4}[^\s]{1,64}\s{1,4}" + _WORD, shapes.argument,
    ),
    Rule(
        "openssl-pass", SECRET, b"-", rb"-pass(?:in|out)?\s{1,4}[\"']?pass:",
        rb"-pass(?:in|out)?\s{1,4}[\"']?pass:([^\s\"'\\]{4,200})", shapes.argument,
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
        "piped-password", SECRET, b"e", rb"echo (?:-n )?[\"']?[^\s\"']{4,80}[\"']? ?\| ?[a-z]",
        rb"echo (?:-n )?" + _WORD + rb"[\"']? ?\| ?"
        rb"(?:sudo\s[^\n|;&]{0,20}-S|[^\n|;&]{1,80}--password-stdin)", shapes.argument,
    ),
    Rule(
        "auth-pair", SECRET, b"aB", rb"(?:auth\s{0,2}=\s{0,2}|BasicAuth)\(\s{0,4}[\\]{0,4}[\"']",
        rb"(?:auth\s{0,2}=\s{0,2}|BasicAuth)\(\s{0,4}[\\]{0,4}[\"'][^\s\"'\\]{1,64}[\\]{0,4}[\"']"
        rb"\s{0,4},\s{0,4}[\\]{0,4}[\"']([^\s\"'\\]{4,200})", shapes.argument, edge=False,
    ),
    Rule(
        "element", SECRET, b"<",
        rb"<[A-Za-z0-9_.:-]{0,24}(?i:pass|pwd|secret|token|key|credential)[A-Za-z0-9_.:-]{0,12}>"
        rb"[^\s<>]",
        rb"<([A-Za-z0-9_.:-]{3,48})>([^\s<>]{4,400})</", shapes.element, edge=False,
    ),
    Rule(
        "netrc", SECRET, b"l", rb"login\s{1,4}[^\s]{1,64}\s{1,8}password\s{1,4}[^\s]{4}",
        rb"login\s{1,4}[^\s]{1,64}\s{1,8}password\s{1,4}" + _WORD, shapes.argument,
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
        rb"[\\]{0,4}[\"']?\s{0,4}[:=]\s{0,4}\[\s{0,12}[\\]{0,4}[\"'][^\s\"']",
        rb"[A-Za-z_-]{7,12}[\\]{0,4}[\"']?\s{0,4}[:=]\s{0,4}\[\s{0,12}[\\]{0,4}[\"']"
        rb"([^\s\"'\\\[\]]{4,}(?:[\\]{0,4}[\"'],\s*[\\]{0,4}[\"'][^\s\"'\\\[\]]+)*)",
        shapes.secret_list, window=2048,
    ),
)  # fmt: skip

_KEYWORD = (
    rb"(?i:passwor[dt]|pass(?:wd|phrase|code)?|psk|pwd|secret|token|credential|api[_. -]?key"
    rb"|(?:access|private|secret|auth|account|signing|master|encryption|shared|service|storage"
    rb"|subscription|admin|license|deploy|hmac|role)[_. -]?key|auth|cookie|sessionid)"
)
_TAIL = rb"[A-Za-z0-9_-]{0,12}[\\]{0,4}[\"'`]?\]?"
_COLOUR = rb"(?:(?:\x1b|\\{1,4}(?:u001b|x1b|033|e))\[[0-9;]{0,12}m)?"
_SIGN = _COLOUR + rb"\s{0,6}(?::=|=>|={1,3}|:)\s{0,6}" + _COLOUR

_ASSIGNMENTS = (
    Rule(
        "assignment", SECRET, b"pPsStTcCaAmMeEdDlLhHrR",
        _KEYWORD + _TAIL + rb"(?::[ ]?[A-Za-z \[\]|.]{1,24})?" + _SIGN
        + rb"(?:[\\]{0,4}[bruf]{0,2}[\"'`][^\s\"'`]|[^\s\"'`\\<>()\[\]{},;=]{4})",
        _KEYWORD + _TAIL + rb"(?::[ ]?[A-Za-z \[\]|.]{1,24})??" + _SIGN
        + rb"(?:[\\]{0,4}[bruf]{0,2}[\"'`]([^\s\"'`\\]{4,})[\\]{0,4}[\"'`]?"
        + rb"|([^\s\x1b\"'`\\<>(){}\[\],;&|]{6,}))",
        shapes.assignment, edge=False, window=320,
        grow=rb"[^\s\x1b\"'`\\<>(){}\[\],;&|]*",
    ),
)  # fmt: skip

# Letters beyond ASCII, as UTF-8; not the typographic signs, which begin with E2 80.
_LETTER = rb"(?:[\xc3-\xdf][\x80-\xbf]|[\xe0\xe1\xe4-\xed][\x80-\xbf]{2})"
_NAME = rb"(?:[A-Za-z0-9_]|" + _LETTER + rb")(?:[A-Za-z0-9_.@-]|" + _LETTER + rb"){0,63}"
_SURNAME = rb" (?:[A-Z]|" + _LETTER + rb")(?:[A-Za-z-]|" + _LETTER + rb"){1,30}"
_SLASH = rb"(?i:%(?:25)?(?:2f|5c))"

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
        "ipv4", IP, b"123456789", rb"[1-9][0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", places.ipv4,
    ),
    Rule(
        "ipv6", IP, b"23", rb"[23][0-9a-fA-F]{3}:[0-9a-fA-F]{0,4}:[0-9a-fA-F:]",
        rb"[0-9a-fA-F:]{6,45}", places.ipv6,
    ),
)  # fmt: skip

RULES: tuple[Rule, ...] = _TOKENS + _SHAPES + _COMMANDS + _ASSIGNMENTS + _PERSONAL
"""All rules, in the order in which they name a finding that several of them make."""

SECRET_RULES: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.type == SECRET)


def ruleset(rules: tuple[Rule, ...] = RULES) -> str:
    """A digest of the table, to tell rows redacted by other rules: `sha256:<64 hex>`."""
    text = "\n".join(f"{rule.name} {rule.type} {rule.pattern!r}" for rule in rules)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
