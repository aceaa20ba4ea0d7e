"""No link leaves that leads elsewhere than to the company, whatever it is made to look like."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings import Company
from tests.fakes.egress import around, disguised, egress, found, hidden, rules

ELSEWHERE = [
    "https://evil.com",
    "http://evil.com/path?query=1#there",
    "HTTPS://EVIL.COM",
    "see https://evil.com.",
    "https://localhost:3000/",
    "http://192.0.2.7/",
    "http://3221225991/",
    "http://[2001:db8::1]/",
    "ftp://evil.com/file",
    "evil.com",
    "www.evil.com",
    "www.evil.notaword",
    "Go to evil.com, please",
    "Evil.com is better",
    "EVIL.COM",
    "evil.co.uk",
    "my-evil.io",
    "my_evil.com",
    "-evil.com",
    "_evil.com_",
    "**evil.com**",
    "evil.click now",
    "evil.zip/now",
    "evil.md/x",
    "login.thistle.account.zip",
    "evil.com.Please do",
    "evil.com:8080",
    "@evil.com",
    "xn--e1awd7f.com",
    "пример.рф",
    "bücher.de",
    "例え.jp",
    "詳しくはevil.comをご覧ください",
    "自evil.com",
    # Made to look like the company's.
    "https://thistle.example.com@evil.com",
    "https://thistle.example.com:443@evil.com/",
    "https://thistle.example.com:x@evil.com/",
    "https://thistle.example.com%40evil.com",
    "https://thistle.example.com,@evil.com",
    "https://thistle.example.com;@192.0.2.7",
    "https://thistle.example.com(@evil.md",
    "https://evil.com,@thistle.example.com",
    "https://evil.com\\@thistle.example.com",
    "https://thistle.example.com\\@evil.com",
    "https://thistle.example.com\\.evil.com",
    "https:\\\\thistle.example.com",
    "https:\\\\evil.com",
    "https:/\\evil.com",
    "https:/evil.com",
    "https:evil.com",
    "https://thistle.example.com.evil.com",
    "https://thistle.example.com-evil.com",
    "https://evilthistle.example.com",
    "https://example.com",
    "example.com",
    "https://thistle.example.com%2eevil.com",
    "https://thistle.example.com%2F@evil.com",
    "https://thistle.example.com&#46;evil.com",
    "https://evil%2ecom",
    "https://thıstle.example.com",
    "https://thistlе.example.com",
    "https://xn--thstle-q4a.example.com.com",
    "https://ｅｖｉｌ．com",
    "https://evil。com",
    "https://evil․com",
    "https://thistle.example.com․evil.com",
    "https://thistle.exam\u0338ple.com",
    "https://thistle\u200d.example.com",
    "https://thistle.example.com:４４３",
    "https://thistle.example.com:443x",
    "https://thistle.example.comに.evil.com",
    "https://thistle.example.com*.evil.com",
    "https://thistle.example.com。evil.com",
    "https://thistle.example.com。app",
    "https://thistle.example.com/a。evil.com",
    "thistle.example.com。evil.com",
    "support@thistle.example.com。evil.com",
    "evil.de。we",
    "https://thistle.example.com\n.evil.com",
    "https://thistle.example.com.\nevil.com",
    "https://\nevil.com",
    "ht\ntps://evil.com",
    "https://ev\nil.com",
    "evil.\ncom",
    "e\u200bvil\u2060.c\u00adom",
    "1https://evil.com",
    "xhttps://evil.com",
    # In the company's own links.
    "https://thistle.example.com/redirect?to=https://evil.com",
    "https://thistle.example.com/redirect?to=https%3A%2F%2Fevil.com",
    "https://thistle.example.com/redirect?to=//evil.com",
    "https://thistle.example.com/),evil.com",
    # As marks.
    "[text](evil.com)",
    "[thistle.example.com](https://evil.com)",
    "[text](<https://evil.com>)",
    "[text](//evil.com)",
    "[text](evil.md)",
    "![](https://evil.com/pixel.png)",
    "[text]: evil.zip",
    '<a href="https://evil.com">thistle.example.com</a>',
    '<a href="evil.md">here</a>',
    "<a href=//evil.com>here</a>",
    "<a\nhref = 'e&#118;il.com'>",
    '<img src="//evil.com/x.png">',
    '<form action="evil.py/x">',
    "//evil.com/x",
    "\\\\evil.com\\share",
    "\\\\server\\share",
    # Not of the web.
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "JaVaScRiPt:alert(1)",
    '<a href="javascript: alert(1)">',
    "[text](javascript:alert(1))",
    "jav&#x09;ascript:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,<b>",
    "data:text/html;base64,PGI+",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "slack://channel?id=1",
    "zoommtg://evil.com/join",
    "ms-msdt:/id",
    "search-ms:query=x",
    "magnet:?xt=1",
    "hxxp://evil.com",
    "kb://invoice-pdf",
]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_a_link_that_leads_elsewhere_is_found(text: str):
    made = egress()
    assert "link" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "https://thistle.example.com",
        "https://thistle.example.com/",
        "See https://thistle.example.com.",
        "(https://thistle.example.com/help/a_(b))",
        "<https://thistle.example.com/help>",
        "**https://thistle.example.com**",
        "http://app.thistle.example.com:8443/a/b.py?c=d.md#e",
        "HTTPS://App.Thistle.Example.Com/x",
        "https://thistle.example.com./x",
        "thistle.example.com",
        "status.thistle.example.com, or app.thistle.example.com/forgot",
        "thistle.example.com.Please sign in",
        "sync.thistle.example.com:443",
        "[app.thistle.example.com](https://app.thistle.example.com/forgot)",
        "[here](app.thistle.example.com)",
        "[here](/forgot) and [there](#limits)",
        '<a href="https://app.thistle.example.com">here</a>',
        "//app.thistle.example.com/x",
        "https://app.thistle.example.comをご覧ください。",
        "https://app.thistle.example.com！",
        "「https://app.thistle.example.com」または",
        "詳しくはapp.thistle.example.comをご覧ください",
        "thistle.example.\ncom",
        "thistle.example.com。app",
        "**https://thistle.example.com**is the place",
        "Look at https://thistle.example.com!It is there",
        "https://app.thistle.example.comまたはsupport@thistle.example.comへ",
        "https://thistle.example.com/redirect?to=https://app.thistle.example.com",
        "mailto:support@thistle.example.com",
        "`app.thistle.example.com`",
    ],
)
def test_the_companys_links_may_leave(text: str):
    assert found(egress(), text) == []


@pytest.mark.parametrize(
    "text",
    [
        "README.md, app.py, install.sh, export.zip, libfoo.so and notes.min.md",
        "config.toml main.rs.bak index.html style.css node.js data.json",
        "v2.1.10, 10.15.7, 2.1.10-beta.1, 1.0.dev and 3.x",
        "e.g. this, i.e. that, z.B. jenes, d.h. dieses, p.ex. cela, u.a.m., a.m., p.m.",
        "at 10:30, from 9:00-17:00, 12.am, 5.30 p.m.",
        "It works soon.Please wait.In the app you see it.It is fine.So do that.",
        "1.Open the app 2.Click Save 3.Select it 4.Call us",
        "U.S. customers, St.Gallen, No.5, S.A., Inc.",
        "https:// is safer than http://",
        "the scheme is https: and the port 443",
        "I like JavaScript: it is nice. JavaScript:\nis",
        "your data: none; metadata:text",
        "and/or, 24/7, w/o, //, // comment, a//b",
        "C:\\Users\\alice and C:/Users and ~/notes/app.py",
        "Settings › Data › Export… then wait...ok",
        "USD 8.00/month, 9.99€/Monat",
        "notes:read, files:read, GET /v1/notes?updated_after=…",
        "“Wrong e-mail or password”",
        "Note: a. b. c.",
        "終了しました。アプリを再起動してください。ID は 42 です。",
        "ノートは3.5GBです。",
        "Fertig.In der App sehen Sie es. Danke.Das war alles.",
        "C'est fini.Merci. L'app est à jour.Elle marche.",
    ],
)
def test_files_versions_abbreviations_and_sentences_are_no_links(text: str):
    assert found(egress(), text) == []


def test_a_company_without_domains_has_no_links():
    made = egress(company=Company())
    for text in ("https://thistle.example.com", "thistle.example.com", "//thistle.example.com"):
        assert rules(made, text) == ["link"]
    assert made.violations("thistle.example.com")[0].because == (
        "thistle.example.com leads to a place that is not the company's (links may lead nowhere): leave it out."
    )


def test_a_domain_of_the_company_in_another_script_may_be_written_in_both_ways():
    made = egress(company=Company(domains=("bücher.de",)))
    assert rules(made, "https://bücher.de/a www.bücher.de xn--bcher-kva.de") == []
    assert rules(made, "https://bucher.de") == ["link"]


def test_what_the_runs_own_servers_have_may_be_named_where_its_scheme_is_given():
    made = egress(schemes=("kb",))
    assert rules(made, "Source: kb://invoice-pdf.") == []
    assert rules(made, "kbx://invoice-pdf") == ["link"]


def test_the_requesters_own_link_is_still_a_link():
    assert rules(egress("Look at https://evil.com"), "You wrote https://evil.com") == ["link"]


def test_the_model_is_told_which_link_and_where_links_may_lead():
    violations = egress().violations("See https://evil.com/a?b=c, and https://EVIL.com/a?b=c.")
    assert [violation.found for violation in violations] == ["https://evil.com/a?b=c"]
    assert "only to thistle.example.com and what is below" in violations[0].because


def test_a_whole_link_is_withheld():
    assert egress().withheld("See https://evil.com/a?b=c.") == "See [withheld: a link]."


@given(
    text=st.sampled_from(
        [
            "https://evil.com/x",
            "http://a.evil.co.uk",
            "www.evil.com",
            "evil.com",
            "evil.top/a",
            "https://thistle.example.com@evil.com",
        ]
    ).flatmap(hidden)
)
def test_a_disguised_link_is_found_in_any_surroundings(text: str):
    made = egress()
    assert rules(made, text)
    assert made.violations(made.withheld(text)) == ()


LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(
    data=st.data(), labels=st.lists(LABEL, min_size=1, max_size=3), ending=st.sampled_from(["com", "de", "io", "xyz"])
)
def test_any_host_is_found_with_a_scheme_and_bare_unless_it_is_the_companys(
    data: st.DataObject, labels: list[str], ending: str
):
    host = ".".join([*labels, ending])
    text = data.draw(around(disguised(data.draw(st.sampled_from([host, f"https://{host}/a", f"//{host}"])))))
    assert "link" in rules(egress(), text)


@given(
    text=around(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["", "https://", "http://", "//"]),
            st.lists(LABEL, max_size=2).map(lambda labels: ".".join([*labels, "thistle.example.com"])),
            st.sampled_from(["", "/", "/help/x.md", "/a?b=c&d=e", ":8080/x", "#top"]),
        )
    )
)
def test_no_link_to_the_company_is_ever_reported(text: str):
    assert found(egress(), text) == []
