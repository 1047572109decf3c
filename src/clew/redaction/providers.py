"""Tokens that their issuers mark: a fixed beginning, then so many bytes of one class. Data.

Written from the providers' public descriptions of their formats and from what their tokens
look like. `nominal` is how many bytes a whole one has at least after its beginning; `least`
how many are enough when it was cut off, and then they have to look random.
"""

from __future__ import annotations

from functools import partial

from clew.redaction import shapes
from clew.redaction.rule import SECRET, Check, Rule

_B62 = rb"[A-Za-z0-9]"
_URL64 = rb"[A-Za-z0-9_-]"
_DOTTED = rb"[A-Za-z0-9_.=-]"
_B64 = rb"[A-Za-z0-9+/=_-]"
_HEX = rb"[0-9a-f]"
_HYPHENED = rb"[0-9a-f-]"
_UPPER = rb"[A-Z0-9]"
_CORE_BODY_MAX = 8
_CUT_MIN = 4
_CUT_WEAK_MIN = 8
"""So many bytes are enough of a token that was cut off, and of one that words may look like."""
_TELLING_BYTES = 5
"""A beginning of so many bytes says by itself what follows, be it cut off."""


def _token(
    name: str, heads: str, body: bytes, nominal: int, *, strict: bool = False, least: int = 0
) -> Rule:
    """Tokens with a fixed beginning, then bytes of one class; `nominal` of them in a whole one.

    `strict`: words have such a beginning, too, so that the rest has to look random.
    """
    literals = [head.encode() for head in heads.split()]
    shortest = min(map(len, literals))
    least = least or min(nominal, _CUT_MIN if shortest >= _TELLING_BYTES else _CUT_WEAK_MIN)
    head = b"(?:" + b"|".join(_literal(literal) for literal in literals) + b")"
    return Rule(
        name,
        SECRET,
        bytes({literal[0] for literal in literals}),
        head + body + b"{%d}" % min(least, _CORE_BODY_MAX),
        head + body + b"{%d,}" % least,
        partial(shapes.issued, head=shortest, nominal=shortest + nominal, strict=strict),
        grow=body + b"*",
    )


def _literal(text: bytes) -> bytes:
    return b"".join(b"\\" + bytes([byte]) if byte in b".+|$" else bytes([byte]) for byte in text)


def _exact(name: str, first: bytes, pattern: bytes, *, check: Check = shapes.token) -> Rule:
    """Tokens of one short pattern that is its own core."""
    return Rule(name, SECRET, first, pattern, pattern + rb"\b", check)


def _parts(name: str, first: bytes, core: bytes, more: bytes, *, check: Check = shapes.token,
           edge: bool = True, grow: bytes | None = None) -> Rule:  # fmt: skip
    """Tokens whose core is followed by `more`."""
    return Rule(name, SECRET, first, core, core + more, check, edge=edge, grow=grow)


_MODELS = (
    _token("anthropic", "sk-ant-", _URL64, 10),
    _token("openrouter", "sk-or-", _URL64, 16),
    _token("openai-project", "sk-proj- sk-svcacct- sk-admin- sk-None-", _URL64, 16),
    _token("langfuse", "sk-lf- pk-lf-", _URL64, 16),
    _token("helicone", "sk-helicone- pk-helicone-", _URL64, 16),
    _token("openai", "sk-", _B62, 20),
    _token("openai-session", "sess-", _B62, 40),
    _token("google-api", "AIza", _URL64, 35),
    _token("google-ai", "AQ.Ab", _URL64, 40),
    _token("xai", "xai-", _B62, 40),
    _token("groq", "gsk_", _B62, 40),
    _token("perplexity", "pplx-", _B62, 32),
    _token("replicate", "r8_", _B62, 32),
    _token("fireworks", "fw_", _B62, 22),
    _token("nvidia", "nvapi- nvcf-", _URL64, 40),
    _token("together", "tgp_v1_", _URL64, 30),
    _token("cerebras", "csk-", _B62, 32),
    _token("voyage", "pa-", _URL64, 40),
    _token("jina", "jina_", _URL64, 40),
    _token("tavily", "tvly-", _URL64, 20),
    _token("pinecone", "pcsk_", rb"[A-Za-z0-9_]", 40),
    _token("langsmith", "lsv2_pt_ lsv2_sk_ lsv2_sy_", rb"[0-9a-f_]", 32),
    _token("hugging-face", "hf_ api_org_", _B62, 30),
    _token("anyscale", "esecret_", _B62, 16),
    _token("runpod", "rpa_", _UPPER, 38),
    _token("vercel-ai", "vck_", _B62, 40),
    _token("cursor", "key_", _HEX, 60),
    _token("cursor-user", "crsr_", _HEX, 40),
    _token("devin", "apk_user_ apk_org_ cog_", _B64, 40),
    _token("amp", "sgamp_user_", rb"[A-Za-z0-9_]", 40),
    _token("composio", "ak_", _URL64, 20, strict=True),
    _token("e2b", "e2b_", _HEX, 36),
    _token("daytona", "dtn_", _HEX, 40),
    _token("mem0", "m0-", _B62, 36),
    _token("wandb", "wandb_v1_", rb"[A-Za-z0-9_]", 30),
    _token("coreweave", "CW-SECRET-", _URL64, 30),
    _token("braintrust", "bt-st- sk-bt-", _URL64, 30),
    _token("cartesia", "sk_car_", _B62, 20),
    _token("portkey", "pk-live-", _B62, 24, strict=True),
    _token("elevenlabs", "sk_", _HEX, 48),
    _token("firecrawl", "fc-", _HEX, 32),
    _parts(
        "hex-and-tail", b"0123456789abcdef", rb"[0-9a-f]{32}\.[A-Za-z0-9_-]{16}", rb"\b[_-]{0,2}",
        check=shapes.jumbled_tail, grow=_URL64 + b"*",
    ),
    _token("modal", "ak- as-", _B62, 22, strict=True),
)  # fmt: skip
"""Those who serve models, and what agents are built with."""

_CODE = (
    _token("github", "ghp_ gho_ ghs_ ghu_ ghr_", _B62, 36),
    _token("github-fine", "github_pat_", rb"[A-Za-z0-9_]", 20),
    _token(
        "gitlab",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glimt- glagent- gloas- glffct- glwt-",
        rb"[A-Za-z0-9_.-]",
        16,
    ),
    _token("gitlab-runner", "GR1348941", _URL64, 20),
    _token("bitbucket", "BBDC-", _B64, 36),
    _token("npm", "npm_", _B62, 36),
    _token("pypi", "pypi-Ag", _URL64, 30),
    _token("rubygems", "rubygems_", _HEX, 40),
    _token("crates", "cio", _B62, 32, strict=True),
    _token("clojars", "CLOJARS_", rb"[0-9a-fA-F]", 40),
    _token("nuget", "oy2", rb"[a-z0-9]", 43, strict=True),
    _token("packagist", "packagist_ort_ packagist_out_ packagist_uut_ packagist_cut_ "
           "packagist_acs_ packagist_aut_", _HEX, 40),
    _token("open-vsx", "ovsxat_ ovsxp_", _HYPHENED, 32),
    _token("jfrog", "AKCp cmVmdGtuOj", _B62, 50, strict=True),
    _token("docker", "dckr_pat_ dckr_oat_", _URL64, 20),
    _token("sonar", "squ_ sqp_ sqa_", _HEX, 40),
    _token("sourcegraph", "sgp_ slk_ sgd_", rb"[A-Za-z0-9_]", 40),
    _token("snyk", "snyk_uat. snyk_pat. snyk_sat.", _DOTTED, 30),
    _token("circleci", "CCIPAT_ CCIPRJ_", rb"[A-Za-z0-9_]", 40),
    _token("buildkite", "bkua_ bkct_ bkaj_ bkpt_", _HEX, 40),
    _token("harness", "pat. sat.", rb"[A-Za-z0-9_.-]", 60, strict=True),
    _token("mergify", "mergify_application_key_", _URL64, 30),
    _token("coderabbit", "cr-", _HEX, 50),
    _token("jetbrains", "perm- perm:", rb"[A-Za-z0-9+/=._-]", 40, strict=True),
    _token("expo", "expo_", _URL64, 36, strict=True),
    _token("iterative", "isat_", _URL64, 32),
    _token("deno", "ddp_ ddw_ ddo_", _B62, 36),
    _token("readme", "rdme_", rb"[a-z0-9]", 60),
    _token("shortcut", "sct_r_ sct_rs_ sct_rw_ sct_rwa_ sct_w_", _URL64, 40),
    _token("endor", "endr+", _URL64, 16),
)  # fmt: skip
"""Where code lives, is built and is published."""

_CLOUDS = (
    _token("google-oauth", "ya29. GOCSPX- 1//0", _URL64, 20),
    _token("google-hmac", "GOOG1 GOOGA GOOGLE1", _UPPER, 50, strict=True),
    _token("aws-bedrock", "ABSK bedrock-api-key-", rb"[A-Za-z0-9+/=]", 40),
    _token("aws-session", "IQoJb3JpZ2lu FwoGZXIvYXdz FQoGZXIvYXdz", rb"[A-Za-z0-9+/=%]", 40),
    _token("aws-mws", "amzn.mws.", _HYPHENED, 32),
    _token("alibaba", "LTAI", _B62, 16),
    _token("tencent", "AKID", _B62, 32),
    _token("yandex", "AQVN t1.9eu", _DOTTED, 34),
    _token("yandex-oauth", "y0_", _URL64, 40, strict=True),
    _token("digitalocean", "dop_v1_ doo_v1_ dor_v1_", _HEX, 40),
    _token("heroku", "HRKU-", _URL64, 30),
    _token("fly", "fm2_ fo1_ fm1a_ fm1r_", rb"[A-Za-z0-9+/=_-]", 40),
    _token("netlify", "nfp_ nfc_ nfo_ nfu_ nfb_", _B62, 36),
    _token("render", "rnd_", _B62, 28),
    _token("vercel", "vcp_ vci_ vca_ vcr_", _B62, 24, strict=True),
    _token("vercel-blob", "vercel_blob_rw_", rb"[A-Za-z0-9_]", 24),
    _token("cloudflare", "cfut_ cfat_ cfk_", _URL64, 36),
    _token("cloudflare-origin", "v1.0-", _HYPHENED, 80),
    _token("scalingo", "tk-us- tk-eu-", _URL64, 40),
    _token("openshift", "sha256~", _URL64, 40),
    _token("databricks-service", "dose dsapi dkea", _HEX, 32, strict=True),
    _token("doppler", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", rb"[A-Za-z0-9_.-]", 30),
    _token("vault", "hvs. hvb. hvr.", _URL64, 20),
    _token("pulumi", "pul-", _HEX, 40),
    _token("infracost", "ico-", _B62, 32, strict=True),
    _token("prefect", "pnu_ pnb_", _B62, 36),
    _token(
        "tailscale",
        "tskey-auth- tskey-api- tskey-client- tskey-scim- tskey-webhook-",
        rb"[A-Za-z0-9-]",
        20,
    ),
    _token("planetscale", "pscale_tkn_ pscale_pw_ pscale_oauth_", rb"[A-Za-z0-9_.=-]", 30),
    _token("supabase", "sbp_ sb_secret_", _URL64, 20),
    _token("neon", "napi_", rb"[a-z0-9]", 50),
    _token("cockroach", "CCDB1_", rb"[A-Za-z0-9_]", 40),
    _token("clickhouse", "4b1d", _B62, 38, strict=True),
    _token("aiven", "AVNS_", _URL64, 18),
    _token("confluent", "cflt", rb"[A-Za-z0-9+/]", 60, strict=True),
    _token("materialize", "mzp_", _HEX, 60),
    _token("mongodb-atlas", "mdb_sa_sk_", _URL64, 30),
    _token("fauna", "fnAE fnAD fnAF", _URL64, 36, strict=True),
    _token("xata", "xau_", _B62, 30),
    _token("elastic", "essu_ ess_", rb"[A-Za-z0-9+/=]", 40),
    _token("onepassword-service", "ops_ey", _B64, 40),
    _token("age", "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1", rb"[A-Z0-9]", 40),
    _token("stackhawk", "hawk.", rb"[A-Za-z0-9_.-]", 36, strict=True),
    _token("authress", "sc_ ext_ scauth_", rb"[A-Za-z0-9_.+/=-]", 90, strict=True),
    _token("settlemint", "sm_pat_ sm_aat_ sm_sat_", _B62, 16),
    _exact("aws-access-key", b"A", rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", check=shapes.aws_key),
    _parts(
        "aws-access-key-cut", b"A", rb"(?:AKIA|ASIA)[A-Z0-9]{8}", rb"[A-Z0-9]{0,7}",
        check=shapes.cut_off,
    ),
    _token("databricks", "dapi", _HEX, 32, strict=True),
    _token("nats", "SU SA SO SN SC", rb"[A-Z2-7]", 56, strict=True),
    _parts(
        "onepassword", b"A", rb"A3-[A-Z0-9]{6}-[A-Z0-9]{3}",
        rb"[A-Z0-9]{0,8}(?:-[A-Z0-9]{0,6}){0,4}",
    ),
    Rule(
        "airtable", SECRET, b"p", rb"pat[A-Za-z0-9]{14}\.[0-9a-f]{8}",
        rb"pat[A-Za-z0-9]{14}\.[0-9a-f]{10,}", grow=_HEX + b"*",
    ),
    Rule(
        "terraform", SECRET, b".", rb"\.atlasv1\.[A-Za-z0-9_=-]{8}",
        rb"\.atlasv1\.[A-Za-z0-9_=-]{8,}", shapes.headed, edge=False, grow=rb"[A-Za-z0-9_=-]*",
    ),
    Rule(
        "azure-openai", SECRET, b"J", rb"JQQJ[0-9]{2}[A-Z0-9]{3}[A-Za-z0-9]{3}",
        rb"JQQJ[0-9]{2}[A-Za-z0-9]{16,}",
        shapes.headed, edge=False, grow=_B62 + b"*",
    ),
    Rule(
        "azure-client", SECRET, b"0123456789", rb"[0-9]Q~[A-Za-z0-9_~.-]{8}",
        rb"[0-9]Q~[A-Za-z0-9_~.-]{12,34}", shapes.azure_client, edge=False,
    ),
    Rule(
        "azure-key", SECRET, b"+A",
        rb"(?:\+(?:ASt|ABa|ACR|AMC|ARm|ASb|AEh|AIoT)|AzCa|AzSe|AzFu|ACDb|AIoT)[A-Za-z0-9+/]{5}",
        rb"[+A-Za-z]{4,5}[A-Za-z0-9+/]{5,8}={0,2}", shapes.azure_key, edge=False,
    ),
)  # fmt: skip
"""Clouds, databases, and where their secrets are kept."""

_SERVICES = (
    _token("slack", "xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", _URL64, 10),
    _token("slack-rotated", "xoxe.xoxp- xoxe.xoxb-", _URL64, 10),
    _token(
        "stripe",
        "sk_live_ sk_test_ rk_live_ rk_test_ sk_prod_ rk_prod_ sk_org_ whsec_",
        rb"[A-Za-z0-9+/=_]",
        10,
    ),
    _token("shopify", "shpat_ shpca_ shppa_ shpss_ shpua_", _HEX, 32),
    _token("square", "sq0atp- sq0csp- sq0idp-", _URL64, 22),
    _token("square-access", "EAAA", _URL64, 56, strict=True),
    _token("plaid", "access-production- access-sandbox- access-development-", _HYPHENED, 32),
    _token("flutterwave", "FLWSECK- FLWSECK_TEST- FLWSECK_LIVE-", rb"[A-Za-z0-9-]", 12),
    _token("gocardless", "live_ sandbox_", _URL64, 40, strict=True),
    _token("lob", "live_pub_ test_pub_ live_ test_", rb"[0-9a-f]", 31),
    _token("easypost", "EZAK EZTK", _B62, 50, strict=True),
    _token("shippo", "shippo_live_ shippo_test_", _HEX, 32),
    _token("duffel", "duffel_test_ duffel_live_", rb"[A-Za-z0-9_=-]", 30),
    _token("razorpay", "rzp_live_ rzp_test_", _B62, 14, least=2),
    _token("mercadopago", "APP_USR- TEST-", rb"[0-9a-f-]", 60),
    _token("midtrans", "Mid-server- SB-Mid-server-", _URL64, 16),
    _token("polar", "polar_oat_ polar_pat_ polar_whs_", _URL64, 24),
    _token("linear", "lin_api_ lin_oauth_ lin_wh_", _B62, 32),
    _token("notion", "ntn_", _B62, 40),
    _token("notion-older", "secret_", _B62, 43, strict=True),
    _token("figma", "figd_ figo_ figoh_ figor_", _URL64, 30),
    _token("frameio", "fio-u- fio-t-", _URL64, 40),
    _token("atlassian", "ATATT3 ATCTT3 ATBB ATSTT", rb"[A-Za-z0-9_=-]", 28, strict=True),
    _token("trello", "ATTA", rb"[0-9a-fA-F]", 60),
    _token("postman", "PMAK- PMAT-", rb"[0-9A-Za-z-]", 24),
    _token("new-relic", "NRAK- NRII- NRIQ- NRRA- NRSP- NRAP-", rb"[A-Za-z0-9_-]", 24),
    _token("grafana", "glsa_ glc_", rb"[A-Za-z0-9_+/=]", 28),
    _token("grafana-older", "eyJrIjoi", _B64, 40),
    _token("sentry", "sntrys_ sntryu_ sntrya_ sntryi_", rb"[A-Za-z0-9_+/=.-]", 32),
    _token("dynatrace", "dt0c01. dt0s01. dt0s02. dt0s03. dt0s06. dt0s08. dt0s16.",
           rb"[A-Z0-9.]", 20),
    _token("honeycomb", "hcaik_ hcxik_ hcamk_ hcxmk_ hcalk_", rb"[a-z0-9]", 30),
    _token("axiom", "xaat- xapt-", _HYPHENED, 32),
    _token("posthog", "phx_ phs_ pha_ phr_", _B62, 32),
    _token("launchdarkly", "api- sdk- mob- rel-", _HYPHENED, 36, strict=True),
    _token("optimizely", "2:", _URL64, 40, strict=True),
    _token("statsig", "secret- console-", _B62, 32, strict=True),
    _token("stytch", "secret-live- secret-test-", rb"[A-Za-z0-9_=-]", 30),
    _token("clickup", "pk_", rb"[0-9A-Z_]", 38, strict=True),
    _token("klaviyo", "pk_", _HEX, 34),
    _token("courier", "pk_prod_ pk_test_ dk_prod_", _UPPER, 28),
    _token("workos", "sk_a2V5", _B64, 16),
    _token("contentful", "CFPAT-", _URL64, 40),
    _token("typeform", "tfp_", _URL64, 40),
    _token("intercom", "dG9rO", rb"[A-Za-z0-9+/=]", 40),
    _token("hubspot", "pat-na1- pat-na2- pat-eu1-", _HYPHENED, 32),
    _token("brevo", "xkeysib- xsmtpsib-", rb"[0-9A-Za-z-]", 60),
    _token("mailgun", "key- pubkey-", _HEX, 32),
    _token("mailersend", "mlsn.", _HEX, 60),
    _token("mandrill", "md-", _URL64, 22, strict=True),
    _token("resend", "re_", rb"[A-Za-z0-9_]", 32, strict=True),
    _token("apify", "apify_api_", _B62, 30),
    _token("browserbase", "bb_live_ bb_test_", _URL64, 24),
    _token("browser-use", "bu_", _URL64, 40, strict=True),
    _token("adafruit", "aio_", _B62, 28),
    _token("alchemy", "alcht_", _B62, 28),
    _token("builder", "bpk-", _HEX, 32),
    _token("cal", "cal_live_ cal_test_", _HEX, 30),
    _token("dub", "dub_", _B62, 24, strict=True),
    _token("dropbox", "sl.", _URL64, 100, strict=True),
    _token("dropbox-user", "sl.u.", _URL64, 60),
    _exact(
        "paypal", b"a", rb"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[0-9a-f]{32}",
    ),
    _token("hop", "hop_pat_ hop_ptk_", _B62, 30),
    _token("ionic", "ion_", _B62, 42, strict=True),
    _token("infisical", "st.", rb"[0-9a-f.]", 56),
    _token("inngest", "signkey-prod- signkey-test- signkey-branch-", _HEX, 30),
    _token("trigger", "tr_prod_ tr_dev_ tr_stg_ tr_pat_", _B62, 20),
    _token("imagekit", "private_", rb"[A-Za-z0-9+/=]", 26, strict=True),
    _token("instagram", "IGQ IGAA", _URL64, 60, strict=True),
    _token("facebook", "EAAG EAAC EAAB EAAE EAAM EAAJ EAAI", _B62, 60, strict=True),
    _token("intra42", "s-s4t2ud- s-s4t2af-", _HEX, 60),
    _token("kagi-zuplo", "zpka_ zpsa_", rb"[A-Za-z0-9_]", 30),
    _token("n8n", "n8n_api_", rb"[A-Za-z0-9_.-]", 20),
    _token("nylas", "nyk_v0_", _B62, 24),
    _token("onfido", "api_live. api_sandbox. api_live_us. api_live_ca.", rb"[A-Za-z0-9_.-]", 30),
    _token("permit", "permit_key_", _B62, 40),
    _token("pubnub", "sec-c-", _B64, 40),
    _token("rootly", "rootly_", _HEX, 60),
    _token("samsara", "samsara_api_", _B62, 26),
    _token("salad", "salad_cloud_user_", _B62, 30),
    _token("adobe", "p8e- p8s-", _B62, 28),
    _token("wakatime", "waka_", _HYPHENED, 32),
    _token("mapped-in", "mik_ mis_", _B62, 30, strict=True),
    _token("mint", "mint_dsc_ mint_", _B62, 22, strict=True),
    _token("devcycle", "dvc_server_ dvc_client_ dvc_mobile_", rb"[A-Za-z0-9_-]", 16),
    _token("block-protocol", "b10ck5.", rb"[A-Za-z0-9.-]", 40),
    _token("configcat", "configcat-sdk-1/", rb"[A-Za-z0-9/_-]", 30),
    _token("salesforce-app", "3MVG9", rb"[A-Za-z0-9._]", 50, strict=True),
    _token("branch", "key_live_ key_test_ secret_live_ secret_test_", _B62, 24),
    _token("unkey", "unkey_", _B62, 20, strict=True),
    _token("linkedin", "WPL_AP", rb"[A-Za-z0-9.+/=_]", 20, strict=True),
    _token("twilio", "SK", _HEX, 32),
    _token("telnyx", "KEY0", rb"[A-Za-z0-9_]", 50, strict=True),
    _exact("mailchimp", b"0123456789abcdef", rb"[0-9a-f]{32}-us[0-9]{1,2}"),
    _exact("mailgun-signing", b"0123456789abcdef", rb"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}"),
    _exact("ghost", b"0123456789abcdef", rb"[0-9a-f]{24}:[0-9a-f]{64}"),
    _exact(
        "asana", b"012", rb"[0-2]/[0-9]{13,20}(?:/[0-9]{13,20})?:[0-9a-f]{32}",
    ),
    Rule("deepl", SECRET, b":", rb":fx\b", rb":fx", shapes.deepl, edge=False),
    _exact("fal", b"0123456789abcdef", rb"[0-9a-f]{12}:[0-9a-f]{32}", check=shapes.fal),
    Rule(
        "sendgrid", SECRET, b"S", rb"SG\.[A-Za-z0-9_-]{16}",
        rb"SG\.[A-Za-z0-9_-]{16,32}(?:\.[A-Za-z0-9_-]*)?", shapes.token, grow=_URL64 + b"*",
    ),
    Rule(
        "telegram-bot", SECRET, b"0123456789", rb"[0-9]{8,10}:A[A-Za-z0-9_-]{10}",
        rb"[0-9]{8,10}:A[A-Za-z0-9_-]{10,}", shapes.jumbled_tail, grow=_URL64 + b"*",
    ),
    Rule(
        # The user's id, decimal digits in base64, comes first.
        "discord-bot", SECRET, b"MNO",
        rb"(?:[MNO][CDSTijyz][A-Za-z][w-z0-5]){2}[MNO][CDSTijyz]",
        rb"[MNO][A-Za-z0-9_-]{21,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{2,}",
        grow=_URL64 + b"*",
    ),
    Rule(
        "discord-token", SECRET, b"MNO", rb"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.",
        rb"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
        shapes.jumbled_tail, grow=_URL64 + b"*",
    ),
    Rule(
        "maxmind", SECRET, b"_", rb"_mmk\b", rb"_mmk", shapes.maxmind, edge=False,
    ),
    Rule(
        "rapidapi", SECRET, b"m", rb"msh[0-9a-z]{15}p1[0-9a-z]{6}jsn",
        rb"msh[0-9a-z]{15}p1[0-9a-z]{6}jsn[0-9a-z]{12}", shapes.headed, edge=False,
    ),
    Rule(
        "salesforce-session", SECRET, b"0", rb"00D[A-Za-z0-9]{12,15}(?:!|%21)[A-Za-z0-9._]{8}",
        rb"00D[A-Za-z0-9]{12,15}(?:!|%21)[A-Za-z0-9._]{16,}", grow=rb"[A-Za-z0-9._]*",
    ),
    Rule(
        "new-relic-licence", SECRET, b"FN", rb"(?:FFFF)?NRAL\b", rb"(?:FFFF)?NRAL", shapes.marked,
        edge=False,
    ),
)  # fmt: skip
"""Payments, mail, messages, figures, and everything else that is called over the network."""

PROVIDERS: tuple[Rule, ...] = _MODELS + _CODE + _CLOUDS + _SERVICES
