"""Recipes by name: all of TextAttack's, what each needs, and counterparts that need less."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.attacks import (
    RECIPES,
    AttackSettings,
    Recipe,
    Status,
    attack,
    blocked,
    find_recipe,
    obstacles,
)
from auditkit.attacks.library import load_textattack
from auditkit.attacks.vectors import counter_fitted, own_vectors, word_list
from auditkit.errors import ConfigError, UnsafeModelError
from auditkit.resources import RESOURCES

OFFLINE = ("deepwordbug", "pruthi", "input-reduction")
IMPOSSIBLE = {
    "faster-alzantot", "pso", "checklist", "clare", "french", "spanish", "chinese", "a2t",
    "hotflip", "morpheus", "seq2sick",
}  # fmt: skip


class Wrapper:
    model = None

    def __call__(self, texts: Any) -> Any:
        raise AssertionError("building a recipe asks nothing")


@pytest.fixture
def resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty resource folder."""
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path))
    return tmp_path


def test_every_recipe_of_textattack_is_there_under_its_own_name():
    load_textattack()
    from textattack.attack_args import ATTACK_RECIPE_NAMES

    ours = {name for name, recipe in RECIPES.items() if recipe.original}
    assert ours == {*ATTACK_RECIPE_NAMES, "french", "spanish", "chinese"}


def test_every_recipe_class_of_textattack_is_one_of_ours():
    shipped = {
        name
        for name, value in vars(load_textattack().attack_recipes).items()
        if isinstance(value, type) and name != "AttackRecipe"
    }
    classes = set()
    for recipe in RECIPES.values():
        if recipe.original:
            classes |= {cell.cell_contents for cell in recipe.build.__closure__}
    assert classes == shipped


def test_no_counterpart_has_the_name_of_an_original():
    for name, recipe in RECIPES.items():
        assert recipe.original or "-" in name
        assert recipe.summary


@pytest.mark.parametrize("name", OFFLINE)
def test_character_recipes_need_nothing(name, resources):
    assert obstacles(find_recipe(name)) == ()
    assert find_recipe(name).built(Wrapper())


def test_stop_words_are_nltks():
    attack = find_recipe("deepwordbug").built(Wrapper())
    constraint = attack.pre_transformation_constraints[1]
    assert len(constraint.stopwords) == 179
    assert {"i", "she's", "wouldn't", "doing"} <= constraint.stopwords


@pytest.mark.skipif(not os.environ.get("AUDITKIT_DATA"), reason="needs AUDITKIT_DATA")
def test_stop_words_are_those_of_the_corpus():
    from auditkit.attacks.stop_words import ENGLISH

    corpus = Path(os.environ["AUDITKIT_DATA"], "nltk_data/corpora/stopwords/english")
    assert list(ENGLISH) == corpus.read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", sorted(IMPOSSIBLE))
def test_a_recipe_that_can_never_run_says_why(name, resources):
    assert len(obstacles(find_recipe(name))) == 1
    with pytest.raises(ConfigError, match=name):
        attack(["a film"], [0], None, name)


def test_only_those_can_never_run():
    assert {name for name, recipe in RECIPES.items() if recipe.obstacle} == IMPOSSIBLE


@pytest.mark.parametrize("name", sorted(set(RECIPES) - IMPOSSIBLE - set(OFFLINE)))
def test_a_recipe_says_everything_it_lacks_before_it_starts(name, resources):
    recipe = find_recipe(name)
    lacking = [resource for resource in recipe.resources if not resource.included]
    assert lacking
    with pytest.raises(ConfigError) as caught:
        attack(["a film"], [0], None, name)
    for resource in lacking:
        assert f"{resource.name} is missing" in caught.value.message
        assert str(resources / resource.paths[0]) in caught.value.message
    for package in recipe.packages:
        assert f"the package {package} is not installed" in caught.value.message


def test_every_resource_is_needed_by_a_recipe():
    needed = {resource for recipe in RECIPES.values() for resource in recipe.resources}
    assert needed == set(RESOURCES)


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="deepwordbug"):
        find_recipe("deepwordbugs")


def test_options_reach_the_recipe_and_wrong_ones_are_refused(resources):
    swaps = find_recipe("deepwordbug", {"use_all_transformations": False}).built(Wrapper())
    assert type(swaps.transformation).__name__ == "WordSwapRandomCharacterSubstitution"
    with pytest.raises(ConfigError, match=r"deepwordbug.*colour"):
        find_recipe("deepwordbug", {"colour": 1}).built(Wrapper())


def test_bad_characters_must_be_told_its_goal_and_needs_a_file_only_for_look_alikes(resources):
    assert blocked(find_recipe("bad-characters")) == ("it needs the option goal_function_type",)
    options = {"goal_function_type": "targeted_classification", "perturbation_type": "invisible"}
    assert obstacles(find_recipe("bad-characters", options)) == ()
    look_alike = find_recipe("bad-characters", options | {"perturbation_type": "homoglyphs"})
    assert "homoglyphs is missing" in obstacles(look_alike)[0]
    (resources / "textattack").mkdir()
    (resources / "textattack" / "intentional_homoglyphs.txt").write_text(
        "\ufeff0041 ;\t0391\t# ( A ~ \u0391 ) LATIN CAPITAL LETTER A ~ GREEK ONE\n",
        encoding="utf-8",
    )
    swaps = look_alike.built(Wrapper()).transformation
    assert swaps.homos_intentional == {"A": ["\u0391"]}


def attacked(name: str, examples: Any, predictor: Any, budget: int = 60) -> list[Any]:
    texts, labels = examples[0][:5], examples[1][:5]
    settings = AttackSettings(budget=budget)
    return list(attack(texts, labels, predictor.predict, name, settings))


NEIGHBOURS = (
    ("film", "movie"), ("good", "fine"), ("bad", "awful"), ("dull", "long"), ("warm", "cold"),
    ("story", "plot"), ("actor", "scene"), ("ending", "music"), ("great", "funny"),
    ("quiet", "loud"),
)  # fmt: skip


def vector_lines() -> list[str]:
    rng = np.random.default_rng(0)
    lines = []
    for pair in NEIGHBOURS:
        centre = rng.standard_normal(60)
        lines += [
            " ".join([word, *(f"{x:.4f}" for x in centre + 0.1 * rng.standard_normal(60))])
            for word in pair
        ]
    return lines


def test_textfooler_runs_over_vectors_of_ones_own(resources, examples, predictor):
    (resources / "vectors.txt").write_text("20 60\n" + "\n".join(vector_lines()) + "\n")
    outcomes = attacked("textfooler-vectors", examples, predictor)
    assert Status.ERROR not in {o.status for o in outcomes}
    near = {frozenset(pair) for pair in NEIGHBOURS}
    swapped = 0
    for outcome in outcomes:
        for old, new in zip(outcome.original.split(), outcome.perturbed.split(), strict=True):
            if old != new:
                assert frozenset((old, new)) in near
                swapped += 1
    assert swapped


def test_the_nearest_words_are_those_of_the_largest_cosine(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("a 1 0\nb 2 0.1\nc 0 1\nd -1 0\n")
    embedding = own_vectors(file)
    found = [embedding.index2word(i) for i in embedding.nearest_neighbours(0, 3)]
    assert found == ["b", "c", "d"]
    assert embedding.get_cos_sim("a", "c") == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("text", ["", "a 1 2\nb 1\n", "a 1 x\n", "a 1 nan\n"])
def test_a_file_that_holds_no_vectors_is_refused(text, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"vectors\.txt"):
        own_vectors(file)


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A random masked language model with the tiny classifier's tokenizer."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("mlm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["bae-local-mlm", "clare-local-mlm"])
def test_a_masked_language_model_of_ones_own_proposes_words(
    name, resources, masked_lm, examples, predictor
):
    (resources / "masked-lm").symlink_to(masked_lm)
    outcomes = attacked(name, examples, predictor, budget=150)
    assert {o.status for o in outcomes} & {Status.SUCCEEDED, Status.FAILED, Status.BUDGET}
    assert Status.ERROR not in {o.status for o in outcomes}


def test_padding_less_proposes_the_same_words(resources, masked_lm):
    (resources / "masked-lm").symlink_to(masked_lm)
    textattack = load_textattack()
    ours = find_recipe("bae-local-mlm").built(Wrapper()).transformation
    theirs = textattack.transformations.WordSwapMaskedLM(
        method="bae", masked_language_model=ours._language_model, tokenizer=ours._lm_tokenizer,
        max_candidates=50, min_confidence=0.0, max_length=ours.max_length,
    )  # fmt: skip
    text = textattack.shared.AttackedText("the film was good and the music was long")
    for found, expected in zip(ours(text), theirs(text), strict=True):
        assert found.text == expected.text


def test_a_masked_language_model_that_brings_code_is_not_loaded(resources, masked_lm, tmp_path):
    import json
    import shutil

    folder = resources / "masked-lm"
    shutil.copytree(masked_lm, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.X"}}))
    with pytest.raises(UnsafeModelError, match="auto_map"):
        find_recipe("bae-local-mlm").built(Wrapper())


def test_the_originals_get_their_hub_models_from_the_folder(resources, masked_lm, monkeypatch):
    (resources / "models").mkdir()
    (resources / "models" / "bert-base-uncased").symlink_to(masked_lm)

    def build(textattack: Any, wrapper: Any) -> Any:
        import transformers

        assert transformers.AutoModelForMaskedLM.from_pretrained("bert-base-uncased")
        assert transformers.AutoTokenizer.from_pretrained("bert-base-uncased")
        with pytest.raises(ConfigError, match="gpt2 is missing"):
            transformers.AutoTokenizer.from_pretrained("gpt2")
        with pytest.raises(ConfigError, match="not allowed"):
            transformers.AutoTokenizer.from_pretrained("somebody/something")
        return "built"

    assert Recipe("own", "", build).built(Wrapper()) == "built"


def counter_fitted_folder(root: Path, pickled: bytes) -> Path:
    folder = root / "textattack" / "word_embeddings" / "paragramcf"
    folder.mkdir(parents=True)
    _words, rows = zip(*(line.split(" ", 1) for line in vector_lines()), strict=True)
    matrix = np.array([row.split() for row in rows], dtype=np.float32)
    distances = ((matrix[:, None] - matrix[None]) ** 2).sum(axis=2)
    np.save(folder / "paragram.npy", matrix)
    np.save(folder / "nn.npy", np.argsort(distances, axis=1))
    (folder / "wordlist.pickle").write_bytes(pickled)
    return folder


def pickled_words(protocol: int) -> bytes:
    import pickle  # noqa: TID251 - to write what must be read without it

    return pickle.dumps({line.split()[0]: i for i, line in enumerate(vector_lines())}, protocol)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_counter_fitted_vectors_are_read_without_unpickling(protocol, tmp_path):
    folder = counter_fitted_folder(tmp_path, pickled_words(protocol))
    embedding = counter_fitted(folder)
    assert embedding.index2word(embedding.nearest_neighbours("film", 1)[0]) == "movie"
    assert len(word_list(folder / "wordlist.pickle")) == 20


def test_a_word_list_that_would_run_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    import pickle  # noqa: TID251

    file = tmp_path / "wordlist.pickle"
    for content in (Bomb(), {"a": Bomb()}, [1, 2], {"a": 1.5}):
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(ConfigError, match=r"wordlist\.pickle"):
            word_list(file)
    assert not (tmp_path / "exploded").exists()


def test_a_recipe_over_counter_fitted_vectors_runs(resources, examples, predictor):
    counter_fitted_folder(resources, pickled_words(4))
    outcomes = attacked("iga", examples, predictor, budget=40)
    assert Status.ERROR not in {o.status for o in outcomes}
    assert {o.status for o in outcomes} & {Status.SUCCEEDED, Status.BUDGET}


def test_a_sentence_encoder_of_ones_own_bounds_textfooler(
    resources, masked_lm, examples, predictor
):
    (resources / "vectors.txt").write_text("\n".join(vector_lines()) + "\n")
    (resources / "sentence-encoder").symlink_to(masked_lm)
    built = find_recipe("textfooler-vectors-encoder").built(Wrapper())
    encoder = next(c for c in built.constraints if hasattr(c, "encode"))
    assert encoder.threshold == pytest.approx(0.840845057)
    assert encoder.encode(["a film", "the film was good"]).shape == (2, 16)
    outcomes = attacked("textfooler-vectors-encoder", examples, predictor)
    assert Status.ERROR not in {o.status for o in outcomes}


def test_textfoolers_own_stop_words_are_used(resources):
    (resources / "vectors.txt").write_text("\n".join(vector_lines()) + "\n")
    built = find_recipe("textfooler-vectors").built(Wrapper())
    words = built.pre_transformation_constraints[1].stopwords
    assert {"thereupon", "hereby", "noone"} <= words
    assert len(words) > 250


needs_wordnet = pytest.mark.skipif(
    not os.environ.get("AUDITKIT_DATA"), reason="needs AUDITKIT_DATA"
)


@needs_wordnet
@pytest.mark.parametrize("name", ["pwws", "textfooler-wordnet", "alzantot-wordnet", "leap"])
def test_recipes_over_wordnet_run_as_in_textattack(name, examples, predictor, theirs, monkeypatch):
    monkeypatch.setenv("AUDITKIT_RESOURCES", os.environ["AUDITKIT_DATA"])
    recipe = find_recipe(name)
    outcomes = attacked(name, examples, predictor, budget=80)
    for outcome in outcomes:
        if outcome.perturbed is not None:
            status = str(outcome.status).replace("budget", "failed")
            found = (status, outcome.perturbed, outcome.queries)
            assert found == theirs(outcome, recipe, budget=80)
    assert Status.ERROR not in {o.status for o in outcomes}
    assert {o.status for o in outcomes} & {Status.SUCCEEDED, Status.BUDGET, Status.FAILED}
