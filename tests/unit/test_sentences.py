"""Sentences are counted as a reader counts them."""
# ruff: noqa: RUF001 - texts in many languages

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sentences import sentences

NONE = ["", "...", "👍", " \n ", "https://x.example.com/a.b", "—"]

ONE = [
    "we have refunded inv_3102 ($84.00).",
    "nothing with an end",
    "Use e.g. Firefox or i.e. Chrome, cf. Dr. Smith, No. 5, v2.1.",
    "Open the file README.md and index.html on example.com now.",
    "Use .NET 8.0 or Node.js at 10:30.",
    "Apples, pears etc. are good.",
    "We pay $1,200.50 at 5 p.m. UTC on 5 Nov. 2026, J. Smith of the U.S. office says.",
    "See https://help.example.com/a.b?c=d!e#f for more.",
    "See https://help.example.com/a.",
    "Well... it works now…",
    "What?!",
    "Done! 😊",
    "**Done.**",
    "one line\nwrapped here.",
    "It says “Something went wrong. Try again!” and stops.",
    'Choose "Forgot password?" and type it.',
    "Our article “Is it down? The status page” has every step.",
    "Verwenden Sie z. B. Firefox, d. h. einen Browser, bzw. ggf. Chrome (inkl. Dr. Müllers).",
    "Verwenden Sie z.B. Firefox.",
    "Am 24. November ist es beim 3. Versuch fertig.",
    "Nach Art. 17 Abs. 2 DSGVO.",
    "Le n° 5, c.-à-d. la facture, p. ex. en PDF, M. Dupont.",
    "La factura núm. 5, p. ej. en PDF, del Sr. García.",
    "¡Hola!, le escribimos por su factura.",
    "Faktura nr 5, np. w PDF, m.in. tutaj, tzn. ul. Długa.",
    "в т. ч. и т. д. по ул. Ленина",
    "「権限がありません。」と表示されます。",
    "सेटिंग खोलें",
    "เข้าสู่ระบบอีกครั้ง",
    "The steps:\n\nopen Settings.",
    "1. Open Settings.",
    "Please do this:\n1. Open Settings.",
    "42.",
]

TWO = [
    "we have refunded inv_3102 ($84.00). A refund goes back to the card.",
    "It costs 84.00. We sent it.",
    "Use v2.1. It works.",
    "Open example.com. Then wait.",
    "See https://help.example.com/a. Then go on.",
    "Apples, pears etc. They are good.",
    "We pay at 5 p.m. The team knows.",
    "Setzen Sie den Wert auf 5. Danach starten Sie neu.",
    "Well… It works now.",
    "What?! Really.",
    "No. We cannot.",
    "So do I. We know.",
    "It says “Wrong password.” Choose it again.",
    "(It is done.) We know.",
    "**Done.** Then go.",
    "Done. iPhone users wait.",
    "Nothing more here. second one starts small",
    "Works.\u200b Fine.",
    "Ｗｏｒｋｓ．　Ｆｉｎｅ．",
    "Two paragraphs\n\nand no end",
    "- open Settings\n- choose Billing",
    "Please do this:\n\n- open Settings\n- choose Billing",
    "1. Open Settings.\n2. Choose Billing.",
    "Please do this: 1. Open Settings. 2. Choose Billing.",
    "a) open Settings\nb) choose Billing",
    "¿Puede abrirlo? ¡Gracias!",
    "Où il est. Ensuite, ouvrez.",
    "Det er slut. Vi ved det.",
    "設定を開いてください。請求を選びます。",
    "できますか？はい、できます",
    "请打开设置！然后选择账单",
    "सेटिंग खोलें। बिलिंग चुनें।",
    "هل يمكنك ذلك؟ نعم.",
    "کیا آپ کر سکتے ہیں؟ جی ہاں۔",
    "Μπορείτε να το ανοίξετε; Ναι, μπορείτε.",
    "가능합니다. 설정을 여세요.",
    "Откройте настройки. Затем выберите счёт.",
]


@pytest.mark.parametrize(("count", "text"), [(0, t) for t in NONE] + [(1, t) for t in ONE] + [(2, t) for t in TWO])
def test_sentences_are_counted_as_a_reader_counts_them(count: int, text: str):
    assert len(sentences(text)) == count, sentences(text)


def test_sentences_are_given_as_they_stand():
    text = "Open “Settings › Data”… and wait. Then choose ½ of them!\n\n- done"
    assert sentences(text) == ("Open “Settings › Data”… and wait.", "Then choose ½ of them!", "- done")


@given(st.text(alphabet=st.sampled_from("aB1 .!?。…\n-:,)(\"'“”„«»;ж字")))
def test_any_text_is_cut_into_parts_of_its_own_in_their_order(text: str):
    position = 0
    for sentence in sentences(text):
        assert any(char.isalnum() for char in sentence)
        position = text.index(sentence, position) + len(sentence)


@given(st.lists(st.from_regex(r"[A-Z][a-z]{4,9}( [a-z]{2,9}){1,6} [a-z]{6,9}[.!?]", fullmatch=True), max_size=8))
def test_plain_sentences_are_found_one_by_one(written: list[str]):
    assert sentences(" ".join(written)) == tuple(written)
    assert sentences("\n\n".join(written)) == tuple(written)


@pytest.mark.parametrize(
    "sign", [".", "a. ", "A. ", "字。", '"', "- ", "\n", "x", "https://", "!”", "1. ", ". ", "! ", "(a", "\n- a", "“"]
)
def test_a_flood_of_one_sign_is_read_to_its_end(sign: str):
    # The patterns look at each sign a bounded number of times; otherwise this would not end.
    assert len(sentences(sign * 30_000)) <= 30_000
