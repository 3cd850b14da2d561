"""The fairness remedies on a model that has learnt a mark of the group in place of the label."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.config import parse_config
from auditkit.content import content_digest
from auditkit.data import Attribute, AuditData
from auditkit.metrics.group_training import widest_gap
from auditkit.remedy import RemedyContext, RemedyError, TrainingParams, TrainingRows
from auditkit.stats.paired import paired_gap
from auditkit.training import Order, RemedyRows, Told, repair
from auditkit.training.checkpoint import checkpoints

from .conftest import BAD, GOOD, NAMES, NEUTRAL, QUICK, opened
from .test_fine_tune import same, weights
from .test_remedies import REMEDIES, answers, context

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

MARKS = ("quiet", "loud")
"""Words that members of group a, and of group b, write."""
BIASED = (0.8, 0.2)
"""Share of positives in the groups, where the mark of a group tells a label."""
FAIR = (0.5, 0.5)
CHOSEN: dict[str, dict[str, Any]] = {
    "fairness.reweighing": {},
    "fairness.group-dro": {"step_size": 0.05},
    "fairness.constrained-loss": {},
    "fairness.adversarial-debiasing": {"adversary_learning_rate": 1e-2},
}


def marked(
    rows: int, seed: int, positives: tuple[float, float] = FAIR, told: float = 0.65
) -> AuditData:
    """Texts with the mark of their group, of which a share holds a word that tells the label."""
    rng = np.random.default_rng(seed)
    texts, labels, groups = [], [], []
    for _ in range(rows):
        group = int(rng.integers(2))
        label = int(rng.random() < positives[group])
        words = [str(word) for word in rng.choice(NEUTRAL, size=int(rng.integers(3, 7)))]
        words.insert(int(rng.integers(len(words) + 1)), MARKS[group])
        if rng.random() < told:
            words.insert(int(rng.integers(len(words) + 1)), str(rng.choice((BAD, GOOD)[label])))
        texts.append(" ".join(words))
        labels.append(label)
        groups.append("ab"[group])
    attribute = Attribute.from_values("dialect", groups)
    return AuditData(
        tuple(texts), np.array(labels), NAMES, positive=1, groups={"dialect": attribute}
    )


TRAIN, VALIDATION, FRESH = marked(640, 1, BIASED), marked(200, 2, BIASED), marked(1000, 99)


def params(remedy: str, **chosen: Any) -> Any:
    return REMEDIES[remedy].params(**(QUICK | {"epochs": 4} | CHOSEN[remedy] | chosen))


def trained(folder: Path, model: Path, rows: AuditData) -> Path:
    shop = opened(folder, model, validation=VALIDATION)
    return shop.fine_tune(TrainingRows.of(rows), TrainingParams(epochs=5, patience=0, **QUICK))


@pytest.fixture(scope="session")
def biased(untrained, tmp_path_factory) -> Path:
    """A classifier that answers by the mark where no word tells the label. Do not change it."""
    return trained(tmp_path_factory.mktemp("biased"), untrained, TRAIN)


def odds_gap(model: Path, data: AuditData = FRESH) -> float:
    predicted = answers(model, data.inputs)
    return widest_gap(predicted, data.labels, data.groups["dialect"], (1,), "equalized-odds")


def accuracy(model: Path) -> float:
    return float((answers(model, FRESH.inputs) == FRESH.labels).mean())


def applied(remedy: str, folder: Path, model: Path, train: AuditData = TRAIN, **given: Any) -> Path:
    settings = {"validation": VALIDATION} | given.pop("context", {})
    made = context(folder, model, train, **settings)
    if "fine_tune" not in settings:
        shop = opened(folder, model, validation=made.validation)
        made = dataclasses.replace(made, fine_tune=shop.fine_tune)
    return REMEDIES[remedy].apply(made, params(remedy, **given))


@pytest.fixture(scope="session")
def fair(untrained, tmp_path_factory) -> Path:
    """A classifier that learnt from groups with the same share of positives. Do not change it."""
    return trained(tmp_path_factory.mktemp("fair"), untrained, marked(640, 11))


@pytest.fixture(scope="session")
def further(biased, tmp_path_factory) -> Path:
    """The biased classifier, trained as long as the remedies train. Do not change it."""
    return trained(tmp_path_factory.mktemp("further"), biased, TRAIN)


@pytest.mark.parametrize("remedy", CHOSEN)
def test_the_gap_closes_which_plain_training_leaves(remedy, biased, further, tmp_path):
    assert odds_gap(biased) > 0.3
    assert odds_gap(further) > 0.2
    repaired = applied(remedy, tmp_path, biased)
    assert odds_gap(repaired) < min(odds_gap(biased), odds_gap(further)) - 0.1
    assert accuracy(repaired) > accuracy(biased)
    assert weights(repaired).keys() == weights(biased).keys()


@pytest.mark.parametrize("remedy", CHOSEN)
def test_a_model_that_is_already_fair_is_not_harmed(remedy, fair, tmp_path):
    repaired = applied(
        remedy, tmp_path, fair, marked(640, 12), epochs=2, context={"validation": marked(200, 13)}
    )
    before, after = (answers(path, FRESH.inputs) == FRESH.labels for path in (fair, repaired))
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    change = paired_gap(gained, lost, len(FRESH), 0.05)
    assert change.upper >= 0
    assert change.lower > -0.1


@pytest.mark.parametrize("remedy", CHOSEN)
def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(remedy, biased, tmp_path):
    def stopping(share: float) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    small = {"train": TRAIN.rows(np.arange(160)), "epochs": 2}
    whole = applied(remedy, tmp_path / "whole", biased, **small)
    cut = opened(tmp_path / "cut", biased, validation=VALIDATION, advance=stopping)
    with pytest.raises(KeyboardInterrupt):
        applied(remedy, tmp_path, biased, context={"fine_tune": cut.fine_tune}, **small)
    assert checkpoints(cut.folder / "model")
    assert same(whole, applied(remedy, tmp_path / "cut", biased, **small))


def parity_kept(remedy: str, model: Path, folder: Path, **chosen: Any) -> float:
    repaired = applied(remedy, folder, model, **chosen)
    predicted = answers(repaired, FRESH.inputs)
    return widest_gap(predicted, FRESH.labels, FRESH.groups["dialect"], (1,), "demographic-parity")


def test_a_limit_on_selection_rates_is_kept_where_true_shares_differ(biased, tmp_path):
    chosen = {"constraint": "demographic-parity"}
    assert parity_kept("fairness.constrained-loss", biased, tmp_path, **chosen) < 0.15


def test_an_adversary_may_read_the_answers_only(biased, tmp_path):
    repaired = applied("fairness.adversarial-debiasing", tmp_path, biased, reads="logits")
    assert odds_gap(repaired) < odds_gap(biased) - 0.1


class Kept:
    """Takes what a remedy hands to the training."""

    def __init__(self, model: Path) -> None:
        self.model = model

    def __call__(self, rows, params, *, hooks):
        self.rows, self.hooks = rows, hooks
        return self.model


def handed(remedy: str, data: AuditData, **chosen: Any) -> tuple[Kept, list[str]]:
    """What a remedy trains on, and what it says. No model is asked."""
    kept, said = Kept(Path("model")), []
    made = RemedyContext(
        model=Path("model"), train=data, validation=data, predictor=None, ask=None,
        fine_tune=kept, seed=0, rng=np.random.default_rng(0), work=Path("made"), note=said.append,
    )  # fmt: skip
    REMEDIES[remedy].apply(made, params(remedy, **chosen))
    return kept, said


def rows_of(counts: dict[tuple[str | None, int], int], names: tuple[str, ...] = NAMES) -> AuditData:
    """As many rows of each group with each label."""
    pairs = [pair for pair, rows in counts.items() for _ in range(rows)]
    return AuditData(
        tuple(f"text {i}" for i in range(len(pairs))),
        np.array([label for _, label in pairs]),
        names,
        positive=1 if len(names) == 2 else None,
        groups={"dialect": Attribute.from_values("dialect", [group for group, _ in pairs])},
    )


def test_reweighing_weighs_by_hand_and_says_which_weights_it_cut():
    data = rows_of({("a", 0): 2, ("a", 1): 98, ("b", 0): 98, ("b", 1): 2})
    kept, said = handed("fairness.reweighing", data, cap=5.0)
    cut, plain = 5.0, 0.5 / 0.98
    assert kept.rows.weights == pytest.approx([cut] * 2 + [plain] * 196 + [cut] * 2)
    (sentence,) = said
    assert sentence == (
        "Weights were cut to the cap of 5: a labelled negative (2 rows, weight 25), "
        "b labelled positive (2 rows, weight 25)."
    )


def test_reweighing_says_what_no_weight_can_make_up_for():
    _, said = handed("fairness.reweighing", rows_of({("a", 0): 20, ("a", 1): 20, ("b", 0): 20}))
    assert "b labelled positive (0 rows" in said[0]


MISSING_TOO = {("a", 0): 30, ("a", 1): 10, ("b", 0): 10, ("b", 1): 30, (None, 0): 5, (None, 1): 5}


@pytest.mark.parametrize("remedy", CHOSEN)
def test_rows_of_unknown_group_are_trained_on_and_counted(remedy):
    chosen = {"reads": "logits"} if "adversarial" in remedy else {}
    kept, said = handed(remedy, rows_of(MISSING_TOO), **chosen)
    assert len(kept.rows) == 90
    assert said == [
        "10 of 90 rows to train on are of unknown dialect: they are trained on as usual and belong "
        "to no group."
    ]
    if kept.rows.weights is not None:
        assert kept.rows.weights[-10:].tolist() == [1.0] * 10
        return
    # Without a known group, the loss is the plain cross-entropy.
    logits, labels = torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    batch = {"labels": labels}
    for name, values in kept.rows.columns.items():
        column = torch.from_numpy(values[-4:])
        batch[name] = column.float() if column.is_floating_point() else column
    loss = kept.hooks.loss(logits, batch).detach()
    assert float(loss) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))


@pytest.mark.parametrize("remedy", CHOSEN)
def test_the_attribute_is_found_or_what_to_do_is_said(remedy, tmp_path):
    data = rows_of({("a", 0): 20, ("a", 1): 20, ("b", 0): 20, ("b", 1): 20})
    ages = Attribute.from_values("age", ["old", "young"] * 40)
    both = dataclasses.replace(data, groups={**data.groups, "age": ages})
    none = dataclasses.replace(data, groups={})
    one = dataclasses.replace(
        data, groups={"dialect": Attribute.from_values("dialect", ["a"] * 80)}
    )
    chosen = {"reads": "logits"} if "adversarial" in remedy else {}
    handed(remedy, both, attributes=("age",), **chosen)
    for wrong, named, problem in (
        (both, (), "have 2 sensitive attributes"),
        (none, (), "none is named in data.sensitive"),
        (both, ("agee",), "no sensitive attribute 'agee'"),
        (one, (), r"one group of dialect \(a\)"),
    ):
        with pytest.raises(RemedyError, match=problem) as raised:
            handed(remedy, wrong, attributes=named, **chosen)
        assert raised.value.hint


def test_several_attributes_are_crossed():
    data = rows_of({("a", 0): 40, ("b", 1): 40})
    ages = Attribute.from_values("age", ["old", "young"] * 40)
    both = dataclasses.replace(data, groups={**data.groups, "age": ages})
    kept, _ = handed("fairness.constrained-loss", both, attributes=("dialect", "age"))
    assert sorted(set(kept.rows.columns["group"].tolist())) == [0, 1, 2, 3]


def test_groups_with_few_rows_to_choose_by_are_named():
    _, said = handed("fairness.group-dro", rows_of({("a", 0): 20, ("a", 1): 20, ("b", 1): 9}))
    assert said == [
        "Groups with fewer than 10 rows to choose by do not count when models are compared: b (9)."
    ]


@pytest.mark.parametrize("remedy", CHOSEN)
def test_a_failure_says_why_and_leaves_the_former_model(remedy, biased, tmp_path):
    """Refused data, a loss that is no number, and memory that runs out."""
    config = parse_config(
        {
            "model": {"path": str(biased), "device": "cpu"},
            "data": {"path": "unused.csv", "text": "text"},
        }
    )
    former = tmp_path / "model"
    former.mkdir()
    (former / "config.json").write_text("{}")
    small = TRAIN.rows(np.arange(64))

    def order(train: AuditData, **chosen: Any) -> Order:
        rows = RemedyRows(train, VALIDATION, frozenset(), ())
        return Order(REMEDIES[remedy], params(remedy, epochs=1, **chosen), rows, config, None)

    def exhausted(*_: Any) -> None:
        raise MemoryError

    failures = [
        (order(dataclasses.replace(small, labels=np.ones(64, dtype=np.int64))), "one class"),
        (order(dataclasses.replace(small, groups={})), "sensitive attribute"),
        (order(small, learning_rate=0.9999, weight_decay=1e30), "diverged"),
    ]
    for wrong, problem in failures:
        with pytest.raises(RemedyError, match=problem):
            repair(wrong, tmp_path)
    with pytest.raises(RemedyError, match="memory ran out"):
        repair(order(small), tmp_path, Told(advance=exhausted))
    assert [file.name for file in former.iterdir()] == ["config.json"]


def test_audited_rows_are_not_trained_on(biased, tmp_path):
    audited = frozenset(content_digest(text) for text in TRAIN.inputs[:30])
    left = sum(content_digest(text) in audited for text in TRAIN.inputs)
    shop = opened(tmp_path, biased, validation=VALIDATION, audited=audited)
    applied("fairness.group-dro", tmp_path, biased, epochs=1, context={"fine_tune": shop.fine_tune})
    assert (shop.reports[0].rows, shop.reports[0].left_out) == (len(TRAIN) - left, left)


def loss_of(remedy: str, data: AuditData, **chosen: Any) -> Any:
    kept, _ = handed(remedy, data, **chosen)
    return kept.hooks.loss


def test_group_dro_moves_weight_as_sagawa_et_al_do():
    data = rows_of({("a", 0): 64, ("a", 1): 16, ("b", 1): 4})
    chosen = {"batch": 4, "step_size": 0.1, "size_adjustment": 2.0}
    loss = loss_of("fairness.group-dro", data, **chosen)
    assert loss.weights.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [1.0, 1.0]], requires_grad=True)
    labels, cell = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, -1])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").detach().numpy()
    found = loss(logits, {"labels": labels, "cell": cell})
    log2 = np.log(2)
    running = [0.9 * log2 + 0.1 * losses[:2].mean(), 0.9 * log2 + 0.1 * losses[2], 0.0, log2]
    margins = [2 / 8, 2 / 4, 2, 2 / 2]
    moved = np.array([1, 1, 0, 1]) * np.exp(0.1 * (np.array(running) + margins))
    expected = moved / moved.sum()
    assert loss.weights.tolist() == pytest.approx(expected, rel=1e-5)
    robust = expected[0] * losses[:2].mean() + expected[1] * losses[2]
    assert float(found.detach()) == pytest.approx((3 * robust + losses[3]) / 4, rel=1e-5)


def test_the_multiplier_of_a_limit_rises_while_it_is_broken_and_falls_when_it_is_kept():
    data = rows_of({("a", 0): 50, ("a", 1): 50, ("b", 0): 50, ("b", 1): 50})
    chosen = {"constraint": "demographic-parity", "epochs": 5, "batch": 40, "slack": 0.1}
    loss = loss_of("fairness.constrained-loss", data, **chosen)
    group, labels = torch.tensor([0, 1] * 20), torch.zeros(40, dtype=torch.int64)
    broken = torch.tensor([[0.0, 2.0], [2.0, 0.0]] * 20, requires_grad=True)
    loss(broken, {"labels": labels, "group": group})
    # Group a is selected always, group b never: both are 0.5 from the mean, 0.45 beyond the limit.
    rate = 10.0 / 25
    assert loss.above.tolist() == [[pytest.approx(0.45 * rate)], [0.0]]
    assert loss.below.tolist() == [[0.0], [pytest.approx(0.45 * rate)]]
    slope = torch.autograd.grad(loss(broken, {"labels": labels, "group": group}), broken)[0]
    plain = torch.autograd.grad(torch.nn.functional.cross_entropy(broken, labels), broken)[0]
    assert ((slope - plain)[::2, 1] > 0).all()  # less of class 1 for group a
    assert ((slope - plain)[1::2, 1] < 0).all()  # more of it for group b
    before = loss.above[0, 0].item()
    kept = torch.tensor([[0.0, 2.0]] * 40)
    for _ in range(25):
        loss(kept, {"labels": labels, "group": group})
    assert loss.above[0, 0].item() < before


@pytest.mark.parametrize("constraint", ["equalized-odds", "demographic-parity"])
def test_running_rates_are_those_of_the_rows_for_every_class(constraint):
    names = ("x", "y", "z")
    counts = {(group, label): 30 for group in "ab" for label in range(3)}
    data = rows_of(counts, names)
    chosen = {"constraint": constraint, "epochs": 1, "batch": 180}
    loss = loss_of("fairness.constrained-loss", data, **chosen)
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(180, 3)), dtype=torch.float32)
    labels, group = data.labels, data.groups["dialect"].codes
    loss(logits, {"labels": torch.tensor(labels), "group": torch.tensor(group)})
    chosen_class = logits.argmax(dim=1).numpy()
    probable = logits.softmax(dim=1).numpy()
    masks = [np.ones((180, 3), dtype=bool)]
    if constraint == "equalized-odds":
        truth = labels[:, None] == np.arange(3)
        masks = [truth, ~truth]
    for code in range(2):
        expected, soft = [], []
        for mask in masks:
            for c in range(3):
                own = mask[:, c] & (group == code)
                expected.append((chosen_class[own] == c).mean())
                soft.append(probable[own, c].mean())
        assert (loss.chosen / loss.rows)[code].tolist() == pytest.approx(expected, rel=1e-5)
        assert (loss.probable / loss.rows)[code].tolist() == pytest.approx(soft, rel=1e-5)


def test_the_model_gets_the_adversarys_gradient_reversed_and_the_adversary_its_own():
    data = rows_of({("a", 0): 50, ("a", 1): 50, ("b", 0): 50, ("b", 1): 50})
    chosen = {"reads": "logits", "strength": 2.0}
    loss = loss_of("fairness.adversarial-debiasing", data, **chosen)
    loss.done.fill_(1e6)  # the strength is fully reached
    logits = torch.randn(8, 2, requires_grad=True)
    batch = {
        "labels": torch.tensor([0, 1] * 4),
        "group": torch.tensor([0, 0, 1, 1] * 2),
        "adversary_weight": torch.ones(8),
    }
    plain = torch.nn.functional.cross_entropy(logits, batch["labels"])
    told = torch.nn.functional.one_hot(batch["labels"], 2).float()
    guess = loss.adversary(torch.cat([logits, told], dim=1))
    wrong = torch.nn.functional.cross_entropy(guess, batch["group"])
    ours = [logits, *loss.parameters()]
    of_plain = torch.autograd.grad(plain, logits)[0]
    of_wrong = torch.autograd.grad(wrong, ours)
    found = torch.autograd.grad(loss(logits, batch), ours)
    assert torch.allclose(found[0], of_plain - 2.0 * of_wrong[0], atol=1e-6)
    for one, other in zip(found[1:], of_wrong[1:], strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_adversarys_strength_begins_at_0():
    data = rows_of({("a", 0): 50, ("a", 1): 50, ("b", 0): 50, ("b", 1): 50})
    loss = loss_of("fairness.adversarial-debiasing", data, reads="logits")
    logits = torch.randn(8, 2, requires_grad=True)
    batch = {"labels": torch.tensor([0, 1] * 4), "group": torch.tensor([0, 1] * 4)}
    batch["adversary_weight"] = torch.ones(8)
    plain = torch.nn.functional.cross_entropy(logits, batch["labels"])
    found = torch.autograd.grad(loss(logits, batch), logits)[0]
    assert torch.allclose(found, torch.autograd.grad(plain, logits)[0], atol=1e-7)


@pytest.mark.parametrize("read", [{}, {"representation": torch.zeros(2, 3, 32)}])
def test_a_layer_the_adversary_cannot_read_is_said(read):
    from auditkit.checks.fairness.adversarial_debiasing import Params, adversarial_loss

    loss = adversarial_loss((32, 2, 2), Params(), 10, 0)
    batch = {"labels": torch.tensor([0, 1]), "group": torch.tensor([0, 1])}
    with pytest.raises(RemedyError, match="does not read one vector") as raised:
        loss(torch.zeros(2, 2), batch | {"adversary_weight": torch.ones(2)} | read)
    assert "logits" in raised.value.hint


class Answers:
    """A predictor with given answers."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def predict(self, _: Any) -> Any:
        return self


@pytest.mark.parametrize(
    ("remedy", "chosen", "expected"),
    [
        # 80 rows: group a all right; of b, 5 of 20 positives are missed, 2 of 20 negatives flagged.
        ("fairness.reweighing", {}, 73 / 80 - 5 / 20),
        ("fairness.constrained-loss", {"constraint": "demographic-parity"}, 73 / 80 - 3 / 40),
        ("fairness.adversarial-debiasing", {}, 73 / 80 - 5 / 20),
        ("fairness.group-dro", {}, 15 / 20),
    ],
)
def test_parameters_are_chosen_by_what_the_remedy_is_for(remedy, chosen, expected):
    data = rows_of({("a", 0): 20, ("a", 1): 20, ("b", 0): 20, ("b", 1): 20})
    answered = data.labels.copy()
    answered[40:42], answered[60:65] = 1, 0
    found = REMEDIES[remedy].score(Answers(answered), data, params(remedy, **chosen))
    assert found == pytest.approx(expected)
    kept, _ = handed(remedy, data, **({"reads": "logits"} if "advers" in remedy else {}), **chosen)
    # Reweighing chooses among checkpoints by the weighted accuracy; here all weights are 1.
    best = 73 / 80 if remedy == "fairness.reweighing" else expected
    assert kept.hooks.score(np.eye(2)[answered]) == pytest.approx(best)


@pytest.mark.parametrize(
    ("remedy", "wrong", "said"),
    [
        ("fairness.reweighing", {"cap": 0.5}, "cap"),
        ("fairness.reweighing", {"attributes": ("a", "a")}, "twice"),
        ("fairness.group-dro", {"step_size": -1.0}, "step_size"),
        ("fairness.group-dro", {"size_adjustment": -1.0}, "size_adjustment"),
        ("fairness.constrained-loss", {"slack": 1.0}, "slack"),
        ("fairness.constrained-loss", {"multiplier_rate": 0.0}, "multiplier_rate"),
        ("fairness.adversarial-debiasing", {"strength": 0.0}, "strength"),
        ("fairness.adversarial-debiasing", {"adversary_learning_rate": 1.0}, "learning_rate"),
        ("fairness.adversarial-debiasing", {"adversary_width": 0}, "adversary_width"),
        ("fairness.adversarial-debiasing", {"epochs": 0}, "epochs"),
    ],
)
def test_impossible_parameters_are_refused(remedy, wrong, said):
    with pytest.raises(ValueError, match=said):
        REMEDIES[remedy].params(**wrong)
