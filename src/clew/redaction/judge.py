"""Is this key's value a secret, and is this value a real one? Pure judgements on bytes.

A key is read as words (`AWS_SECRET_ACCESS_KEY`, `apiKey`, `x-api-key`), so that `max_tokens`
and `author` mean what they say. A value that stands for another (`YOUR_KEY`, `${X}`,
`os.environ[...]`, `***`) is not a secret, whatever its key.
"""

from __future__ import annotations

import math
from collections import Counter
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise

from clew.redaction.linear import compiled
from clew.redaction.vendors import VENDORS


class Strength(IntEnum):
    """How much a key says about its value."""

    NONE = 0
    FAINT = 1
    """`OPENAI_KEY`: secret only when nothing but a machine can have made the value."""
    WEAK = 2
    """`token`, `auth`: secret only when the value looks random."""
    STRONG = 3
    """`password`, `api_key`: secret unless the value is a placeholder."""


VALUE_BYTES_MAX = 4096
STRONG_BYTES_MIN = 6
BARE_BYTES_MIN = 8
WEAK_BYTES_MIN = 16
WEAK_ENTROPY_MIN = 3.0
"""Bits per byte; random hex is near 4, English words are near 2.5 at these lengths."""
SHORT_ENTROPY_MIN = 2.25
"""For fewer than 16 bytes, where eight different ones have 3.0."""
PATH_JUMBLE_BYTES_MIN = 16
LINES_MAX = 8
WORDS_MAX = 5
"""So many words before a sign belong to the name of a value."""
HEX_BYTES_MIN = 6
"""So many different digits has a random number in hexadecimal digits."""
PART_BYTES_MIN = 8
SIGNS_BYTES_MIN = 32
"""So long a random text may begin with a sign that stands for a variable elsewhere."""
RUN_BYTES_MIN = 3
"""A name is made of longer runs; random text changes its kind at every second byte."""

_KEY_WORDS = compiled(
    rb"[A-Z](?:[A-Z]|\xc3[\x80-\x9e])*[a-z0-9]*(?:[\xc3-\xdf][\x80-\xbf][a-z]*)*"
    rb"|(?:[a-z0-9]|[\xc3-\xdf][\x80-\xbf]|[\xe3-\xed][\x80-\xbf]{2})+"
)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STRONG = _set(
    "password passwd passphrase passcode pwd secret secrets apikey authtoken accesstoken "
    "secretkey privatekey accesskey credential credentials pgpassword mysqlpwd passwords "
    "passphrases apikeys passwort psk kennwort senha clave contraseña contrasena hasło haslo "
    "пароль 密码 密碼 パスワード 비밀번호 şifre sifre parola wachtwoord lösenord heslo "
    "sshpass dbpass userpass mysqlpass ftppass smtppass "
    "sharedkey signingkey encryptionkey masterkey accountkey"
)
_STRONG_PAIRS = frozenset(
    tuple(pair.split("_"))
    for pair in _set(
        "api_key access_key private_key signing_key encryption_key master_key account_key "
        "service_key deploy_key license_key subscription_key shared_key storage_key auth_key "
        "admin_key role_key hmac_key auth_token access_token refresh_token bearer_token "
        "session_token id_token api_token bot_token app_token oauth_token security_token "
        "personal_token csrf_token deploy_token admin_token webhook_token api_keys access_keys "
        "db_pass database_pass smtp_pass mail_pass email_pass become_pass sudo_pass user_pass "
        "ssh_pass root_pass admin_pass mysql_pass redis_pass pg_pass postgres_pass mongo_pass "
        "ftp_pass login_pass auth_pass proxy_pass http_pass ldap_pass wifi_pass store_pass "
        "key_pass app_pass api_pass rabbitmq_pass vault_pass preshared_key server_key sdk_key "
        "customer_key consumer_key write_key record_key environment_key integration_key "
        "webhook_key ingest_key instrumentation_key mot_de"
    )
)
_STRONG_ENDS = (
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "authtoken",
    "accesstoken",
    "secret",
)
"""`dbpassword`, `clientsecret`: words that are written as one."""
# Not `signature`: that of a thinking block has to stay as it is, byte for byte.
_WEAK = _set("token auth authorization jwt pat cookie sessionid bearer pass pw")
_NOT = _set(
    "count counts length len limit size name names path file files dir type types url uri "
    "field fields usage policy label header headers prefix suffix regex pattern expires expiry "
    "expiration ttl max min budget prompt tokens tokenizer tokenize version algorithm alg id "
    "ids index provider status hint help description title text required enabled validator "
    "format kind class scheme method endpoint manager store env var variable"
)


@lru_cache(maxsize=8192)
def strength(key: bytes) -> Strength:
    """What `key` says about its value."""
    words = _words(key)
    if not words or words[-1] in _NOT:
        return Strength.NONE
    if not _STRONG.isdisjoint(words) or not _STRONG_PAIRS.isdisjoint(pairwise(words)):
        return Strength.STRONG
    if any(word.endswith(_STRONG_ENDS) for word in words):
        return Strength.STRONG
    if not _WEAK.isdisjoint(words):
        return Strength.WEAK
    faint = words[-1] == "key" and len(words) > 1 and _NO_SECRET.isdisjoint(words[:-1])
    return Strength.FAINT if faint else Strength.NONE


def telling_words() -> frozenset[str]:
    """Words, and pairs of words joined by `_`: a key whose strength is not `NONE` holds one."""
    return _STRONG | _WEAK | {"key"} | {"_".join(pair) for pair in _STRONG_PAIRS}


def _words(key: bytes) -> list[str]:
    words, pos = [], 0
    while found := _KEY_WORDS.search(key, pos):
        words.append(found.group().decode("utf-8", "replace").lower())
        pos = found.end()
    return words


_PLACEHOLDER = compiled(
    rb"(?i)[<\[{(].*|\$.*|%[A-Za-z_(].*|.*[>}\])]|&.*;|@.*"
    rb"|.*(?:\*\*\*|\.\.\.|\xe2\x80\xa6|xxxx|placeholder|redacted|changeme|change[-_ ]me|dummy"
    rb"|example|your[-_ ]|[-_]here\b|process\.env|os\.environ|getenv|import\.meta|replace[-_ ]?me"
    rb"|insert[-_ ]).*"
    rb"|(?:your|my|some|the|a|fake|test|sample|todo|tbd)(?:[-_ ]?(?:api|secret|access|auth|private"
    rb"|key|token|pass|password|value))*"
    rb"|(?:api|secret|access|auth|private|client)?[-_ ]?(?:key|token|secret|pass|password|passwd"
    rb"|passphrase|pwd|credential|credentials)s?"
    rb"|null|none|nil|undefined|true|false|string|str|bytes|bool|boolean|int|integer|number|object"
    rb"|optional|required|any|unknown|default|empty|hidden|value|values|username|user|admin|root"
    rb"|postgres|localhost|basic|bearer|digest|\.+|-+|_+|#+|\?+|x+|0+|1+"
)
_DOTTED = compiled(rb"[A-Za-z_$][A-Za-z0-9_$]*(?:(?:\.|::|->|\?\.)[A-Za-z_$][A-Za-z0-9_$]*)+")
_IDENTIFIER = compiled(rb"_*[A-Za-z]+(?:[_-][A-Za-z]+)*[_:]*")
_CALL_ID = compiled(rb"(?:call|toolu|msg|req|resp|rs|fc|chatcmpl|run|thread|srvtoolu)[_-].*")
_PATH = compiled(rb"(?:[a-z]+:)?\.{0,2}/[^+=]*|[A-Za-z]:\\.*|[^\s]*/[^\s]*\.[a-z]{1,5}")
_WORDY = compiled(rb"(?:[a-z]+[-_])+[a-z]*|(?:[A-Z]+[-_])+[A-Z]*")
_DIGIT = frozenset(b"0123456789")
_LETTER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")


def entropy(value: bytes) -> float:
    """Shannon entropy in bits per byte."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())


def placeholder(value: bytes) -> bool:
    """True for text that stands where a secret would; not for a random one that was cut off."""
    if _PLACEHOLDER.fullmatch(value) is None:
        return False
    shorter = value.rstrip(b".\xe2\x80\xa6")
    if len(shorter) < len(value):
        return len(shorter) < BARE_BYTES_MIN or placeholder(shorter) or not jumbled(shorter)
    return (
        len(value) < SIGNS_BYTES_MIN
        or not (value[0] in b"@&$%(" or value[-1] in b")]}>")
        or (not jumbled(value[1:-1]) or b"(" in value[1:-1])
    )


def wordy(value: bytes) -> bool:
    """True for words joined by hyphens (`your-key-here`): no issued token looks like that."""
    return _WORDY.fullmatch(value) is not None


def plausible_leaf(value: bytes, key: Strength) -> bool:
    """Is a whole value under this key a secret? The structure already says where it ends."""
    if b"\n" in value:
        return _wrapped(value)
    if key is Strength.FAINT:
        return looks_issued(value) and _FAINT_NOT.fullmatch(value) is None
    if key is Strength.WEAK:
        return _random(value)
    return STRONG_BYTES_MIN <= len(value) <= VALUE_BYTES_MAX and not (
        any(space in value for space in b" \t\r\n") or placeholder(value) or _code(value)
    )


def _wrapped(value: bytes) -> bool:
    """A value in several lines, because the first was full: only what a machine made."""
    lines = value.split(b"\n", LINES_MAX)
    return len(lines) <= LINES_MAX and looks_issued(b"".join(line.strip() for line in lines))


def _named(value: bytes) -> bool:
    """A name of code, such as `user_token_2`, no part of which is random."""
    return _NAME.fullmatch(value) is not None and not random_part(value)


def plausible_quoted(value: bytes, key: Strength) -> bool:
    """Is a quoted literal in running text a secret?"""
    if not plausible_leaf(value, key):
        return False
    if key is not Strength.STRONG:
        return key is Strength.FAINT or not _named(value)
    return not _IDENTIFIER.fullmatch(value) or _mixed(value) or random_part(value)


def plausible_bare(value: bytes, key: Strength, *, environment: bool) -> bool:
    """Is an unquoted value in running text a secret? Code is full of names that are not.

    `environment` says that it stands as in a `.env` file (`DB_PASSWORD=…`).
    """
    if key is Strength.FAINT:
        return plausible_leaf(value, key)
    if key is Strength.WEAK:
        return _random(value) and not _DOTTED.fullmatch(value) and not _named(value)
    least = STRONG_BYTES_MIN if environment else BARE_BYTES_MIN
    if len(value) < least or not plausible_leaf(value, key):
        return False
    if _IDENTIFIER.fullmatch(value):
        return jumbled(value) or (environment and _mixed(value))
    if not environment and _named(value):
        return False
    return not _DIGIT.isdisjoint(value) and not _LETTER.isdisjoint(value)


_NO_SECRET = _set(
    "public primary foreign sort partition cache row unique dict object bucket s3 group hash "
    "lookup map column lock idempotency event message route index storage prefix translation i18n "
    "react session state query store item node entity record shard ssh host known pub fingerprint "
    "sha sha1 sha256 sha512 md5 digest checksum commit rev revision ref etag integrity version "
    "uuid guid id ids url uri path file dir folder name host domain region zone account tenant org "
    "user username client email project workspace team channel chat room number model image tag "
    "branch repo arn topic trace span request thread task job run call dedup dedupe page "
    "pagination cursor blob asset media upload widget component attribute setting"
)
_TELLING_LAST = _set(
    "key keys pat token secret password login certificate cert pw hmac salt seed dsn apikey api "
    "auth credential credentials access license pass code bearer"
)
ISSUED_BYTES_MIN = 16
ISSUED_ENTROPY_MIN = 3.0
_UUID_PATTERN = rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_UUID = compiled(_UUID_PATTERN)
_FAINT_NOT = compiled(_UUID_PATTERN + rb"|[a-z]{2,}(?:[-_][a-z]{2,})+(?:[-_]v?[0-9]{1,8})?")
_HASH = compiled(rb"(?:sha[0-9]{1,3}|md5)[:=-].*")


@lru_cache(maxsize=8192)
def names_a_secret(text: bytes) -> bool:
    """May the words before a value (`mailgun_key`, `the algolia api`) name a secret?

    A random value after `cache_key` or `commit` is one of those that code is full of.
    """
    words = _words(text)[-WORDS_MAX:]
    if not words or words[-1] in _NOT:
        return False
    telling = words[-1] in _TELLING_LAST or (len(words) > 1 and words[-2] in _TELLING_LAST)
    joined = {first + second for first, second in pairwise(words)}
    issuer = not VENDORS.isdisjoint(words) or not VENDORS.isdisjoint(joined)
    if issuer:
        return _NO_SECRET.isdisjoint(words[-1:])
    return telling and len(words) > 1 and _NO_SECRET.isdisjoint(words[:-1])


def looks_issued(value: bytes) -> bool:
    """At least 16 bytes that a machine made: random text, hexadecimal digits, a UUID."""
    if len(value) > VALUE_BYTES_MAX or len(value) < ISSUED_BYTES_MIN:
        return False
    if placeholder(value) or _CALL_ID.fullmatch(value) or _code(value) or _HASH.fullmatch(value):
        return False
    if _UUID.fullmatch(value) or _HEX.fullmatch(value):
        return len(set(value)) >= HEX_BYTES_MIN
    return (
        not _DIGIT.isdisjoint(value)
        and not _LETTER.isdisjoint(value)
        and entropy(value) >= ISSUED_ENTROPY_MIN
        and jumbled(value)
    )


def looks_made(value: bytes) -> bool:
    """A password that no word looks like: letters with digits or signs."""
    signs = sum(1 for byte in value if byte in b"!@#$%^&*~+=")
    digits = sum(1 for byte in value if byte in _DIGIT)
    letters = not _LETTER.isdisjoint(value)
    return letters and bool(digits) and (jumbled(value) or bool(signs))


def worth_spreading(value: bytes) -> bool:
    """May a found secret be replaced wherever else it stands? Not when it could be a word."""
    if len(value) < BARE_BYTES_MIN or placeholder(value):
        return False
    return (not _DIGIT.isdisjoint(value) and not _LETTER.isdisjoint(value)) or (
        len(value) >= WEAK_BYTES_MIN and entropy(value) >= WEAK_ENTROPY_MIN
    )


def _mixed(value: bytes) -> bool:
    """Letters without digits that still look random: both cases, no word shape, long."""
    upper = sum(1 for byte in value if byte in _UPPER)
    return (
        len(value) >= WEAK_BYTES_MIN
        and upper * 5 >= len(value)
        and not _LOWER.isdisjoint(value)
        and entropy(value) >= WEAK_ENTROPY_MIN
        and b"_" not in value
    )


def _code(value: bytes) -> bool:
    if _DOTTED.fullmatch(value) is not None:
        return True
    # One of 64 random base64 texts begins with a slash.
    jumble = len(value) >= PATH_JUMBLE_BYTES_MIN and b"." not in value and _unspeakable(value)
    return _PATH.fullmatch(value) is not None and not jumble


_RUN = compiled(rb"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_HEX = compiled(rb"[0-9a-f]{12,}|[0-9A-F]{12,}")
_CAMEL = compiled(rb"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,5}|[A-Z]?[0-9]{1,4})+")
_SPEAKABLE = compiled(
    rb"(?i)[b-df-hj-np-tv-z]{0,3}(?:[aeiouy]{1,2}[b-df-hj-np-tv-z]{1,3})+[aeiouy]{0,2}"
    rb"|[b-df-hj-np-tv-z]{1,3}[aeiouy]{1,2}"
)
_ODD = compiled(
    rb"(?i)q(?:[^u]|$)|[jvxz][bcdfghjkmnpqrstvwxz]|[bcdfghjkmpqtvwz][xj]|[bcdfghjkpqtvwx]z"
    rb"|[bdfgjkpqtvwxz][cn]$|[bcdfgjkpqtvwxz]m$|[cdfgkmptvwx]b|[bcdfghkmpvw]v|k[dfgkmprt]"
    rb"|a[ao]|i[iuy]|u[uwo]|y[yu]|o[eyj]|w[gmpt]|[bp]k|[bgm]f|[dtpbg]d$|h[bdfghkp]"
)
"""Pairs of letters that no common word of English holds."""
_SPEAKABLE_BYTES_MIN = 3
_MARKED = compiled(
    rb"[A-Za-z]{3}[0-9]{2,}[!#%&*?^~]|[!#^~][A-Za-z0-9]{6,}$|^[A-Z][a-z]{3,}[0-9]{4}$"
)
"""What people make of a word when a password has to hold a sign."""
_NAME = compiled(
    rb"[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{1,3}[0-9]{3}[A-Z]{0,3}"
    rb"|0[xX][0-9a-fA-F_]+|v?[0-9]+(?:[.:_/T+-][0-9]+)+Z?|[0-9.]+[A-Za-z]{1,4}"
)
"""Snake case, `ES256K`, hexadecimal numbers, versions and times, numbers with a unit."""


@lru_cache(maxsize=512)
def _unspeakable(value: bytes) -> bool:
    """Does it change kind all the time, or do too few of its letters make words?

    `HTTPBasicAuth1`, `sha256_hmac` and `getPassword` are made of words; fourteen random
    letters and digits hold none, or a short one.
    """
    if (value.isalnum() and not _CAMEL.fullmatch(value)) or _HEX.fullmatch(value):
        return True
    runs = letters = spoken = pos = 0
    while found := _RUN.search(value, pos):
        pos = found.end()
        if pos - found.start() > 1 and value[pos - 1] in _UPPER and value[pos : pos + 1].islower():
            pos -= 1  # `HTTPBasic`: the last capital begins the next word.
        run = value[found.start() : pos]
        runs += 1
        if run[0] in _DIGIT:
            continue
        letters += len(run)
        if len(run) >= _SPEAKABLE_BYTES_MIN and _speakable(run):
            spoken += len(run)
    least = 2 / 3 if value.isalpha() else 1 / 2
    return spoken < letters * least or runs * RUN_BYTES_MIN >= len(value)


def _speakable(run: bytes) -> bool:
    return _SPEAKABLE.fullmatch(run) is not None and _ODD.search(run) is None


_SEAM = compiled(rb"[_.=/+-]+")


def random_part(value: bytes) -> bool:
    """Does it look random, or a long part of it between signs?"""
    if jumbled(value):
        return True
    pos, last = 0, 0
    while found := _SEAM.search(value, pos):
        if found.start() - last >= PART_BYTES_MIN and jumbled(value[last : found.start()]):
            return True
        pos = last = found.end()
    return last > 0 and len(value) - last >= PART_BYTES_MIN and jumbled(value[last:])


def fragment(value: bytes) -> bool:
    """Can this be the rest of a token that was cut? Anything but words and numbers."""
    if placeholder(value) or value.isdigit():
        return False
    if random_part(value) or _HEX.fullmatch(value):
        return True
    if _DOTTED.fullmatch(value):
        return False
    digits = not _DIGIT.isdisjoint(value)
    mixed = not _UPPER.isdisjoint(value) and not _LOWER.isdisjoint(value)
    return (digits or mixed) and _NAME.fullmatch(value) is None and _unspeakable(value)


def jumbled(value: bytes) -> bool:
    """At least eight bytes of both cases, or letters and digits, that make no words."""
    digits = not _DIGIT.isdisjoint(value)
    mixed = not _UPPER.isdisjoint(value) and not _LOWER.isdisjoint(value) and b"_" not in value
    return (
        len(value) >= BARE_BYTES_MIN
        and (mixed or (digits and not _LETTER.isdisjoint(value)))
        and _NAME.fullmatch(value) is None
        and entropy(value) >= SHORT_ENTROPY_MIN
        and (_unspeakable(value) or (digits and _MARKED.search(value) is not None))
    )


def _random(value: bytes) -> bool:
    long = (
        len(value) >= WEAK_BYTES_MIN
        and not _DIGIT.isdisjoint(value)
        and not _LETTER.isdisjoint(value)
        and entropy(value) >= WEAK_ENTROPY_MIN
    )
    return (
        len(value) <= VALUE_BYTES_MAX
        and not any(space in value for space in b" \t\r\n")
        and (long or jumbled(value))
        and not placeholder(value)
        and not _CALL_ID.fullmatch(value)
        and not _code(value)
    )
