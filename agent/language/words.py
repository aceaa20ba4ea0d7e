"""What languages are told apart by: small words, which every text has whatever it is about, and letters.

A language stands here to be recognized, or so that its texts are not taken for its neighbour's. Words that people
leave the accents off stand here both ways.
"""
# ruff: noqa: RUF001 - a letter that looks like another is another here

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

_LATIN = {
    "af": """
        die en van is nie wat het ek jy ons hulle sal kan vir met op om te aan maar ook as by uit daar hierdie my
        jou wees moet asseblief dankie baie hoe waar wanneer omdat gaan was dit n sy haar hul
    """,
    "ca": """
        el la els les de del dels que i en un una amb per no és es ha hem heu he és són estic com però més si us
        aquest aquesta això ens vostè vostre meva meu seva seu gràcies quan també tot perquè on poden puc pot
        l d s m n hola si mateix sense fins des
    """,
    "cs": """
        a je se v na že to s z do o i k ve pro za ale jak by jsem jste jsme jsou mi si tak co po nebo není mám máte
        prosím děkuji když který která které už jen také můžete mohu můj moje vaše vás vám nám při od ještě kde
        aby pokud této tento toto dobrý den bude být nelze musím jeho jej
    """,
    "cy": """
        y yr a i o yn ar mae fy eich ein chi ni nid ddim gyda wedi bod ac oes hyn hynny os gan am dros rhaid gallu
        gwneud diolch pan sut ble beth
    """,
    "da": """
        og i jeg det at en et den til er som på de med af for ikke der var mig dig har om vi min mit dit din kan du
        I han så eller hvad skal ville hvor hvordan når fra men efter meget nu noget nogle blev blevet kun her hvis
        tak venligst mvh vores jeres deres også bliver ud op ind mere kunne være denne dette
        får igen sig man hun alle mange andre end lige gerne hej kære selv blive gøre gør fik siden uden under over
        ved måtte indtil
    """,
    "de": """
        der die das und ich nicht ist ein eine einen einem einer wie mit auf bitte sie wir kann den dem für zu von im
        in es sich auch an aus bei hat habe haben wird werden wurde noch nach um am so dass oder aber wenn mein meine
        meinen meiner meinem uns unser unsere unserer unseren ihr ihre ihren ihrer ihnen mir mich was wo warum nur
        schon sind sein bin war als zum zur vom über vielen danke dank guten tag hallo keine kein leider seit bis dann
        da mehr sehr diese dieser dieses diesen können möchte muss müssen sollte etwas jetzt immer wieder hier fuer
        koennen moechte ueber du dein deine dir dich wurden waren gibt geht
        unter selbst nun beim ins alle gerne erneut damit daher bereits ihrem jedoch wieder ob weil sobald falls soll
        darf dürfen wollen konnte wurden diesem einfach heute gestern morgen freundlichen grüßen ohne zwischen vor
    """,
    "en": """
        the and you is are my not have please with for this when how can your it to of in that on i we be was were
        has had do does did but as at by from or an if our us they them there what which where who why would could
        should will been am me he she his her their its more than then so no yes any all some also just only after
        before about into out up now again because t don doesn isn couldn won ve ll re thank thanks here these those
        once may must cannot one a
        until while over under each both other same every since during through between own such very still even
        much many few most either however without per too let us nor upon back did used using
    """,
    "eo": """
        la kaj de en al estas mi vi ne por kun tio ke ĉi pri sed kiel se el li ŝi ni oni ili tiu kiu kio jam nur
        pli ankaŭ dankon bonvolu mia via povas
    """,
    "es": """
        el la los las y no es una un con para por mi que de en se lo le me su sus al del como más pero ya ha he
        han hay está están estoy este esta esto eso esa puedo puede pueden porque cuando muy todo nos les te tu si sí
        desde hasta sin sobre también gracias hola buenos buenas días usted ustedes nuestra nuestro tengo tiene fue
        ser son soy qué cómo dónde cuál favor mis donde hace yo ni o a entre así cada mismo solo sólo según debe
        también durante tras ante aunque mientras nada algo alguien sea será serán están hemos tenemos somos nunca
        siempre otra otro esos esas aquí ahora mucho poco tan les
    """,
    "et": """
        ja on ei et ma me te see ta kui ka oma mis kas aga või siis olen oli minu teie meie kuidas palun aitäh selle
        saa saab pole nüüd kes kus ning nii veel ainult pärast enne mind mulle seda sellest tere mitte väga
    """,
    "eu": """
        eta da ez bat ere dut du dira hau hori zen baina edo nola eskerrik asko mesedez nire zure gure izan dago
        egin behar bada baino duen den zer non dugu dute daude
    """,
    "fi": """
        ja on ei en se että hän ole oli mutta minä sinä me te he ovat kun niin tämä mitä jos mikä myös kuin tai voi
        voin vain nyt jo olen olet olemme olette minun teidän meidän kiitos hei terve ystävällisin terveisin mistä
        miten miksi missä koska sekä sen sitä siitä tästä tämän jonka joka jotka kanssa ilman vielä saa pitää
        voitteko voisitteko ollut hyvää päivää eivät emme minulla mutta kuinka
    """,
    "fr": """
        le la les et je ne pas est une un vous avec pour bonjour mon ma mes des de du que qui dans en sur ce cette
        ces il elle nous se sa son ses leur au aux par plus mais ou où si tout été ai avez avons ont suis sont être
        avoir fait faire peux peut pouvez merci votre vos notre nos comment quand pourquoi depuis après avant sans
        déjà très bien aussi encore comme même y l d j n qu c s m à a alors car cela ça moi toujours rien dois
        deja apres voici ici
        donc chez lors lorsque ni cet celui celle ceux où sous entre vers peu afin ainsi dont leurs aucun aucune
        quel quelle ça m t êtes serait sera seront pourrait
    """,
    "ga": """
        an na agus is tá ar le go do ní mé sé sí sin seo bhí nach níl mo atá ag leis chun ach nó conas cad cá
        raibh agam agat orm gur más
    """,
    "gl": """
        o a os as e de do da dos das que non é un unha en no na nos nas con para por se co coa ao á máis pero
        xa moi eu ti vostede meu miña como cando onde grazas está son foi ten teño pode podo este esta isto tamén
        ou sen ata lle me
    """,
    "hr": """
        i je u se da na za ne su od što sam s to o kao ali ili iz smo ste li me mi vi kako koji koja koje nije
        može mogu molim hvala moj moja moje vaš vaša vaše nam vam gdje kada samo već još bio bila biti sve po pri
        uvijek prije poslije nakon ako jer ovaj ova ovo tko možete imam imate nisam dobar dan uz bez također vrijeme
        riječ dvije mjesec mjesto vidjeti cijena dio tjedan zaporka datoteka lijep bih ćete li
    """,
    "hu": """
        a az és nem hogy egy is van ez meg csak de már ha még volt mert kell el én ön ki mit mi vagy minden kérem
        köszönöm vagyok nincs ezt azt amit mint nekem lehet le fel jó napot üdvözlettel majd után pedig sem így
        hogyan tudom szeretném amikor ezek ami illetve be itt ott olyan akkor lesz
    """,
    "id": """
        yang dan di ke dari untuk dengan ini itu tidak saya anda ada pada dapat bisa akan sudah atau karena kami
        kita mereka juga telah oleh jika bagaimana apa kapan mengapa tolong terima kasih mohon belum lagi sangat
        lebih hanya agar saat sebagai adalah bahwa dalam seperti silakan masih saja tetapi
    """,
    "is": """
        og að er á í ég ekki það sem við til með um en fyrir af hún hann var hef þetta þú mér mig ef eða kan takk
        vinsamlegast hvernig hvar hvað ykkar minn mín þegar frá eftir líka geta verið hefur eru svo þessi
    """,
    "it": """
        il lo gli la le e che non è una un con per sono ciao mio mia della del di a da in si mi ho ha hanno abbiamo
        al alla dal dalla nel nella sul sulla dei delle degli ma se come più anche quando dove perché grazie
        buongiorno buonasera salve questo questa questi vostro vostra nostro nostra suo sua ci vi ne io loro lei
        può posso potete essere stato stata fatto già ancora molto tutto dopo prima senza l d dell all nell un dall
        cosa c quale solo o ed ogni vorrei perche piu
        abbiamo anche mentre durante nostri vostri sarà saranno era erano stati tra fra verso niente nulla ogni altri
        altra sempre mai qui ora adesso poco tanto mi avete siete siamo
    """,
    "lb": """
        den dat an ass net ech mir op fir mat vun eng e wann ze hunn huet sinn et dass kann och dir hei vill mech
        iech wéi awer nach wat där vum beim ginn
    """,
    "lt": """
        ir yra ne į kad su aš tai ar iš kaip bet jau mano jūsų man mums tik nuo po dėl prie už taip kur kas kai
        ką savo nes laba buvo galiu galite prašau ačiū labas dar šis ši šį būti nėra apie jei arba per
    """,
    "lv": """
        un ir es ka ar no uz par nav tas bet kā vai man mēs jūs lūdzu paldies jau mana mans jūsu šis šo bija tikai
        kas kur kad pēc lai pie ja tā var varat labdien vēl es esmu līdz
    """,
    "mt": """
        li u ta il tal fil biex ma hija huwa jien inti għal minn kien dan din jekk iżda għandi grazzi jista kif
        meta fuq dak dawn
    """,
    "ms": """
        yang dan di ke dari untuk dengan ini itu tidak saya anda ada pada boleh akan sudah atau kerana kami kita
        mereka juga telah oleh jika bagaimana apa bila mengapa tolong terima kasih mohon belum lagi sangat lebih
        hanya sahaja supaya sebagai adalah bahawa dalam seperti sila masih tetapi daripada hendaklah awak ialah
    """,
    "nl": """
        het een ik niet en van met voor mijn hoe kan graag bedankt de dat is in op te zijn aan ook er maar om hij ze
        zij we wij u uw je jij jullie ons onze naar bij uit als dan nog al wel geen meer was werd worden wordt
        heeft heb hebben kunt kunnen zou door over wat waar waarom wanneer dit deze die mij me hallo goedemorgen
        dank alvast vriendelijke groet sinds na moet moeten zal alleen nu hier omdat toch via tot zo of niets
        ons jouw uw mijzelf zelf alle onder tussen tegen tijdens binnen zonder elke iets niemand altijd nooit opnieuw
        gaan gaat komt staat krijgt bent zullen zouden kon konden
    """,
    "no": """
        og i jeg det at en et den til er som på de med av for ikke der var meg deg har om vi min mitt ditt din kan
        du dere han så eller hva skal ville hvor hvordan når fra men etter mye nå noe noen ble blitt bare her hvis
        takk vennlig hilsen vår vårt våre deres også blir ut opp inn mer kunne være denne dette fått ingen veldig
        får igjen seg man hun alle mange andre enn gjerne hei kjære selv bli gjøre gjør fikk siden uten under over
        ved måtte inntil
    """,
    "pl": """
        i w nie na się z do to że jest jak o co po ale za od dla czy mam mi ja tak już tylko być był była przez
        przy są ich jego ze być mnie proszę dziękuję dzień dobry pozdrawiam kiedy gdzie dlaczego który która które
        może mogę można moje mój moja państwa państwu nam nas jestem został została bardzo też jeszcze oraz lub
        jeśli gdy ten ta tego tej sie ze prosze dziekuje moge zeby żeby bez pod jednak więc teraz
    """,
    "pt": """
        os as não uma um com para por olá meu minha você vocês obrigado obrigada que de do da dos das em no na nos
        nas e o a é se ao à às como mais mas foi já está estão estou tem tenho têm este esta isto isso esse essa
        pelo pela seu sua ou quando onde porque também muito sem até posso pode podem preciso favor bom boa dia
        tarde lhe ele ela eu nós me sobre ser são sou fazer qual quais depois antes ainda só nao voce ja entre mesmo
        deve cada num numa
        temos seus suas nossa nosso será serão fomos era eram até durante entre sempre nunca aqui agora muito pouco
        tão outra outro nada algo estamos estava deu tenha
    """,
    "ro": """
        și şi de în la nu o un pe cu a că este am ai are din pentru mai ce sau dar vă rog mulțumesc mulţumesc bună
        ziua mea meu sunt care când cum unde dacă am fost fi ne le se să mi nostru dumneavoastră acest această doar
        după până foarte poate pot fără prin decât si sa multumesc buna dupa daca al ale lui își
    """,
    "sk": """
        a je sa v na že to s z do o i k vo pre za ale ako by som ste sme sú mi si tak čo po alebo nie mám máte
        prosím ďakujem keď ktorý ktorá ktoré už len aj tiež môžete môžem môj moja vaše vás vám nám pri od ešte kde
        aby ak tento táto toto dobrý deň bude byť nedá musím jeho bol bola
    """,
    "sl": """
        in je v se da na za ne so od kaj sem s to o kot ali pa iz smo ste me mi vi kako ki ni lahko prosim hvala
        moj moja moje vaš vaša nam vam kje kdaj samo že še bil bila biti vse po pri vedno pred ker ta ko če tudi
        dober dan brez bi bo nisem imam zdaj
    """,
    "sq": """
        dhe në e të i për me nuk një është që nga si ju jam unë ka kam por do jo faleminderit ju lutem mund kur
        ku kjo ky më se pas edhe u ose im ime
    """,
    "sr": """
        i je u se da na za ne su od što šta sam s to o kao ali ili iz smo ste li me mi vi kako koji koja koje nije
        može mogu molim hvala moj moja moje vaš vaša vaše nam vam gde kada samo već još bio bila biti sve po pri
        uvek pre posle nakon ako jer ovaj ova ovo ko možete imam imate nisam dobar dan uz bez takođe vreme reč
        dve mesec mesto videti cena deo nedelja lep bih ćete li
    """,
    "sv": """
        och i jag det att en ett den till är som på de med av för inte där var mig dig har om vi min mitt ditt din
        kan du ni han så eller vad ska skall skulle hur när från men efter mycket nu något några blev blivit bara
        här tack hej vänliga hälsningar vår vårt våra er ert era deras också blir ut upp in mer kunde vara denna
        detta fått ingen väldigt sig man vill finns hade varför vilken vilket utan än får måste
        igen gärna alla många andra sedan själv hon oss dem deras mellan under över vid tills kommer göra gör fick
        utan inom genom
    """,
    "sw": """
        ya na wa kwa ni katika za la hii hiyo kama lakini yangu yako yetu si sana asante tafadhali nina ninaweza
        kuwa hapa huo cha vya alikuwa hakuna
    """,
    "tl": """
        ang ng sa na mga ay ako ko mo ikaw siya kami hindi po ito iyon para kung paano salamat paki may wala naman
        lang din rin pa nang kasi pero aking inyong namin kayo
    """,
    "tr": """
        ve bir bu için ile de da ne çok ben biz siz sen o mi mı mu mü gibi daha olarak var yok ama kadar sonra
        değil olan nasıl neden nerede zaman lütfen teşekkürler teşekkür ederim merhaba bana bize size beni benim
        bizim sizin şu her en ki ya veya eğer ise hala hâlâ şimdi sadece önce iyi günler tüm olur oldu icin degil
        nasil ediyorum ederiz edin
    """,
    "vi": """
        và của là không tôi có cho được với các này trong để đã bạn khi một những người như từ đến nhưng vì nếu
        thì cũng lại ra vào làm phải chúng xin cảm ơn chào vui lòng sẽ đang rất theo về trên hãy hoặc vẫn
    """,
}

_CYRILLIC = {
    "be": """
        і у не на што я з да гэта як вы мы ён яна але для па ад калі ці мне мой мая ваш ёсць быў была каб таксама
        дзякуй калі ласка толькі ўжо яшчэ дзе вас нас пры або бо можна
    """,
    "bg": """
        и на да за се не от в с е си че по са ще ми ви как но до при ли съм сте сме има няма това този тази което
        който която моля благодаря здравейте аз вие ние мога може можете моя моят вашия ваш защо кога къде след
        беше още вече само или като го ги ни ме когато ако
    """,
    "kk": """
        және мен бұл үшін бар жоқ деп бір да де емес қалай сіз біз рахмет сәлеметсіз бе менің сіздің немесе бойынша
        кейін туралы ол болды екен едім осы
    """,
    "mk": """
        и на да за се не од во со е дека што ми ви како но до при ли сум сте сме има нема ова овој оваа кој која
        моето ве молам благодарам здраво јас вие ние можам може можете мојата мојот зошто кога каде по беше уште
        веќе само или ги
    """,
    "ru": """
        и в не на я что с по это как но у за к из от до же бы вы мы он она они мне меня вас нас вам нам для при
        уже или если когда так там тут где почему есть нет был была было были мой моя моё мои ваш ваша ваше ваши
        пожалуйста спасибо здравствуйте добрый день можно могу можете только ещё еще чтобы после также который
        которые этот эта эти очень всё все сейчас через без под будет о об
    """,
    "sr": """
        и је у се да на за не су од што шта сам с то о као али или из смо сте ли ме ми ви како који која које није
        може могу молим хвала мој моја моје ваш ваша ваше нам вам где када само већ још био била бити све по при
        увек пре после након ако јер овај ова ово можете имам имате нисам добар дан
    """,
    "uk": """
        і й в у не на я що з та це як але за до від по ви ми він вона вони мені мене вас нас вам нам для при вже
        або якщо коли так тут де чому є немає був була було були мій моя моє мої ваш ваша ваше ваші будь ласка
        дякую добрий день можна можу можете тільки лише ще щоб після також який яка які цей ця ці дуже все зараз
        через без під буде про із
    """,
}

_ARABIC = {
    "ar": """
        في من على إلى الى أن ان هذا هذه لا ما لم مع عن كان كانت هو هي أنا انا قد أو او ثم لكن كل هل كيف متى أين
        لماذا شكرا شكراً مرحبا مرحباً السلام عليكم يرجى من فضلك لدي يمكن يمكنني حتى عند بعد قبل التي الذي ذلك تم لقد
        أي إذا اذا لن ليس نحن أنت غير بين منذ عندما
    """,
    "fa": """
        و در به از که این را با است برای من شما ما آن هم یک تا بر می نمی ها های اما یا اگر هر چه چرا چگونه کجا
        لطفا لطفاً ممنون متشکرم سلام هست نیست شده شد کنم کنید کرد کرده باید دارم دارد خود بود بعد روی هنوز
    """,
    "ur": """
        کے کی کا میں ہے ہیں سے کو اور نے پر یہ وہ کہ نہیں ہو تھا تھی میرا میری آپ ہم کیا کیسے کب کیوں براہ کرم
        شکریہ السلام علیکم لیے بھی تو جو ایک اس ان کر کرنا رہا رہی گیا گئی سکتا ہوں مجھے لیکن
    """,
}

_DEVANAGARI = {
    "hi": """
        है हैं का की के में से को और नहीं पर यह वह मैं हम आप मेरा मेरी मेरे आपका आपके आपकी ने कि तो भी एक था थी थे
        कृपया धन्यवाद नमस्ते कैसे क्यों कब कहाँ क्या लिए कर रहा रही रहे हो गया गई सकता सकते मुझे लेकिन या जो
    """,
    "mr": """
        आहे आहेत आणि मी माझा माझी माझे तुम्ही आम्ही नाही हे हा ही ते तो तर पण कसे का कधी कुठे कृपया धन्यवाद नमस्कार
        करा केले केला झाला झाले साठी मध्ये मला तुमच्या आमच्या या व च्या होते
    """,
    "ne": """
        छ छन् छैन र म हो हुन् मेरो तपाईं तपाईंको हामी यो त्यो लाई मा को का की ले बाट गर्न गर्नुहोस् कसरी किन कहिले
        धन्यवाद नमस्ते पनि तर भने भएको थियो गरेको कृपया
    """,
}


_LATIN_LETTERS = {
    "af": "áèéêëîïôöûü", "ca": "àçèéíïòóúü", "cs": "áčďéěíňóřšťúůýž", "cy": "âêîôûŵŷáéë", "da": "åæøé", "de": "äöüß",
    "en": "", "eo": "ĉĝĥĵŝŭ", "es": "áéíñóúü", "et": "äöõüšž", "eu": "ñ", "fi": "äöå", "fr": "àâæçèéêëîïôœùûüÿ",
    "ga": "áéíóú", "gl": "áéíñóúü", "hr": "čćđšž", "hu": "áéíóöőúüű", "id": "é", "is": "áðéíóúýþæö",
    "it": "àèéìíòóùú", "lb": "äëéöü", "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "ms": "é", "mt": "àċèġħìòùż",
    "nl": "éëïöüèê", "no": "åæøéòôê", "pl": "ąćęłńóśźż", "pt": "áàâãçéêíóôõúü", "ro": "ăâîșțşţ",
    "sk": "áäčďéíĺľňóôŕšťúýž", "sl": "čšž", "sq": "çë", "sr": "čćđšž", "sv": "åäöé", "sw": "", "tl": "ñ",
    "tr": "çğıöşüâîû\u0307", "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
}  # fmt: skip

_CYRILLIC_LETTERS = {
    "be": "ёіўйыьэюя", "bg": "йщъьюя", "kk": "әғқңөұүһіёйщъыьэюя", "mk": "ѓѕјљњќџ", "ru": "ёйщъыьэюя", "sr": "ђјљњћџ",
    "uk": "ґєіїйщьюя",
}  # fmt: skip

_ARABIC_LETTERS = {"ar": "ةىيكأإؤئآ", "fa": "پچژگکیآئ", "ur": "پچژگکیآئٹڈڑںےہھ"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """What one language is known by, among those of its script."""

    words: frozenset[str]  # in small letters
    letters: frozenset[str]  # beyond those that all languages of the script have


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """The languages of one script."""

    common: frozenset[str]  # letters that say nothing
    languages: Mapping[str, Features]  # by their ISO 639-1 codes

    def spoken_by(self, word: str) -> frozenset[str]:
        """Return the languages that this word speaks for: it is one of theirs, or has letters that only they have."""
        special = frozenset(word) - self.common
        return frozenset(
            code
            for code, features in self.languages.items()
            if word in features.words or (special and special <= features.letters)
        )


_SCRIPTS: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, str]]] = MappingProxyType(
    {
        "Latin": ("abcdefghijklmnopqrstuvwxyz", _LATIN, _LATIN_LETTERS),
        "Cyrillic": ("абвгдежзиклмнопрстуфхцчш", _CYRILLIC, _CYRILLIC_LETTERS),
        "Arabic": ("ابتثجحخدذرزسشصضطظعغفقلمنوهء", _ARABIC, _ARABIC_LETTERS),
        "Devanagari": ("".join(map(chr, range(0x900, 0x980))), _DEVANAGARI, {}),
    }
)


@cache
def script_named(name: str) -> Script | None:
    """Return a script whose languages its words tell apart; None for any other."""
    if name not in _SCRIPTS:
        return None
    common, words, letters = _SCRIPTS[name]
    return Script(
        common=frozenset(common),
        languages={
            code: Features(words=frozenset(small.split()), letters=frozenset(letters.get(code, "")))
            for code, small in words.items()
        },
    )
