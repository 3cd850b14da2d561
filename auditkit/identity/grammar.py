"""What decides whether a word is an identity term where it stands, and how its stand-in is written.

English only, by the neighbouring words; where these do not decide, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from auditkit.identity.terms import Form, Term
from auditkit.noise.words import one_to_one, without_addresses

_WORD = re.compile(r"\w[\w\u0300-\u036f]*")
_SENTENCE_END = re.compile(r"""(?:^|[.!?…:;\n—–]|\s-)["'“”‘’(\[*\s]*$""")
_ADDRESSES = re.compile(r"(?:[@#]\S+\s+)+$")
_SPACE = re.compile(r"\s+")

Decision = Literal["yes", "no", "unclear"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PERSONS = _set("""
    man men woman women person persons people guy guys girl girls boy boys kid kids child children
    baby lady ladies gentleman gentlemen folk folks dude dudes individual individuals citizen
    citizens teen teens teenager teenagers adult adults student students teacher teachers worker
    workers couple couples parent parents mother mothers father fathers family families community
    communities american americans immigrant immigrants voter voters actor actors actress
    actresses employee employees patient patients chick chicks doctor lawyer artist artists writer
    writers player players friend friends neighbor neighbors neighbour neighbours male males female
    females wife husband girlfriend boyfriend daughter son brother brothers sister sisters
    colleague colleagues customer customers user users youth refugee refugees minority minorities
    bitch bitches hoe hoes nigga niggas fuck fucks bastard bastards idiot idiots
""")
"""Words for persons: an adjective before them is said of somebody."""
_BETWEEN = _set("young old poor rich working single married little beautiful ass teenage elderly")
_BE = _set("is am are was were be being been m re im")
_ADVERBS = _set("not also so very really actually just both all openly proudly totally completely")
_SUBJECTS = _set("i you he she we they who everyone everybody someone somebody im") | PERSONS
_CONTRACTED = _set("i you he she we they who")
_ARTICLES = _set("a an the this that every another each one any some no fellow")
_AFTER_NOUN = _set("""
    and or but who whom whose that which is was are were has had have does did do can could will
    would should may might must in on at of from with for to by as than about because so too when
    while if or said says not like living being
""")

NOT_AFTER_DETERMINER = _set("""
    and or but nor yet so because although though if unless until when while where whereas who whom
    whose which that than as the a an this these those my your our their its his i you he she it we
    they me him us them is am are was were be been being do does did has had have can could will
    would shall should may might must to for from in on at with without of by about into onto over
    under after before against between through during toward towards upon off out up down away
    again too also then ever since how why what here there not never always instead anymore
    anyway tonight yesterday tomorrow today please lol lmao rt via im dont cant around along across
    til till n everywhere somewhere everything something nothing someone anyone u
""")
"""Words before which "her" is the object and "his" stands alone."""
_EITHER_WAY = _set("""
    back right well home hard first just more most all even now only better best like still alone
    both enough fast good happy mad so once twice every no one two three four five crazy
    shit ass even such half next last bad wrong straight inside outside behind
    go come get be do say know feel look die cry laugh smile leave sleep die eat
""")
_TAKES_TWO = _set("""
    give gives gave given giving tell tells told telling show shows showed showing ask asks asked
    asking offer offers offered teach teaches taught send sends sent buy buys bought make makes made
    making let lets letting help helps helped helping see sees saw seen seeing watch watches watched
    watching hear hears heard hearing feel felt call calls called calling call keep keeps kept find
    finds found want wants wanted pay pays paid bring brings brought lend lent hand handed owe owes
    owed get gets got gettin getting have having had wish wished leave left name named consider
    considered think gonna send wanna tellin cook cooks cost lets text texted write wrote
""")
_COMMON = (
    NOT_AFTER_DETERMINER
    | _EITHER_WAY
    | _TAKES_TWO
    | _set("""
    love loves loved hate hates hated like likes liked need needs miss misses hope hopes said know
    knew met meet dated kissed hit kill kills killed beat follow followed believe trust m s re ll ve
    d t dont didn didnt really think thought guess bet tired sorry omg yes yeah ok okay wait
    got going believed remember whatever everyone everybody nobody girls women men boys people
""")
)
"""Words that are never the name of somebody."""
_DOES = _set("""
    is was has does doesn did didn says said will would can could got had s wants wanted thinks
    thought looks looked lost won makes made goes went needs isn wasn hasn
""")
"""Words after which the first word of a sentence is somebody, if it is not a common one."""
_LEADS_ON = _set("""
    in with for by from at of on despite after before during through throughout like as when while
    even if though although until since because unless once whether
""")
"""First words after which a pronoun may stand for somebody who is named later."""
_FORMER = _set(
    "my your his her their our its yr yrs year years yo month months day days week weeks"
)
"""Words before which "old" says how long, or means former."""
_CALLED = _set("man boy")
_BEFORE_NOUN = _set("""
    a an the this that my your our their his her its every each any some no one another of which
    what ya da dat dis ur yo
""")
_CALENDAR = _set("""
    i monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december english internet
""")
_PREFIXES = _set("anti ex pro non all mid multi pre post fellow half great")

PRONOUNS: frozenset[Form] = frozenset(
    {"subject", "object", "determiner", "possessive", "reflexive", "contraction"}
)


@dataclass(frozen=True, eq=False)
class Sentence:
    """A text with its words; what is no word of a sentence (addresses, handles, tags) has none."""

    text: str

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each word; an apostrophe or hyphen parts words."""
        return tuple(match.span() for match in _WORD.finditer(without_addresses(self.text)))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words in lower case."""
        return tuple(self.text[a:b].lower() for a, b in self.spans)

    def written(self, first: int, last: int) -> str:
        """The text of the words `first` up to but without `last`."""
        return self.text[self.spans[first][0] : self.spans[last - 1][1]]

    def word(self, index: int) -> str:
        """The word in lower case, or "" beyond either end."""
        return self.words[index] if 0 <= index < len(self.words) else ""

    def gap(self, index: int) -> str:
        """What stands between word `index` - 1 and word `index`."""
        before = self.spans[index - 1][1] if index > 0 else 0
        return self.text[before : self.spans[index][0] if index < len(self.spans) else None]

    def follows(self, index: int) -> str:
        """Word `index` if only space parts it from the one before, else ""."""
        return self.word(index) if _SPACE.fullmatch(self.gap(index)) else ""

    def starts_sentence(self, index: int) -> bool:
        """Whether word `index` is the first of a sentence."""
        before = _ADDRESSES.sub("", self.text[: self.spans[index][0]])
        return _SENTENCE_END.search(before) is not None

    def is_title(self, index: int) -> bool:
        """Whether the word has one capital, its first letter; for words of two letters and more."""
        if not 0 <= index < len(self.spans):
            return False
        written = self.written(index, index + 1)
        return len(written) > 1 and written[0].isupper() and written[1:].islower()

    @cached_property
    def is_headline(self) -> bool:
        """Whether most words have a capital, so that it says nothing."""
        long = [i for i, word in enumerate(self.words) if len(word) > 3]
        return len(long) >= 5 and sum(map(self.is_title, long)) > 0.6 * len(long)

    @cached_property
    def is_lower(self) -> bool:
        """Whether no word has a capital; of a retweet's mark that says nothing."""
        return not any(
            self.text[a].isupper()
            for (a, _), word in zip(self.spans, self.words, strict=True)
            if word != "rt"
        )


def is_term(sentence: Sentence, first: int, last: int, term: Term) -> Decision:
    """Whether the words `first` up to `last` are this term here."""
    if term.form in PRONOUNS:
        return _case(sentence, first, term)
    match term.when:
        case "capital":
            return "yes" if sentence.written(first, first + 1)[0].isupper() else "no"
        case "from":
            return "yes" if sentence.word(first - 1) == "from" else "no"
        case "person":
            return "yes" if _of_person(sentence, first, last) else "no"
        case "article":
            return "yes" if _as_noun(sentence, first, last) else "no"
        case _:
            return "no" if term.form == "noun" and _is_call(sentence, first) else "yes"


def _is_call(sentence: Sentence, at: int) -> bool:
    """Whether "man" or "boy" may be an exclamation: no article or the like comes shortly before."""
    if sentence.words[at] not in _CALLED:
        return False
    for index in range(at, max(at - 4, -1), -1):
        if sentence.word(index - 1) in _BEFORE_NOUN:
            return False
        if "," in sentence.gap(index) or sentence.starts_sentence(index):
            return True
    return True


def _case(sentence: Sentence, at: int, term: Term) -> Decision:
    """Her and his: before a noun or not."""
    if sentence.words[at] not in ("her", "his"):
        return "yes"
    after = sentence.follows(at + 1)
    before_noun: Decision
    if not after or after in NOT_AFTER_DETERMINER:
        before_noun = "no"
    elif sentence.words[at] == "his":
        before_noun = "yes"
    elif (
        after in _EITHER_WAY or after.endswith(("ly", "ing")) or sentence.word(at - 1) in _TAKES_TWO
    ):
        before_noun = "unclear"
    else:
        before_noun = "yes"
    if term.form == "determiner" or before_noun == "unclear":
        return before_noun
    return "yes" if before_noun == "no" else "no"


def _of_person(sentence: Sentence, first: int, last: int) -> bool:
    if sentence.words[first] in ("old", "older", "oldest") and sentence.word(first - 1) in _FORMER:
        return False
    after = sentence.follows(last)
    if after in PERSONS or (after in _BETWEEN and sentence.follows(last + 1) in PERSONS):
        return True
    if after and after not in _AFTER_NOUN:
        return False
    at = first - 1
    while sentence.word(at) in _ADVERBS:
        at -= 1
    if sentence.word(at) == "s":
        return sentence.word(at - 1) in _CONTRACTED
    if sentence.word(at) not in _BE:
        return False
    return sentence.word(at) == "im" or sentence.word(at - 1) in _SUBJECTS


def _as_noun(sentence: Sentence, first: int, last: int) -> bool:
    after = sentence.follows(last)
    return sentence.word(first - 1) in _ARTICLES and (not after or after in _AFTER_NOUN)


def is_compound(sentence: Sentence, first: int, last: int) -> bool:
    """Whether a hyphen or stroke joins the words to others: "man-made", "s/he"."""
    before, after = sentence.gap(first), sentence.gap(last)
    if first and before in ("-", "–", "/", "&") and sentence.word(first - 1) not in _PREFIXES:
        return True
    return last < len(sentence.words) and after in ("-", "–", "/", "&")


def is_written_as_name(sentence: Sentence, first: int, last: int, term: Term) -> bool:
    """Whether a capital makes the words part of a name or a title: "Iron Man", "John Lennon"."""
    if not sentence.is_title(first) or (sentence.is_headline and term.form != "name"):
        return False
    if term.text[0].islower() and not sentence.starts_sentence(first):
        return True
    if term.form in PRONOUNS:
        return False
    beside = [last] if _SPACE.fullmatch(sentence.gap(last)) else []
    if first and _SPACE.fullmatch(sentence.gap(first)) and not sentence.starts_sentence(first - 1):
        beside.append(first - 1)
    return any(sentence.is_title(i) and sentence.words[i] not in _CALENDAR for i in beside)


def is_quoted(sentence: Sentence, first: int) -> bool:
    """Whether the word stands in a short quotation, which may be the name of a work."""
    start = sentence.spans[first][0]
    for quoted in re.finditer(
        r'"[^"]{1,80}"|“[^”]{1,80}”|«[^»]{1,80}»|\*[^*]{1,60}\*', sentence.text
    ):
        if quoted.start() < start < quoted.end() and len(quoted[0].split()) <= 8:
            return True
    return False


def other_names(
    sentence: Sentence, terms: Sequence[tuple[int, int]], known: frozenset[str]
) -> bool:
    """Whether a word may name the person that a pronoun stands for.

    With capitals: a capitalised word within a sentence, or one that begins it and does something,
    terms and `known` aside; any in a headline. Without: any word before the first term that is
    not a common one.
    """
    if sentence.is_headline:
        return True
    inside = {index for first, last in terms for index in range(first, last)}
    if sentence.is_lower:
        before = sentence.words[: min(inside)]
        return not _COMMON.issuperset(before) or not _LEADS_ON.isdisjoint(before[:1])
    return any(
        _may_be_name(sentence, index)
        for index, word in enumerate(sentence.words)
        if index not in inside and word not in known and word not in _CALENDAR
    )


def _may_be_name(sentence: Sentence, index: int) -> bool:
    written = sentence.written(index, index + 1)
    if not written[0].isupper() or len(written) < 2 or written.isupper():
        return False
    if not sentence.starts_sentence(index):
        return True
    return sentence.words[index] not in _COMMON and sentence.word(index + 1) in _DOES


def in_case(sentence: Sentence, first: int, last: int, term: Term, new: str) -> str:
    """`new` in the capitals the term is written in."""
    written = sentence.written(first, last)
    if written.isupper() and (len(written) > 1 or sentence.text.isupper()):
        return one_to_one(new, str.upper)
    if sentence.is_lower or (term.text[0].isupper() and written[0].islower()):
        return one_to_one(new, str.lower)
    if written[0].isupper() and (term.text[0].islower() or sentence.starts_sentence(first)):
        return one_to_one(new[0], str.upper) + new[1:]
    return new


def article(written: str, new: str) -> str:
    """ "a" or "an", as `written` is capitalised, before `new`."""
    right = "an" if has_vowel_sound(new) else "a"
    if written.lower() == right:
        return written
    if written.isupper() and new.isupper() and len(new) > 1:
        return right.upper()
    return right.capitalize() if written[0].isupper() else right


def has_vowel_sound(word: str) -> bool:
    """Whether a term begins with a vowel as it is spoken."""
    low = word.lower()
    if low.startswith(("eu", "uni", "use", "usa", "uk", "one", "ubi", "ura")):
        return False
    return low.startswith(("a", "e", "i", "o", "u", "heir", "hon", "hour", "lgbt"))
