r"""Checks for personal data: addresses, home folders, hosts on the public internet.

What looks alike and is not personal stays: git remotes (`git@host:path`), version numbers
with four parts, private and documentation networks, account names that nobody owns (`root`,
`runner`).
"""

from __future__ import annotations

import ipaddress

from clew.redaction.linear import WORD, Match, compiled, run_start, starts_word

Span = tuple[int, int]

LOCAL_BYTES_MAX = 64
PATH_BYTES_MAX = 200
CONTEXT_BYTES = 24

_LOCAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-")
_TLD = frozenset(
    b"com org net edu gov mil int info biz name pro museum aero coop jobs mobi tel travel "
    b"dev app cloud tech online site email ai xyz shop store blog web page live life world "
    b"today group team systems solutions software digital agency company studio design media "
    b"network services support academy school university health care clinic law finance bank "
    b"capital ventures consulting engineering energy global international foundation ngo "
    b"social community zone space host website local internal corp lan intranet home "
    b"example test invalid localhost".split()
)
_NOT_CC = frozenset(b"py js ts rs go md sh rb cs vb hs kt ml".split())
_NOBODY = frozenset(
    b"root user users runner ubuntu debian centos fedora alpine node app admin vscode "
    b"codespace docker jenkins git shared public default guest linuxbrew circleci travis "
    b"username your-username yourname youruser you name me example test builder nobody "
    b"homebrew all default_user vagrant pi ec2-user opc azureuser runneradmin "
    b"containeradministrator agent claude codex bot ci build work workspace sandbox".split()
)
_FOLDERS = frozenset(
    b"about account accounts admins analytics api apps archive article articles asset assets "
    b"auth authenticate authentication backend backup backups billing bin blog cache calendar "
    b"cart categories category chat client common component components config confirm contact "
    b"content controllers core create css dash dashboard data database dataset datasets db "
    b"delete demo details dev dist docs documents download downloads edit error etc events "
    b"explore export favorites features feed feedback files find folder footer frontend gallery "
    b"games general global groups header help history hooks html icons images img import inbox "
    b"include index info items java js layout layouts lib libs list local locales log login "
    b"logout logs mail main manage media menu messages mnt mobile models module modules music my "
    b"nav navbar navigation network new news node_modules notifications old opt orders overview "
    b"packages page pages partials password payments photos pictures plugins posts pricing "
    b"privacy product products profile profiles project projects python query recent register "
    b"repo report reports repos reset resources root routes sample scripts search section "
    b"sections server service services session sessions settings setup shop sidebar signin "
    b"signout signup site sites src srv start static status store styles summary support system "
    b"tasks teams temp template templates terms tests theme themes tmp tools types update upload "
    b"uploads usr utils validate var vendor venv video videos view views web webapp widgets wiki "
    b"www".split()
)
"""Folders, pages and routes; nobody's account."""
_FILE_NAME = compiled(
    rb"(?i).*\.(?:[cm]?[jt]sx?|json[lc5]?|html?|css|scss|less|php|aspx?|jsp|py|ipynb|rb|go|rs"
    rb"|java|kt|cs?|cpp|h|hpp|swift|dart|vue|svelte|md|mdx|txt|csv|tsv|xml|ya?ml|toml|ini|conf|cfg|env|sh"
    rb"|bat|ps1|sql|db|sqlite|log|lock|png|jpe?g|gif|svg|ico|webp|pdf|zip|gz|tgz|tar|bz2|xz|parquet)"
)
_NO_REPLY = (b"noreply", b"no-reply", b"donotreply", b"do-not-reply")
_REMOTE_PATH = compiled(rb":[A-Za-z0-9_.~-]*(?:/|[A-Za-z0-9_-]\.git\b)")

_USER_INFO = compiled(rb"://[^\s/@:]{0,64}:$")
"""`scheme://user:` before what looks like an address: it is a password and a host."""


def email(data: bytes, match: Match) -> Span | None:
    """The local part stands before the match. `git@host:path` is a remote, not a person."""
    start, end = match.start(), match.end()
    least = max(0, start - LOCAL_BYTES_MAX)
    begin = start
    while begin > least and (data[begin - 1] in _LOCAL or _letter_before(data, begin)):
        begin -= 1 if data[begin - 1] in _LOCAL else 2
    while begin < start and (data[begin] in b".%+-" or not starts_word(data, begin)):
        begin += 1
    local = data[begin:start].lower()
    if not local or local in (b"git", b"hg", b"svn") or local in _NO_REPLY:
        return None
    if _REMOTE_PATH.match(data, end, min(len(data), end + PATH_BYTES_MAX)):
        return None
    if data[begin - 1 : begin] == b":" and _USER_INFO.search(
        data[max(0, begin - PATH_BYTES_MAX) : begin]
    ):
        return None
    return (begin, end) if _top_level(data[start:end]) else None


def _letter_before(data: bytes, end: int) -> bool:
    """A letter of two bytes: Latin with accents, Greek, Cyrillic. Not a script without spaces."""
    return end > 1 and 0x80 <= data[end - 1] <= 0xBF and 0xC3 <= data[end - 2] <= 0xDF


def _top_level(domain: bytes) -> bool:
    last = domain.rpartition(b".")[2].lower()
    return last in _TLD or (len(last) == 2 and last not in _NOT_CC)


def somebody(name: bytes) -> bool:
    """True for an account name that may be a person's."""
    lower = name.lower()
    return lower not in _NOBODY and lower not in _FOLDERS and _FILE_NAME.fullmatch(name) is None


_PATH_BEFORE = compiled(rb"[A-Za-z0-9._%+/:-]*$")


def home(data: bytes, match: Match) -> Span | None:
    """`/home/NAME` and `/Users/NAME` as part of an absolute path, not of a URL's."""
    start = match.start()
    least = max(0, start - PATH_BYTES_MAX)
    begin = run_start(_PATH_BEFORE, data, least, start)
    if _NO_HOME.search(data[max(0, begin - CONTEXT_BYTES) : begin]) is not None:
        return None
    too_long = start - begin == PATH_BYTES_MAX
    if not too_long and not _absolute(data, start, data[begin:start]):
        return None
    return _named(match)


_NO_HOME = compiled(
    rb"(?:\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)[ \t]{1,3}|[\"'`]@|\bhref=[\\]{0,4}[\"'])$"
)
"""A request, an alias of a bundler, a link."""
_HOST_PATH = compiled(rb"(?i)(?:file:/{2,3}(?:[a-z]:)?|/?[a-z]:|-[a-z])")


def _absolute(data: bytes, start: int, before: bytes) -> bool:
    """Is the path that reads `before` up to `start` an absolute one on this machine?"""
    if not before or _HOST_PATH.fullmatch(before):
        return True
    if data[start - 1] in WORD and starts_word(data, start):
        return True
    if b"://" in before:
        return before.lower().endswith((b"file://", b"://file"))
    last = before.rpartition(b":")[2]
    return not last or last.startswith(b"/")


def _named(match: Match) -> Span | None:
    group = next(n for n in (1, 2) if match.start(n) >= 0)
    name = match.group(group).rstrip(b".-@")
    if not name or not somebody(name):
        return None
    return match.start(group), match.start(group) + len(name)


def home_encoded(data: bytes, match: Match) -> Span | None:
    """`%2FUsers%2FNAME` inside a URL; a path of the URL itself goes on behind a word."""
    start = match.start()
    before = data[max(0, start - 3) : start].upper()
    inside = before in (b"%2F", b"%3A", b"%3D", b"%20", b"%22")
    # A home behind a home: when the first name is replaced, no word stands before the second.
    if before[-1:].isalnum() and not (inside or _HOME_BEFORE.search(_until(data, start))):
        return None
    return _named(match)


def _until(data: bytes, end: int) -> bytes:
    return data[max(0, end - PATH_BYTES_MAX) : end]


_HOME_BEFORE = compiled(
    rb"(?i:%(?:25)?(?:2f|5c))(?:home|Users)(?i:%(?:25)?(?:2f|5c))[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
)


def home_windows(data: bytes, match: Match) -> Span | None:
    r"""`C:\Users\NAME`, with each backslash written one to four times."""
    before = data[max(0, match.start() - 1) : match.start()]
    return _named(match) if before in (b":", b"", b"\\", b"%", b'"', b"'", b" ") else None


def home_slug(data: bytes, match: Match) -> Span | None:
    """Claude Code's folder names: `-home-NAME-project` at the beginning of a path part."""
    start = match.start()
    before = data[start - 1 : start] if start else b""
    if before and before not in b"/\\\"' \t\n:=(`[":
        return None
    return _named(match)


_VERSION_BEFORE = compiled(
    rb"(?i)(?:version|\bver|\brelease|\bbuild|\bsections?|\bchapters?|\brev|\bupgrade to|\boid)"
    rb"[\"'\s:=(\\]{0,6}$|(?:^|[^a-z0-9])v\s?$|[=~<>!^]=?\s{0,2}$|[a-z0-9_)]/$|[a-z0-9_][-_]$|[0-9.]$"
    rb"|\bv[0-9]{1,3} to\s$"
    rb"|\b(?:(?:open|libre|boring)ssl|chrom(?:e|ium)|firefox|safari|edge|opera|electron|office"
    rb"|oracle|java|jdk|jre|sdk|driver|firmware|kernel|bios|nginx|apache|php|python|node|curl"
    rb"|mysql|windows|android|webview|exchange|acrobat|flash|cuda|cudnn)\s$"
)
_ASSIGNED = compiled(
    rb"(?i)(?:ip|host|addr|address|server|dns|gateway|peer|client|remote)[a-z_]*\s{0,2}=\s{0,2}$"
)


_OBJECT_IDS = (b"2.5.4.", b"2.5.29.")
"""What the fields of certificates are called."""


def ipv4(data: bytes, match: Match) -> Span | None:
    """A public IPv4 address that is not a version number."""
    start, end = match.start(), match.end()
    after = data[end : end + 2]
    if after[:1].isalnum() or after[:1] == b"_":
        return None
    if after[:1] in (b".", b"-", b"+") and after[1:2].isalnum():
        return None
    if match.group().startswith(_OBJECT_IDS):
        return None
    before = data[max(0, start - CONTEXT_BYTES) : start]
    if _VERSION_BEFORE.search(before) and not _is_address(before):
        return None
    return (start, end) if _public(match.group()) else None


def _is_address(before: bytes) -> bool:
    return before.endswith(b"//") or _ASSIGNED.search(before) is not None


def ipv6(data: bytes, match: Match) -> Span | None:
    """A public IPv6 address."""
    start, end = match.start(), match.end()
    text = match.group()
    if text.endswith(b":") and not text.endswith(b"::"):
        text, end = text[:-1], end - 1
    if data[end : end + 1].isalnum() or data[start - 1 : start] == b":":
        return None
    return (start, end) if _public(text) else None


def _public(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


_ACCOUNT = compiled(rb"[a-z_][a-z0-9_.-]{0,31}$")
_GENERATED_HOST = compiled(rb"[0-9a-f]{12}|ip-[0-9-]+|localhost|ubuntu|debian|runner.*|.*\.local")


def prompt_user(data: bytes, match: Match) -> Span | None:
    """The account in a shell's prompt, `annlee@laptop:~/src$ `."""
    end = match.start()
    found = _ACCOUNT.search(data[max(0, end - LOCAL_BYTES_MAX) : end])
    if found is None:
        return None
    start = end - (found.end() - found.start())
    return (start, end) if starts_word(data, start) and somebody(found.group()) else None


def prompt_host(data: bytes, match: Match) -> Span | None:
    """The computer in a shell's prompt, unless a machine or a container named it."""
    start = match.start() + 1
    end = data.index(b":", start)
    if _ACCOUNT.search(data[max(0, start - 1 - LOCAL_BYTES_MAX) : start - 1]) is None:
        return None
    return None if _GENERATED_HOST.fullmatch(data[start:end]) else (start, end)


_HOST_BEFORE_IT = compiled(rb"[A-Za-z0-9.-]*$")
_EVERYBODYS = (
    b"docker.internal",
    b"google.internal",
    b"cluster.local",
    b"compute.internal",
    b"containers.internal",
    b"example.internal",
    b"example.local",
)
_HOST_BEFORE = compiled(
    rb"(?i)(?:://(?:[^\s/@]{0,80}@)?|[a-z0-9_-]@|(?:host(?:name)?|server|node|dns|fqdn|endpoint)"
    rb"[\"']{0,2}\s?[=:]\s?[\"']?|\b(?:ssh|ping|scp|curl|dig|host|nslookup|telnet|rsync)\s)$"
)
_HOST_AFTER = compiled(rb":[0-9]{2,5}\b")
_COMPUTER = compiled(rb"(?i).*(?:macbook|imac|mac-?mini|laptop|desktop|thinkpad|-pc\b).*")


def inside_host(data: bytes, match: Match) -> Span | None:
    """A host of an inner network, where something shows that it is one: code has `x.local`."""
    end = match.end()
    after = data[end : end + 2]
    if after[:1] in (b"-", b"_", b"(") or (after[:1] == b"." and after[1:].isalnum()):
        return None
    start = match.start()
    least = max(0, start - PATH_BYTES_MAX)
    start = run_start(_HOST_BEFORE_IT, data, least, start)
    name = data[start:end].lstrip(b".-")
    start = end - len(name)
    if name.lower().endswith(_EVERYBODYS) or name.startswith(b".") or start == match.start():
        return None
    shown = (
        _HOST_BEFORE.search(data[max(0, start - PATH_BYTES_MAX) : start])
        or _HOST_AFTER.match(data, end)
        or _COMPUTER.fullmatch(name)
    )
    return (start, end) if shown else None


PHONE_DIGITS_MIN, PHONE_DIGITS_MAX = 8, 15
_LOCAL_DIGITS_MIN = 7


def phone(data: bytes, match: Match) -> Span | None:
    """A number with its country, as E.164 has it: `+44 1632 960961`.

    A line of a patch that adds a number begins like one, and so does a sum.
    """
    start, end = match.start(), match.end()
    digits = sum(1 for byte in match.group() if byte in b"0123456789")
    if not PHONE_DIGITS_MIN <= digits <= PHONE_DIGITS_MAX:
        return None
    before, after = data[start - 1 : start] if start else b"", data[end : end + 2]
    if before.isalnum() or before in (b"+", b".", b")", b"_", b"/", b"=", b"]"):
        return None
    if (
        after[:1].isalnum()
        or after[:1] in (b"_", b"%")
        or (after[:1] in b"./:" and after[1:].isdigit())
    ):
        return None
    plain = digits == end - start - 1
    if plain and (digits < PLAIN_DIGITS_MIN or (start == 0 or before == b"\n")):
        return None
    if _NO_COUNTRY.match(match.group()) or (plain and _a_number(data, start, match.group())):
        return None
    if not match.group()[2:3].isdigit() and not _SHORT_COUNTRY.fullmatch(match.group()):
        return None
    return (start, end) if _grouped(match.group()) else None


PLAIN_DIGITS_MIN = 10
_NO_COUNTRY = compiled(rb"\+1[0-9]{1,2}[ .()-]|\+210[ .()-]")
_SHORT_COUNTRY = compiled(
    rb"\+[17][ .(-]{1,2}[2-9][0-9]{2}[ .)-]{1,2}[0-9]{3}[ .-](?:[0-9]{4}|[0-9]{2}[ .-][0-9]{2})"
)
"""Countries of one digit: North America, Russia and Kazakhstan."""
_LARGEST = (b"+2147483647", b"+2147483648", b"+4294967295")
_SET_TO = compiled(rb"([A-Za-z_]{0,24})\s{0,4}=\s{1,4}$")
_PHONE_NAME = compiled(rb"(?i).*(?:phone|tel|mobile|fax|cell|whatsapp|sms|number|contact)")


def _a_number(data: bytes, start: int, text: bytes) -> bool:
    """A limit of integers, or what is assigned to a name that is not a telephone's."""
    named = _SET_TO.search(data[max(0, start - 2 * CONTEXT_BYTES) : start])
    return text in _LARGEST or (named is not None and not _PHONE_NAME.match(named.group(1)))


def _grouped(text: bytes) -> bool:
    """Groups as people write them: not `+12 3 4 5 6 7 8`, not `+10.5.2.1 (3)`."""
    groups = text.replace(b"(", b" ").replace(b")", b" ").replace(b".", b" ").replace(b"-", b" ")
    sizes = [len(part) for part in groups.lstrip(b"+").split()]
    return len(sizes) <= 1 or (max(sizes) >= 3 and sizes.count(1) <= 1 and sizes[-1] > 1)


def phone_labelled(data: bytes, match: Match) -> Span | None:
    """A number of a country's own form behind a word that says what it is."""
    text = match.group(1).rstrip(b" ().-/")
    start = match.start(1)
    end = start + len(text)
    digits = sum(1 for byte in text if byte in b"0123456789")
    after = data[end : end + 1]
    if after.isalnum() or after == b"_" or not _LOCAL_DIGITS_MIN <= digits <= PHONE_DIGITS_MAX:
        return None
    varied = len({byte for byte in text if byte in b"0123456789"}) > 2
    return (start, end) if varied and _grouped(text) else None


_NO_CARD = (b"00:00:00", b"ff:ff:ff", b"02:42:", b"01:00:5e", b"33:33:")
"""Nobody's, everybody's, those that containers get, and groups."""


def mac(data: bytes, match: Match) -> Span | None:
    """The address of a network card: six pairs, not a part of a fingerprint or of times."""
    start, end = match.start(), match.end()
    text = match.group().lower()
    if data[end : end + 1] in (b":", b"-") or data[end : end + 1].isalnum():
        return None
    if data[start - 1 : start] in (b":", b"-") or text.startswith(_NO_CARD):
        return None
    return (start, end) if any(byte in b"abcdef" for byte in text) else None
