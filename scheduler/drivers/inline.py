"""One process, one device, no Ray: the whole life of a study on one screen.

ask -> (reserved) -> run -> measure -> tell (charge, release) -> show
"""

from __future__ import annotations

from collections.abc import Callable

from budgets.clock import Clock
from scheduler.drivers.lease import Runner, billed, granted
from scheduler.engine import Engine, Start, Stop


def drive_inline(
    engine: Engine, runner: Runner, clock: Clock, show: Callable[[], None], devices: int = 1
) -> str:
    """Carry out all that ``engine`` decides, one stage at a time.

    Args:
        engine: of the study.
        runner: carries out orders.
        clock: times the leases from outside.
        show: called after every move.
        devices: held by each stage.

    Returns:
        Why the study ended.
    """
    fresh = True
    while True:
        match engine.ask(fresh=fresh):
            case Start(order=order):
                show()
                granted_s = clock.now_s()
                measurement = runner.run(granted(order, devices=devices))
                wall_s = clock.now_s() - granted_s
                engine.tell(billed(measurement, wall_s=wall_s, devices=devices, fresh=fresh))
                fresh = False
                show()
            case Stop(reason):
                show()
                return reason
            case waiting:
                raise RuntimeError(f"nothing runs, and still the engine says {waiting}")
