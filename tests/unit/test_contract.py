"""A text to a customer is held against what the configuration demands of it: no more, no less."""
# ruff: noqa: RUF001 - texts in many languages

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from agent.contract import breaches
from agent.settings import SaidReference, Texts
from tests.fakes.runs import default_settings

HOUSE = Texts(starts_with="Hi,", ends_with="— Support Team", sentences=2, language=True)
BODY = "we have sent the invoice again."


def rules(text: str, texts: Texts = HOUSE, language: str | None = "en") -> list[str]:
    return [reason.rule for reason in breaches(text, texts, language=language)]


def because(text: str, texts: Texts = HOUSE, language: str | None = "en") -> str:
    (reason,) = breaches(text, texts, language=language)
    return reason.because


GOOD = [
    (
        "en",
        "Hi,\n\nwe have refunded inv_3102 ($84.00). A refund goes back to the card within ten days.\n\n— Support Team",
    ),
    ("en", "Hi, forget the saved login and type the new password. — Support Team"),
    ("en", "  Hi,\nplease open Settings › Data › Export, e.g. on app.thistle.example.com.\n— Support Team \n\n"),
    ("en", "Hi,\n\nplease do one of these:\n- open Settings\n- choose Billing\n\n— Support Team"),
    ("en", "Hi,\n\nthe app says “Something went wrong. Try again!” until you sign in once more.\n\n— Support Team"),
    ("de", "Hi,\n\nSie tragen die USt-ID selbst ein, z. B. unter „Einstellungen › Abrechnung“.\n\n— Support Team"),
    ("de-AT", "Hi,\n\nvielen Dank, wir haben inv_4210 am 24. November an Sie erstattet.\n\n— Support Team"),
    ("fr", "Hi,\n\nNous avons remboursé votre facture et vous le verrez dans les cinq jours.\n\n— Support Team"),
    ("es", "Hi,\n\n¿Puede abrir la página de nuevo? El importe aparecerá en su cuenta en unos días.\n\n— Support Team"),
    ("it", "Hi,\n\nabbiamo rimborsato la fattura e l'importo sarà sul suo conto tra pochi giorni.\n\n— Support Team"),
    ("pt-BR", "Hi,\n\nreembolsamos a fatura e o valor estará na sua conta em até dez dias.\n\n— Support Team"),
    ("nl", "Hi,\n\nwe hebben de factuur terugbetaald en u ziet het bedrag binnen tien dagen.\n\n— Support Team"),
    ("pl", "Hi,\n\nzwróciliśmy płatność i zobaczą ją Państwo na koncie w ciągu dziesięciu dni.\n\n— Support Team"),
    ("sv", "Hi,\n\nvi har skickat fakturan igen och du får den på några minuter.\n\n— Support Team"),
    ("da", "Hi,\n\njeg har sendt fakturaen igen, og du får den om få minutter.\n\n— Support Team"),
    ("tr", "Hi,\n\nfaturayı size tekrar gönderdik ve birkaç dakika içinde gelir.\n\n— Support Team"),
    ("cs", "Hi,\n\nfakturu jsme vám znovu poslali a během pár minut ji budete mít.\n\n— Support Team"),
    ("ru", "Hi,\n\nмы отправили вам счёт ещё раз. Он придёт через несколько минут.\n\n— Support Team"),
    ("ja", "Hi,\n\nノートの共有リンクをもう一度作成してください。「権限がありません。」は消えます。\n\n— Support Team"),
    ("zh", "Hi，\n\n我们已经把发票重新发给您了，请查收。\n\n— Support Team"),
    ("ko", "Hi,\n\n청구서를 다시 보내 드렸습니다. 몇 분 안에 도착합니다.\n\n— Support Team"),
    ("hi", "Hi,\n\nहमने आपको चालान फिर से भेज दिया है। यह कुछ मिनटों में आ जाएगा।\n\n— Support Team"),
    ("ar", "Hi,\n\nلقد أرسلنا الفاتورة إليك مرة أخرى. هل يمكنك التحقق من ذلك؟\n\n— Support Team"),
    ("ja", "Hi,\n\nThistle app › Settings › Billing › Invoices\n\n— Support Team"),
    ("en", "Hi,\n\nSettings › Data › Export makes a ZIP file of all notes.\n\n— Support Team"),
]


@pytest.mark.parametrize(("language", "text"), GOOD)
def test_a_text_that_is_as_it_must_be_has_no_breach(language: str, text: str):
    assert rules(text, language=language) == []
    assert rules(text, language=None) == []


@pytest.mark.parametrize(
    "greeting",
    ["Hi Alice,", "Hello,", "hi,", "Hi", "Hi!", "Hi ,", "**Hi,**", "“Hi,", "Dear Alice,", "Hello! Hi,", "Нi,", ""],
)
def test_a_text_starts_with_its_greeting_and_nothing_else(greeting: str):
    assert rules(f"{greeting}\n\n{BODY}\n\n— Support Team") == ["text.greeting"]


@pytest.mark.parametrize("greeting", ["Hi,", "\n Hi,", "H\u200bi,", "Ｈｉ，", "\u2060Hi\u00ad,", "\ufeffHi,"])
@pytest.mark.parametrize("space", [" ", "\n", "\r\n\r\n", "\u00a0", ""])
def test_a_greeting_is_compared_by_its_words(greeting: str, space: str):
    assert rules(f"{greeting}{space}{BODY}\n\n— Support Team") == []


@pytest.mark.parametrize(
    "sign_off",
    [
        "Support Team",
        "— Support",
        "— The Support Team",
        "— Support Teams",
        "— Support Team.",
        "— support team",
        "- Support Team",
        "Kind regards,\nSupport Team",
        "— Support Team\n\nhttps://example.com",
        "**— Support Team**",
        "",
    ],
)
def test_a_text_ends_with_its_sign_off_and_nothing_else(sign_off: str):
    assert rules(f"Hi,\n\n{BODY}\n\n{sign_off}") == ["text.sign_off"]


@pytest.mark.parametrize(
    "sign_off",
    [
        "— Support Team",
        "– Support Team",
        "-- Support Team",
        "--- Support Team",
        "—Support Team",
        "—\nSupport\u00a0Team",
        "— Support Team\u200b \n\n",
        "— Ｓｕｐｐｏｒｔ Team",
    ],
)
def test_a_sign_off_is_compared_by_its_words_with_any_long_dash(sign_off: str):
    assert rules(f"Hi,\n\n{BODY}\n\n{sign_off}") == []
    assert rules(f"Hi, {BODY} {sign_off}") == []


def test_words_are_not_taken_for_the_beginning_or_end_of_longer_ones():
    plain = Texts(starts_with="Hello", ends_with="Team")
    assert rules("Hello, it is done. Your Team", plain) == []
    assert rules("Helloween is over. A Steam", plain) == ["text.greeting", "text.sign_off"]
    assert rules("Bonjour, c'est fait. L’équipe", Texts(starts_with="Bonjour,", ends_with="L'équipe")) == []


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("One is here. Two is here. Three is here.", 3),
        ("One is here. Two is here. and three without an end", 3),
        ("- open Settings\n- choose Billing\n- download it", 3),
        ("Please do this:\n1. Open Settings.\n2. Choose Billing.\n3. Download it.", 3),
        ("設定を開いてください。請求を選びます。保存します。", 3),
        ("सेटिंग खोलें। बिलिंग चुनें। सहेजें। बंद करें।", 4),
        ("What happened?! We do not know... But it works, e.g. in Firefox 128.0.", 3),
        ("One is here.\u200b Two is here.\u2060 Three is here．", 3),
    ],
)
def test_too_many_sentences_are_counted_for_the_model(body: str, count: int):
    told = f"It has {count} sentences between greeting and sign-off: at most 2."
    assert because(f"Hi,\n\n{body}\n\n— Support Team", language=None) == told


@pytest.mark.parametrize("text", ["Hi,\n\n— Support Team", "Hi, … — Support Team", "Hi, \u200b\u2060 — Support Team"])
def test_a_text_that_says_nothing_is_told_so(text: str):
    assert because(text) == "It says nothing between greeting and sign-off."


def test_a_text_that_is_empty_breaks_everything():
    assert rules("") == ["text.greeting", "text.sign_off", "text.length"]


def test_a_greeting_or_sign_off_gone_wrong_is_not_counted_as_a_sentence():
    body = "One is here. Two is here."
    assert rules(f"Hi Alice,\n\n{body}\n\nBest regards,\nSupport Team") == ["text.greeting", "text.sign_off"]


def test_the_place_of_the_sentences_is_told_as_far_as_there_is_one():
    one = "One is here. Two is here."
    assert because(one, Texts(sentences=1)) == "It has 2 sentences: at most 1."
    assert because(f"Hi, {one}", Texts(starts_with="Hi,", sentences=1)).startswith(
        "It has 2 sentences beside the greet"
    )
    assert because("", Texts(characters=9)) == "It says nothing."


def test_a_long_text_is_told_how_long_it_is():
    texts = Texts(characters=20)
    assert rules("It is twenty signs.. ", texts) == []
    assert because("It is far too long now.", texts) == "It has 23 characters: at most 20."


@pytest.mark.parametrize(
    ("written", "language", "told"),
    [
        (0, "de", "It is in English, and the customer writes German: write it in German."),
        (5, "en-US", "It is in German, and the customer writes English: write it in English."),
        (18, "en", "It is in Japanese, and the customer writes English: write it in English."),
        (7, "pt", "It is in French, and the customer writes Portuguese: write it in Portuguese."),
        (17, "zu", "It is in Russian, and the customer writes “zu”: write it in “zu”."),
    ],
)
def test_a_text_in_plainly_another_language_is_told_which_is_wanted(written: int, language: str, told: str):
    assert because(GOOD[written][1], language=language) == told


@pytest.mark.parametrize("language", [None, "", "und", "??", "English", "en-GB"])
def test_without_a_plain_contradiction_the_language_is_no_breach(language: str | None):
    assert rules(GOOD[0][1], language=language) == []


def test_languages_that_readers_share_are_no_contradiction():
    danish = next(text for language, text in GOOD if language == "da")
    assert rules(danish, language="nb") == []
    assert rules(danish, language="sv") == ["text.language"]


def test_the_language_of_a_short_reply_is_not_held_against_it():
    assert rules("Hi,\n\nDone!\n\n— Support Team", language="de") == []


def test_what_is_not_demanded_is_not_checked():
    assert rules("", Texts()) == []
    assert rules(f"{BODY} " * 40, Texts(), language="de") == []
    assert rules(GOOD[0][1], HOUSE.model_copy(update={"language": False}), language="de") == []


word = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=1, max_size=12)
sentence = st.builds(
    lambda words, end: " ".join(words) + end, st.lists(word, min_size=1, max_size=12), st.sampled_from(".!?")
)


@given(st.integers(1, 6), st.data())
def test_no_text_of_the_right_form_is_ever_blocked_for_it(most: int, data: st.DataObject):
    said = data.draw(st.lists(sentence, min_size=1, max_size=most))
    space = data.draw(st.sampled_from([" ", "\n", "\n\n"]))
    text = f"Hi,{space}{space.join(said)}{space}— Support Team"
    assert rules(text, HOUSE.model_copy(update={"sentences": most}), language=None) == []


@given(st.text(), st.sampled_from([None, "en", "de", "ja", "x", ""]), st.builds(Texts, starts_with=st.text(max_size=9), ends_with=st.text(max_size=9), sentences=st.none() | st.integers(1, 5), characters=st.none() | st.integers(1, 50), language=st.booleans()))  # fmt: skip # noqa: E501
def test_any_text_is_held_against_any_demand(text: str, language: str | None, texts: Texts):
    for reason in breaches(text, texts, language=language):
        assert reason.rule.startswith("text.")
        assert reason.because.endswith(".")


def test_the_built_in_prompt_and_the_default_configuration_demand_the_same(home: Path):
    texts = default_settings(home).tickets.texts
    prompt = prompts.render("resolution", ticket_id="42", account_tier="pro", tone="is warm")
    assert texts.model_dump(exclude_none=True) == HOUSE.model_dump(exclude_none=True)
    assert f'starts with "{texts.starts_with}"' in prompt
    assert f'ends with "{texts.ends_with}"' in prompt
    assert "under three sentences long, the greeting and the sign-off not counted" in prompt  # at most two
    assert "each point of a list counts as a sentence" in prompt
    assert "in the language of the ticket" in prompt


def test_the_guide_explains_every_key_of_what_texts_must_be():
    guide = (Path(prompts.__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = guide.partition("### Texts to customers\n")[2].partition("\n## ")[0]
    assert {key for key in Texts.model_fields if f"- `{key} = " not in section} == set()
    assert {key for key in SaidReference.model_fields if f"`{key}`" not in section} == set()
