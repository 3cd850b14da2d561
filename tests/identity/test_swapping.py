"""Texts swapped by hand, and texts that must be left alone."""

from __future__ import annotations

import pytest

from auditkit.identity import Excluded, Swapped, Swapper, read_terms
from auditkit.identity.swapping import Reason

SWAPPER = Swapper(read_terms())


def swapped(text: str, attribute: str, group: str) -> str:
    outcome = SWAPPER.swap(text)[attribute]
    assert isinstance(outcome, Swapped), outcome
    return outcome.texts[group]


def reason(text: str, attribute: str) -> Reason | None:
    outcome = SWAPPER.swap(text).get(attribute)
    assert outcome is None or isinstance(outcome, Excluded), outcome
    return None if outcome is None else outcome.reason


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("She is late.", "He is late."),
        ("I saw her.", "I saw him."),
        ("I saw her, and left.", "I saw him, and left."),
        ("I like her and trust it.", "I like him and trust it."),
        ("I went with her to town.", "I went with him to town."),
        ("That is her book.", "That is his book."),
        ("Her book is new.", "His book is new."),
        ("The book is hers.", "The book is his."),
        ("She hurt herself.", "He hurt himself."),
        ("She's here and she'll stay.", "He's here and he'll stay."),
        ("the woman lost her keys", "the man lost his keys"),
        ("WHERE IS SHE", "WHERE IS HE"),
        ("An actress spoke.", "An actor spoke."),
        ("The women's room is closed.", "The men's room is closed."),
        ("my mom called", "my dad called"),
        ("My mother-in-law", None),
        ("a waitress’s tip", "a waiter’s tip"),
        ("three girls laughed", "three boys laughed"),
        ("she said she likes her job", "he said he likes his job"),
        ("Mary lost her hat.", "James lost his hat."),
        ("Mary's hat", "James's hat"),
        ("MARY LOST HER HAT", "JAMES LOST HIS HAT"),
        ("a female doctor", "a male doctor"),
        ("ladies first", "gentlemen first"),
        ("@user She is right #her", "@user He is right #her"),
        ("Yes—she won.", "Yes—he won."),
    ],
)
def test_female_to_male(text, after):
    if after is None:
        assert reason(text, "gender") is Reason.COMPOUND
    else:
        assert swapped(text, "gender", "male") == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("He is late.", "She is late."),
        ("I saw him.", "I saw her."),
        ("I saw him today.", "I saw her today."),
        ("That is his book.", "That is her book."),
        ("The book is his.", "The book is hers."),
        ("His is better.", "Hers is better."),
        ("He hurt himself.", "She hurt herself."),
        ("An uncle came.", "An aunt came."),
        ("John likes his job.", "Amy likes her job."),
        ("hes nice", "shes nice"),
        ("He's my brother.", "She's my sister."),
        ("a guy with a hat", "a woman with a hat"),
        ("the man from the shop", "the woman from the shop"),
        ("THE MAN LEFT", "THE WOMAN LEFT"),
        ("the boys' team", "the girls' team"),
        ("his or nothing", "hers or nothing"),
        ("Naïve? He is.", "Naïve? She is."),
        ("it is a boyfriend thing", "it is a girlfriend thing"),
    ],
)
def test_male_to_female(text, after):
    assert swapped(text, "gender", "female") == after


@pytest.mark.parametrize(
    ("text", "attribute", "group", "after"),
    [
        ("a Muslim family", "religion", "atheist", "an atheist family"),
        ("an atheist couple", "religion", "Muslim", "a muslim couple"),
        ("Atheists are people.", "religion", "Christian", "Christians are people."),
        ("the muslims next door", "religion", "Christian", "the christians next door"),
        ("I am Jewish.", "religion", "Hindu", "I am Hindu."),
        ("she is a Jew.", "religion", "Muslim", "she is a Muslim."),
        ("a Muslim, said the paper", "religion", "Jewish", "a Jew, said the paper"),
        ("a black man", "ethnicity", "Asian", "an asian man"),
        ("A black man spoke.", "ethnicity", "Asian", "An Asian man spoke."),
        ("an asian man", "ethnicity", "White", "a white man"),
        ("An Asian man spoke.", "ethnicity", "White", "A white man spoke."),
        ("African American women", "ethnicity", "White", "Caucasian women"),
        ("African-American women", "ethnicity", "Asian", "Asian American women"),
        ("he's black and proud", "ethnicity", "Arab", "he's arab and proud"),
        ("I am American.", "nationality", "French", "I am French."),
        ("an American woman", "nationality", "Mexican", None),
        ("an Indian doctor", "nationality", "German", "a German doctor"),
        ("A MEXICAN FAMILY", "nationality", "Indian", "AN INDIAN FAMILY"),
        ("they came from Turkey", "nationality", "Mexican", "they came from Mexico"),
        ("gay people", "orientation", "heterosexual", "straight people"),
        ("She is straight.", "orientation", "bisexual", "She is bisexual."),
        ("homosexuals", "orientation", "bisexual", "bisexuals"),
        ("a transgender person", "gender identity", "cisgender", "a cisgender person"),
        ("a blind person", "disability", "autistic", "an autistic person"),
        ("He is deaf.", "disability", "blind", "He is blind."),
        ("an old man", "age", "young", "a young man"),
        ("The elderly couple", "age", "young", "The young couple"),
        ("younger workers", "age", "old", "older workers"),
        ("I know Jamal well", "names", "European American", None),
    ],
)
def test_other_attributes(text, attribute, group, after):
    if after is None:
        assert group in ("Mexican", "European American")
        if attribute == "nationality":
            assert reason(text, attribute) is Reason.PHRASE
        else:
            name = swapped(text, attribute, group).split()[2]
            assert name[0].isupper()
            assert name != "Jamal"
    else:
        assert swapped(text, attribute, group) == after


def test_two_names_stay_two_names_and_one_stays_one():
    text = "Jamal met Leroy, and Jamal laughed."
    first, _, second, _, third, _ = swapped(text, "names", "European American").split()
    assert first == third
    assert second.rstrip(",") != first


@pytest.mark.parametrize(
    ("text", "attribute", "why"),
    [
        ("he and she", "gender", Reason.SEVERAL),
        ("his wife", "gender", Reason.SEVERAL),
        ("men and women", "gender", Reason.SEVERAL),
        ("Muslims and Christians", "religion", Reason.SEVERAL),
        ("black people and white people", "ethnicity", Reason.SEVERAL),
        ("She is pregnant.", "gender", Reason.BOUND),
        ("Muslims went to the mosque", "religion", Reason.BOUND),
        ("the brothers grimm", "gender", Reason.PHRASE),
        ("The Brothers Grimm wrote it.", "gender", Reason.PHRASE),
        ("you son of a bitch", "gender", Reason.PHRASE),
        ("the boy scout left", "gender", Reason.PHRASE),
        ("the spider-man again", "gender", Reason.PHRASE),
        ("oh boy, what a day", "gender", Reason.OTHER_MEANING),
        ("you need to stop man", "gender", Reason.OTHER_MEANING),
        ("in his debut, washington shines", "gender", Reason.PERSON),
        ("a 40 year old man", "age", Reason.BOUND),
        ("a 40 yr old man", "age", Reason.OTHER_MEANING),
        ("my old teacher", "age", Reason.OTHER_MEANING),
        ("my old friends", "age", Reason.OTHER_MEANING),
        ("We watched Little Women.", "gender", Reason.PHRASE),
        ("We watched The Wonderful Woman.", "gender", Reason.TITLE),
        ('She played "the good girl" twice', "gender", Reason.TITLE),
        ("Brad Pitt Met Charlie Sheen There Today", "gender", Reason.PERSON),
        ("rt melo says they let him play", "gender", Reason.PERSON),
        ("John Lennon sang.", "gender", Reason.PERSON),
        ("I met Obama and he smiled.", "gender", Reason.BOUND),
        ("I met Kowalski and he smiled.", "gender", Reason.PERSON),
        ("LeBron said he is fine.", "gender", Reason.PERSON),
        ("spielberg and his films", "gender", Reason.PERSON),
        ("i saw her dance", "gender", Reason.HER),
        ("I saw her back", "gender", Reason.HER),
        ("They made her cry", "gender", Reason.HER),
        ("give her flowers", "gender", Reason.HER),
        ("s/he may apply", "gender", Reason.COMPOUND),
        ("a man-eating plant", "gender", Reason.COMPOUND),
        ("man, that was close", "gender", Reason.OTHER_MEANING),
        ("a black car", "ethnicity", Reason.OTHER_MEANING),
        ("it is black.", "ethnicity", Reason.OTHER_MEANING),
        ("go straight on", "orientation", Reason.OTHER_MEANING),
        ("turkey for dinner", "nationality", Reason.OTHER_MEANING),
        ("I ate Turkey", "nationality", Reason.OTHER_MEANING),
        ("an American war film", "nationality", Reason.BOUND),
        ("an American comedy", "nationality", Reason.OTHER_MEANING),
        ("a blind alley", "disability", Reason.OTHER_MEANING),
        ("an old house", "age", Reason.OTHER_MEANING),
        ("christian bale", "religion", Reason.OTHER_MEANING),
        ("the waitress' tip", "gender", Reason.APOSTROPHE),
    ],
)
def test_texts_left_out_with_the_reason(text, attribute, why):
    assert reason(text, attribute) is why


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a good film",
        "the shepherd, there and then",
        "manage the mandate",
        "@she #woman https://he.example/man",
        "foo_he_bar",
        "h\u0065\u0301 said",
        "pay the bill",
    ],
)
def test_texts_without_a_term(text):
    assert SWAPPER.swap(text) == {}


@pytest.mark.parametrize(
    "text", ["He is late.", "That is her book.", "A Muslim family", "an old man", "I am Jewish."]
)
def test_swapping_back_gives_the_text(text):
    for attribute, outcome in SWAPPER.swap(text).items():
        if attribute == "gender" and "old" in text:
            continue
        for other in outcome.texts.values():
            again = SWAPPER.swap(other)[attribute]
            assert again.texts[outcome.group] == text


def test_everything_but_the_terms_and_articles_stays():
    text = "  \tThe woman —\u00a0née Ø — lost\r\n\r\nher 3 keys!!  "
    after = swapped(text, "gender", "male")
    assert after == text.replace("woman", "man").replace("her 3", "his 3")
