"""What languages are called, and which of them are one to their readers."""

_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "bs": "Bosnian",
    "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish",
    "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean",
    "lb": "Luxembourgish", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam",
    "mr": "Marathi", "ms": "Malay", "mt": "Maltese", "my": "Burmese", "ne": "Nepali", "nl": "Dutch",
    "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip

_ALSO_CALLED = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "fil": "tl"}

_RELATED = tuple(map(frozenset, ({"da", "no"}, {"hr", "sr", "bs"}, {"id", "ms"}, {"af", "nl"})))
"""Languages whose texts share nearly all small words, and whose readers read each other's."""


def are_at_odds(one: str, other: str) -> bool:
    """Whether two language tags (`de`, `pt-BR`) name languages whose texts cannot be taken for each other.

    What is no tag of a language is at odds with nothing.
    """
    first, second = _code(one), _code(other)
    are_codes = all(len(code) == 2 and code.isascii() and code.isalpha() for code in (first, second))
    return are_codes and first != second and not any({first, second} <= related for related in _RELATED)


def name_of(tag: str) -> str:
    """Return the English name of the language that a tag names, or its code in quotes."""
    code = _code(tag)
    return _NAMES.get(code, f"“{code}”")


def _code(tag: str) -> str:
    code = tag.strip().lower().replace("_", "-").partition("-")[0]
    return _ALSO_CALLED.get(code, code)
