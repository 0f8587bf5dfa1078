"""What stands behind each command of ``interlude``: from a path to what is printed.

Everything heavy is imported where it is used, so that ``--help`` and ``plan`` start at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from experiments import tables
from scheduler.errors import NoRunError
from scheduler.places import journal_url, run_folder, store_url, tracked_in, tracking_url

if TYPE_CHECKING:
    from budgets.journal import SqlJournal
    from budgets.ledger import Balance
    from scheduler.spec import StudySpec
    from scheduler.state import StudyState

_SPECS = (".yaml", ".yml")


class Place(NamedTuple):
    """A run: its folder, the database of its journal, and the study's name where it is known."""

    folder: Path
    journal: str
    study: str = ""


def place_of(run: str) -> Place:
    """The run that a folder or a spec file names.

    Raises:
        NoRunError: it is neither.
        SpecError: the file does not describe a study.
    """
    path = Path(run).expanduser()
    if path.suffix in _SPECS and path.is_file():
        from scheduler.spec import load

        return _place(load(path)[0])
    if path.is_dir() and (path / "journal.db").is_file():
        return Place(path.absolute(), f"sqlite:///{path.absolute() / 'journal.db'}")
    state = "is not there" if not path.exists() else "holds no journal.db"
    begun = ", ".join(sorted(str(found.parent) for found in path.glob("*/journal.db"))[:5])
    hint = f"Runs in it: {begun}." if begun else "Begin one with `interlude run SPEC`."
    raise NoRunError(f"{run} is no run: it {state}. Name a run's folder or its spec file. {hint}")


def _place(spec: StudySpec) -> Place:
    return Place(run_folder(spec), journal_url(spec), spec.name)


@contextmanager
def _journal(run: str) -> Iterator[SqlJournal]:
    from budgets.journal import SqlJournal
    from scheduler.facts import STUDY_FACTS

    place = place_of(run)
    with SqlJournal(place.journal, STUDY_FACTS, name=place.study) as journal:
        yield journal


def _stand(journal: SqlJournal) -> tuple[StudyState, Balance]:
    from budgets.account import Account
    from scheduler.state import StudyState

    account = Account(journal)
    return StudyState.of(account.facts()), account.balance


def plan(spec_file: str, console: Console, *, as_json: bool) -> None:
    """Print the forecast of a spec."""
    from scheduler.lessons import lessons_for
    from scheduler.plan import plan_study
    from scheduler.plan_view import plan_view
    from scheduler.spec import load

    spec, _ = load(spec_file)
    found = plan_study(spec, lessons_for(spec))
    if as_json:
        _print_json(found.to_json())
        return
    console.print(plan_view(found))
    _print_prior(spec, console)
    _print_registration(spec, console)


def cells(spec_file: str, console: Console, *, as_json: bool) -> None:
    """Print the cells of a spec, their sizes, and what data is missing."""
    from experiments.cells import show
    from experiments.cells_json import to_json
    from scheduler.cells import cells_in
    from scheduler.spec import load
    from trainers.tasks import open_source

    spec, _ = load(spec_file)
    source = open_source(spec.data.source, spec.data.path, spec.data.revisions)
    found = cells_in(spec, source.identity)
    _print_json(to_json(found)) if as_json else show(found, console)


def run(
    spec_file: str, console: Console, *, driver: str, store: str | None, table: str | None = None
) -> None:
    """Begin or resume the study of a spec, then print its answer and where the report lies."""
    from scheduler.interrupt import Interrupt
    from scheduler.progress import Progress
    from scheduler.run import run_study
    from scheduler.spec import load

    spec, text = load(spec_file, store)
    _print_prior(spec, console)
    _print_registration(spec, console)
    recorded = None if table is None else tables.opened(Path(table).expanduser(), console)
    with Progress(console) as progress:
        run_study(spec, text, driver, progress, Interrupt(console.print), table=recorded)
    told = _report(_place(spec), console)
    url = tracking_url(spec)
    if url is not None:
        from scheduler.adapters.mlflow_answer import Conclusion
        from scheduler.adapters.mlflow_view import MlflowView

        view = MlflowView(url, store_url(spec), spec.name)
        view.attach(run_folder(spec) / "report.html")
        said = (*told["headline"], *told["answer"]["sentences"])
        recipe = told["recipe"]
        view.conclude(
            Conclusion(told["question"], said, recipe["card"], recipe["yaml"], recipe["facts"])
        )
        view.close()
        if url.startswith("sqlite:"):
            url = f"interlude ui {run_folder(spec)}"
        console.print(f"MLflow: {url}", markup=False, highlight=False, soft_wrap=True)


def status(run_name: str, console: Console, *, as_json: bool) -> None:
    """Print where a run stands."""
    from scheduler.progress import status_view
    from scheduler.status import status_json

    with _journal(run_name) as journal:
        state, balance = _stand(journal)
    _print_json(status_json(state, balance)) if as_json else console.print(status_view(state, balance))


def ledger(run_name: str, console: Console, *, as_json: bool) -> None:
    """Print every entry of a run's ledger."""
    from scheduler.books import ledger_lines, ledger_rows
    from scheduler.progress import kind_of

    with _journal(run_name) as journal:
        lines = tuple(journal.lines())
        state, _ = _stand(journal)
    if as_json:
        _print_json(list(ledger_rows(lines)))
        return
    for line in ledger_lines(lines, kind_of(state.begun)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def report(run_name: str, console: Console, *, form: str) -> None:
    """Write a run's page and print its answer, or print the report in another format."""
    place = place_of(run_name)
    if form == "html":
        _report(place, console)
    else:
        from experiments.report import report_text

        print(report_text(place.folder, form, place.journal, place.study), end="")


def export(run_name: str, folder: str, console: Console) -> None:
    """Write a run's recommended models with their card and a spec that trains them again."""
    from experiments.export import export_best
    from experiments.load import open_study
    from experiments.wording import mix_name

    place, target = place_of(run_name), Path(folder).expanduser()
    found = export_best(open_study(*place), target)
    said = (
        f"{found.one.trial.name}: {mix_name(found.one.trial.recipe.mix)}, {found.model.name}",
        f"encoder: {target}  targets: {', '.join(found.targets) or 'none is trained'}",
        f"card: {target / 'README.md'}  spec that retrains it: {target / 'recipe.yaml'}",
    )
    for line in said:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def compare(runs: tuple[str, ...], console: Console, *, as_json: bool) -> None:
    """Print runs side by side, on the cells that all of them have."""
    from experiments.compare import compare as compared
    from experiments.comparison import comparison_json, show

    found = compared([place_of(run) for run in runs])
    _print_json(comparison_json(found)) if as_json else show(found, console)


def ui(run_name: str, console: Console, *, port: int) -> None:
    """Serve a run's MLflow pages on this machine alone until the user has seen enough."""
    from scheduler.adapters.mlflow_server import serving

    place = place_of(run_name)
    with _journal(run_name) as journal:
        begun = _stand(journal)[0].begun
    if begun is None:
        raise NoRunError(f"nothing has begun in {run_name}. Begin with `interlude run SPEC`")
    with serving(tracked_in(begun.spec, place.folder.parent), begun.name, port=port) as server:
        console.print(f"MLflow: {server.address}", markup=False, highlight=False, soft_wrap=True)
        console.print("Ctrl-C ends it", highlight=False)
        server.wait()


def doctor(store: str, console: Console, *, as_json: bool) -> None:
    """Print what this machine offers a study."""
    from experiments.doctor import examine, show

    found = examine(Path(store).expanduser())
    _print_json(found.to_json()) if as_json else show(found, console)


def _print_prior(spec: StudySpec, console: Console) -> None:
    """Say what is known beforehand and what of it is left out, where the spec names a prior."""
    if spec.search.prior is not None:
        from scheduler.prior import notes_of

        for line in notes_of(spec):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_registration(spec: StudySpec, console: Console) -> None:
    """Say what will be on record before the first stage, where the spec registers contrasts."""
    from scheduler.registration import preregistered

    said = preregistered(spec)
    if said is not None:
        console.print(
            f"registered before the first stage: {said.plan['hypothesis']} (SHA-256 {said.sha256})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def schema() -> None:
    """Print the JSON Schema of the budget spec."""
    from scheduler.spec import json_schema

    _print_json(json_schema())


def _report(place: Place, console: Console) -> dict[str, Any]:
    """Write the report; print the answer in its own words and the path. Returns all that it says."""
    from experiments.report import write_report

    path = write_report(*place)
    told: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    for sentence in (*told["headline"], *told["answer"]["sentences"]):
        console.print(sentence, markup=False, highlight=False)
    if told["interim"]:
        console.print("interim: the study has not ended", markup=False, highlight=False)
    console.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)
    return told


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
