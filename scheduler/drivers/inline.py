"""One process, one device, no Ray: the whole life of a study on one screen.

ask -> (reserved) -> run -> measure -> tell (charge, release) -> show
"""

from __future__ import annotations

from collections.abc import Callable

from budgets.amount import ZERO, DeviceTime
from budgets.clock import Clock
from scheduler.allocation import Allocation
from scheduler.drivers.lease import Runner, billed, granted, lost
from scheduler.engine import Engine
from scheduler.interrupt import REASON, Interrupt
from scheduler.moves import Start, Stop, Wait
from trainers.order import Outcome

_LOOK_S = 0.2  # between two looks whether another study has finished a stage


def drive_inline(
    engine: Engine,
    runner: Runner,
    clock: Clock,
    show: Callable[[], None],
    *,
    interrupt: Interrupt,
    devices: int = 1,
    allocation: Allocation | None = None,
) -> str:
    """Carry out all that ``engine`` decides, one stage at a time.

    Args:
        engine: of the study.
        runner: carries out orders.
        clock: times the leases from outside.
        show: called after every move.
        interrupt: the user's Ctrl-C.
        devices: held by each stage.
        allocation: of devices that are paid while they stand idle, too.

    Returns:
        Why the study ended.

    Raises:
        KeyboardInterrupt: the user asked twice; the stage that ran is charged for what it held.
    """
    fresh = True
    while not interrupt.asked():
        match engine.ask(fresh=fresh):
            case Start(order=order):
                show()
                limit_s = order.limit.ms / 1000 / devices
                if allocation is not None and not allocation.keep(devices, for_s=limit_s):
                    engine.tell(lost(order, ZERO, allocation.refusal, Outcome.STOPPED))
                    engine.stop(allocation.refusal, for_good=True)
                    continue
                granted_s = clock.now_s()
                try:
                    measurement = runner.run(granted(order, devices=devices), interrupt.asked)
                except KeyboardInterrupt:
                    held = DeviceTime.busy(wall_s=clock.now_s() - granted_s, devices=devices)
                    engine.tell(lost(order, held, REASON, Outcome.STOPPED))
                    engine.stop(REASON)
                    raise
                held = DeviceTime.busy(wall_s=clock.now_s() - granted_s, devices=devices)
                with interrupt.held_back():
                    engine.tell(billed(measurement, held=held, devices=devices, fresh=fresh))
                    if allocation is not None:
                        allocation.keep(0, for_s=0)
                fresh = False
                show()
                if measurement.device_is_gone:
                    return _end(engine, f"{measurement.error} Run the same command again.", show)
            case Stop(reason):
                show()
                return reason
            case Wait() as waiting:
                _give_time(waiting, interrupt, allocation)
    return _end(engine, REASON, show)


def _end(engine: Engine, reason: str, show: Callable[[], None]) -> str:
    """Stop with work left, which the same command goes on with."""
    engine.stop(reason)
    show()
    return reason


def _give_time(waiting: Wait, interrupt: Interrupt, allocation: Allocation | None) -> None:
    """Give another study a moment for the stage that is next here."""
    if not waiting.elsewhere:
        raise RuntimeError(f"nothing runs, and still the engine says {waiting}")
    if allocation is not None:
        allocation.keep(0, for_s=_LOOK_S)
    interrupt.wait(_LOOK_S)
