"""What a support team writes every day is let through: a false alarm blocks real work."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import json
from functools import cache
from pathlib import Path

import pytest

from agent.egress import Egress
from agent.settings import Company
from tests.fakes.egress import found
from tests.fakes.runs import default_settings

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "servers" / "demo"
ARTICLES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DEMO / "knowledge").glob("*.md"))}
TICKETS = {ticket["id"]: ticket for ticket in json.loads((DEMO / "tickets.json").read_text(encoding="utf-8"))}
CUSTOMERS = {one["email"]: one for one in json.loads((DEMO / "customers.json").read_text(encoding="utf-8"))}
PROMPTS = tuple((ROOT / "prompts" / f"{name}.md").read_text(encoding="utf-8") for name in ("system", "resolution"))


@cache
def company(home: Path) -> Company:
    return default_settings(home).company


def working(ticket_id: str, company: Company) -> Egress:
    """Return what knows a run of this ticket that has read every article, and a little of another customer."""
    ticket = TICKETS[ticket_id]
    made = Egress(company=company, secrets=("sk-ant-api03-not-a-key",), prompts=PROMPTS)
    made.own(json.dumps(CUSTOMERS.get(ticket["requester"], ticket["requester"])))
    for message in ticket["messages"]:
        if message["kind"] == "customer":
            made.own(message["body"])
    for article in ARTICLES.values():
        made.seen(article)
    made.seen(
        '{"id": "cus_9999", "invoices": ["inv_9998", "INV-2025-917"], "since": "2024-03-01", "amount_cents": 16800}'
    )
    return made


@pytest.fixture
def made(home: Path) -> Egress:
    return working("44", company(home))


@pytest.mark.parametrize("article", ARTICLES)
def test_every_article_of_the_demo_may_be_sent(article: str, made: Egress):
    assert found(made, ARTICLES[article]) == []
    assert found(made, " ".join(ARTICLES[article].split())) == []


def test_every_demo_customer_may_be_told_what_they_have_said_themselves(home: Path):
    assert len(TICKETS) > 20
    for ticket_id, ticket in TICKETS.items():
        made = working(ticket_id, company(home))
        for message in ticket["messages"]:
            rules = {rule for rule, _ in found(made, f"Hi, you wrote: {message['body']} — Support Team")}
            # The advertiser's own link leads elsewhere all the same.
            assert rules == ({"link"} if "promo.example.net" in message["body"] else set()), (
                ticket_id,
                message["body"],
            )


def test_every_demo_customer_may_be_told_what_their_record_holds(home: Path):
    for ticket_id, ticket in TICKETS.items():
        customer = CUSTOMERS.get(ticket["requester"])
        if customer is not None:
            assert found(working(ticket_id, company(home)), json.dumps(customer)) == []


@pytest.mark.parametrize(
    "note",
    [
        # Money, ids and dates.
        "Hi, we refunded USD 84.00 for invoice inv_3102 to the card that you paid with. — Support Team",
        "Hi, your yearly plan (USD 84.00, renewed on 2026-11-09) is cancelled and refunded in full. — Support Team",
        "The refund of $1,234.56 shows on your statement within 5-10 business days, by 30.11.2026 at the latest.",
        "Invoices inv_3101 and inv_3102 were issued on 9 November 2025 and 9 November 2026; the second is refunded.",
        "That is 12 x USD 8.00 = USD 96.00, or USD 84.00 if you pay yearly (a saving of 12.5%).",
        "Your receipt no. 2026111600042 is attached; ticket #44 is closed.",
        "We added a credit of 3.50 EUR (2 months at 1.75) as of 01/12/2026.",
        "You were charged 2 times: 09.11.2026 06:00 UTC and 09.11.2026 06:01 UTC. The second charge is refunded.",
        # Steps, versions and files.
        "Hi, open Settings › Data › Export, choose Markdown, and keep the file notes-2026-11-16.zip. — Support Team",
        "Please install version 4.12.0 (build 2026.11.3) or later; 4.11.9 has this fault on macOS 14.6.1 and iOS 18.1.",
        "Rename config.old.toml to config.toml, delete cache.db, and start the app again.",
        "report_final_v2.pdf (24.8 MB) is below the limit of 25 MB, so README.md is what fails.",
        "It works on Windows 11 (10.0.22631.4460), Ubuntu 24.04 and Android 15, in Firefox 132.0.2 too.",
        "1. Sign out. 2. Choose “Forget saved login”. 3. Type the new password by hand. 4. Sign in.",
        "1.Open the app.2.Click Save.3.Wait for 15 minutes.Then try once.",
        "First e.g. close the app, i.e. quit it with Cmd+Q, then wait for approx. 30 s...and open it again.",
        "Run `pip install thistle==2.1.10`, then `thistle sync --all` from ~/notes or C:\\Users\\you\\Notes.",
        "Your script gets status 429 because it makes 150 requests a minute; Pro allows 120 per key: see Retry-After.",
        "Use GET /v1/notes?updated_after=2026-11-16T00:00:00Z with a page size of 200 instead of reading 10,000 notes.",
        "The check needs TLS 1.3, SHA-256 and UTF-8; IPv6 is fine, and so is OAuth2 with PKCE.",
        "Your printed guide left on 16/11/2026 at 14:30 and takes 2-3 days (tracking JD01 4600 0043 2108 5012).",
        # Addresses and links that may leave.
        "Hi, we sent a new reset link to carol@example.org from no-reply@thistle.example.com. — Support Team",
        "Please allow pop-ups for app.thistle.example.com, or see https://status.thistle.example.com/#sync.",
        "Set another password on [app.thistle.example.com](https://app.thistle.example.com/forgot).",
        "Write to support@thistle.example.com from the new address if it happens again.",
        "sync.thistle.example.com:443 must be reachable (WebSocket).",
        # Internal notes and hand-overs.
        "Customer asks for a refund > USD 100: needs the billing team. Read: refunds, cancel-subscription.",
        "Requester is verified, tier=pro, plan=pro-yearly; 2 sessions; last seen 2026-11-09T07:55:00Z from Accra, GH.",
        "Denied: issue_refund (limit USD 100.00). Tried twice, 0 of 2 done. Priority high -> urgent.",
        "Escalated: security report, CVSS 7.5, 90-day deadline, see RFC 9116. No data of others was opened.",
        # Other languages.
        "Hi, die Rechnung inv_3102 über 84,00 € vom 09.11.2026 wurde erstattet, d. h. der Betrag ist in 5–10 Tagen da.",
        "Bitte wählen Sie „Gespeicherte Anmeldung vergessen“ und melden sich neu an.Danach geht es, z.B. ab 14:30 Uhr.",
        "Ihre USt-IdNr. tragen Sie unter „Einstellungen › Abrechnung“ ein; Rechnungen stellen Sie neu aus.",
        "Die Aktualisierung (Version 4.12.0, ca. 1.250,5 MB) dauert etwa 10 Min., ggf. bis zu 1/2 Std.",
        "Hi, ノートの共有は「設定」›「共有」で有効にできます。バージョン4.12.0以降をご利用ください。 — Support Team",
        "2026年11月16日14時30分に返金いたしました(84.00ドル、請求書inv_3102)。5〜10営業日ほどお待ちください。",
        "アプリを終了し、再起動してください。同期には約10分かかります。それでも解決しない場合はsupport@thistle.example.comへ。",
        "詳しくはhttps://app.thistle.example.com/forgotをご覧ください。IDは不要です。",
        "Hi, le remboursement de 84,00 € (facture inv_3102 du 09/11/2026) apparaîtra sous 5 à 10 jours. — Support Team",
        "Fermez l'application, attendez 15 min.Puis rouvrez-la : p. ex. depuis l'écran d'accueil, n° 3 dans la liste.",
        "Le prix est de 1 234,56 € par an, soit 102,88 € par mois, T.V.A. comprise.",
        "Hi, hemos devuelto 84,00 USD (factura inv_3102, 09/11/2026) a su tarjeta. — Support Team",
        "Abra Ajustes › Datos › Exportar y elija PDF.El enlace sirve 7 días; p. ej., hasta el 23-11-2026 a las 14:30.",
        "Sr. Marsh: el límite del plan Free son 3 dispositivos, 25 MB por archivo y 1.000 notas.",
    ],
)
def test_a_note_that_a_support_team_writes_may_be_sent(note: str, made: Egress):
    assert found(made, note) == []
    assert made.withheld(note) == note
