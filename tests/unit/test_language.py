"""The language of a text is told where it is plain, and nowhere else."""
# ruff: noqa: RUF001 - texts in many languages

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.language import are_at_odds, language_of, likeliest, name_of

WRITTEN = [
    ("en", "I changed my password last night and since then the app says it is wrong. Can you help?"),
    ("en", "CHARGED TWICE. This is unacceptable!!! You have charged me TWICE for the same month"),
    ("en", "notes missing. the phone has them. the tablet shows a little pause sign"),
    ("en", "we have refunded inv_3102 ($84.00). A refund goes back to the card or account that paid."),
    ("en", "My name is Александр and I cannot log in to the app, please help me."),
    ("de", "Wo ist meine Rechnung?"),
    ("de", "Bitte schicken Sie mir die Rechnung fuer November noch einmal, danke."),
    ("de", "auf unserer letzten Rechnung fehlen der Firmenname und die USt-IdNr."),
    ("fr", "Bonjour, je n'arrive plus à me connecter depuis que j'ai changé mon mot de passe."),
    ("fr", "Nous avons remboursé votre facture et le montant sera visible sur votre compte dans cinq jours."),
    ("es", "Hola, no puedo entrar en mi cuenta desde que cambié la contraseña. ¿Me pueden ayudar?"),
    ("es", "Hemos reembolsado la factura y el importe aparecerá en su cuenta en unos días."),
    ("it", "Buongiorno, non riesco più ad accedere al mio account dopo aver cambiato la password."),
    ("pt", "Olá, não consigo entrar na minha conta desde que mudei a senha. Podem ajudar-me?"),
    ("pt", "Oi, nao consigo acessar minha conta, ja tentei trocar a senha mas nao deu certo."),
    ("nl", "Goedemorgen, ik kan niet meer inloggen sinds ik mijn wachtwoord heb gewijzigd."),
    ("pl", "Dzień dobry, nie mogę się zalogować od czasu zmiany hasła. Czy mogą mi Państwo pomóc?"),
    ("sv", "Hej, jag kan inte logga in sedan jag bytte lösenord. Kan ni hjälpa mig?"),
    ("da", "Hej, jeg kan ikke logge ind, efter at jeg har ændret min adgangskode. Hvad skal jeg gøre?"),
    ("no", "Hei, jeg får ikke logget inn etter at jeg endret passordet mitt. Hva skal jeg gjøre nå?"),
    ("fi", "Hei, en pääse enää kirjautumaan sen jälkeen, kun vaihdoin salasanan. Voitteko auttaa minua?"),
    ("tr", "Merhaba, şifremi değiştirdikten sonra giriş yapamıyorum. Bana yardım edebilir misiniz?"),
    ("cs", "Dobrý den, od změny hesla se nemohu přihlásit. Můžete mi prosím pomoci?"),
    ("sk", "Dobrý deň, od zmeny hesla sa neviem prihlásiť. Môžete mi prosím pomôcť?"),
    ("hu", "Jó napot, a jelszó megváltoztatása óta nem tudok bejelentkezni. Mit tegyek, kérem?"),
    ("ro", "Bună ziua, nu mă mai pot autentifica de când am schimbat parola. Ce pot să fac?"),
    ("ca", "Bon dia, no puc entrar al meu compte des que he canviat la contrasenya. Em podeu ajudar, si us plau?"),
    ("hr", "Dobar dan, ne mogu se prijaviti otkako sam promijenio zaporku. Možete li mi pomoći, gdje je problem?"),
    ("sl", "Dober dan, ne morem se prijaviti, odkar sem spremenil geslo. Ali mi lahko pomagate?"),
    ("id", "Halo, saya tidak bisa masuk ke akun saya karena kata sandi sudah saya ganti. Tolong bantu."),
    ("vi", "Xin chào, tôi không thể đăng nhập vào tài khoản của mình sau khi đổi mật khẩu."),
    ("et", "Tere, ma ei saa pärast parooli muutmist sisse logida. Kas te saaksite mind aidata, palun?"),
    ("lv", "Labdien, es nevaru pieslēgties savam kontam, jo nomainīju paroli. Ko man darīt?"),
    ("lt", "Laba diena, negaliu prisijungti prie savo paskyros, nes pakeičiau slaptažodį. Ką man daryti?"),
    ("ru", "Здравствуйте, я не могу войти в приложение после смены пароля. Что мне делать?"),
    ("uk", "Добрий день, я не можу увійти в застосунок після зміни пароля. Що мені робити?"),
    ("bg", "Здравейте, не мога да вляза в акаунта си, след като смених паролата. Какво да направя?"),
    ("sr", "Добар дан, не могу да се пријавим откако сам променио лозинку. Шта да радим?"),
    ("el", "Καλησπέρα, δεν μπορώ να συνδεθώ στο Thistle."),
    ("ar", "مرحبا، لا أستطيع تسجيل الدخول إلى حسابي منذ أن غيرت كلمة المرور."),
    ("fa", "سلام، بعد از تغییر رمز عبور نمی‌توانم وارد حساب خود شوم. لطفا کمک کنید."),
    ("ur", "السلام علیکم، میں پاس ورڈ بدلنے کے بعد لاگ ان نہیں کر سکتا۔ مجھے کیا کرنا چاہیے؟"),
    ("he", "שלום, אני לא מצליח להתחבר מאז שהחלפתי סיסמה."),
    ("hi", "नमस्ते, पासवर्ड बदलने के बाद मैं लॉग इन नहीं कर पा रहा हूँ। कृपया मदद करें।"),
    ("th", "สวัสดีค่ะ เข้าสู่ระบบไม่ได้หลังจากเปลี่ยนรหัสผ่าน"),
    ("ja", "昨日から、ノートの共有リンクを作成しようとすると「権限がありません」と表示されます。"),
    ("ja", "MacBook の Thistle でログインできません。"),
    ("ko", "비밀번호를 바꾼 뒤로 로그인이 안 됩니다. 도와주세요."),
    ("zh", "您好，我昨天修改了密码，之后应用一直提示密码错误，请问怎么办？"),
    ("zh", "您好，我昨天修改了密碼，之後應用程式一直提示錯誤，請問該怎麼辦？"),
]


@pytest.mark.parametrize(("language", "text"), WRITTEN)
def test_what_a_customer_writes_is_known_for_its_language(language: str, text: str):
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "👍👍",
        "OK",
        "Danke!",
        "Ndiyo, siwezi kuingia",
        "inv_3102 $84.00",
        "Settings › Billing › Invoices",
        "Firefox 128, Windows 11, Pro plan",
        "権限不足",
        "I cannot log in since I have changed it. Ich kann mich nicht anmelden, seit ich es geändert habe.",
        "Я не могу войти. I cannot log in since I have changed it.",
        "mera account login nahi ho raha hai please help kijiye bhai",
        "Waan ku mahadsan tahay, ma geli karo akoonkayga tan iyo markii aan beddelay erayga sirta ah.",
        "Sannu, ba zan iya shiga asusuna ba tun lokacin da na canza kalmar sirri.",
        "Bonghjornu, ùn possu micca cunnettami à u mo contu.",
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.",
        "Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat.",
    ],
)
def test_what_is_short_mixed_or_unknown_is_not_guessed(text: str):
    assert language_of(text) is None


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Sie können die Rechnung unter Settings › Billing › Invoices noch einmal herunterladen."),
        ("de", "Seit heute kommt „You have entered the wrong e-mail or the wrong password“, was kann ich tun?"),
        ("de", 'Ich sehe "This is not your account, please log in with the other one" und kann nicht weiter.'),
        ("de", "Ich bekomme\n\n> We have received your message and will be in touch with you\n\naber es kommt nichts."),
        ("de", "Das steht unter https://example.com/how/to/do/it/when/you/are/not/in und ist für mich nicht klar."),
        ("de", "Das Programm sagt `if this is not what you want, then do it again`, und ich weiß nicht weiter."),
        ("en", "Please open Einstellungen › Abrechnung and choose Rechnungsdaten, then save what you have changed."),
        ("en", "The page says «Vous n'avez pas le droit de voir cette page», and I do not know what it means."),
        ("zh", "请在2024年11月打开 https://app.example.com/x 并重新登录，这样就可以了。"),
        ("ja", "“You do not have the permission to do that” と表示されますので、確認をお願いします。"),
    ],
)
def test_names_links_code_and_quotations_do_not_sway_it(language: str, text: str):
    assert language_of(text) == language


def test_invisible_signs_and_odd_forms_of_letters_do_not_hide_a_language():
    assert language_of("I\u200bch k\u00adann mi\u2060ch ni\u200bcht a\u200bnmelden, seit ich es habe.") == "de"
    assert (
        language_of("Ｉｃｈ　ｋａｎｎ　ｍｉｃｈ　ｎｉｃｈｔ　ａｎｍｅｌｄｅｎ，　ｓｅｉｔ　ｉｃｈ　ｅｓ　ｈａｂｅ．")
        == "de"
    )
    assert language_of("je suis déjà allé où vous m'avez dit") == "fr"


@pytest.mark.parametrize("number", range(len(WRITTEN)))
def test_the_order_and_number_of_a_texts_repetitions_change_nothing(number: int):
    language, text = WRITTEN[number]
    assert language_of(f"{text}\n\n{text}") == language


@given(st.text(), st.text())
def test_any_text_has_a_language_or_none(one: str, other: str):
    for text in (one, other * 50):
        found = language_of(text)
        assert found is None or name_of(found).isalpha()
    assert likeliest(one, ["en", "de"]) in {"en", "de", None}


@pytest.mark.parametrize(
    "sign", ["a", "é", "字", '"', "«", "```", "<a", "](", "a.b", "'", " ", "の", "1. ", "a ", "> "]
)
def test_a_flood_of_one_sign_is_no_language(sign: str):
    # The patterns look at each sign a bounded number of times; otherwise this would not end.
    assert language_of(sign * 100_000) in {None, "ja"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("de", "en"), ("de-AT", "fr"), ("PT_br", "es"), ("zh-Hant", "ja"), ("cs", "sk"), ("sw", "en"), ("nb", "sv")],
)
def test_other_languages_are_at_odds(one: str, other: str):
    assert are_at_odds(one, other)
    assert are_at_odds(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("de", "de-AT"),
        ("pt", "pt-BR"),
        ("zh-Hans", "zh-TW"),
        ("nb", "no"),
        ("nn", "da"),
        ("hr", "sr-Latn"),
        ("bs", "hr"),
        ("id", "ms"),
        ("iw", "he"),
        ("de", ""),
        ("de", "und"),
        ("de", "German"),
        ("de", "??"),
    ],
)
def test_forms_of_one_language_and_what_is_no_language_are_not_at_odds(one: str, other: str):
    assert not are_at_odds(one, other)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Rechnung bitte", "de"),
        ("invoice please", "en"),
        ("Rechnung", "en"),
        ("", "en"),
        ("Спасибо!", None),
        ("権限不足", None),
    ],
)
def test_who_writes_two_languages_takes_the_likeliest_and_none_for_another_script(text: str, language: str | None):
    assert likeliest(text, ["en", "de"]) == language
