"""Well-known recipes with other sources of words, composed of TextAttack's own parts.

Each follows TextAttack's recipe line by line but for what its docstring says.
"""

from __future__ import annotations

from typing import Any

from auditkit.errors import ConfigError
from auditkit.resources import MASKED_LM, VECTORS


def textfooler(textattack: Any, wrapper: Any, *, synonyms: str, encoder: bool = False) -> Any:
    """TextFooler (Jin et al. 2019) without its part-of-speech tagger.

    Words come from WordNet, or from word vectors within TextFooler's distance. With `encoder` a
    sentence encoder of the user's stands in for the universal sentence encoder, at TextFooler's
    threshold; else there is none.
    """
    constraints = textattack.constraints
    before = constraints.pre_transformation
    chosen = [
        before.RepeatModification(),
        before.StopwordModification(stopwords=_textfooler_stop_words(textattack)),
        before.InputColumnModification(["premise", "hypothesis"], {"premise"}),
    ]
    if synonyms == "wordnet":
        swap = textattack.transformations.WordSwapWordNet()
    else:
        from auditkit.attacks.vectors import own_vectors

        embedding = own_vectors(VECTORS.place())
        swap = textattack.transformations.WordSwapEmbedding(max_candidates=50, embedding=embedding)
        chosen.append(
            constraints.semantics.WordEmbeddingDistance(embedding=embedding, min_cos_sim=0.5)
        )
    if encoder:
        chosen.append(
            _sentence_similarity(
                threshold=0.840845057, metric="angular", compare_against_original=False
            )
        )
    return _untargeted(
        textattack, wrapper, swap, chosen, textattack.search_methods.GreedyWordSwapWIR("delete")
    )


def alzantot_wordnet(textattack: Any, wrapper: Any) -> Any:
    """Alzantot et al. 2018 over WordNet synonyms, without word distance and language model."""
    before = textattack.constraints.pre_transformation
    chosen = [
        before.RepeatModification(),
        before.StopwordModification(),
        before.InputColumnModification(["premise", "hypothesis"], {"premise"}),
        textattack.constraints.overlap.MaxWordsPerturbed(max_percent=0.2),
    ]
    search = textattack.search_methods.AlzantotGeneticAlgorithm(
        pop_size=60, max_iters=20, post_crossover_check=False
    )
    swap = textattack.transformations.WordSwapWordNet()
    return _untargeted(textattack, wrapper, swap, chosen, search)


def bae(textattack: Any, wrapper: Any, *, encoder: bool = False) -> Any:
    """BAE (Garg & Ramakrishnan 2020), replacing words only, without its part-of-speech tagger.

    With `encoder` a sentence encoder of the user's stands in for the universal sentence encoder,
    at BAE's threshold; else there is none.
    """
    before = textattack.constraints.pre_transformation
    chosen = [before.RepeatModification(), before.StopwordModification()]
    if encoder:
        chosen.append(_sentence_similarity(threshold=0.936338023, metric="cosine"))
    swap = _unpadded(textattack.transformations.WordSwapMaskedLM)(
        method="bae", max_candidates=50, min_confidence=0.0, **_masked_lm(textattack)
    )
    search = textattack.search_methods.GreedyWordSwapWIR(wir_method="delete")
    return _untargeted(textattack, wrapper, swap, chosen, search)


def clare(textattack: Any, wrapper: Any, *, encoder: bool = False) -> Any:
    """CLARE (Li et al. 2020) without its merges of two words, for which it needs a flair tagger.

    With `encoder` a sentence encoder of the user's stands in for the universal sentence encoder,
    at CLARE's threshold; else there is none.
    """
    before = textattack.constraints.pre_transformation
    chosen = [before.RepeatModification(), before.StopwordModification()]
    if encoder:
        chosen.append(_sentence_similarity(threshold=0.7, metric="cosine"))
    parts, shared = textattack.transformations, _masked_lm(textattack)
    swap = parts.CompositeTransformation(
        [
            _unpadded(parts.WordSwapMaskedLM)(
                method="bae", max_candidates=50, min_confidence=5e-4, **shared
            ),
            _unpadded(parts.WordInsertionMaskedLM)(max_candidates=50, min_confidence=0.0, **shared),
        ]
    )
    return _untargeted(textattack, wrapper, swap, chosen, textattack.search_methods.GreedySearch())


def _untargeted(textattack: Any, wrapper: Any, swap: Any, constraints: list[Any], by: Any) -> Any:
    goal = textattack.goal_functions.UntargetedClassification(wrapper)
    return textattack.Attack(goal, constraints, swap, by)


def _textfooler_stop_words(textattack: Any) -> set[str]:
    """The words of TextFooler's own list.

    TextAttack writes it down inside `build`, whose longest constant it is.
    """
    constants = textattack.attack_recipes.TextFoolerJin2019.build.__code__.co_consts
    longest: Any = max((held for held in constants if isinstance(held, tuple)), key=len)
    return set(longest)


def _masked_lm(textattack: Any) -> dict[str, Any]:
    """The user's masked language model, as arguments of TextAttack's transformations."""
    import transformers

    from auditkit.attacks.loading import load_part

    folder = MASKED_LM.place()
    model = load_part(transformers.AutoModelForMaskedLM, folder)
    tokenizer = load_part(transformers.AutoTokenizer, folder)
    kind = model.config.model_type
    try:
        textattack.shared.utils.check_if_subword("a", kind)
    except ValueError:
        raise ConfigError(
            f"{folder}: TextAttack does not know sub-words of a {kind} model.",
            "Use a bert, roberta, electra, bart, longformer or xlnet model.",
        ) from None
    length = min(512, tokenizer.model_max_length)
    return {"masked_language_model": model, "tokenizer": tokenizer, "max_length": length}


def _unpadded(transformation: Any) -> Any:
    """The transformation, padding to the longest text and not to 512 tokens; it finds the same."""

    class Unpadded(transformation):  # type: ignore[misc]
        def _encode_text(self, text: Any) -> Any:
            encoded = self._lm_tokenizer(
                text,
                max_length=self.max_length,
                truncation=True,
                padding=True,
                return_tensors="pt",
            )
            return encoded.to(self._language_model.device)

    Unpadded.__name__ = transformation.__name__
    return Unpadded


def _sentence_similarity(**settings: Any) -> Any:
    """TextAttack's sentence similarity by the user's encoder, on windows of 15 words."""
    from textattack.constraints.semantics.sentence_encoders import SentenceEncoder

    from auditkit.attacks.encoder import sentence_encoder

    found = sentence_encoder()

    class OwnEncoder(SentenceEncoder):  # type: ignore[misc]
        """Asks the encoder for embeddings."""

        def encode(self, sentences: list[str]) -> Any:
            """Embeddings, shape (n, width)."""
            return found(sentences)

    return OwnEncoder(window_size=15, skip_text_shorter_than_window=True, **settings)
