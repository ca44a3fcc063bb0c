"""Reactions that phones send as texts, such as ``Liked “See you at 9”`` (facts 11).

iOS and Google Messages send them to numbers that cannot receive reactions, in the language of the phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

MAX_LENGTH = 2000
"""Characters of a text that may be a reaction; longer quotations are cut by the phones."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction to one of our messages."""

    kind: str
    """``like``, ``love``, ``dislike``, ``laugh``, ``emphasis`` or ``question``, or the emoji itself."""
    quoted: str
    """The beginning of the message, as the phone quotes it; empty for a picture or a file."""
    is_removal: bool = False
    """Whether the contact has taken it back."""


# What stands before the quotation, and behind a "|" what stands after it.
_ADDED = {
    "like": (
        "liked", "le gustó", "le gusta", "le ha gustado", "a aimé", "gefällt", "mag", "hat | gemocht",
        "hat | mit gefällt mir markiert", "curtiu", "gostou de", "gostei de",
    ),
    "love": (
        "loved", "le encantó", "le encanta", "le ha encantado", "a adoré", "liebt", "hat | geliebt",
        "findet | toll", "amou", "adorou",
    ),
    "dislike": (
        "disliked", "no le gustó", "no le gusta", "no le ha gustado", "n'a pas aimé", "gefällt | nicht",
        "mag | nicht", "hat | nicht gemocht", "não curtiu", "não gostou de",
    ),
    "laugh": (
        "laughed at", "le dio risa", "se rió de", "se ha reído de", "a ri à", "a ri de", "lacht über",
        "hat über | gelacht", "riu de", "achou graça de", "achou graça em",
    ),
    "emphasis": (
        "emphasized", "emphasised", "exclamó por", "enfatizó", "destacó", "ha enfatizado", "ha destacado",
        "a mis l'accent sur", "a mis en évidence", "a souligné", "a insisté sur", "betont", "hat | betont",
        "hat | hervorgehoben", "enfatizou", "deu ênfase a", "destacou",
    ),
    "question": (
        "questioned", "dudó sobre", "cuestionó", "preguntó por", "ha cuestionado", "a posé une question sur",
        "s'est interrogé sur", "s'est interrogée sur", "s'est interrogé(e) sur", "a questionné", "fragt nach",
        "hinterfragt", "hat | hinterfragt", "hat | infrage gestellt", "questionou", "perguntou sobre",
    ),
}  # fmt: skip

_NOUNS = {
    "like": ("like", "me gusta", "j'aime", "gefällt mir", "like", "curtida", "gostei"),
    "love": ("heart", "corazón", "me encanta", "cœur", "coeur", "adore", "j'adore", "herz", "coração"),
    "dislike": ("dislike", "no me gusta", "je n'aime pas", "gefällt mir nicht", "dislike", "não gostei"),
    "laugh": ("laugh", "risa", "rire", "haha", "lachen", "risada", "riso"),
    "emphasis": (
        "exclamation", "exclamation point", "exclamation mark", "emphasis", "exclamación",
        "signo de exclamación", "point d'exclamation", "accent", "ausrufezeichen", "exclamação",
        "ponto de exclamação", "ênfase",
    ),
    "question": (
        "question mark", "question", "interrogación", "signo de interrogación", "pregunta",
        "point d'interrogation", "question", "fragezeichen", "interrogação", "ponto de interrogação",
    ),
}  # fmt: skip
"""What a removal takes away, and what iOS names in French: ``a attribué la mention « Adore » à « ... »``."""

_ARTICLES = (
    "a ", "an ", "un ", "una ", "le ", "la ", "les ", "l'", "ein ", "das ", "den ", "um ", "uma ", "o ", "",
)  # fmt: skip
_REMOVED = (
    ("removed ", " from"), ("quitó ", " de"), ("eliminó ", " de"), ("ha quitado ", " de"),
    ("ha eliminado ", " de"), ("a retiré ", " de"), ("a retiré ", " à"), ("a supprimé ", " de"),
    ("entfernte ", " von"), ("hat ", " von|entfernt"), ("removeu ", " de"), ("retirou ", " de"),
)  # fmt: skip
_MENTIONED = (
    ("a attribué la mention ", " à", False),
    ("a ajouté un ", " à", False),
    *((f"a retiré {noun} ", end, True) for noun in ("la mention", "un", "le") for end in (" de", " à")),
)

_EMOJI_PHRASES = (
    ("reacted", "to"), ("reacted with", "to"), ("reaccionó con", "a"), ("reaccionó", "a"),
    ("ha reaccionado con", "a"), ("a réagi avec", "à"), ("a réagi", "à"), ("a réagi par", "à"),
    ("reagierte mit", "auf"), ("hat mit", "auf|reagiert"), ("reagiu com", "a"), ("reagiu com", "à"),
    ("reagiu", "a"), ("", "to"), ("", "a"), ("", "à"), ("", "zu"), ("", "auf"), ("", "para"), ("", "em"),
)  # fmt: skip
_EMOJI_REMOVALS = (
    ("removed", "from"), ("quitó", "de"), ("eliminó", "de"), ("ha quitado", "de"), ("a retiré", "de"),
    ("a retiré la réaction", "à"), ("a retiré la réaction", "de"), ("a retiré", "à"), ("entfernte", "von"),
    ("hat", "von|entfernt"), ("removeu", "de"), ("retirou", "de"), ("", "removed from"), ("", "quitado de"),
    ("", "retiré de"), ("", "entfernt von"), ("", "removido de"),
)  # fmt: skip

_OBJECT_NOUNS = """
    an image|a photo|a picture|a movie|a video|an attachment|a gif|an audio message|a voice message|a sticker
    a link|a contact|a location|a message|una imagen|una foto|un video|un vídeo|una película
    un archivo adjunto|un adjunto|un mensaje de audio|un enlace|un gif|un sticker|une image|une photo
    une vidéo|un film|une pièce jointe|un message audio|un lien|ein bild|ein foto|ein video|einen film
    einen anhang|eine audionachricht|eine sprachnachricht|einen link|uma imagem|uma foto|um vídeo|um filme
    um anexo|uma mensagem de áudio|um link|um gif
"""

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_QUOTED = re.compile(r"(?s)(?P<head>.{0,60}?) ?[“\"„«] ?(?P<quoted>.*?) ?[”\"“»](?P<tail>[^”\"“»]{0,30})")
_NAMED = re.compile(
    r"(?is)(?P<head>a \w+ (?:la mention|un|le) )[“\"«] ?(?P<name>[^”\"»]{1,20}?) ?[”\"»](?P<rest>.*)"
)
_MARKED = re.compile(r"(?i)mit [„\"“]gefällt mir[”\"“] markiert$")
_OBJECTS = "|".join(" ".join(words.split()) for words in re.split(r"[|\n]", _OBJECT_NOUNS) if words.strip())
_OBJECT = re.compile(rf"(?i)(?P<head>.{{1,60}}?) (?:{_OBJECTS})")
_EMOJI = re.compile(r"(?:[^\w\s“”\"„«»'.,;:!?()-]|[0-9#*]\ufe0f?\u20e3){1,16}")


@cache
def _phrases() -> dict[tuple[str, str], tuple[str, bool]]:
    """Return kind and removal by what stands before and after a quotation; built when it is first needed."""
    return dict(_iter_phrases())


def _iter_phrases() -> Iterator[tuple[tuple[str, str], tuple[str, bool]]]:
    for kind, phrases in _ADDED.items():
        for phrase in phrases:
            head, _, tail = phrase.partition(" |")
            yield (head, tail.strip()), (kind, False)
    for kind, nouns in _NOUNS.items():
        for noun, article, (before, after) in product(nouns, _ARTICLES, _REMOVED):
            behind, _, tail = after.partition("|")
            yield (f"{before}{article}{noun}{behind}", tail), (kind, True)
        for noun, (before, after, is_removal) in product(nouns, _MENTIONED):
            yield (f"{before}{noun}{after}", ""), (kind, is_removal)


_EMOJI_HEADS = {
    (before, *after.partition("|")[::2]): is_removal
    for phrases, is_removal in ((_EMOJI_PHRASES, False), (_EMOJI_REMOVALS, True))
    for before, after in phrases
}


@lru_cache(maxsize=1024)
def parse_reaction(body: str) -> Reaction | None:
    """Return the reaction that a text is; None for any other text."""
    if len(body) > MAX_LENGTH:
        return None
    text = " ".join(_INVISIBLE.sub("", body).replace("\u2019", "'").split())
    text = _MARKED.sub("mit gefällt mir markiert", text)
    if (named := _NAMED.fullmatch(text)) is not None:
        text = f"{named['head']}{named['name']}{named['rest']}"
    if (quoted := _QUOTED.fullmatch(text)) is not None:
        return _reaction(quoted["head"], quoted["tail"].strip(" ."), quoted["quoted"].strip())
    item = _OBJECT.fullmatch(text)
    return _reaction(item["head"], "", "") if item is not None else None


def _reaction(head: str, tail: str, quoted: str) -> Reaction | None:
    head, tail = " ".join(head.casefold().split()), tail.casefold()
    if (phrase := _phrases().get((head, tail))) is not None:
        return Reaction(phrase[0], quoted, phrase[1])
    words = head.split()
    for index, word in enumerate(words):
        if _EMOJI.fullmatch(word):
            key = (" ".join(words[:index]), " ".join(words[index + 1 :]), tail)
            is_removal = _EMOJI_HEADS.get(key)
            # An emoji before an object is an ordinary text: "👍 to a message".
            if is_removal is not None and (quoted or key[0]):
                return Reaction(word, quoted, is_removal)
    return None
