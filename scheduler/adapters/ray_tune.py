"""The engine inside Ray Tune.

A Tune trial is one of our trials; a Tune step is one stage. Tune owns the workers and their
placement, the engine owns every decision:

    Searcher.suggest          a new recipe, or nothing while nothing is affordable
    TrialScheduler            after each stage CONTINUE, PAUSE or STOP, and which paused trial runs
    Trainable.step            take the order from the desk, run it on the warm worker, return it

``reuse_actors`` keeps a worker's process, model and tokenised data between trials. What Tune and
its snapshots remember is disposable: the journal is the truth, and a killed driver starts a fresh
``Tuner`` from it (Tune's own restore forgets scheduler state and runs paid steps again).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from scheduler.adapters.ray_bridge import Bridge
from scheduler.adapters.ray_desk import NAMESPACE, Desk
from scheduler.adapters.ray_hooks import EngineScheduler, EngineSearcher, StopWhenOver
from scheduler.adapters.ray_worker import StageRunner
from scheduler.errors import StudyError
from scheduler.places import run_folder

if TYPE_CHECKING:
    from scheduler.allocation import Allocation
    from scheduler.engine import Engine
    from scheduler.interrupt import Interrupt
    from scheduler.spec import StudySpec
    from trainers.worker import WorkerSettings

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # csv, json and tensorboard copies of the journal
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own drops the results of what runs
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # the default leaves a dead trial its device for 600 s
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker without a GPU keeps its environment
}


def drive_ray(
    engine: Engine,
    spec: StudySpec,
    settings: WorkerSettings,
    show: Callable[[], None],
    interrupt: Interrupt,
    *,
    allocation: Allocation | None = None,
) -> None:
    """Carry out all that ``engine`` decides, on this machine or the cluster RAY_ADDRESS names.

    Raises:
        KeyboardInterrupt: the user asked twice; what ran is charged for what it held.
        StudyError: the cluster does not have the devices that the spec asks for.
    """
    os.environ.update(_QUIET)
    devices = spec.budget.devices
    slots = devices.count // devices.per_trial
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
    started_here = _connect(spec)
    try:
        _check_devices(spec)
        desk_name = f"desk/{spec.name}/{os.getpid()}"
        desk = _desk(desk_name)
        ray.get(desk.hurried.remote())  # its process is there before a lease begins
        bridge = Bridge(
            engine,
            slots=slots,
            devices=devices.per_trial,
            leave=lambda tune_id, order: ray.get(desk.leave.remote(tune_id, order)),
            kill=_kill,
            hurry=lambda: ray.get(desk.hurry.remote()),
            show=show,
            interrupt=interrupt,
            allocation=allocation,
        )
        tuner = _tuner(spec, settings, desk_name, bridge)
        try:
            with interrupt.listening():  # after ray.init, which takes SIGTERM for itself
                tuner.fit()
        except KeyboardInterrupt:
            bridge.abandon()
            raise
        finally:
            bridge.raise_if_broken()
        ray.kill(desk)
    finally:
        shutil.rmtree(_tune_folder(spec), ignore_errors=True)  # the journal has all of it
        if started_here:
            ray.shutdown()


def _desk(name: str) -> Any:  # noqa: ANN401 - Ray's handles are untyped
    """A desk on the driver's own node: another node may be lost while the driver goes on."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": name, "namespace": NAMESPACE, "scheduling_strategy": here}
    return ray.remote(num_cpus=0)(Desk).options(**options).remote()


def _tuner(spec: StudySpec, settings: WorkerSettings, desk_name: str, bridge: Bridge) -> tune.Tuner:
    """Tune, with every decision left to the bridge."""
    devices = spec.budget.devices
    kind = "gpu" if devices.kind == "gpu" else "cpu"
    return tune.Tuner(
        tune.with_resources(StageRunner, {"cpu": 1, kind: devices.per_trial}),
        param_space={"desk": desk_name, "devices": devices.per_trial, "worker": settings},
        tune_config=tune.TuneConfig(
            search_alg=EngineSearcher(bridge),
            scheduler=EngineScheduler(bridge),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=_trial_folder,
        ),
        run_config=tune.RunConfig(
            name=f"{int(time.time())}-{os.getpid()}",
            storage_path=str(_tune_folder(spec)),
            stop=StopWhenOver(bridge),
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            verbose=0,
        ),
    )


def _tune_folder(spec: StudySpec) -> Path:
    return run_folder(spec) / "tune"


def _connect(spec: StudySpec) -> bool:
    """Join the cluster that RAY_ADDRESS names, else start Ray here; whether it was started here."""
    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, log_to_driver=False, logging_level="error")
        return True
    devices = spec.budget.devices
    cpus = max(devices.count, os.cpu_count() or 1)
    ray.init(
        address="local",  # else a head that somebody started on this machine would be joined unasked
        num_cpus=cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    return True


def _check_devices(spec: StudySpec) -> None:
    devices = spec.budget.devices
    kind = "GPU" if devices.kind == "gpu" else "CPU"
    there = int(ray.cluster_resources().get(kind, 0))
    if there < devices.count:
        raise StudyError(
            f"budget.devices asks for {devices.count} {kind}s at once; this Ray cluster has {there}. "
            f"Lower budget.devices.count, or join a larger cluster through RAY_ADDRESS."
        )


def _trial_folder(trial: TuneTrial) -> str:
    return f"trial-{trial.trial_id}"


def _kill(trial: TuneTrial) -> None:
    """End the process of a trial: it holds its device past its deadline, or should not go on."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)
