"""The frameworks that every stage needs, imported once per process.

Their half a million objects stay as long as the process. Python's garbage collector looks through all of
them again and again while they become more, for nothing.
"""

from __future__ import annotations

import gc
import sys


def import_frameworks() -> None:
    """Import torch, datasets and transformers without a look for garbage.

    No later look goes through what they made, nor through what the process held before.
    """
    if "transformers.modeling_utils" in sys.modules:
        return
    collecting = gc.isenabled()
    gc.disable()
    try:
        import datasets  # noqa: F401
        import torch  # noqa: F401
        from transformers import AutoModel, PreTrainedModel  # noqa: F401
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
