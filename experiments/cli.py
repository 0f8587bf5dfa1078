"""The command line: five verbs for a study, and the dry one comes first.

    interlude plan   SPEC      what it would cost; runs nothing
    interlude cells  SPEC      tasks by languages: how many examples, how sure, what is missing
    interlude fetch  SPEC      its data and model, as a mirror for machines without internet
    interlude run    SPEC      run, or resume what was begun
    interlude status RUN       free, held, spent, by purpose; trials and the best so far
    interlude ledger RUN       every entry
    interlude report RUN       the answer, tables and figures, from records only
    interlude export RUN       the recommended model, as AutoModel loads it, with card and spec
    interlude ui     RUN       its MLflow pages, served on this machine alone
    interlude compare RUN RUN  several runs side by side, on the cells that all have
    interlude schema           JSON Schema of the spec, for editors
    interlude doctor           what this machine offers a study: devices, speed, disk, mirror
    interlude table record     run a grid once; `run --driver table` replays any search on it
    interlude account …        open or show an account that several studies draw on

RUN is a run's folder or its spec file. No training knob is a flag: it is in the YAML, so it is in
the record. A refusal prints one screen and exits with 2; ``--debug`` shows where it came from.
"""

from __future__ import annotations

import math
import re
import sys

import click
from rich.console import Console

from budgets.errors import BudgetError
from budgets.spec import ACCOUNT_NAME
from experiments import accounts, commands, tables
from scheduler.errors import InterludeSchedulerError
from trainers.errors import TrainerError

_REFUSALS = (BudgetError, TrainerError, InterludeSchedulerError)
_LINES = 24  # one screen
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_spec = click.argument("spec")
_store = click.option("--store", metavar="DIR", help="Take the place of the spec's store.")
_run = click.argument("run")


class _Commands(click.Group):
    """A group whose commands may refuse: a message and exit code 2 in place of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except _REFUSALS as refusal:
            if ctx.params["debug"]:
                raise
            click.echo(f"interlude: {_one_screen(str(refusal))}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("interlude: stopped; the same command goes on where this one was", err=True)
            ctx.exit(_INTERRUPTED)


def _one_screen(message: str) -> str:
    lines = message.splitlines()
    if len(lines) <= _LINES:
        return message
    return "\n".join([*lines[:_LINES], f"  … and {len(lines) - _LINES} lines more; --debug shows all"])


def _screen() -> Console:
    """Standard output; as wide as its lines where nobody looks at it."""
    return Console() if sys.stdout.isatty() else Console(width=160)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a refusal.")
@click.version_option(package_name="interlude-scheduler", prog_name="interlude")
def main(debug: bool) -> None:
    """Spend a fixed GPU-hour budget on the best intermediate tasks for low-resource transfer."""


@main.command()
@_spec
@_json
def plan(spec: str, as_json: bool) -> None:
    """Show trials, stages, hours, and what the cap cannot reach; run nothing."""
    commands.plan(spec, _screen(), as_json=as_json)


@main.command()
@_spec
@_json
def cells(spec: str, as_json: bool) -> None:
    """Show the study's cells, their sizes and intervals, and what data is missing and why."""
    commands.cells(spec, _screen(), as_json=as_json)


@main.command()
@_spec
@click.option("--to", metavar="DIR", required=True, help="The mirror; files in it that are whole stay.")
def fetch(spec: str, to: str) -> None:
    """Write the data and the model that SPEC reads into DIR, for machines without internet."""
    from experiments.fetch import fetch as write_mirror

    write_mirror(spec, to, _screen())


@main.command()
@_spec
@click.option(
    "--driver",
    type=click.Choice(["ray", "inline", "table"]),
    default="ray",
    help="Ray Tune, one process, or a recorded table in virtual time.",
)
@_store
@click.option("--table", metavar="FILE", help="The recorded table, for --driver table.")
def run(spec: str, driver: str, store: str | None, table: str | None) -> None:
    """Run the study of SPEC, or resume what was begun."""
    if (driver == "table") is not (table is not None):
        raise click.UsageError("--driver table and --table FILE go together")
    commands.run(spec, _screen(), driver=driver, store=store, table=table)


@main.command()
@_run
@_json
def status(run: str, as_json: bool) -> None:
    """Show where RUN stands: money, trials, best score so far."""
    commands.status(run, _screen(), as_json=as_json)


@main.command()
@_run
@_json
def ledger(run: str, as_json: bool) -> None:
    """List every entry of RUN's ledger."""
    commands.ledger(run, _screen(), as_json=as_json)


@main.command()
@_run
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "md", "json", "csv", "latex"]),
    default="html",
    show_default=True,
    help="A page in the run's folder, or printed: a findings page, all of it, every score, tables.",
)
def report(run: str, form: str) -> None:
    """Write RUN's report and print its answer, or print it in another format."""
    commands.report(run, _screen(), form=form)


@main.command()
@_run
@click.option("--best", metavar="DIR", required=True, help="Where to; not there yet, or empty.")
def export(run: str, best: str) -> None:
    """Write the model that RUN recommends: encoder, heads, tokenizer, card, a spec that retrains it."""
    commands.export(run, best, _screen())


@main.command()
@_run
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="A free one is taken where none is given."
)
def ui(run: str, port: int) -> None:
    """Serve RUN's MLflow pages on this machine alone and print their address; ends with Ctrl-C."""
    commands.ui(run, _screen(), port=port)


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@_json
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Put runs side by side, on the cells that all have: the best mix of each against the first's."""
    if len(runs) < 2:
        raise click.UsageError("a comparison takes two runs or more")
    commands.compare(runs, _screen(), as_json=as_json)


@main.command()
@click.option(
    "--store", metavar="DIR", default="runs", show_default=True, help="Where studies would be kept."
)
@_json
def doctor(store: str, as_json: bool) -> None:
    """Measure this machine's devices; show versions, disk, mirror and Ray's token."""
    commands.doctor(store, _screen(), as_json=as_json)


@main.command()
def schema() -> None:
    """Print the JSON Schema of the budget spec."""
    commands.schema()


@main.group()
def table() -> None:
    """Recorded tables, on which studies are replayed in virtual time."""


@table.command("record")
@_spec
@click.option("--to", metavar="FILE", required=True, help="The table, a Parquet file.")
@click.option(
    "--driver", type=click.Choice(["ray", "inline"]), default="ray", help="Ray Tune, or one process."
)
@_store
def record(spec: str, to: str, driver: str, store: str | None) -> None:
    """Run every mix of SPEC at every rung with every seed, once, and keep what each stage gave."""
    tables.record(spec, to, _screen(), driver=driver, store=store)


@main.group()
def account() -> None:
    """Accounts that several studies draw on, beside their own caps (budget.account)."""


def _account_name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    if re.match(ACCOUNT_NAME, name) is None or len(name) > 80:
        raise click.BadParameter(f"{name!r} is no account name; write small letters, digits and '-'")
    return name


def _hours(context: click.Context, parameter: click.Parameter, hours: float) -> float:
    if not (math.isfinite(hours) and hours > 0):
        raise click.BadParameter(f"{hours:g} is no number of hours above 0")
    return hours


_name = click.argument("name", callback=_account_name)
_accounts = click.option(
    "--store",
    metavar="DIR",
    default="runs",
    show_default=True,
    help="The studies' store, or the PostgreSQL URL of their journals.",
)


@account.command("open")
@_name
@click.option(
    "--gpu-hours", type=float, required=True, callback=_hours, help="Granted; on top, once it is open."
)
@_accounts
def open_(name: str, gpu_hours: float, store: str) -> None:
    """Grant account NAME hours that studies may draw on."""
    accounts.open_account(name, gpu_hours, store, _screen())


@account.command()
@_name
@_json
@_accounts
def show(name: str, as_json: bool, store: str) -> None:
    """Show what account NAME has left, and what each study holds and was charged."""
    accounts.show_account(name, store, _screen(), as_json=as_json)
