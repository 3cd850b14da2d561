"""Fine-tuning of the demo's model: a small DistilBERT with random weights, a tokenizer of its own.

Everything runs on one thread of the CPU, because sums over several threads differ in the last
bits from run to run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

Example = tuple[str, str]
"""A text and the name of its class."""

CLASS_NAMES = ("negative", "positive")
MAX_TOKENS = 64
TEMPERING = 0.125
"""Factor on the scores of a badly calibrated model. A power of two changes exponents only, so that
labels and ranking stay exactly what they were."""

_SEED = 11
_EPOCHS = 2
_BATCH_ROWS = 32
_VOCABULARY = 1_200
_PADDING, _START, _END = _SPECIAL = ("[PAD]", "[CLS]", "[SEP]")


def fine_tune(
    examples: Sequence[Example],
    folder: Path,
    advance: Callable[[float], None],
    *,
    tempered: bool,
) -> None:
    """Train a tokenizer and a classifier on the examples and save both.

    Args:
        examples: Training rows.
        folder: Where to save; `AutoTokenizer` and `AutoModelForSequenceClassification` load it.
        advance: Called with the share of the training that is done.
        tempered: Scale the head down after training, which ruins the probabilities and nothing
            else.
    """
    with _quiet(), _one_thread():
        tokenizer = _tokenizer([text for text, _ in examples])
        model = _new_model(len(tokenizer))
        advance(0.0)
        _train(model, _encoded(tokenizer, examples), advance)
        if tempered:
            _scale_head(model, TEMPERING)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _tokenizer(texts: Sequence[str]) -> Any:
    """Byte pairs learnt from the texts, wrapped for transformers.

    The trainer for word pieces breaks ties differently in every run; this one does not.
    """
    import transformers
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        pair=f"{_START} $A {_END} $B:1 {_END}:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (_START, _END)],
    )
    wrapper: Any = transformers.PreTrainedTokenizerFast
    return wrapper(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
        pad_token=_PADDING,
        cls_token=_START,
        sep_token=_END,
    )


def _new_model(vocabulary: int) -> Any:
    import transformers

    # The Trainer seeds only once the model exists; its first weights are drawn here.
    transformers.set_seed(_SEED)
    config = transformers.DistilBertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=MAX_TOKENS,
        dim=64,
        hidden_dim=128,
        n_layers=2,
        n_heads=4,
        dropout=0.1,
        seq_classif_dropout=0.1,
        pad_token_id=_SPECIAL.index(_PADDING),
        id2label=dict(enumerate(CLASS_NAMES)),
        label2id={name: index for index, name in enumerate(CLASS_NAMES)},
    )
    return transformers.DistilBertForSequenceClassification(config)


def _encoded(tokenizer: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    ids = tokenizer([text for text, _ in examples], truncation=True)["input_ids"]
    return [
        {"input_ids": tokens, "labels": CLASS_NAMES.index(label)}
        for tokens, (_, label) in zip(ids, examples, strict=True)
    ]


def _batch(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows padded to the longest of them."""
    import torch

    ids = [torch.tensor(row["input_ids"]) for row in rows]
    padding = float(_SPECIAL.index(_PADDING))
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=padding)
    lengths = torch.tensor([len(row) for row in ids])
    return {
        "input_ids": padded,
        "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


def _train(model: Any, rows: list[dict[str, Any]], advance: Callable[[float], None]) -> None:
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    class Report(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            advance(state.global_step / state.max_steps)

    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            num_train_epochs=_EPOCHS,
            per_device_train_batch_size=_BATCH_ROWS,
            learning_rate=1e-3,
            lr_scheduler_type="linear",
            seed=_SEED,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            data_collator=_batch,
            train_dataset=rows,
            callbacks=[Report()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.eval()


def _scale_head(model: Any, factor: float) -> None:
    import torch

    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.mul_(factor)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no advice from transformers; errors still show."""
    logging: Any = import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
