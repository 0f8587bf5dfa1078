"""Workers that hang, each in a process of its own, forked off one that is warm.

Prints as JSON, per place to hang: exit code, seconds from the order to the end of the process, what
the store has of the stage, and whether a worker that does not hang finishes it after all.

    python hanging_worker.py MIRROR FOLDER LIMIT_S
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from worker_bench import Bench

import trainers.checkpoints
import trainers.evaluate
import trainers.loop
import trainers.shards
import trainers.warm
from budgets.amount import DeviceTime
from budgets.clock import MonotonicClock
from trainers.families.pair import PairFamily
from trainers.stage import stage_name
from trainers.worker import Worker, WorkerSettings

N_ATTEMPTS = 3


def hang(*_, **__):
    time.sleep(60)


def hang_in_a_save():
    """The weights are written, and the disk does not answer when the manifest is."""
    trainers.checkpoints.make_manifest = hang


def hang_in_training():
    PairFamily.loss = hang


def hang_while_data_is_read():
    trainers.shards.tokenised = hang


def hang_in_evaluation():
    PairFamily.score = hang


def ended(bench: Bench, mirror: str, begin_to_hang, stage, limit_s: float) -> tuple[int, float]:
    """How a worker that hangs ends, and how many seconds after its order; the soonest of a few.

    A busy machine makes one of them late. A watchdog that is late is late every time.
    """
    for _ in range(N_ATTEMPTS):
        begun_read, begun_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            begin_to_hang()
            settings = WorkerSettings(
                bench.url, "mirror", mirror, "cpu", 1, str(bench.folder / "cache"), watchdog=True
            )
            bench.worker = Worker(settings, MonotonicClock())
            os.write(begun_write, str(time.monotonic()).encode())
            bench.run(stage, DeviceTime(round(limit_s * 1000)))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        took_s = time.monotonic() - float(os.read(begun_read, 100))
        code = os.waitstatus_to_exitcode(status)
        for end in (begun_read, begun_write):
            os.close(end)
        if code == -signal.SIGKILL and took_s < limit_s:
            break
    return code, took_s


def main(mirror: str, folder: str, limit_s: float) -> None:
    bench = Bench(mirror, Path(folder))
    target = bench.target(tokens=300)
    bench.run(target)
    bench.run(bench.evaluation(target))
    cases = {
        hang_in_a_save: replace(target, seed=11),
        hang_in_training: replace(target, seed=12),
        hang_while_data_is_read: bench.target(tokens=300, name="qqp"),
        hang_in_evaluation: replace(bench.evaluation(target), max_examples=5),
    }
    found = {}
    for begin_to_hang, stage in cases.items():
        code, took_s = ended(bench, mirror, begin_to_hang, stage, limit_s)
        there = bench.store.has(stage_name(stage))
        after = bench.run(stage)
        found[begin_to_hang.__name__] = [code, took_s, there, after.outcome, after.error]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
