"""How a worker's process imports the frameworks."""

from __future__ import annotations

import subprocess
import sys


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_look_for_garbage_is_taken_while_they_are_imported_nor_through_them_later():
    _run(
        "import gc, sys\n"
        "from trainers.frameworks import import_frameworks\n"
        "looks = []\n"
        "gc.callbacks.append(lambda phase, info: looks.append(phase))\n"
        "import_frameworks()\n"
        "assert {'torch', 'datasets', 'transformers.modeling_utils'} <= set(sys.modules)\n"
        "assert looks == [], len(looks)\n"
        "assert gc.isenabled()\n"
        "assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()\n"
    )


def test_a_process_that_collects_no_garbage_goes_on_without():
    _run(
        "import gc; gc.disable()\n"
        "from trainers.frameworks import import_frameworks\n"
        "import_frameworks()\n"
        "assert not gc.isenabled()\n"
    )


def test_what_is_made_after_them_is_collected():
    _run(
        "import gc, weakref\n"
        "from trainers.frameworks import import_frameworks\n"
        "import_frameworks()\n"
        "class Ring: pass\n"
        "ring = Ring(); ring.itself = ring; gone = weakref.ref(ring); del ring\n"
        "import_frameworks()\n"
        "gc.collect()\n"
        "assert gone() is None\n"
    )
