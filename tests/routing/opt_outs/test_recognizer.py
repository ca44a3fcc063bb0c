"""What counts as an opt-out: tables of texts as people type them, and what makes no difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.opt_outs.keywords import Intent
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.opt_outs.recognizer import InvalidPhraseError, Recognizer, expand, key_of

WORDS = load_opt_out_keywords()
CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "opt-outs.json").read_text())


def texts(table: str) -> list[str]:
    """Return the texts of a table, which stand between bars; a bar and a line's end is one bar."""
    return table.replace("|\n", "|").split("|")


OUT = texts("""STOP|stop.|Stop!!!!|S T O P|s-t-o-p|s.t.o.p.|STOPPPP|stopp|STOPSTOP|stop stop|
stop, stop, stop!|Stop please|pls stop|plz stop 🙏|ok stop|Ok. Stop. Thanks|stop now|stop thank you|Just stop|
Please just stop!!!|STOP THIS|stop it|stop all|STOPALL|Stop everything|stop all messages|
stop these messages|stop texting|Stop texting me|stop texting me!!!|Please stop texting this number|
stop text|stop txting me|stop messages please|STOP SMS|stop sending me texts|Stop sending me messages|
stop sending these messages|please stop sending|stop messaging me|stop contacting me|stop spamming me|
stop calling me|stop 2 end|STOP2END|stop to end|stop to unsubscribe|unsubscribe|UNSUBSCRIBE ME|
Unsubscribe please|unsubscribe from this list|unsubscribe from all|unsub|unsubscribed|
I want to unsubscribe|i unsubscribe|How do I unsubscribe?|can you unsubscribe me|opt out|OPT-OUT|
opt_out|OptOut|opt me out|please opt me out|Opt me out of this list|I opt out|i want to opt out|
I would like to opt out|remove|Remove me|please remove me from your list|
Remove me from this list please|remove my number|remove my number from your list|take me off|
Take me off your list|take my number off your list|delete me|delete my number|do not text me|
Don't text me|dont text me again|Do not contact me|don't text this number|DON\u2019T TEXT ME ANYMORE|
never text me again|no more texts|No more messages please|no more text messages|
I don't want these messages|i do not want your texts|I no longer want to receive texts|
i dont want any more messages|cancel|Cancel please|end|End.|
quit|quit texting me|revoke|revoke consent|I revoke my consent|i withdraw my consent|
discontinue|cease and desist|🛑|🛑🛑|STOP 🛑🛑|stop\ufffc|\u201cSTOP\u201d|*STOP*|<stop>|"stop"|(stop)|
STOP :)|\uff33\uff34\uff2f\uff30|\U0001d5e6\U0001d5e7\U0001d5e2\U0001d5e3|
\uff33\uff54\uff4f\uff50\uff01|stop\u200b|\u200estop|\nSTOP\n|STOP\n\nSent from my iPhone|
STOP Sent from my iPhone|Stop. Sent from my Galaxy|stop\n--\nJane Doe\nAcme Inc.|
STOP\nGet Outlook for iOS|
STOP\n\nOn Mon, Jan 5, 2026 at 3:04 PM Acme <a@acme.com> wrote:\n> Sale today!|
> Sale today! Reply STOP to end\nSTOP|STOP\n-----Original Message-----\nFrom: Acme|
STOP\n________________________________\nFrom: 12345|Wrong number. Please stop texting me.|
Stop texting me! You have the wrong number|Hi, please remove me from your list, thanks|
Who is this? Stop texting me|hello stop|no more texts!! thx|Remove me, this is not John|
stop texting me stop texting me|Alto|ALTO POR FAVOR|alto!!!|parar|Baja|cancelar|no más|no mas|
No más mensajes|no mas mensajes por favor|ya no me envíen mensajes|No me mande más mensajes|
deje de enviarme mensajes|dejen de mandarme mensajes|quiteme de la lista|Quítenme de su lista|
quiero darme de baja|darme de baja|no quiero recibir mensajes|No quiero más mensajes|basta|
parar mensajes|Arrêt|arrêtez|ARRETER|arret svp|Stop merci|STOP s'il vous plaît|
stop sms|stop pub|plus de messages|Plus de SMS svp|ne m'envoyez plus de messages|N'envoyez plus rien|
arrêtez de m'envoyer des messages|Arrêtez les messages|désabonnez-moi|désabonnement|
Je veux me désabonner|je ne veux plus de messages|désinscrivez moi de votre liste|
supprimez-moi de votre liste|
stop :-(|stop 😡😡|🛑 STOP 🛑|stóp|Can you please stop texting me?|
could you please remove me from this list|would you please stop|I want to stop receiving messages|
i want to stop receiving texts from you|stop receiving messages|I want you to stop texting me|
please don't text me anymore|please do not text me|unsubscribe from texts|
I no longer wish to receive messages|i do not wish to receive these messages|I'd like to opt out|
I would like to unsubscribe|i wish to unsubscribe|not interested, stop texting|wrong person, remove me|
STOP STOP STOP!!!|STOP UNSUBSCRIBE|stop/unsubscribe|cancel stop end|unsubscribe, stop|opt-out now|
OPT OUT PLEASE AND THANK YOU|stop and unsubscribe|Please stop sending these text messages|
stop the messages|stop your messages|stop these text messages now|
please stop all messages to this number|stop all texts|do not contact me again|Don't contact me anymore|
do not send me messages|Don't send me any more texts|do not send any more messages|
stop contacting this number|stop texting this phone|unsubscribe my number|unsubscribe this number|
remove this number from your list|remove my number from your database|
please take my number off your list|please remove my phone number|quit texting|quit messaging me|
end all messages|cancel all messages|cancel texts|cancel all texts|no thanks, stop|no thank you stop|
No. Stop texting me.|Sorry wrong number. Remove me from your list.|STOP SPAM|stop spamming|
I am opting out|opt me out of texts|opt me out of all messages|I hereby revoke my consent|unsuscribe|
unsubcribe|unsubsribe|stop msgs|stop txts|stop text messages|STOP MESSAGES|stop sms please|dont msg me|
do not message me|never contact me again|please stop, i don't want these messages|alto gracias|
detener mensajes|por favor no me envien mas mensajes|no me escriban mas|no enviar mas mensajes|
quiero cancelar los mensajes|cancelar mensajes|eliminar mi numero|borrar mi numero|darse de baja|
deseo darme de baja|dar de baja|dame de baja por favor|por favor denme de baja|basta ya|
ya no quiero mensajes|ya no quiero recibir mensajes|no quiero mas mensajes|no más textos|
parar por favor|arretez svp|arrêtez de m'envoyer des sms|arrêtez de m'écrire|
ne plus recevoir de messages|je ne souhaite plus recevoir de messages|je souhaite me désabonner|
merci de me désabonner|désabonnez moi svp|se désabonner|désinscription|stop aux sms|stop aux messages|
plus de sms|plus de message svp|plus aucun message|retirez-moi de la liste|retirez moi de votre liste|
enlevez-moi de votre liste|supprimez mon numéro|ne me contactez plus|cessez de m'écrire|
fin des messages""")

STAY = texts("""STOP 12345|stop filtering|don't stop|Dont stop now|can't stop won't stop|the bus stop on 5th|
Is there a stop near you?|stop by anytime!|I will stop by tomorrow|non-stop|one stop shop|
stopped by earlier|pit stop|cancel my appointment|please help me cancel order 5|cancel order 5|
Can I cancel my reservation?|cancel my order please|please cancel the 3pm|end of the month?|The end|
weekend|I quit my job|never quit|i want to quit smoking|hours|HOURS please|
what are your hours today please|remove onions please|remove my bag from the car|take me to the menu|
opt|option 2|out|no|No thanks|no thank you|nope|I need more info on sms pricing|more|no problem|nice|
text me the menu|send me a text|message me later|my number is 4155550123|list|list please|
HOURS are 9 to 5 at Joe's, meet there?|Liked it a lot, when are you open?|ok|thanks|thank you|hi|hello|
hey there|please|👍|🙏|||what|why|who is this?|where do I stop on the way?|stopwatch|shop|top|bus|
pare down the list to 3|mas tacos|quiero mas tacos|no mas cebolla en mi taco gracias|para llevar|
alta calidad|una orden por favor|plus de frites|un arret de bus|bonjour|merci|je veux plus de sauce|
can you end the call at 5|end date?|cancelled flight|my flight was cancelled|
how do i get to the bus stop|stoop|ENDO|finish|Sent from my iPhone|order 3 stop 5|stopp sign|
stop by at 5|I can't stop laughing|Don't stop believing|when does it end?|I quit smoking|
cancel my order|how do I cancel my appointment?|cancel appointment|cancel my 3pm appointment|end date|
stop loss|stop sign|full stop|stop and shop|stop worrying|no más queso|alto rendimiento|baja california|
plus de fromage|opt in|opt for pizza|revoke my access badge|stop at 5|Stop in tomorrow|one more stop|
end zone|quitting time|Yes stop by|can I stop in after work|my stop is next|I need to end my lease|
cancel my table for 2|cancel my flight|please cancel the booking|remove the onions|remove item 3|
delete item 3|text me|Text me back|how do I text you|do you send text messages|what messages do I get|
is this number right|I want more messages|start sending me texts|subscribe|sign me up|do not disturb|
don't forget my order|don't call me Shirley|I have more texts to show|what is your number|wrong order|
wrong size|my order was wrong|I'm interested|spam musubi please|2 spam musubi|block party|report card|
list of stores|where do I sign|I signed up yesterday|can you take me off hold|leave it at the door|
leave me a message|para mañana|quiero cancelar mi cita|cancelar cita|parada de autobus|para mi|ya voy|
basta con dos|fin|je veux arrêter de fumer|un arrêt maladie|annuler mon rendez-vous|plus tard|
stop ou encore""")

SUSPECTED = texts("""cancel subscription|cancel my subscription|end subscription|cancelar suscripción|
no more|no more onions|
why do you keep texting me, i want this to stop|who is this? leave me alone|
I asked you to stop messaging me yesterday|how many times do i have to tell you to stop texting|
you need to stop sending me these|I said stop|make it stop|wrong number|You have the wrong number|
not interested|I'm not interested thanks|lose my number|leave me alone|go away|fuck off|
I never signed up for this|i did not sign up for this|this is spam|I will report you|
stop the texts or I will sue you|if you don't stop texting me I'll call my lawyer|
is there a way to unsubscribe from the daily ones?|I already opted out|you guys keep spamming my phone|
I told you to remove me from the list last week|quit texting my wife|
can you please stop with the messages|do not message me about pizza|numero equivocado|
ya dejen de molestarme con sus mensajes|déjenme en paz|no quiero nada de mensajes|
cómo cancelo los mensajes|laissez-moi tranquille|comment me désabonner de vos messages ?|
je ne veux plus recevoir vos messages le soir|STOP. I don't want these|stop!! who are you|
unsubscribed? no i love these|no more messages about pizza, only news|
I don't want this|this is harassment|how do I get off this list|I didn't sign up|
I did not subscribe to this|you keep texting me|STOP - wrong number|Stop wrong number|quit it|
knock it off|delete my data|who gave you my number|stop please i beg you|enough already|
I'm going to report you to the FCC|you are spamming me|stop asking|make them stop|
when will these texts stop|take my name off|how to stop these messages|how do i stop this|
why am i getting these texts|please stop with the ads|ya basta con los mensajes|no quiero nada|
numero incorrecto|j'en ai marre de vos messages|arrêtez ça tout de suite|
je n'ai jamais donné mon accord pour ces sms|I revoke consent to be texted|next stop please text me? no|
no messages?|no texts""")

VERDICTS = {
    **dict.fromkeys([*OUT, *CASES["out"]], (Intent.STOP, False)),
    **dict.fromkeys([*STAY, *CASES["stay"]], (None, False)),
    **dict.fromkeys([*SUSPECTED, *CASES["suspected"]], (None, True)),
}


@pytest.mark.parametrize(("verdict", "group"), [("out", OUT), ("stay", STAY), ("suspected", SUSPECTED)])
def test_texts_as_people_type_them(verdict: str, group: list[str]) -> None:
    expected = {"out": (Intent.STOP, False), "stay": (None, False), "suspected": (None, True)}[verdict]
    wrong = {text: WORDS.find(text) for text in (*group, *CASES[verdict]) if WORDS.find(text) != expected}
    assert not wrong


KEYWORDS = {
    "STOP": Intent.STOP,
    "Unsubscribe": Intent.STOP,
    "opt out": Intent.STOP,
    "stop texting me": Intent.STOP,
    "ALTO": Intent.STOP,
    "arr\u00eat": Intent.STOP,
    "START": Intent.START,
    "unstop": Intent.START,
    "Help": Intent.HELP,
    "info": Intent.HELP,
}


def around(table: str) -> st.SearchStrategy[str]:
    return st.sampled_from(table.encode().decode("unicode_escape").split("|"))


WRITTEN = around(
    r"{}!|{}?!|{}...|{} \U0001f6d1|{}\U0001f64f\U0001f3fd|{}\ufffc|{}\u200b"
    r"|{} :)|({})|\u201c{}\u201d|*{}*| {} |<{}>|\u00a1{}!"
    r"|- {}|please {}|{} please|{}, thank you|pls {} now|Hi. {}. Thanks"
    r"|{} por favor|{} svp|{0} {0}|{0}, {0}! {0}"
)
ADDED = around(
    r"{}|{}\nSent from my iPhone|{}\n\n--\nJane Doe|{}\nGet Outlook for Android|{}\nEnvoy\u00e9 de mon iPhone"
    r"|{}\n\nOn Mon, Jan 5, 2026 at 3:04 PM, Acme wrote:\n> Sale! Reply STOP to end|> Sale today\n{}"
)


@given(
    st.sampled_from(sorted(KEYWORDS)),
    st.lists(WRITTEN, max_size=3),
    ADDED,
    st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase]),
)
def test_what_is_added_to_a_keyword_changes_nothing(
    keyword: str, written: list[str], added: str, case: type[str]
) -> None:
    text = case(keyword)
    for decoration in (*written, added):
        text = decoration.format(text)
    assert WORDS.find(text) == (KEYWORDS[keyword], False)


@given(st.text(max_size=200))
def test_any_text_has_one_verdict(text: str) -> None:
    intent, is_suspected = WORDS.find(text)
    assert intent is None or not is_suspected


def test_a_phrase_stands_for_its_variants() -> None:
    assert expand("remove (me|my (|phone )number) (|now)") == (
        "remove me",
        "remove me now",
        "remove my number",
        "remove my number now",
        "remove my phone number",
        "remove my phone number now",
    )
    for phrase in ("remove (me", "remove me)", "(a|b)" * 13):
        with pytest.raises(InvalidPhraseError):
            expand(phrase)


def test_an_expression_has_its_words_in_order_with_few_others_in_between() -> None:
    recognizer = Recognizer[str]([], [], suspected=["stop text*"])
    verdicts = {text: recognizer.find(text)[1] for text in ("stop the texting ok", "so text me at the stop")}
    assert list(verdicts.values()) == [True, False]
    assert not recognizer.find("stop here and I will then send a text")[1]
    assert [recognizer.find(f"stop {between} text")[1] for between in ("a b", "a b c")] == [True, False]


@pytest.mark.parametrize(
    ("text", "meanings"),
    [
        ("st op st op", ("out",)),
        ("s t op st op", ()),
        ("please st op st op", ("out",)),
        ("please s t op st op", ()),
        ("stopped", ()),
        ("st opp", ("out",)),
        ("stopstop", ("out",)),
        ("stoppp", ("out",)),
        ("stopp", ("out",)),
        ("endd", ()),
        ("please hello", ()),
        ("please haha", ("laugh",)),
    ],
)
def test_four_words_may_be_one_repeated_keyword(text: str, meanings: tuple[str, ...]) -> None:
    keywords = [("stop", "out"), ("end", "out"), ("haha", "laugh")]
    recognizer = Recognizer(keywords, [], polite=["please"])
    assert recognizer.find(text) == (meanings, False)


def test_a_keyword_has_its_meaning_in_each_language() -> None:
    assert Recognizer([("end", "en"), ("END.", "fr")], []).find("end") == (("en", "fr"), False)


def test_a_phrase_may_stand_for_5000_texts() -> None:
    assert len(expand(f"({'|'.join(map(str, range(5000)))})")) == 5000
    with pytest.raises(InvalidPhraseError, match="has over 5000 variants; write it as several phrases"):
        expand(f"({'|'.join(map(str, range(5001)))})")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Hello there. Stop it", (("phrase",), False)),
        ("Hello there. Revoke", ((), False)),
        ("Revoke", (("one word",), False)),
        ("Hello there. Stop", ((), True)),
        ("Stop, end", (("keyword",), False)),
        ("Stop now and then", ((), False)),
    ],
)
def test_a_phrase_of_several_words_counts_as_a_sentence(
    text: str, verdict: tuple[tuple[str, ...], bool]
) -> None:
    keywords = [("stop", "keyword"), ("end", "keyword")]
    phrases = [("stop it", "phrase"), ("revoke", "one word")]
    assert Recognizer(keywords, phrases, suspected_sentences=["stop", "end"]).find(text) == verdict


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("TAX'S", "taxs"),
        ("S T O P!", "stop"),
        ("Arr\u00eat", "arret"),
        ("don't", "dont"),
        ("!?", "!?"),
        ("\U0001f6d1", "\U0001f6d1"),
    ],
)
def test_texts_are_compared_without_blanks_accents_and_signs(text: str, key: str) -> None:
    assert key_of(text) == key
