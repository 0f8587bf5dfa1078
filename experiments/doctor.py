"""What this machine offers a study: devices and their speed, versions, disk, mirror, Ray's token."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scheduler.adapters.ray_auth import token_state
from trainers.devices import DeviceFacts, devices
from trainers.provenance import environment
from trainers.tasks import MIRROR_VARIABLE, mirror_path

_GB = 1e9


@dataclass(frozen=True, slots=True)
class Mirror:
    """The mirror that ``INTERLUDE_MIRROR`` names.

    Attributes:
        path: of the mirror; empty when none is named.
        state: found, or why not.
        n_files: of data.
        models: names.
    """

    path: str
    state: str
    n_files: int = 0
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the examination found.

    Attributes:
        devices: measured.
        environment: versions, machine, commit.
        ray_token: the state of Ray's token authentication, in a sentence.
        disk: the folder that was asked about.
        free_bytes: on its disk.
    """

    devices: tuple[DeviceFacts, ...]
    environment: Mapping[str, object]
    ray_token: str
    disk: str
    free_bytes: int
    mirror: Mirror

    def to_json(self) -> dict[str, object]:
        """As plain JSON; rates in operations and bytes per second."""
        return asdict(self)


def examine(store: Path) -> Findings:
    """Look at this machine; takes some seconds.

    Args:
        store: the folder that studies would be kept in; it need not be there yet.
    """
    disk = next(path for path in (store, *store.absolute().parents) if path.is_dir())
    return Findings(
        devices=tuple(devices()),
        environment=environment(),
        ray_token=token_state(),
        disk=str(disk),
        free_bytes=shutil.disk_usage(disk).free,
        mirror=_mirror(),
    )


def _mirror() -> Mirror:
    path = mirror_path(None)
    if path is None:
        return Mirror("", f"none named; {MIRROR_VARIABLE} or data.path names one")
    root = Path(path).expanduser()
    if not (root / "hub").is_dir():
        return Mirror(str(root), "no mirror: it has no hub/ folder")
    models = sorted(file.parent.name for file in (root / "models").glob("**/config.json"))
    n_files = sum(1 for _ in (root / "hub").rglob("*.parquet"))
    return Mirror(str(root), "found", n_files, tuple(models))


def show(findings: Findings, console: Console) -> None:
    """Print the findings, a table per device and one for the rest."""
    for number, device in enumerate(findings.devices):
        console.print(_table(_device_rows(device), f"{device.kind} {number}: {device.name}"))
    console.print(_table(_other_rows(findings), "around them"))


def _device_rows(device: DeviceFacts) -> Iterable[tuple[str, str]]:
    threads = f"; rates of {device.threads} threads" if device.threads else ""
    yield "memory", f"{device.memory_bytes / _GB:.1f} GB{threads}"
    for precision, rate in device.matrix_ops_per_s.items():
        yield f"matrix rate, {precision}", f"{rate / 1e12:.3g} TFLOP/s"
    for way, rate in device.copy_bytes_per_s.items():
        yield f"copy, {way}", f"{rate / _GB:.1f} GB/s"
    yield "precision", device.precision
    yield "attention", device.attention


def _other_rows(findings: Findings) -> Iterable[tuple[str, str]]:
    facts, mirror = findings.environment, findings.mirror
    packages = facts["packages"]
    yield "python", f"{facts['python']} on {facts['platform']}"
    if isinstance(packages, Mapping):
        yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())
    yield "Ray's token", findings.ray_token
    yield "disk", f"{findings.free_bytes / _GB:.1f} GB are free at {findings.disk}"
    holds = f": {mirror.n_files} files of data; models: {', '.join(mirror.models) or 'none'}"
    yield "mirror", f"{mirror.path} {mirror.state}{holds if mirror.n_files else ''}".strip()


def _table(rows: Iterable[tuple[str, str]], title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table
