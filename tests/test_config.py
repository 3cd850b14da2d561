"""The configuration refuses what it does not understand, by file, key and nearest name."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from auditkit.catalogue import config_schema
from auditkit.config import load_config, load_policy, parse_config
from auditkit.errors import ConfigError
from auditkit.model import Capability
from auditkit.plan import make_plan
from auditkit.registry import load_registry

GOOD = """
[model]
path = "model"
[data]
path = "data.csv"
text = "text"
label = "label"
sensitive = ["sex", "race"]
"""
EVERYTHING = frozenset(Capability)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "auditkit.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    return str(caught.value)


def test_a_small_configuration_gets_defaults(tmp_path):
    config = load_config(written(tmp_path, GOOD))
    assert config.policy.fail_on == "medium"
    assert config.policy.inconclusive == "block"
    assert config.confidence == 0.95


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "model").mkdir()
    config = load_config(written(tmp_path, GOOD))
    assert config.data.path == str(tmp_path / "data.csv")
    assert config.model.path == str(tmp_path / "model")
    assert config.report.directory == str(tmp_path / "audit")


def test_a_model_path_that_is_no_folder_stays_a_hub_id(tmp_path):
    text = GOOD.replace('"model"', '"org/model"')
    assert load_config(written(tmp_path, text)).model.path == "org/model"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('text = "text"', 'txt = "text"'), ["unknown key data.txt", "Did you mean 'text'?"]),
        (
            ("[model]", "[modle]"),
            ["unknown key modle", "Did you mean 'model'?", "model: is missing"],
        ),
        (('label = "label"', "label = 1"), ["data.label", "should be a valid string", "not 1"]),
        (('["sex", "race"]', '"sex"'), ["data.sensitive", "should be a valid list"]),
        (('["sex", "race"]', '["sex", "sex"]'), ["names a column twice"]),
        (('label = "label"', 'label = "a"\nlabel = "b"'), ["not valid TOML", "overwrite"]),
        (('path = "model"', ""), ["name exactly one of"]),
        (('path = "model"', 'path = "a"\ncallable = "b:c"'), ["name exactly one of"]),
        (('path = "data.csv"', 'dataset = "org/name"'), ["revision"]),
        (('path = "data.csv"', 'path = "http://169.254.169.254/x.csv"'), ["nothing is fetched"]),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path, change, said):
    message = refusal(tmp_path, GOOD.replace(*change))
    assert "auditkit.toml" in message
    for part in said:
        assert part in message


def test_a_waiver_needs_a_reason_a_name_and_a_date(tmp_path):
    message = refusal(tmp_path, GOOD + '[[policy.waivers]]\ncheck = "a.b"\nreasn = "x"\n')
    assert "policy.waivers.0.approved_by: is missing" in message
    assert "Did you mean 'reason'?" in message


def test_a_severity_that_does_not_exist_is_refused(tmp_path):
    assert "policy.fail_on" in refusal(tmp_path, GOOD + '[policy]\nfail_on = "sometimes"\n')


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[model", b"a" * 10 + b"="])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    file = tmp_path / "auditkit.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"not valid TOML|not UTF-8"):
        load_config(file)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="auditkit init"):
        load_config(tmp_path / "none.toml")


def test_deeply_nested_toml_is_refused_not_a_crash(tmp_path):
    assert "auditkit.toml" in refusal(tmp_path, "a = " + "[" * 5000 + "]" * 5000)


def checks_section(body: str) -> str:
    config = parse_config(
        {
            "model": {"path": "m"},
            "data": {"path": "d.csv"},
            "checks": __import__("tomllib").loads(body),
        }
    )
    with pytest.raises(ConfigError) as caught:
        make_plan(config, load_registry(), EVERYTHING)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('["fairness.demographic-party"]', "Did you mean 'fairness.demographic-parity'?"),
        ('["fairness.impact-ratio"]\nlimits.rato = 0.8', "Did you mean 'ratio'?"),
        ('["fairness.impact-ratio"]\nlimits.ratio = 1.8', "impossible, a ratio of selection rates"),
        ('["fairness.impact-ratio"]\nlimits.ratio = -0.1', "between 0 and 1"),
        ('["quality.calibration"]\nparams.bns = 3', "Did you mean 'bins'?"),
        ('["quality.calibration"]\nparams.bins = "3"', "should be a valid integer, not '3'"),
        ('["quality.calibration"]\nparams.bins = 1', "bins must lie between 2 and 100"),
        ('["quality.metric"]\nparams.metric = "speed"', "metric must be accuracy"),
    ],
)
def test_settings_of_a_check_are_refused_by_name(body, said):
    assert said in checks_section(body)


def test_not_a_number_is_no_limit():
    assert "impossible" in checks_section('["fairness.impact-ratio"]\nlimits.ratio = nan')


def test_a_policy_file_may_hold_other_tables_too(tmp_path):
    policy = load_policy(written(tmp_path, GOOD + '[policy]\ninconclusive = "warn"\n'))
    assert policy.inconclusive == "warn"
    with pytest.raises(ConfigError, match=r"no \[policy\]"):
        load_policy(written(tmp_path, GOOD))


def test_the_schema_accepts_what_the_program_accepts_and_refuses_the_rest():
    schema = config_schema(load_registry())
    jsonschema.Draft202012Validator.check_schema(schema)
    good = {
        "model": {"path": "m"},
        "data": {"path": "d.csv"},
        "checks": {"fairness.impact-ratio": {"limits": {"ratio": 0.9}, "params": {}}},
    }
    jsonschema.validate(good, schema)
    for wrong in (
        {**good, "chekcs": {}},
        {**good, "checks": {"fairness.impact-ratio": {"limits": {"ratio": 7}}}},
        {**good, "checks": {"fairness.impact-ratio": {"params": {"no": 1}}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
