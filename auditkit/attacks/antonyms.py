"""Whether one word is the contrary of another, by WordNet."""

from __future__ import annotations

from functools import cache

from auditkit.attacks.nltk_folders import nltk_data


@cache
def antonyms(word: str) -> frozenset[str]:
    """The words WordNet has as contraries of any meaning of the word, in lower case.

    Reads the WordNet in the resource folder; see `auditkit.resources.WORDNET`.

    Raises:
        LookupError: It is not there.
    """
    with nltk_data():
        from nltk.corpus import wordnet

        lemmas = [
            lemma
            for synset in wordnet.synsets(word)
            for lemma in synset.lemmas()
            if _same(lemma.name(), word, wordnet.morphy(word))
        ]
        return frozenset(other.name().lower() for lemma in lemmas for other in lemma.antonyms())


def _same(lemma: str, *forms: str | None) -> bool:
    return lemma.lower() in {form.lower() for form in forms if form}
