"""Secrets that nobody issued, made from a seed: what each kind looks like, and where it stands.

Written from what such tokens look like, not from the rules: lengths and alphabets are the
providers'. `HELD_OUT` are kinds that no rule knows by name; only what stands before them tells.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

B62 = string.ascii_letters + string.digits
URL64 = B62 + "-_"
B64 = B62 + "+/"
HEX = "0123456789abcdef"
LOW = string.ascii_lowercase + string.digits
UP = string.ascii_uppercase + string.digits
B32 = string.ascii_uppercase + "234567"

Make = Callable[[random.Random], str]


class Planted(NamedTuple):
    """A secret in its text. `text` holds `secret` exactly once."""

    kind: str
    text: str
    secret: str


def chars(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def t(pattern: str) -> Make:
    """A maker from a pattern: `{h32}` is 32 hexadecimal digits; see `_ALPHABETS`."""

    def make(rng: random.Random) -> str:
        out, rest = "", pattern
        while "{" in rest:
            before, _, rest = rest.partition("{")
            code, _, rest = rest.partition("}")
            out += before + _piece(rng, code)
        return out + rest

    return make


_ALPHABETS = {
    "a": B62,
    "u": URL64,
    "b": B64,
    "h": HEX,
    "l": LOW,
    "U": UP,
    "3": B32,
    "d": string.digits,
    "X": HEX.upper(),
}


def _piece(rng: random.Random, code: str) -> str:
    if code == "uuid":
        digits = chars(rng, HEX, 32)
        return "-".join(digits[a:b] for a, b in pairwise((0, 8, 12, 16, 20, 32)))
    return chars(rng, _ALPHABETS[code[0]], int(code[1:]))


def jwt(rng: random.Random) -> str:
    def part(value: object) -> str:
        raw = json.dumps(value, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    head = part({"alg": "HS256", "typ": "JWT"})
    return f"{head}.{part({'sub': chars(rng, LOW, 12), 'exp': 1790000000})}.{chars(rng, URL64, 43)}"


def pem(kind: str, lines: int = 12) -> Make:
    def make(rng: random.Random) -> str:
        body = "\n".join(chars(rng, B64, 64) for _ in range(lines))
        return f"-----BEGIN {kind}-----\n{body}\n{chars(rng, B64, 30)}==\n-----END {kind}-----"

    return make


def discord(rng: random.Random) -> str:
    user = base64.b64encode(str(rng.randrange(10**17, 10**18)).encode()).decode()
    return f"{user}.{chars(rng, URL64, 6)}.{chars(rng, URL64, 38)}"


def aws_session(rng: random.Random) -> str:
    return "IQoJb3JpZ2luX2VjE" + chars(rng, B64, 320)


def _heads(*heads: str, tail: str) -> Make:
    return lambda rng: rng.choice(heads) + t(tail)(rng)


KINDS: dict[str, Make] = {
    "anthropic": t("sk-ant-api03-{u93}AA"),
    "openrouter": t("sk-or-v1-{h64}"),
    "openai-project": t("sk-proj-{u74}T3BlbkFJ{u74}"),
    "langfuse": t("sk-lf-{uuid}"),
    "helicone": t("sk-helicone-{l7}-{l7}-{l7}-{l7}"),
    "openai": t("sk-{a20}T3BlbkFJ{a20}"),
    "openai-session": t("sess-{a40}"),
    "google-api": t("AIzaSy{u33}"),
    "google-ai": t("AQ.Ab8RN6{u44}"),
    "xai": t("xai-{a80}"),
    "groq": t("gsk_{a52}"),
    "perplexity": t("pplx-{a48}"),
    "replicate": t("r8_{a37}"),
    "fireworks": t("fw_{a24}"),
    "nvidia": t("nvapi-{u64}"),
    "together": t("tgp_v1_{u43}"),
    "cerebras": t("csk-{l48}"),
    "voyage": t("pa-{u43}"),
    "jina": t("jina_{h32}{u28}"),
    "tavily": t("tvly-dev-{a32}"),
    "pinecone": t("pcsk_{a6}_{a63}"),
    "langsmith": t("lsv2_pt_{h32}_{h10}"),
    "hugging-face": t("hf_{a34}"),
    "anyscale": t("esecret_{l26}"),
    "runpod": t("rpa_{U40}{l6}"),
    "vercel-ai": t("vck_{a56}"),
    "cursor": t("key_{h64}"),
    "cursor-user": t("crsr_{h64}"),
    "devin": t("apk_user_{b60}"),
    "amp": t("sgamp_user_01{U24}_{h64}"),
    "composio": t("ak_{u43}"),
    "e2b": t("e2b_{h40}"),
    "daytona": t("dtn_{h64}"),
    "cartesia": t("sk_car_{a22}"),
    "portkey": t("pk-live-{a26}"),
    "mem0": t("m0-{a40}"),
    "wandb": t("wandb_v1_{a27}_{a50}"),
    "coreweave": t("CW-SECRET-{a40}"),
    "braintrust": t("sk-bt-{a48}"),
    "elevenlabs": t("sk_{h48}"),
    "firecrawl": t("fc-{h32}"),
    "hex-and-tail": t("{h32}.{a16}"),
    "modal": t("as-{a22}"),
    "github": _heads("ghp_", "gho_", "ghs_", "ghu_", "ghr_", tail="{a36}"),
    "github-fine": t("github_pat_11{U20}_{a59}"),
    "gitlab": _heads("glpat-", "gldt-", "glrt-", tail="{u20}"),
    "gitlab-runner": t("GR1348941{u20}"),
    "bitbucket": t("BBDC-{b40}"),
    "npm": t("npm_{a36}"),
    "pypi": t("pypi-AgEIcHlwaS5vcmc{u150}"),
    "rubygems": t("rubygems_{h48}"),
    "crates": t("cio{a32}"),
    "clojars": t("CLOJARS_{h60}"),
    "nuget": t("oy2{l43}"),
    "packagist": t("packagist_ort_{h72}"),
    "open-vsx": t("ovsxat_{uuid}"),
    "jfrog": t("AKCp{a69}"),
    "docker": t("dckr_pat_{u27}"),
    "sonar": t("sqp_{h40}"),
    "sourcegraph": t("sgp_{h16}_{h40}"),
    "snyk": t("snyk_uat.{h8}.{u120}"),
    "circleci": t("CCIPAT_{a22}_{h40}"),
    "buildkite": t("bkua_{h40}"),
    "harness": t("pat.{a22}.{h24}.{a20}"),
    "mergify": t("mergify_application_key_{u60}"),
    "coderabbit": t("cr-{h58}"),
    "jetbrains": t("perm-{b40}.{b40}.{b42}"),
    "expo": t("expo_{u40}"),
    "iterative": t("isat_{u48}"),
    "deno": t("ddp_{a36}"),
    "readme": t("rdme_{l70}"),
    "shortcut": t("sct_rw_{u90}"),
    "endor": t("endr+{a16}"),
    "google-oauth": t("GOCSPX-{u28}"),
    "google-hmac": t("GOOG1E{U55}"),
    "aws-bedrock": t("ABSK{b110}"),
    "aws-session": aws_session,
    "aws-mws": t("amzn.mws.{uuid}"),
    "alibaba": t("LTAI5t{a18}"),
    "tencent": t("AKID{a32}"),
    "yandex": t("AQVN{u35}"),
    "yandex-oauth": t("y0_AgAAAA{u48}"),
    "digitalocean": t("dop_v1_{h64}"),
    "heroku": t("HRKU-AA{u58}"),
    "fly": t("fm2_{b120}"),
    "netlify": t("nfp_{a36}"),
    "render": t("rnd_{a32}"),
    "vercel": t("vcp_{a56}"),
    "vercel-blob": t("vercel_blob_rw_{a16}_{a30}"),
    "cloudflare": t("cfut_{a40}"),
    "cloudflare-origin": t("v1.0-{h24}-{h146}"),
    "scalingo": t("tk-us-{u48}"),
    "openshift": t("sha256~{u43}"),
    "databricks": t("dapi{h32}"),
    "databricks-service": t("dose{h32}"),
    "doppler": t("dp.pt.{a43}"),
    "vault": t("hvs.{u95}"),
    "pulumi": t("pul-{h40}"),
    "infracost": t("ico-{a32}"),
    "prefect": t("pnu_{a36}"),
    "tailscale": t("tskey-auth-{a12}CNTRL-{a32}"),
    "planetscale": t("pscale_tkn_{u43}"),
    "supabase": t("sbp_{h40}"),
    "neon": t("napi_{l64}"),
    "cockroach": t("CCDB1_{a22}_{a40}"),
    "clickhouse": t("4b1d{a38}"),
    "aiven": t("AVNS_{u20}"),
    "confluent": t("cflt{b60}"),
    "materialize": t("mzp_{h64}"),
    "mongodb-atlas": t("mdb_sa_sk_{u40}"),
    "fauna": t("fnAE{u40}"),
    "xata": t("xau_{a36}"),
    "elastic": t("essu_{b80}"),
    "onepassword-service": t("ops_eyJ{b300}"),
    "onepassword": t("A3-{U6}-{U6}-{U5}-{U5}-{U5}-{U5}"),
    "age": t("AGE-SECRET-KEY-1{U58}"),
    "stackhawk": t("hawk.{u20}.{u20}"),
    "authress": t("sc_{a24}.{a5}.acc-{a16}.{b70}"),
    "settlemint": t("sm_pat_{a16}"),
    "aws-access-key": t("AKIA{316}"),
    "nats": t("SU{356}"),
    "airtable": t("pat{a14}.{h64}"),
    "terraform": t("{a14}.atlasv1.{u67}"),
    "azure-openai": t("{a52}JQQJ99{U4}ACYeBjF{a20}"),
    "azure-client": t("{a3}8Q~{u34}"),
    "azure-key": t("{b76}+ASt{a6}=="),
    "slack": t("xoxb-{d12}-{d13}-{a24}"),
    "slack-rotated": t("xoxe.xoxp-1-{a160}"),
    "stripe": _heads("sk_live_", "rk_live_", "sk_test_", "whsec_", tail="{a32}"),
    "shopify": t("shpat_{h32}"),
    "square": t("sq0csp-{u43}"),
    "square-access": t("EAAA{u60}"),
    "plaid": t("access-production-{uuid}"),
    "flutterwave": t("FLWSECK-{h32}-X"),
    "gocardless": t("live_{u40}"),
    "lob": t("live_{h35}"),
    "easypost": t("EZAK{a54}"),
    "shippo": t("shippo_live_{h40}"),
    "duffel": t("duffel_live_{u43}"),
    "razorpay": t("rzp_live_{a14}"),
    "mercadopago": t("APP_USR-{d16}-{d6}-{h32}-{d9}"),
    "midtrans": t("Mid-server-{u24}"),
    "polar": t("polar_oat_{a43}"),
    "linear": t("lin_api_{a40}"),
    "notion": t("ntn_{a46}"),
    "notion-older": t("secret_{a43}"),
    "figma": t("figd_{u40}"),
    "frameio": t("fio-u-{u64}"),
    "atlassian": t("ATATT3xFfGF0{u160}={U8}"),
    "trello": t("ATTA{h64}"),
    "postman": t("PMAK-{h24}-{h34}"),
    "new-relic": t("NRAK-{U27}"),
    "new-relic-licence": t("{h36}NRAL"),
    "grafana": t("glsa_{a32}_{h8}"),
    "grafana-older": t("eyJrIjoi{a70}="),
    "sentry": t("sntryu_{h64}"),
    "dynatrace": t("dt0c01.{324}.{364}"),
    "honeycomb": t("hcaik_{l58}"),
    "axiom": t("xaat-{uuid}"),
    "posthog": t("phx_{a43}"),
    "launchdarkly": t("sdk-{uuid}"),
    "optimizely": t("2:{u43}"),
    "statsig": t("secret-{a43}"),
    "stytch": t("secret-live-{u36}="),
    "clickup": t("pk_{d8}_{U32}"),
    "klaviyo": t("pk_{h34}"),
    "courier": t("pk_prod_{U28}"),
    "workos": t("sk_a2V5{b60}"),
    "contentful": t("CFPAT-{u43}"),
    "typeform": t("tfp_{u59}"),
    "intercom": t("dG9rOi{b54}"),
    "hubspot": t("pat-na1-{uuid}"),
    "brevo": t("xkeysib-{h64}-{a16}"),
    "mailgun": t("key-{h32}"),
    "mailgun-signing": t("{h32}-{h8}-{h8}"),
    "mailersend": t("mlsn.{h64}"),
    "mandrill": t("md-{u22}"),
    "resend": t("re_{a8}_{a24}"),
    "apify": t("apify_api_{a36}"),
    "browserbase": t("bb_live_{u27}"),
    "browser-use": t("bu_{u43}"),
    "adafruit": t("aio_{a28}"),
    "alchemy": t("alcht_{a30}"),
    "builder": t("bpk-{h32}"),
    "cal": t("cal_live_{h32}"),
    "dub": t("dub_{a24}"),
    "dropbox": t("sl.{u138}"),
    "hop": t("hop_pat_{a32}"),
    "ionic": t("ion_{a42}"),
    "infisical": t("st.{h24}.{h32}.{h32}"),
    "inngest": t("signkey-prod-{h64}"),
    "trigger": t("tr_prod_{a20}"),
    "imagekit": t("private_{b27}="),
    "instagram": t("IGQV{u150}"),
    "facebook": t("EAAG{a180}"),
    "intra42": t("s-s4t2ud-{h64}"),
    "kagi-zuplo": t("zpka_{h32}_{h8}"),
    "n8n": t("n8n_api_{a40}"),
    "nylas": t("nyk_v0_{a64}"),
    "onfido": t("api_live.{u12}.{u32}"),
    "permit": t("permit_key_{a90}"),
    "pubnub": t("sec-c-{b52}"),
    "rootly": t("rootly_{h64}"),
    "samsara": t("samsara_api_{a30}"),
    "salad": t("salad_cloud_user_{a50}"),
    "adobe": t("p8e-{a32}"),
    "wakatime": t("waka_{uuid}"),
    "mapped-in": t("mik_{a30}"),
    "paypal": t("access_token$production${l16}${h32}"),
    "dropbox-user": t("sl.u.{u130}"),
    "discord-token": t("M{a25}.{u6}.{u38}"),
    "mint": t("mint_{a24}"),
    "devcycle": t("dvc_server_{h32}"),
    "block-protocol": t("b10ck5.{a32}.{uuid}"),
    "configcat": t("configcat-sdk-1/{u22}/{u22}"),
    "salesforce-app": t("3MVG9{a80}"),
    "salesforce-session": t("00D{a15}!{a96}"),
    "branch": t("key_live_{a32}"),
    "unkey": t("unkey_{a22}"),
    "linkedin": t("WPL_AP1.{a16}.{a12}=="),
    "twilio": t("SK{h32}"),
    "telnyx": t("KEY0{X31}_{a22}"),
    "mailchimp": t("{h32}-us12"),
    "ghost": t("{h24}:{h64}"),
    "asana": t("2/{d16}/{d16}:{h32}"),
    "deepl": t("{uuid}:fx"),
    "fal": t("{uuid}:{h32}"),
    "sendgrid": t("SG.{u22}.{u43}"),
    "telegram-bot": t("{d10}:AA{u33}"),
    "discord-bot": discord,
    "maxmind": t("{a6}_{a29}_mmk"),
    "rapidapi": t("{l10}msh{l15}p1{l6}jsn{l12}"),
    "jwt": jwt,
    "private-key": pem("PRIVATE KEY"),
}
"""Tokens that show what they are, by the name of the rule that knows them."""

KEYS: dict[str, tuple[str, Make]] = {
    "datadog": ('DD_API_KEY="{}"', t("{h32}")),
    "datadog-app": ("datadog_app_key: {}", t("{h40}")),
    "algolia": ("ALGOLIA_ADMIN_KEY={}", t("{h32}")),
    "amplitude": ("amplitude.api_key = '{}'", t("{h32}")),
    "auth0": ("AUTH0_CLIENT_SECRET={}", t("{u64}")),
    "aws-secret": ("aws_secret_access_key = {}", t("{b40}")),
    "azure-storage": ("AccountName=shop;AccountKey={};EndpointSuffix=x", t("{b86}==")),
    "cloudflare-key": ('"cloudflare_api_key": "{}"', t("{h37}")),
    "zendesk": ("ZENDESK_SECRET_KEY: '{}'", t("{l40}")),
    "segment-write": ("analytics.load(writeKey='{}')", t("{a32}")),
    "mixpanel": ("MIXPANEL_API_SECRET={}", t("{h32}")),
    "pagerduty": ("PAGERDUTY_TOKEN={}", t("{u20}")),
    "twitch": ("twitch_client_secret={}", t("{l30}")),
    "zoom": ("ZOOM_CLIENT_SECRET={}", t("{a32}")),
    "mailjet": ("MJ_APIKEY_PRIVATE={}", t("{h32}")),
    "wandb-older": ("WANDB_API_KEY={}", t("{h40}")),
    "okta": ("OKTA_API_TOKEN={}", t("00{u40}")),
    "assemblyai": ("assemblyai = {}", t("{h32}")),
    "cohere": ("cohere_key = {}", t("{a40}")),
    "deepgram": ("deepgram-api: {}", t("{h40}")),
    "postmark": ("X-Postmark-Server-Token: {}", t("{uuid}")),
    "snyk-older": ("SNYK_TOKEN={}", t("{uuid}")),
    "codecov": ("CODECOV_TOKEN: {}", t("{uuid}")),
    "cypress": ("CYPRESS_RECORD_KEY={}", t("{uuid}")),
    "django": ("SECRET_KEY = 'django-insecure-{}'", t("{l50}")),
    "rails": ("RAILS_MASTER_KEY={}", t("{h32}")),
    "rails-base": ("secret_key_base: {}", t("{h128}")),
    "npmrc": ("//registry.test/:_authToken={}", t("{uuid}")),
    "docker-auth": ('{{"auths": {{"r.test": {{"auth": "{}"}}}}}}', t("{b40}")),
    "netrc": ("machine api.test login bob password {}", t("{a14}")),
    "pgpass": ("db.test:5432:shop:bob:{}", t("{a16}")),
    "postgres-url": ("postgresql://app:{}@db.test:5432/shop", t("{a16}")),
    "mongo-url": ("mongodb+srv://app:{}@c0.test/shop", t("{a18}")),
    "redis-url": ("redis://default:{}@cache.test:6379/0", t("{a20}")),
    "amqp-url": ("amqps://app:{}@mq.test/v", t("{a16}")),
    "odbc": ("Driver=x;Server=db;Uid=sa;Pwd={};", t("{a14}")),
    "jdbc": ("jdbc:sqlserver://db;user=sa;password={};encrypt=true", t("{a14}")),
    "env-password": ("DB_PASSWORD={}", t("{a12}")),
    "yaml-password": ("  password: {}", t("{a14}")),
    "wireguard": ("PrivateKey = {}", t("{b43}=")),
    "otpauth": ("otpauth://totp/x:bob?secret={}&issuer=x", t("{332}")),
    "bearer": ("Authorization: Bearer {}", t("{u40}")),
    "cookie": ("Cookie: sessionid={}; theme=dark", t("{l32}")),
    "sas": ("https://x.blob.core.windows.net/c?sv=2022&sig={}", t("{a42}%3D")),
    "teams": (
        "https://a.webhook.office.com/webhookb2/{}",
        t("{uuid}@{uuid}/IncomingWebhook/{h32}/{uuid}"),
    ),
    "slack-hook": ("https://hooks.slack.com/services/T0AB1CD23/B0AB1CD23/{}", t("{a24}")),
    "bcrypt": ("bob:{}", t("$2y$10${a53}")),
    "curl-user": ("curl -u admin:{} https://x.test", t("{a14}")),
    "mysql-flag": ("mysql -uroot -p{} shop", t("{a14}")),
    "sql": ("CREATE USER bob IDENTIFIED BY '{}'", t("{a14}")),
    "xml": ("<password>{}</password>", t("{a14}")),
    "powershell": ("ConvertTo-SecureString '{}' -AsPlainText", t("{a14}")),
    "k8s": ("- name: DB_PASSWORD\n  value: {}", t("{a16}")),
    "spoken": ("the api key is {}, keep it", t("{a32}")),
    "flag": ("deploy --api-key {} --dry-run", t("{a20}")),
    "header": ("x-api-key: {}", t("{a32}")),
}  # fmt: skip
"""Values that show nothing: what stands before them tells."""

HELD_OUT: dict[str, tuple[str, Make]] = {
    "unknown-token": ("ACME_TOKEN={}", t("acme_{a32}")),
    "unknown-key": ("acme_robotics_api_key: {}", t("{h40}")),
    "unknown-secret": ('client_secret = "{}"', t("{u36}")),
    "unknown-header": ("X-Acme-Api-Key: {}", t("{a40}")),
    "unknown-json": ('{{"acmeApiKey": "{}", "n": 1}}', t("{a32}")),
    "unknown-bearer": ("curl -H 'Authorization: Bearer {}'", t("acm-{u40}")),
    "unknown-url": ("https://svc:{}@acme.test/x", t("{a24}")),
    "unknown-query": ("https://acme.test/x?api_key={}&n=1", t("{a32}")),
    "unknown-plain-key": ("acme_key={}", t("{a32}")),
    "unknown-uuid": ("ACME_ACCESS_TOKEN={}", t("{uuid}")),
}
"""Kinds of providers that do not exist."""


def plant(seed: int, each: int = 3) -> list[Planted]:
    """`each` secrets of every kind, each in a sentence or a line of its own. Pure."""
    rng = random.Random(seed)
    out = []
    for kind, make in KINDS.items():
        for n in range(each):
            secret = make(rng)
            out.append(Planted(kind, _LINES[n % len(_LINES)].format(secret), secret))
    for kind, (line, make) in (KEYS | HELD_OUT).items():
        for _ in range(each):
            secret = make(rng)
            out.append(Planted(kind, line.format(secret), secret))
    return out


_LINES = ("it printed {} and went on", "export X={}", "first\n{}\nlast", '  "value": "{}",', "({})")


def survivors(planted: Planted, secret: str, written: str, piece: int = 12) -> list[str]:
    """Pieces of `secret` that still stand in `written` and stood nowhere else in the text."""
    length = min(piece, len(secret))
    rest = planted.text.replace(secret, "")
    return [
        secret[n : n + length]
        for n in range(len(secret) - length + 1)
        if secret[n : n + length] in written and secret[n : n + length] not in rest
    ]


def truncated(planted: Planted) -> tuple[Planted, str]:
    """The text cut off in the middle of the secret, as tools cut long output."""
    keep = max(len(planted.secret) * 3 // 5, min(len(planted.secret), 16))
    at = planted.text.index(planted.secret)
    secret = planted.secret[:keep]
    return planted._replace(text=planted.text[:at] + secret + "…"), secret


def split(planted: Planted, between: str) -> tuple[Planted, tuple[str, str]]:
    """The secret in two halves, as a terminal wraps it or code puts it together."""
    middle = len(planted.secret) // 2
    at = planted.text.index(planted.secret) + middle
    text = planted.text[:at] + between + planted.text[at:]
    return planted._replace(text=text), (planted.secret[:middle], planted.secret[middle:])


MARKED_LATER = {
    "asana",
    "azure-key",
    "azure-openai",
    "deepl",
    "discord-token",
    "fal",
    "ghost",
    "hex-and-tail",
    "mailchimp",
    "paypal",
    "mailgun-signing",
    "maxmind",
    "new-relic-licence",
    "rapidapi",
}
"""Kinds whose mark stands in the middle or at the end: half of one is random text."""

WIDESPREAD = {
    "anthropic",
    "openai-project",
    "openrouter",
    "google-api",
    "groq",
    "github",
    "github-fine",
    "npm",
    "pypi",
    "docker",
    "aws-access-key",
    "digitalocean",
    "vault",
    "slack",
    "stripe",
    "shopify",
    "linear",
    "figma",
    "grafana",
    "private-key",
    "jwt",
    "env-password",
    "postgres-url",
    "mongo-url",
    "redis-url",
    "aws-secret",
    "bearer",
    "wandb-older",
    "unknown-token",
    "unknown-key",
    "unknown-json",
}
"""Kinds that agents meet every day, whose mark has four characters or more."""
