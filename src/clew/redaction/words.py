"""Words that name a secret, as patterns that several rules begin with. Data."""

from __future__ import annotations

KEYWORD = (
    rb"(?i:passwor[dt]|pass(?:wd|phrase|code)?|psk|p?wd|pw|secret|token|credential|api[_. -]?key"
    rb"|(?:access|private|secret|auth|account|signing|master|encryption|shared|service|storage"
    rb"|subscription|admin|license|deploy|hmac|role|project|server|sdk|app|client|customer|write"
    rb"|record|environment|env|integration|webhook|instrumentation|ingest|read|user)[_. -]?key"
    rb"|auth|cookie|sessionid|clave|contrase(?:\xc3\xb1|\xc3\x91|n)a|mot[ _-]de[ _-]passe|senha"
    rb"|kennwort|parol[ea]?|wachtwoord|l(?:\xc3\xb6|\xc3\x96)senord|heslo|has(?:\xc5\x82|l)o"
    rb"|(?:\xc5\x9f|\xc5\x9e|s)ifre"
    rb"|\xd0[\xbf\x9f]\xd0[\xb0\x90](?:\xd1\x80|\xd0\xa0)\xd0[\xbe\x9e]\xd0[\xbb\x9b]"
    rb"(?:\xd1\x8c|\xd0\xac)"
    rb"|\xe5\xaf\x86(?:\xe7\xa0\x81|\xe7\xa2\xbc)"
    rb"|\xe3\x83\x91\xe3\x82\xb9\xe3\x83\xaf\xe3\x83\xbc\xe3\x83\x89"
    rb"|\xeb\xb9\x84\xeb\xb0\x80\xeb\xb2\x88\xed\x98\xb8)"
)
"""In English, and what a password is called in languages that many write."""
KEYWORD_FIRST = b"pPsStTcCaAmMeEdDlLhHrRwWiIuUkK\xc5\xd0\xe5\xe3\xeb"

FLAG = (
    rb"--?[a-z-]{0,24}(?:password|passwd|passphrase|secret|token|api-?key|access-?key|auth-?key"
    rb"|license-?key|secret-?key|private-?key|credentials?|pwd|pat|apikey)"
)
