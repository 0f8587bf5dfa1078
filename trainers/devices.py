"""What a device can do, measured in a second: how fast it multiplies, how fast it copies.

    matrix rate = 2 n^3 / time        one product of two n x n matrices, operations per second
    copy rate   = 2 bytes / time      within memory: every byte is read and written
                = bytes / time        from host memory to a GPU and back

The best of several repetitions counts: everything else is somebody else's work on the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.provenance import cpu_name

if TYPE_CHECKING:
    import torch

_REPEATS = 5
_MATRIX_ROWS = {"cpu": 1024, "cuda": 8192}
_COPY_BYTES = {"cpu": 1 << 27, "cuda": 1 << 29}
_CONTAINER = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device.

    Attributes:
        name: as the driver calls it.
        kind: ``cpu`` or ``gpu``.
        memory_bytes: of the device; for the CPU, of the machine.
        threads: CPU threads of one measurement; 0 for a GPU.
        matrix_ops_per_s: by precision, ``fp32`` and, where the device has it, ``bf16``.
        copy_bytes_per_s: ``memory``; for a GPU also ``to device`` and ``from device``.
        precision: what ``bf16`` in a spec becomes here, and why.
        attention: how attention is computed here, and why.
    """

    name: str
    kind: str
    memory_bytes: int
    threads: int
    matrix_ops_per_s: dict[str, float] = field(default_factory=dict)
    copy_bytes_per_s: dict[str, float] = field(default_factory=dict)
    precision: str = ""
    attention: str = ""


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether a stage of ``precision`` runs in bf16 on ``device``: on a GPU that computes it."""
    import torch

    return (
        precision == "bf16"
        and device.type == "cuda"
        and torch.cuda.is_bf16_supported(including_emulation=False)
    )


def devices() -> list[DeviceFacts]:
    """The GPUs that torch can use, measured; without any, the CPU."""
    import torch

    if not torch.cuda.is_available():
        return [_cpu()]
    return [_gpu(index) for index in range(torch.cuda.device_count())]


def facts_of(device: torch.device) -> DeviceFacts:
    """One device, measured."""
    return _gpu(device.index or 0) if device.type == "cuda" else _cpu()


def name_of(device: torch.device) -> str:
    """What the driver calls a GPU, or the system its processor."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def memory_bytes_of(device: torch.device) -> int:
    """Memory of the device; for the CPU, of the machine."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_bytes_of(device: torch.device) -> int:
    """Memory that this process may still take of the device; for the CPU, of machine and container."""
    import torch

    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    available = _kilobytes(Path("/proc/meminfo")).get("MemAvailable")
    free = memory_bytes_of(device) if available is None else available * 1024
    limit, used = (_CONTAINER / name for name in ("memory.max", "memory.current"))
    text = limit.read_text() if limit.is_file() else "max"
    return free if text.strip() == "max" else min(free, int(text) - int(used.read_text()))


def resident_bytes() -> int | None:
    """Memory of this process that no file stands behind; None where the system does not say."""
    anonymous = _kilobytes(Path("/proc/self/status")).get("RssAnon")
    return None if anonymous is None else anonymous * 1024


def _kilobytes(listing: Path) -> dict[str, int]:
    """The lines ``name: number kB`` of one of Linux's listings; none elsewhere."""
    if not listing.is_file():
        return {}
    parts = (line.split() for line in listing.read_text(encoding="utf-8").splitlines())
    return {part[0][:-1]: int(part[1]) for part in parts if len(part) == 3 and part[2] == "kB"}


def _cpu() -> DeviceFacts:
    import torch

    matrix = _matrix_ops_per_s("cpu", torch.float32, _MATRIX_ROWS["cpu"])
    return DeviceFacts(
        name=cpu_name(),
        kind="cpu",
        memory_bytes=memory_bytes_of(torch.device("cpu")),
        threads=torch.get_num_threads(),
        matrix_ops_per_s={"fp32": matrix},
        copy_bytes_per_s={"memory": _memory_bytes_per_s("cpu")},
        precision="fp32: bf16 is used on GPUs alone, so bf16 in a spec changes nothing here",
        attention="sdpa: torch's fused kernel for the CPU",
    )


def _gpu(index: int) -> DeviceFacts:
    import torch

    device = f"cuda:{index}"
    properties = torch.cuda.get_device_properties(index)
    rows = _MATRIX_ROWS["cuda"]
    rates = {"fp32": _matrix_ops_per_s(device, torch.float32, rows)}
    with torch.cuda.device(index):
        has_bf16 = uses_bf16("bf16", torch.device(device))
    if has_bf16:
        rates["bf16"] = _matrix_ops_per_s(device, torch.bfloat16, rows)
        precision = (
            f"bf16: autocast over fp32 weights, {rates['bf16'] / rates['fp32']:.1f} times as fast"
        )
    else:
        precision = f"fp32: {properties.name} computes no bf16"
    return DeviceFacts(
        name=properties.name,
        kind="gpu",
        memory_bytes=properties.total_memory,
        threads=0,
        matrix_ops_per_s=rates,
        copy_bytes_per_s={"memory": _memory_bytes_per_s(device), **_host_bytes_per_s(device)},
        precision=precision,
        attention=_gpu_attention(has_bf16=has_bf16),
    )


def _gpu_attention(*, has_bf16: bool) -> str:
    import torch

    cuda = torch.backends.cuda
    flash = cuda.is_flash_attention_available() and cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
    if has_bf16 and flash:
        return "sdpa: flash attention in bf16; batches with padding take the memory-efficient kernel"
    if cuda.mem_efficient_sdp_enabled():  # type: ignore[no-untyped-call]
        return "sdpa: the memory-efficient kernel"
    return "sdpa: plain matrix products, since torch has no fused kernel for this device"


def _matrix_ops_per_s(device: str, dtype: object, n_rows: int) -> float:
    import torch

    left, right = (torch.randn(n_rows, n_rows, device=device, dtype=dtype) for _ in range(2))  # type: ignore[call-overload]
    return 2 * n_rows**3 / _best_s(lambda: torch.mm(left, right), device)


def _memory_bytes_per_s(device: str) -> float:
    import torch

    n_bytes = _COPY_BYTES[device.split(":", maxsplit=1)[0]]
    source = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * n_bytes / _best_s(lambda: target.copy_(source), device)


def _host_bytes_per_s(device: str) -> dict[str, float]:
    """To a GPU and back, from pinned memory as batches and weights are."""
    import torch

    n_bytes = _COPY_BYTES["cuda"]
    host = torch.zeros(n_bytes, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(n_bytes, dtype=torch.uint8, device=device)
    return {
        "to device": n_bytes / _best_s(lambda: there.copy_(host, non_blocking=True), device),
        "from device": n_bytes / _best_s(lambda: host.copy_(there, non_blocking=True), device),
    }


def _best_s(work: Callable[[], object], device: str) -> float:
    """The shortest of several runs, in seconds, after one that warms up."""
    import torch

    def finished() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    work()
    best_s = float("inf")
    for _ in range(_REPEATS):
        finished()
        begun_s = time.perf_counter()
        work()
        finished()
        best_s = min(best_s, time.perf_counter() - begun_s)
    return best_s
