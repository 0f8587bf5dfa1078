"""A study on its books: the spec, the stage tree, the account and the engine, opened together.

Opening a run that was begun replays its journal, closes what a killed driver left open, and goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.clock import moment
from budgets.envelope import Envelope, Share
from budgets.forecast import Forecast
from budgets.journal import Journal, SqlJournal
from budgets.ledger import Closed, Opened
from budgets.lines import FactList
from scheduler.allocation import closing
from scheduler.arms import proposals
from scheduler.climb import Climb
from scheduler.copies import check_apart
from scheduler.engine import Engine
from scheduler.errors import CapTooSmallError, SpecChangedError, StudyError
from scheduler.facts import STUDY_FACTS, PriorRead, StudyBegun
from scheduler.lessons import Lessons, lessons_for
from scheduler.mix import Mix
from scheduler.needs import check_there, unpinned_repos
from scheduler.places import accounts_url, changed, journal_url, run_folder, store_url
from scheduler.policies import policy
from scheduler.prior import prior_of
from scheduler.registration import preregistered
from scheduler.space import MixSpace, RandomSampler, Sampler
from scheduler.spec import StudySpec
from scheduler.stage_claims import StageClaims
from scheduler.state import StudyState
from scheduler.tree import StageTree, union
from scheduler.trial import Recipe
from trainers.errors import MissingDataError
from trainers.models import revision_of
from trainers.provenance import environment
from trainers.stage import Half
from trainers.stage_claims import StoreClaims
from trainers.tasks import mirror_path, open_source
from trainers.tasks.hub import refusal
from trainers.tasks.spec import FamilyName

_NO_LESSONS = Lessons()


@dataclass(frozen=True, slots=True)
class Study:
    """An open study."""

    spec: StudySpec
    journal: Journal
    account: Account
    engine: Engine
    tree: StageTree


def tree_of(spec: StudySpec) -> StageTree:
    """The stage tree of a spec, from its data source and model.

    Raises:
        MissingDataError: data of the study is not there; lists all of it.
        TaskError: data of the study is malformed.
        ModelError: the model is not where it should be.
    """
    source = open_source(spec.data.source, spec.data.path, spec.data.revisions)
    mirror = mirror_path(spec.data.path) if spec.data.source == "mirror" else None
    tree = StageTree(spec, source, partial(revision_of, mirror=mirror))
    check_there(spec, tree.data.identity)
    check_apart(spec)
    return tree


@contextmanager
def open_study(spec: StudySpec, text: str, *, shares_stages: bool = True) -> Iterator[Study]:
    """The study of ``spec``, begun or resumed, as its only writer.

    Args:
        spec: what to open.
        text: the spec as the user wrote it.
        shares_stages: whether its stages are run for real, so that other studies of the store may be
            about to run the same ones.

    Raises:
        SecondDriverError: another driver runs it now.
        SpecChangedError: the run was begun with another spec.
        SpecError: what ``search.prior`` names cannot be read, and no run has begun with it.
        CapTooSmallError: the cap cannot pay for the control, or not for what is spent and held.
        MissingDataError: data is not there, or on the hub and not pinned.
        StudyError: the run folder cannot be written.
        UnknownAccountError: the account that it draws on was not opened.
    """
    tree = tree_of(spec)
    if repos := unpinned_repos(spec):
        raise MissingDataError(f"{spec.name} cannot begin: {refusal(*repos)}", file=repos[0])
    _writable(run_folder(spec))
    with ExitStack() as opened:
        place = journal_url(spec)
        journal = opened.enter_context(SqlJournal(place, STUDY_FACTS, name=spec.name, writer=True))
        account = Account(journal, envelope=_share(spec, journal, opened))
        state = StudyState.of(account.facts())
        lessons = lessons_for(spec)
        prior = state.prior or prior_of(spec)
        if state.begun is None:
            _begin(spec, text, tree, account, lessons)
        else:
            _go_on(spec, state.begun, account)
        if prior is not None and state.prior is None:
            account.book(prior)
        account.book(*closing(account))
        learned = lessons.forecast(tree)
        holder = f"{spec.name}/{journal.identity}"
        claims = StoreClaims(store_url(spec), holder) if shares_stages else None
        sampler = sampler_of(spec, prior)
        engine = engine_of(spec, tree, account, sampler, moment, forecast=learned, claims=claims)
        engine.recover()
        yield Study(spec, journal, account, engine, tree)


def _share(spec: StudySpec, journal: SqlJournal, opened: ExitStack) -> Share | None:
    """The study's share of the account it draws on, None when it has but its own cap."""
    if spec.budget.account is None:
        return None
    envelope = opened.enter_context(Envelope(accounts_url(spec), spec.budget.account))
    return envelope.share(spec.name, journal.identity)


def simulated(spec: StudySpec, tree: StageTree, lessons: Lessons) -> Study:
    """A study that nothing will be trained for: books in memory, no model-based sampler."""
    journal = FactList()
    account = Account(journal)
    _begin(spec, "", tree, account, lessons)
    sampler = RandomSampler(proposals(spec, space_of(spec)), spec.seed)
    engine = engine_of(spec, tree, account, sampler, forecast=lessons.forecast(tree))
    return Study(spec, journal, account, engine, tree)


def engine_of(
    spec: StudySpec,
    tree: StageTree,
    account: Account,
    sampler: Sampler,
    moment: Callable[[], str] = str,
    *,
    forecast: Forecast | None = None,
    claims: StageClaims | None = None,
) -> Engine:
    """The engine of a study on ``account``; the last three as the engine has them."""
    search, devices = spec.search, spec.budget.devices
    chosen = policy(
        search.policy,
        n_rungs=tree.n_rungs,
        eta=search.eta,
        seed=spec.seed,
        has_merged=tree.has_merged,
        compares_arms=search.design == "factorial",
    )
    slots = devices.count // devices.per_trial
    grid = space_of(spec) if search.policy == "grid" else None
    return Engine(
        tree,
        account,
        chosen,
        sampler,
        slots,
        moment=moment,
        grid=grid,
        forecast=forecast,
        claims=claims,
    )


def space_of(spec: StudySpec) -> MixSpace:
    """The mixes that a study may try."""
    part, mixing = spec.intermediate, spec.intermediate.mixing
    return MixSpace(
        part.tasks,
        part.count,
        mixing.cap if mixing.rule in ("temperature", "capped") else None,
        mixing.temperature if mixing.rule == "temperature" else None,
        mixing.text,
        tuple(name for name in part.tasks if spec.catalogue[name].family is FamilyName.MASKED),
    )


def sampler_of(spec: StudySpec, prior: PriorRead | None = None) -> Sampler:
    """The sampler that ``search.sampler`` names, which has seen nothing but ``prior``."""
    space = proposals(spec, space_of(spec))
    if spec.search.sampler == "structured":
        from scheduler.structured import StructuredSampler

        return StructuredSampler(
            space,
            spec.intermediate.rungs,
            spec.seed,
            acquisition=spec.search.acquisition,
            hours=spec.objectives.gpu_hours is not None,
            search_ms=spec.budget.cap.scaled(1 - spec.budget.final_share).ms,
            gains=prior.gains if prior else (),
            arms=spec.arms if len(spec.arms) > 1 else (),
        )
    from scheduler.adapters.optuna_sampler import OptunaSampler

    return OptunaSampler(space, spec.objectives.directions, spec.search.sampler, spec.seed)


def _begin(spec: StudySpec, text: str, tree: StageTree, account: Account, lessons: Lessons) -> None:
    cap = spec.budget.cap
    least = least_cap(spec, tree, lessons)
    if cap < least:
        n_arms = len(spec.arms)
        where = f" in each of {n_arms} arms" if n_arms > 1 else ""
        fewer = ", or list fewer arms" if n_arms > 1 else ""
        raise CapTooSmallError(
            f"budget.gpu_hours is {spec.budget.gpu_hours:g} ({cap}); the control (k = 0) alone, trained "
            f"once{where} and scored on search and report cells, is forecast at {least}. Raise the cap "
            f"to at least {_written(least):g}, shorten target.tokens, or name fewer target tasks or "
            f"languages{fewer}."
        )
    begun = StudyBegun(spec.name, spec.model_dump(mode="json"), text, environment())
    registered = preregistered(spec)
    account.book(begun, Opened(cap), *([registered] if registered else []))


def least_cap(spec: StudySpec, tree: StageTree, lessons: Lessons = _NO_LESSONS) -> DeviceTime:
    """What the smallest study would take: every arm's control, once, on search and report cells."""
    controls = [Recipe.of(Mix(), spec.seed, arm) for arm in spec.arms]
    nodes = union([tree.nodes(control, 0, half) for control in controls for half in Half])
    return Climb(tree, StudyState(), lessons.forecast(tree)).cost_of(nodes.values())


def _go_on(spec: StudySpec, begun: StudyBegun, account: Account) -> None:
    differences = changed(begun.spec, spec)
    if differences:
        raise SpecChangedError(
            f"{run_folder(spec)} was begun with another spec:\n  "
            + "\n  ".join(differences)
            + "\nA run answers one question. Put the old values back to go on, or give the new spec "
            "another 'name'. (Only budget.gpu_hours may change.)"
        )
    cap, balance = spec.budget.cap, account.balance
    if cap > balance.cap:
        account.book(Opened(cap.less(balance.cap)))
    elif cap < balance.cap:
        used = balance.spent + balance.held
        if cap < used:
            raise CapTooSmallError(
                f"budget.gpu_hours is {spec.budget.gpu_hours:g} ({cap}), lowered from {balance.cap}; "
                f"this run has spent {balance.spent} and holds {balance.held}, together {used}. The "
                f"cap can go down to that and no further: write at least {_written(used):g}."
            )
        account.book(Closed(balance.cap.less(cap)))


def _written(least: DeviceTime) -> float:
    """The smallest number of four decimals that is no less as a cap."""
    return math.ceil(least.hours * 1e4) / 1e4


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as error:
        raise StudyError(
            f"cannot write to {folder}: {error.strerror}. The journal, the checkpoints and the report "
            "go there; free some space, or name another place with 'store:' or --store."
        ) from error
