"""One process, one device, no Ray: the whole life of a study on one screen.

ask -> (reserved) -> run -> measure -> tell (charge, release) -> show
"""

from __future__ import annotations

from collections.abc import Callable

from budgets.amount import ZERO, DeviceTime
from budgets.clock import Clock
from scheduler.allocation import Allocation
from scheduler.drivers.lease import Runner, billed, granted, lost
from scheduler.engine import Engine, Start, Stop
from scheduler.interrupt import REASON, Interrupt
from trainers.stage import Outcome


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
            case Stop(reason):
                show()
                return reason
            case waiting:
                raise RuntimeError(f"nothing runs, and still the engine says {waiting}")
    engine.stop(REASON)
    show()
    return REASON
