"""The command line. Every command returns an exit code; `main` turns errors into one too."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditkit import __version__
from auditkit.errors import AuditkitError, ConfigError, ResultError

if TYPE_CHECKING:
    from rich.console import Console

    from auditkit.config import AuditConfig
    from auditkit.guess import Guess
    from auditkit.result import AuditResult

EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED = 2, 4, 130

EPILOG = """\b
Exit codes:
  0  every check that blocks has passed
  1  a check failed
  2  the command, the configuration, the data or the model is unusable
  3  a check could not be decided with this much data
  4  a check crashed, one the configuration names could not run, or nothing can be written
  5  nothing ran
  130, 143  stopped by Ctrl-C, by SIGTERM; the same command goes on from there
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    _survive_any_text()
    try:
        code = cli.main(args=None if argv is None else list(argv), standalone_mode=False)
    except AuditkitError as error:
        _complain(f"{error.slug}: {error.message}", error.hint)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_INTERNAL
    except (Exception, SystemExit) as error:  # exit(0) in somebody's model is no pass
        _complain(
            f"internal: {type(error).__name__}: {error}",
            "This is a fault in auditkit. Run with --traceback before the command to see where.",
        )
        if "--traceback" in (sys.argv[1:] if argv is None else argv):
            raise
        return EXIT_INTERNAL
    gc.freeze()  # what torch and transformers left is not worth collecting on the way out
    return code if isinstance(code, int) else 0


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="auditkit")
@click.option("--traceback", is_flag=True, help="Show where an internal error happened.")
def cli(traceback: bool) -> None:
    """The pre-release gate for fine-tuned models."""


@cli.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="demo",
    show_default=True,
    help="Folder that keeps model, data, config and report.",
)
@click.option("--clean", is_flag=True, help="Build the same model without its planted defects.")
def demo(out: Path, clean: bool) -> int:
    """Fine-tune a small model with two planted defects, audit it, and find both."""
    from auditkit.config import load_config
    from auditkit.demo import build, unexpected
    from auditkit.progress import TerminalProgress

    with TerminalProgress(_stderr()) as progress:
        files = build(out, progress.portion, planted=not clean)
    result = _audit(load_config(files.config))
    surprises = unexpected(result.findings, files.planted)
    console = _stdout()
    console.print()
    for plant in files.planted:
        console.print(
            f"planted: {plant.description} → {plant.check}", markup=False, highlight=False
        )
    for surprise in surprises:
        console.print(f"not as planned: {surprise}", markup=False, highlight=False)
    code = result.decision.exit_code
    console.print(
        f"The gate returns exit code {code} for this model.\n"
        f"Go on from here: open {out / 'audit' / 'report.html'}, or change {files.config} and run\n"
        f"  auditkit run {files.config}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return EXIT_INTERNAL if surprises else 0


MODEL_OPTIONS = [
    click.option("--text", help="Column with the model's input."),
    click.option("--label", help="Column with the true class."),
    click.option("--sensitive", help="Columns with sensitive attributes: a,b"),
    click.option("--positive", help="Class that counts as favourable or detected."),
    click.option("--split", help="Column with each row's split."),
    click.option("--evaluate", help="Split to audit."),
    click.option("--cluster", help="Column that marks rows belonging together."),
    click.option("--predicted", help="Predictions only: column with the predicted class."),
    click.option("--scores", help="Predictions only: columns with probabilities: a,b"),
]


def with_model_options(function: Any) -> Any:
    """Add the options that describe a model and its data."""
    for option in reversed(MODEL_OPTIONS):
        function = option(function)
    return function


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="CONFIG | MODEL DATA | DATA")
@with_model_options
@click.option("--out", help="Run directory; overrides the configuration's.")
@click.option("--seed", type=int, help="Seed of every random number.")
@click.option("--only", help="Run only these checks: a,b")
@click.option("--fresh", is_flag=True, help="Measure everything anew; earlier runs are kept.")
@click.option("--online", is_flag=True, help="Allow the network (hub model, data set or metric).")
@click.option("--no-cache", is_flag=True, help="Ask the model everything again; keep nothing.")
def run(what: tuple[str, ...], **options: Any) -> int:
    """Audit a model: from a configuration, or a model and a data file.

    \b
    auditkit run auditkit.toml
    auditkit run ./my-model data.csv --label label --sensitive gender,age
    auditkit run package.module:predict data.csv --label label
    auditkit run predictions.csv --label label --predicted prediction --sensitive gender

    A run that was cut off goes on where it stopped: run the same command again. When nothing has
    changed since the last run, its verdict is shown and nothing is measured.
    """
    config = _overridden(_configuration(what, options), options)
    return _audit(config, fresh=options["fresh"]).decision.exit_code


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="CONFIG | MODEL DATA | DATA")
@with_model_options
@click.option("--out", help="Run directory whose finished checks count; as for `auditkit run`.")
@click.option("--seed", type=int, help="Seed of every random number.")
@click.option("--only", help="Plan only these checks: a,b")
@click.option("--fresh", is_flag=True, help="Plan to measure everything anew.")
@click.option("--online", is_flag=True, help="Allow the network (hub model, data set or metric).")
@click.option("--no-cache", is_flag=True, help="Plan to ask the model everything again.")
@click.option("--budget", help="Pick how many rows to audit in this time: 30s, 10m, 1h.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Plan a run that has finished as if it had not, and compare: its folder or result.json.",
)
@click.option("--format", "format_name", default="text", show_default=True, help="text or json.")
def plan(
    what: tuple[str, ...],
    budget: str | None,
    against: Path | None,
    format_name: str,
    **options: Any,
) -> int:
    """Say what an audit will cost and what it can show. Writes nothing.

    The model is timed on a few batches, unless the cache answers for it. Attacks run on a few rows
    to see what they cost; no answer or outcome is shown or kept. What the run directory holds
    already, and what the cache answers, costs nothing.
    """
    from auditkit.forecast import forecast
    from auditkit.forecast.budget import parse_budget
    from auditkit.forecast.comparison import compare
    from auditkit.render.outlook import comparison, outlook
    from auditkit.render.outlook_json import outlook_json

    if format_name not in {"text", "json"}:
        raise ConfigError(f"--format {format_name!r}: a plan is text or json.")
    seconds = parse_budget(budget) if budget else None
    record = _read_result(against) if against else None
    if record is not None:
        options["fresh"] = True
        options["no_cache"] = options["no_cache"] or not record.timing.asking.cached
    config = _overridden(_configuration(what, options), options)
    expected, fitted = forecast(config, seconds, fresh=options["fresh"])
    compared = None if record is None else compare(expected, record)
    if format_name == "json":
        click.echo(outlook_json(expected, fitted, compared))
        return 0
    console = _stdout()
    console.print(outlook(expected, fitted))
    if compared is not None:
        console.print(comparison(compared))
    return 0


@cli.command("mitigate")
@click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG")
@click.option("--remedy", "remedies", multiple=True, required=True, help="Id of a remedy.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for models, audits and the comparison; by default mitigation beside the run "
    "directory.",
)
@click.option(
    "--allow-same-attack",
    is_flag=True,
    help="Judge by the attack that was trained against, all the same.",
)
@click.option("--seed", type=int, help="Seed of every random number.")
def mitigate_command(
    config: Path,
    remedies: tuple[str, ...],
    out: Path | None,
    allow_same_attack: bool,
    seed: int | None,
) -> int:
    """Repair a model by retraining, audit it again, and compare.

    \b
    auditkit mitigate auditkit.toml --remedy robustness.embedding-pgd
    auditkit mitigate auditkit.toml --remedy A --remedy B    compares both
    auditkit checks                     lists the remedies

    The rows to train on come from [training] and must not be audited. Every repaired model is a
    folder that transformers loads. A mitigation that was cut off goes on where it stopped: run the
    same command again. With several remedies the validation rows choose among the models, and a
    remedy that fails does not keep the others from it. The exit code is that of the gate for the
    repaired model; with several 0 if one of them passes, else that of the first; 4 if one failed.
    """
    from auditkit.closed_loop import PAGE_NAME, mitigate
    from auditkit.config import load_config
    from auditkit.progress import TerminalProgress
    from auditkit.render.mitigation_terminal import summary
    from auditkit.signals import stopping_cleanly

    settings = _overridden(load_config(config), {"out": None, "only": None, "seed": seed,
                                                 "online": False})  # fmt: skip
    folder = out or Path(settings.report.directory).parent / "mitigation"
    kept = f"what was finished is kept in {folder}"
    with stopping_cleanly(folder, kept), TerminalProgress(_stderr()) as progress:
        record = mitigate(
            settings, remedies, progress, out=folder, allow_same_attack=allow_same_attack
        )
    console = _stdout()
    console.print(summary(record))
    console.print(f"report: {folder / PAGE_NAME}", markup=False, highlight=False, soft_wrap=True)
    return record.exit_code


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="MODEL DATA | DATA")
@with_model_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="auditkit.toml",
    show_default=True,
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init(what: tuple[str, ...], out: Path, force: bool, **options: Any) -> int:
    """Write an auditkit.toml for a model and a data file."""
    from auditkit.config import parse_toml
    from auditkit.guess import config_text
    from auditkit.store import write_atomic

    if out.exists() and not force:
        raise ConfigError(f"{out} is there already.", "Overwrite it with --force.")
    guess = _guess(what, options, directory="audit")
    text = config_text(guess.relative_to(out.resolve().parent))
    parse_toml(text, str(out))
    write_atomic(out, text)
    console = _stdout()
    for line in guess.guessed:
        console.print(f"guessed  {line}", markup=False, highlight=False)
    console.print(f"wrote {out}. Read it, then: auditkit run {out}", markup=False, highlight=False)
    return 0


@cli.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--policy", type=click.Path(path_type=Path), help="TOML file with a [policy] table.")
def gate(result: Path, policy: Path | None) -> int:
    """Judge a saved result again, without the model."""
    import datetime

    from auditkit.config import load_policy

    record = _read_result(result)
    rules = load_policy(policy) if policy else record.policy
    decided = record.under(rules, datetime.datetime.now(datetime.UTC).date())
    _show(decided)
    return decided.decision.exit_code


@cli.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", default="html", show_default=True, help="html, junit, md or json."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File; standard output if none."
)
def report(result: Path, format_name: str, out: Path | None) -> int:
    """Render a saved result."""
    from auditkit.render import render
    from auditkit.store import write_atomic

    text = render(_read_result(result), format_name)
    if out is None:
        click.echo(text)
    else:
        write_atomic(out, text)
    return 0


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="RUN")
def verify(folder: Path) -> int:
    """Prove a run directory: every file is as it was written, every verdict follows.

    Needs neither model nor data. Exit code 0 if all is equal, 1 if anything differs, 2 if the
    directory cannot be read.
    """
    from auditkit.verify import verify as verify_run

    verification = verify_run(folder)
    console = _stdout()
    for line in (*verification.notes, *verification.differences):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(verification.verdict, markup=False, highlight=False, soft_wrap=True)
    return 1 if verification.differences else 0


@cli.command()
@click.argument("check_id", required=False, metavar="[ID]")
@click.option(
    "--plugins", multiple=True, type=click.Path(path_type=Path), help="Folder with own checks."
)
def checks(check_id: str | None, plugins: tuple[Path, ...]) -> int:
    """List the checks and remedies, or explain one."""
    from auditkit.catalogue import explain, listing
    from auditkit.registry import load_registry

    registry = load_registry(plugins)
    click.echo(explain(registry.find(check_id)) if check_id else listing(registry))
    for broken in registry.broken:
        _complain(f"plug-in {broken.source}: {broken.error}")
    return EXIT_USAGE if registry.broken else 0


@cli.command()
def doctor() -> int:
    """Say what is installed, what is unsafe, and which checks cannot run here."""
    from rich.table import Table

    from auditkit.doctor import diagnose

    lines = diagnose()
    table = Table("", "", "", box=None, show_header=False, pad_edge=False)
    for line in lines:
        table.add_row(line.state, line.subject, line.detail)
    _stdout().print(table)
    return EXIT_USAGE if any(line.state == "old" for line in lines) else 0


@cli.command()
@click.option("--clear", is_flag=True, help="Forget every answer.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder, if [cache] directory names one. By default $AUDITKIT_CACHE or ~/.cache/auditkit.",
)
def cache(clear: bool, directory: Path | None) -> int:
    """Show or empty the answers kept from earlier audits."""
    from auditkit.prediction_store import FILE, PredictionStore, default_folder

    folder = directory or default_folder()
    if not (folder / FILE).exists():
        click.echo(f"{folder / FILE}: nothing is kept yet.")
        return 0
    with PredictionStore(folder) as store:
        if not store.usable:
            return EXIT_USAGE
        if clear:
            store.clear()
        held = store.contents()
    click.echo(f"path    {folder / FILE}")
    click.echo(f"size    {held.size / 1e6:.1f} MB")
    click.echo(f"models  {held.models}")
    click.echo(f"rows    {held.rows}")
    return 0


@cli.command()
@click.option("--online", is_flag=True, help="Fetch what is missing and has a known digest.")
def resources(online: bool) -> int:
    """List the files that some checks and attacks need, what needs them, and where they go."""
    from auditkit.fetching import described, fetch, listed
    from auditkit.registry import load_registry
    from auditkit.resources import resource_folder

    folder, registry, code = resource_folder(), load_registry(), 0
    for item in listed(registry, folder) if online else ():
        if item.state == "missing" and item.resource.url:
            try:
                click.echo(f"fetched {fetch(item.resource, folder)}")
            except AuditkitError as error:
                _complain(error.message, error.hint)
                code = EXIT_USAGE
    click.echo(f"{folder}  ($AUDITKIT_RESOURCES names another folder)")
    for item in listed(registry, folder):
        click.echo(f"\n{described(item, folder)}")
    return code


def _configuration(what: tuple[str, ...], options: dict[str, Any]) -> AuditConfig:
    from auditkit.config import load_config

    if len(what) == 1 and what[0].lower().endswith(".toml"):
        described = [name for name in _DESCRIPTION if options.get(name)]
        if described:
            raise ConfigError(
                f"--{described[0]} describes a data file, but {what[0]} does so already.",
                "Change it there.",
            )
        return load_config(Path(what[0]))
    guess = _guess(what, options, directory=options["out"] or "audit")
    for line in guess.guessed:
        _stderr().print(f"guessed  {line}", markup=False, highlight=False)
    return guess.config()


_DESCRIPTION = (
    "text",
    "label",
    "sensitive",
    "positive",
    "split",
    "evaluate",
    "cluster",
    "predicted",
    "scores",
)


def _guess(what: tuple[str, ...], options: dict[str, Any], directory: str) -> Guess:
    from auditkit.guess import guess, model_section

    if len(what) > 2:
        raise ConfigError(f"one model and one data file, please, not {len(what)} things.")
    model, data = (None, what[0]) if len(what) == 1 else what
    if model is not None and Path(data).is_dir() and Path(model).is_file():
        raise ConfigError(
            f"{data} is a folder and {model} a file.", "The model comes first, the data second."
        )
    section: dict[str, Any] = {"path": data}
    for key in ("text", "label", "positive", "split", "evaluate", "cluster"):
        if options[key]:
            section[key] = options[key]
    if options["sensitive"]:
        section["sensitive"] = _names(options["sensitive"])
    scores = _names(options["scores"]) if options["scores"] else []
    return guess(model_section(model, options["predicted"], scores), section, directory)


def _overridden(config: AuditConfig, options: dict[str, Any]) -> AuditConfig:
    """The configuration with what was typed beside it."""
    update: dict[str, Any] = {}
    if options["out"]:
        update["report"] = config.report.model_copy(update={"directory": options["out"]})
    if options["seed"] is not None:
        if not 0 <= options["seed"] < 2**32:
            raise ConfigError(f"--seed {options['seed']}: a seed lies between 0 and 4294967295.")
        update["seed"] = options["seed"]
    if options["only"] is not None:
        update["only"] = _names(options["only"])
        if not update["only"]:
            raise ConfigError("--only names no check.", "List them with: auditkit checks")
    if options["online"]:
        update["online"] = True
    if options.get("no_cache"):
        update["cache"] = config.cache.model_copy(update={"enabled": False})
    return config.model_copy(update=update)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _audit(config: AuditConfig, *, fresh: bool = False) -> AuditResult:
    """Run, write the files, show the verdict."""
    from auditkit.api import run as run_python
    from auditkit.progress import TerminalProgress
    from auditkit.signals import stopping_cleanly

    folder = Path(config.report.directory)
    with stopping_cleanly(folder), TerminalProgress(_stderr()) as progress:
        audit = run_python(config, progress, out=folder, fresh=fresh)
    _show(audit.result)
    _stdout().print(
        f"report: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True
    )
    return audit.result


def _read_result(path: Path) -> AuditResult:
    from auditkit.result import AuditResult

    file = path / "result.json" if path.is_dir() else path
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ResultError(f"{file}: cannot be read ({error.strerror}).") from None
    return AuditResult.from_json(content)


def _show(result: AuditResult) -> None:
    from auditkit.render.terminal import summary

    _stdout().print(summary(result))


def _stdout() -> Console:
    from rich.console import Console

    return Console()


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _complain(message: str, hint: str = "") -> None:
    from auditkit.render.text import inert_for_ci_log

    click.echo(inert_for_ci_log(f"auditkit: {message}"), err=True)
    if hint:
        click.echo(inert_for_ci_log(hint), err=True)


def _survive_any_text() -> None:
    """Print what the terminal's encoding lacks as escapes instead of crashing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
