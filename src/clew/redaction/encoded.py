"""Secrets inside base64: text that was encoded shows its words in one of three forms.

A run of base64 that holds such a form of a telling word (`password`, `sk-ant-`, `://`) is
decoded around it, and when the rules find a secret in what comes out, the whole run goes. Runs
in which nothing telling was encoded are never decoded, so pictures and digests cost nothing.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache

from clew.redaction.linear import Match, compiled, run_start
from clew.redaction.rule import SECRET, Rule

Span = tuple[int, int]

_WORDS = (
    b"password passwd PASSWORD secret SECRET Secret token TOKEN Token api_key apikey apiKey ApiKey "
    b"API_KEY _KEY= access_key accessKey private_key Authorization Bearer -----BEGIN "
    b"sk-ant- sk-proj- sk-or-v1 sk_live_ rk_live_ ghp_ gho_ ghs_ ghu_ ghr_ github_pat_ glpat- "
    b"xoxb- xoxp- AKIA AIzaSy npm_ dckr_pat_ pypi-Ag shpat_ dop_v1_ hvs. lin_api_ "
    b"gsk_ xai- pplx- nvapi- tvly- sbp_ sb_secret_ figd_ ntn_ secret_ sq0csp- key- whsec_ sk_test_ "
    b"xapp- ATATT3 GOCSPX- ya29. ASIA AGE-SECRET CFPAT- rubygems_ dp.pt. glsa_ glc_ PMAK- NRAK- "
    b"sntry lsv2_ pcsk_ jina_ tskey- pul- pscale_ HRKU- nfp_ AccountKey hooks.slack sk-lf- "
    b"postgres:// postgresql:// mysql:// mongodb redis:// amqp:// amqps:// mongodb+srv eyJhbGci"
)
NAME = "encoded"
_CERTAIN_MIN = 4
"""Shorter pieces of base64 stand in any text: marks such as `hf_` and `SG.` tell nothing."""
_BLOCK_BYTES = 256
_BEFORE_BYTES = 512
_AFTER_BYTES = 768
_BEFORE_RUN_MAX = 768
_RUN_MIN = 20
_PRINTABLE_MIN = 0.95
_RUN = compiled(rb"[A-Za-z0-9+/_-]*={0,2}")
_RUN_BEFORE = compiled(rb"[A-Za-z0-9+/_-]*$")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_TEXT = frozenset(range(32, 127)) | frozenset(b"\t\r\n")


def _forms() -> bytes:
    """What is certain of each word's base64, whatever one, two or no bytes come before it."""
    out = set[bytes]()
    for word in _WORDS.split():
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + word)
            certain = coded[-(-before * 8 // 6) : (before + len(word)) * 8 // 6]
            if len(certain) >= _CERTAIN_MIN:
                out.add(certain)
    return b"|".join(form.replace(b"+", b"[+-]").replace(b"/", b"[/_]") for form in sorted(out))


_FORMS = _forms()


def within(data: bytes, match: Match) -> Span | None:
    """The run of base64 around the match, when a secret is encoded in it."""
    place = match.start()
    least = max(0, place - _BEFORE_RUN_MAX)
    start = run_start(_RUN_BEFORE, data, least, place)
    run = _RUN.match(data, place, min(len(data), place + _AFTER_BYTES + _BLOCK_BYTES))
    end = run.end() if run else place
    if end - start < _RUN_MIN:
        return None
    # Places that are near to each other share one look.
    block = place - place % _BLOCK_BYTES
    first = max(start, block - _BEFORE_BYTES)
    # A block's beginning within a longer run is any of four places of a group.
    looked = _holds(data[first : min(end, block + _AFTER_BYTES)])
    return (start, end) if looked else None


@lru_cache(maxsize=256)
def _holds(coded: bytes) -> bool:
    """Is a secret in what this is the base64 of? It may begin anywhere in a group of four."""
    from clew.redaction.find import finder
    from clew.redaction.rules import SECRET_RULES

    search = finder(tuple(rule for rule in SECRET_RULES if rule.name != NAME))
    for skip in range(4):
        text = _decoded(coded[skip:])
        if text is not None and search.find(text):
            return True
    return False


def _decoded(coded: bytes) -> bytes | None:
    """Printable text, or `None`."""
    coded = coded.translate(_STANDARD).rstrip(b"=")
    coded = coded[: len(coded) - (len(coded) % 4 == 1)]
    try:
        text = base64.b64decode(coded + b"=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    printable = sum(1 for byte in text if byte in _TEXT)
    return text if text and printable >= _PRINTABLE_MIN * len(text) else None


def _first() -> bytes:
    heads = (form[1:3] if form[:1] == b"[" else form[:1] for form in _FORMS.split(b"|"))
    return bytes(sorted({byte for head in heads for byte in head}))


RULE = Rule(
    NAME,
    SECRET,
    _first(),
    b"(?:" + _FORMS + b")",
    b"(?:" + _FORMS + b")",
    within,
    edge=False,
    grow=rb"[A-Za-z0-9+/_-]*={0,2}",
    window=_AFTER_BYTES + _BLOCK_BYTES,
)
