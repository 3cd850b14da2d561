"""The configuration of an audit: `auditkit.toml` in, a validated `AuditConfig` out."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from auditkit.errors import ConfigError, nearest
from auditkit.finding import Severity

Name = Annotated[str, Field(min_length=1, max_length=300)]
SeverityName = Annotated[Severity, Field(strict=False)]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are refused, values do not change."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class ModelConfig(Section):
    """The model under audit: exactly one of `path`, `callable`, or prediction columns."""

    path: Name | None = None
    """Folder of a transformers sequence-classification model, or its hub id (needs `online`)."""
    revision: Name | None = None
    """Commit hash of a hub model. Required for a hub id: the same audit means the same model."""
    callable: Name | None = None
    """`module:function` that takes a list of texts and returns an array of probabilities
    (rows, classes), or integer class indices (rows)."""
    label_column: Name | None = None
    """Predictions only: data column with the predicted class."""
    score_columns: list[Name] | None = None
    """Predictions only: data columns with one probability per class, in class order; a single
    column is the probability of the positive class of a binary task."""
    threshold: float = Field(0.5, ge=0.0, le=1.0)
    """Probability from which a single score column counts as positive."""
    class_names: list[Name] | None = None
    """Names of the classes in index order, where the model does not carry them."""
    max_length: int | None = Field(None, ge=1, le=1_000_000)
    """Tokens an input is truncated to; by default what the model's config allows."""
    batch_tokens: int = Field(1024, ge=1, le=10_000_000)
    """Padded tokens of one batch. 512 to 1,024 is fastest on a CPU."""
    workers: int | None = Field(None, ge=1, le=256)
    """Batches asked at once on a CPU, each on one core; by default one per available core. The
    answers do not depend on it. A callable or a GPU is asked one batch at a time."""
    depends_on: list[Name] | None = None
    """Callable only: files and folders besides its own module that its answers depend on, [] if
    there are none. Its answers are kept for the next audit only if this is said."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs; auto takes a GPU when there is one."""
    backend: Literal["torch", "onnx", "int8", "onnx-int8"] = "torch"
    """What computes a transformers model; by default what auditkit-run.json in its folder says, or
    torch. onnx is ONNX Runtime on the CPU, in float32 like torch. At the start both answer some of
    the data's texts; a difference that rounding does not explain stops the audit. It is faster on
    short texts, and asks a known model without loading torch. int8 (torch) and onnx-int8 (ONNX
    Runtime) quantize the linear layers dynamically, on the CPU. That is another model than the
    saved weights; the report says how far it is from them."""

    @model_validator(mode="after")
    def _one_kind(self) -> ModelConfig:
        recorded = self.label_column is not None or self.score_columns is not None
        kinds = [self.path is not None, self.callable is not None, recorded]
        if sum(kinds) != 1:
            raise ValueError(
                "name exactly one of: path (a transformers model), callable (a Python function), "
                "or label_column / score_columns (predictions only)"
            )
        if self.depends_on is not None and self.callable is None:
            raise ValueError("depends_on is for a callable; the other kinds say it themselves")
        if self.backend != "torch" and self.path is None:
            raise ValueError(f'backend = "{self.backend}" is for a transformers model')
        if self.backend != "torch" and self.device not in {"auto", "cpu"}:
            raise ValueError(
                f'backend = "{self.backend}" is for the CPU, not for device = "{self.device}"'
            )
        return self

    @property
    def recorded(self) -> bool:
        """True when there is no model, only columns of predictions."""
        return self.path is None and self.callable is None


def _refuse_address(path: str | None) -> None:
    if path is not None and "://" in path:
        raise ValueError(
            f"{path} is an address, and nothing is fetched; download the file and name that"
        )


class JoinConfig(Section):
    """A second file whose columns are added to the data file's, row by row, by an id."""

    path: Name
    """The second file."""
    on: Name
    """Column that both files have; its values are unique in the second file."""


Instant = str | int | float | datetime.datetime | datetime.date

_BY_COLUMN = {"column", "values", "after", "before"}
_OOD_KEYS = {
    "path": {"path", "text", "label", "label_map", "pair", "sensitive", *_BY_COLUMN},
    "column": _BY_COLUMN,
    "length": {"shift", "share"},
    "topic": {"shift", "share", "words"},
    "label-prior": {"shift", "shares"},
    "shift_file": {"shift_file"},
}
"""The keys of each way to make a set."""


class OodSet(Section):
    """A named set of rows that are out of distribution.

    It is made in exactly one way: rows of a file of its own (`path`), rows of the data file
    (`column`), audited rows chosen or drawn to be different (`shift`), or audited rows changed by a
    function (`shift_file`).
    """

    path: Name | None = None
    """A file of its own, read as the data file is; with `column`, some of its rows."""
    text: Name | None = None
    """With `path`: column with the model's input, where it differs from that of [data]."""
    label: Name | None = None
    """With `path`: column with the true class; by default that of [data], if the file has it."""
    label_map: dict[str, str] | None = None
    """With `path`: label value -> class name, where it differs from that of [data]."""
    pair: Name | None = None
    """With `path`: column with the pair id, where it differs from that of [data]."""
    sensitive: list[Name] | None = None
    """With `path`: columns with sensitive attributes; by default those of [data] that it has."""
    column: Name | None = None
    """Column that tells the rows of the set: by `values`, or by `after` and `before`. Rows of the
    data file are taken from the audited split, or from any split if it is the split column."""
    values: Annotated[list[Name], Field(min_length=1)] | None = None
    """Values of the column whose rows are in the set."""
    after: Instant | None = None
    """Rows at or after this number or ISO date."""
    before: Instant | None = None
    """Rows before this number or ISO date."""
    shift: Literal["length", "topic", "label-prior"] | None = None
    """length: the longest texts. topic: texts with one of `words`, else one cluster of the texts by
    their words. label-prior: rows drawn from half of the audited ones to the class shares in
    `shares`."""
    share: float | None = Field(None, gt=0.0, lt=1.0)
    """Share of the audited rows that length or a topic takes, 0.2 by default."""
    words: Annotated[list[Name], Field(min_length=1)] | None = None
    """Words of the topic that is held out."""
    shares: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]] | None = None
    """Share of each class, by its name; together 1."""
    shift_file: Name | None = None
    """A Python file with a function `shift(texts, labels, seed)` that returns as many texts; it is
    given half of the audited rows, labels as class names or None. Its code is run."""

    @model_validator(mode="after")
    def _one_way(self) -> OodSet:
        _refuse_address(self.path)
        ways = [way for way in ("path", "shift", "shift_file") if getattr(self, way) is not None]
        if not ways and self.column is not None:
            ways = ["column"]
        if len(ways) != 1:
            raise ValueError(
                "name exactly one of: path (a file), column (rows of the data file), shift, or "
                "shift_file (a function)"
            )
        way = self.shift or ways[0]
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given - _OOD_KEYS[way]:
            raise ValueError(f"{min(given - _OOD_KEYS[way])} does not go with {way}")
        self._check_column()
        self._check_shift()
        return self

    def _check_column(self) -> None:
        by_time = self.after is not None or self.before is not None
        if self.column is None and (self.values is not None or by_time):
            raise ValueError("values, after and before say which rows of a column; name the column")
        if self.column is not None and (self.values is not None) == by_time:
            raise ValueError("with column, give either values, or after and before")

    def _check_shift(self) -> None:
        if self.shift == "label-prior" and self.shares is None:
            raise ValueError("label-prior needs shares, the share of each class")
        if self.shares is not None and abs(sum(self.shares.values()) - 1.0) > 1e-6:
            raise ValueError(f"shares sum to {sum(self.shares.values()):g}, not to 1")
        if self.words is not None and self.share is not None:
            raise ValueError("a topic is held out by words or by share, not by both")


class DataConfig(Section):
    """The data to audit on."""

    path: Name | None = None
    """A csv, tsv, jsonl or parquet file, each also gzipped (.gz)."""
    dataset: Name | None = None
    """A hub data set instead of a file (needs `online` and `revision`)."""
    revision: Name | None = None
    """Commit hash of the hub data set."""
    dataset_config: Name | None = None
    """Configuration name of the hub data set, if it has several."""
    join: JoinConfig | None = None
    """Sensitive attributes or labels from a second file."""
    text: Name | None = None
    """Column with the model's input. Not needed for predictions only."""
    label: Name | None = None
    """Column with the true class."""
    label_map: dict[str, str] = Field(default_factory=dict)
    """Value in the label column -> class name of the model, where they differ."""
    positive: Name | None = None
    """Class that counts as the favourable or detected one. By default the last class of a binary
    task, and every class in turn for more classes."""
    sensitive: list[Name] = Field(default_factory=list)
    """Columns with sensitive attributes; they are read, never given to the model."""
    factors: list[Name] = Field(default_factory=list)
    """Columns within whose values a check may compare groups (`given = "seniority"`); they are
    read, never given to the model."""
    split: Name | None = None
    """Column with the name of each row's split."""
    evaluate: Name = "test"
    """The split to audit, when there is a split column."""
    sample: int | None = Field(None, ge=1)
    """Audit this many rows of it, drawn by `seed` in proportion to class and groups; groups that
    are small are kept whole where possible. By default all. `auditkit plan --budget` picks one."""
    cluster: Name | None = None
    """Column whose equal values mark rows that belong together (one person, one document)."""
    pair: Name | None = None
    """Column whose equal values tie a text to its contrast: the same text, changed on purpose, in
    the audited rows or in a set of `ood`."""
    rationale: Name | None = None
    """Column with the characters of each text that people marked as the reason for its label: a
    list of spans, as [[8, 15], [20, 22]], or of single characters, as [8, 9, 10]; [] where they
    marked nothing, no value where nobody was asked."""
    id: Name | None = None
    """Column with a unique row id."""
    ood: dict[Name, OodSet] = Field(default_factory=dict)
    """Named sets of rows that are out of distribution, for the checks of the family `ood`."""
    missing: list[str] = Field(default_factory=lambda: [""])
    """Values that mean "not known" in the label, sensitive, factor and cluster columns."""
    allow_below_chance: bool = False
    """Audit a model that is worse than guessing, which else is taken for a swapped label map."""

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        for path in (self.path, self.join.path if self.join else None):
            _refuse_address(path)
        if (self.path is None) == (self.dataset is None):
            raise ValueError("name exactly one of: path (a file) or dataset (a hub data set)")
        if self.split is None and "evaluate" in self.model_fields_set:
            raise ValueError("evaluate names a split, but split names no column")
        if self.dataset is not None and self.revision is None:
            raise ValueError("a hub data set needs revision, the commit hash to pin it to")
        if self.rationale is not None and self.text is None:
            raise ValueError("rationale marks characters of a text, but text names no column")
        if len(set(self.sensitive)) != len(self.sensitive):
            raise ValueError("sensitive names a column twice")
        if len(set(self.factors)) != len(self.factors):
            raise ValueError("factors names a column twice")
        if both := set(self.factors) & set(self.sensitive):
            raise ValueError(
                f"{min(both)!r} is in sensitive and in factors; a check can compare groups given a "
                "sensitive attribute, too"
            )
        return self


class CheckConfig(Section):
    """Settings of one check."""

    enabled: bool = True
    """False leaves the check out; the report says so."""
    severity: SeverityName | None = None
    """How much a failure matters, where it differs from the check's own."""
    limits: dict[str, float | Literal[False]] = Field(default_factory=dict)
    """Limit by name; false reports the measurement without gating it."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the check, see `auditkit checks ID`."""


class TrainingConfig(Section):
    """The rows that `auditkit mitigate` may train on. None of them may be audited."""

    path: Name | None = None
    """A file with the columns of the data file; by default the data file itself, whose split column
    then tells the rows apart."""
    split: Name = "train"
    """The split to train on, where there is a split column."""
    validation: Name | None = None
    """The split to choose by; by default "validation" if there is one, else rows are held out."""
    hold_out: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of the training rows held out to choose by, where there is no split for that."""

    @model_validator(mode="after")
    def _local(self) -> TrainingConfig:
        _refuse_address(self.path)
        return self


class RemedyConfig(Section):
    """Settings of one remedy."""

    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the remedy, see `auditkit checks ID`."""
    choices: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """Values of parameters to choose among: each combination is trained, and the validation rows
    decide."""


class Waiver(Section):
    """A failure somebody has accepted, for a reason and a time. It stays in the report."""

    check: Name
    """Id of the check."""
    slice: str | None = None
    """Slice the waiver is for; none waives the check on every slice."""
    reason: Annotated[str, Field(min_length=10)]
    """Why this is acceptable, in a sentence."""
    approved_by: Name
    """Who accepted it."""
    expires: datetime.date
    """Last day it holds."""


class Policy(Section):
    """What blocks a release."""

    fail_on: SeverityName = Severity.MEDIUM
    """Lowest severity that blocks; what lies below is reported as a warning."""
    inconclusive: Literal["block", "warn"] = "block"
    """Whether a check that cannot be decided blocks. "warn" suits a pull request, not a release."""
    waivers: list[Waiver] = Field(default_factory=list)
    """Accepted failures."""


class ReportConfig(Section):
    """Where the results go and how they are headed."""

    directory: Name = "audit"
    """Run directory: result.json, report.html, junit.xml and summary.md are written there."""
    title: Name | None = None
    """Heading of the report; by default the name of the model."""


class TimingConfig(Section):
    """The machine that the checks of the family `latency` time the model on."""

    hardware: Name | None = None
    """Fingerprint of the machine that the limits were set on, as the report shows it; on any other
    machine a limit on a time is inconclusive."""
    hourly_price: float | None = Field(default=None, gt=0.0, le=1e9)
    """Price of an hour of this machine, from which that of a million requests follows."""
    currency: Name = "USD"
    """The currency of that price."""


class ExplanationsConfig(Section):
    """What the checks of the family `explanations` have in common; each has these parameters, too.

    What is not set here has the default of the check.
    """

    methods: list[Name] = Field(default_factory=list)
    """Methods of explanation; see the parameter of the checks."""
    examples: int = Field(default=50, ge=1, le=1_000_000)
    """Texts whose answers are explained."""
    samples: int | Literal["auto"] = "auto"
    """Texts that LIME asks about per example."""
    steps: int = Field(default=50, ge=1, le=10_000)
    """Points between baseline and text, for integrated gradients."""


class CacheConfig(Section):
    """Answers of the model kept on disk, so that the next audit asks only what is new."""

    enabled: bool = True
    """False asks the model everything again and keeps nothing."""
    directory: Name | None = None
    """Folder that only you can write; by default $AUDITKIT_CACHE, else ~/.cache/auditkit."""
    max_megabytes: int = Field(default=1000, ge=1, le=1_000_000)
    """Size from which on the models used longest ago are forgotten."""


class AuditConfig(Section):
    """One audit, as written in `auditkit.toml`."""

    model: ModelConfig
    """The model under audit."""
    data: DataConfig
    """The data to audit on."""
    baseline: ModelConfig | None = None
    """Another model that is asked about the same rows, for checks that compare with it: the one in
    production, or the model before it was fine-tuned. It has the classes of the model under audit;
    where it does not name its classes, these are its."""
    checks: dict[str, CheckConfig] = Field(default_factory=dict)
    """Settings per check id. A check named here must be able to run, or the audit is incomplete."""
    only: Annotated[list[Name], Field(min_length=1)] | None = None
    """Run only these checks; by default every check that the model and the data allow."""
    plugins: list[Name] = Field(default_factory=list)
    """Folders with checks and remedies of your own. Their code is run."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """The rows that `auditkit mitigate` may train on."""
    remedies: dict[str, RemedyConfig] = Field(default_factory=dict)
    """Settings per remedy id."""
    policy: Policy = Field(default_factory=Policy)
    """What blocks a release."""
    report: ReportConfig = Field(default_factory=ReportConfig)
    """Where the results go."""
    cache: CacheConfig = Field(default_factory=CacheConfig)
    """Where answers are kept for the next audit."""
    timing: TimingConfig | None = None
    """With this table, empty or not, every check that times the model runs; without it only those
    that are named."""
    explanations: ExplanationsConfig | None = None
    """With this table, empty or not, every check of explanations runs; without it only those that
    are named."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of every random number; the same seed gives the same report."""
    confidence: float = Field(0.95, ge=0.8, le=0.9999)
    """One-sided confidence of every claim."""
    online: bool = False
    """Allow the network, for a hub model, data set or metric."""


def load_config(path: Path) -> AuditConfig:
    """Read an `auditkit.toml`. Relative paths in it are taken from its own folder.

    Raises:
        ConfigError: The file cannot be read, is not TOML, has duplicate keys, or says something
            `AuditConfig` refuses; the message names file and key.
    """
    table = _read_toml(path)
    config = parse_config(table, source=str(path))
    return _resolve_paths(config, path.resolve().parent)


def names_file(name: str, value: object) -> bool:
    """Whether a parameter of a check is a path: its name ends in `_file`, and it is not empty."""
    return name.endswith("_file") and isinstance(value, str) and value != ""


def names_folder(name: str, value: object) -> bool:
    """As `names_file`, for names that end in `_folder`."""
    return name.endswith("_folder") and isinstance(value, str) and value != ""


def load_policy(path: Path) -> Policy:
    """Read the `[policy]` table of a file that may have other tables too.

    Raises:
        ConfigError: As `load_config`, or the file has no `[policy]`.
    """
    table = _read_toml(path)
    if "policy" not in table:
        raise ConfigError(f"{path}: no [policy] table.", nearest("policy", table))
    try:
        return Policy.model_validate(table["policy"])
    except ValidationError as error:
        raise _config_error(error, f"{path}: [policy]", Policy) from None


def parse_toml(text: str, source: str) -> AuditConfig:
    """Validate a configuration given as TOML text; see `parse_config`."""
    try:
        return parse_config(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}.") from None


def parse_config(table: Mapping[str, Any], source: str = "configuration") -> AuditConfig:
    """Validate a configuration given as nested tables.

    Raises:
        ConfigError: A key is unknown, a value has the wrong type or is impossible.
    """
    try:
        return AuditConfig.model_validate(table)
    except ValidationError as error:
        raise _config_error(error, source, AuditConfig) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file.", "Write one with: auditkit init MODEL DATA"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from None


def _config_error(error: ValidationError, source: str, root: type[Section]) -> ConfigError:
    """All complaints of pydantic as one message in the user's words."""
    lines, hints = [], []
    for detail in error.errors(include_url=False):
        if detail["type"] == "literal_error" and "literal[False]" in detail["loc"]:
            continue  # the other half of "a number or false", already complained about
        where = _dotted(detail["loc"])
        if detail["type"] == "extra_forbidden":
            lines.append(f"{source}: unknown key {where}.")
            hints.append(nearest(str(detail["loc"][-1]), _fields_at(root, detail["loc"][:-1])))
        else:
            lines.append(f"{source}: {where + ': ' if where else ''}{_complaint(detail)}.")
    return ConfigError("\n".join(lines), "\n".join(dict.fromkeys(h for h in hints if h)))


def _complaint(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    shown = repr(detail["input"])
    is_table = isinstance(detail["input"], dict)
    return message if is_table or len(shown) > 80 else f"{message}, not {shown}"


def _dotted(location: Iterable[int | str]) -> str:
    """`checks."fairness.impact-ratio".limits.ratio`; branches of unions are left out."""
    parts = []
    for part in location:
        text = str(part)
        if text in {"float", "literal[False]"}:
            continue
        parts.append(f'"{text}"' if "." in text else text)
    return ".".join(parts)


def _fields_at(root: type[Section], location: Iterable[int | str]) -> list[str]:
    """Names of the keys allowed in the table at `location`."""
    current = root
    for part in location:
        field = current.model_fields.get(str(part))
        # A part that is no field is a position in a list or a key of a table of sections.
        current = (_section_in(field.annotation) if field else None) or current
    return list(current.model_fields)


def _section_in(annotation: Any) -> type[Section] | None:
    """The Section inside `X | None`, `list[X]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in {Union, UnionType, list, dict, Annotated}:
        found = (_section_in(part) for part in get_args(annotation))
        return next((section for section in found if section), None)
    return None


def _resolve_paths(config: AuditConfig, folder: Path) -> AuditConfig:
    """Make relative file paths absolute. A model path that is no folder stays: it is a hub id."""

    def anchored(path: str) -> str:
        return str(folder / Path(path).expanduser())

    data = config.data
    if data.path is not None:
        data = data.model_copy(update={"path": anchored(data.path)})
    if data.join is not None:
        data = data.model_copy(
            update={"join": data.join.model_copy(update={"path": anchored(data.join.path)})}
        )
    data = data.model_copy(update={"ood": _anchored_sets(data.ood, anchored)})
    cache = config.cache
    if cache.directory is not None:
        cache = cache.model_copy(update={"directory": anchored(cache.directory)})
    training = config.training
    if training.path is not None:
        training = training.model_copy(update={"path": anchored(training.path)})
    directory = config.report.model_copy(update={"directory": anchored(config.report.directory)})
    plugins = [anchored(plugin) for plugin in config.plugins]
    checks = {
        name: check.model_copy(update={"params": _with_paths(check.params, folder)})
        for name, check in config.checks.items()
    }
    remedies = {
        name: remedy.model_copy(update={"params": _with_paths(remedy.params, folder)})
        for name, remedy in config.remedies.items()
    }
    return config.model_copy(
        update={
            "model": _anchored_model(config.model, folder),
            "baseline": None
            if config.baseline is None
            else _anchored_model(config.baseline, folder),
            "data": data,
            "report": directory,
            "plugins": plugins,
            "cache": cache,
            "training": training,
            "checks": checks,
            "remedies": remedies,
        }
    )


def _anchored_model(model: ModelConfig, folder: Path) -> ModelConfig:
    """Its files taken from `folder`; a path that is no folder stays."""
    if model.path is not None and (there := folder / Path(model.path).expanduser()).exists():
        model = model.model_copy(update={"path": str(there)})
    if model.depends_on is not None:
        depends_on = [str(folder / Path(path).expanduser()) for path in model.depends_on]
        model = model.model_copy(update={"depends_on": depends_on})
    return model


def _anchored_sets(sets: Mapping[str, OodSet], anchored: Callable[[str], str]) -> dict[str, OodSet]:
    return {
        name: one.model_copy(
            update={
                key: anchored(value)
                for key in ("path", "shift_file")
                if (value := getattr(one, key)) is not None
            }
        )
        for name, one in sets.items()
    }


def _with_paths(params: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Parameters with the files and folders they name taken from `folder`."""
    return {
        key: str(folder / Path(value).expanduser())
        if names_file(key, value) or names_folder(key, value)
        else value
        for key, value in params.items()
    }
