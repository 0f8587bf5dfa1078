"""How many tokens go through a model at once: found out, never guessed by the user.

A recipe says what the optimiser's batch is; what of it fits into memory is the device's business. A
micro-batch that does not fit is trained in parts (``Parts`` of trainers/memory.py). For every task of a
stage, in this order:

    estimate   from the shapes. Where even that, which is too high rather than too low, is a small share
               of what is free, nothing else is done and nothing is split
    finding    of an earlier stage of the same model, kind of task, length of rows and device, kept in
               the worker's cache folder
    probe      a few rows as long as the task's longest, forward alone: two peaks make a line
                   bytes(tokens) = gradients + AdamW's moments + fixed + slope (1 + 1/layers) tokens
               Gradients are there while the second part of a batch goes forward, so they are added. On
               the way back all that was kept is there at first, and what one layer makes beside it
    accident   memory that runs out all the same lowers the finding, so that no later stage meets it

What scores needs no probe: its first batch is its largest, so only accidents are kept.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trainers.devices import free_bytes_of, memory_bytes_of, name_of, uses_bf16
from trainers.fingerprint import fingerprint
from trainers.memory import free_cached, ran_out
from trainers.peak_memory import peak_bytes

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from trainers.courses import Course
    from trainers.loop import Training
    from trainers.stage import ModelRef
    from trainers.state import Learner, Progress

_FOLDER = "fits"
_FAR_BELOW = 1 / 4  # of what is free: an estimate below that is believed
_USABLE = 0.9  # of what is free; the rest is for fragments, and other work on the machine
_FLOAT = 4  # bytes
_INNER = ("intermediate_size", "hidden_dim")  # what configs call it
_PROBE_ROWS = 4  # of the second peak, times the first


@dataclass(frozen=True, slots=True)
class Fit:
    """What is known of how batches of one kind fit on one device.

    Attributes:
        fixed_bytes: of a step, however small, beside gradients and the optimiser's state.
        bytes_per_token: more for each token, with padding; 0 where nothing was measured.
        most_tokens: at once since memory ran out; 0 where it never did.
    """

    fixed_bytes: int = 0
    bytes_per_token: float = 0.0
    most_tokens: int = 0

    def tokens_in(self, n_bytes: float) -> int:
        """The tokens that fit into so many bytes, at least one; 0 for any number."""
        if not self.bytes_per_token:
            return self.most_tokens
        found = max(1, int((n_bytes - self.fixed_bytes) / self.bytes_per_token))
        return min(found, self.most_tokens or found)


class Fits:
    """Findings of all workers that share a cache folder, a file for each.

    Args:
        cache_dir: of the worker.
        device: that the findings are of.
    """

    def __init__(self, cache_dir: Path, device: torch.device) -> None:
        self._folder = cache_dir / _FOLDER
        self._device = [name_of(device), memory_bytes_of(device)]

    def of(self, *kind: object) -> Fit:
        """What is known of a kind; nothing where its file is not there, or not to be read."""
        try:
            return Fit(**json.loads(self._file(kind).read_text(encoding="utf-8"))["fit"])
        except (OSError, ValueError, TypeError, KeyError):
            return Fit()

    def note(self, fit: Fit, *kind: object) -> None:
        """Keep what was found of a kind."""
        self._folder.mkdir(parents=True, exist_ok=True)
        record = {"of": [str(part) for part in (*kind, *self._device)], "fit": asdict(fit)}
        handle, unfinished = tempfile.mkstemp(dir=self._folder, suffix=".partial")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
        Path(unfinished).replace(self._file(kind))

    def lower(self, most_tokens: int, *kind: object) -> None:
        """Keep that memory ran out, and that so many tokens at once are the most that is tried."""
        known = self.of(*kind)
        fewer = min(most_tokens, known.most_tokens or most_tokens)
        if fewer != known.most_tokens:
            self.note(replace(known, most_tokens=fewer), *kind)

    def _file(self, kind: Sequence[object]) -> Path:
        return self._folder / f"{fingerprint([*kind, *self._device])}.json"


class Fitting:
    """How the batches of one training stage fit.

    Args:
        model: of the stage.
        learner: at the stage's beginning.
        training: of the stage.
        fits: what is known.
        free_bytes: of the device, asked once; None for the device's own answer.
        peak: the most that a piece of work takes on a device.
    """

    def __init__(
        self,
        model: ModelRef,
        learner: Learner,
        training: Training,
        fits: Fits,
        *,
        free_bytes: Callable[[torch.device], int] = free_bytes_of,
        peak: Callable[[Callable[[], object], torch.device], int] = peak_bytes,
    ) -> None:
        self._model = model
        self._learner = learner
        self._device = learner.device
        self._config = cast("PretrainedConfig", learner.encoder.config)
        self._training = training
        self._fits = fits
        self._free_bytes = free_bytes
        self._peak = peak
        self._begun_with: dict[str, int] = {}
        self._kinds: dict[str, tuple[object, ...]] = {}

    def begin(self, progress: Progress, *, fresh: bool) -> None:
        """Find out how the batches fit, or, where the stage goes on, leave them as they were."""
        self._kinds = {course.task: self._kind(course) for course in self._training.courses}
        if fresh:
            progress.part_tokens = self._part_tokens()
        self._begun_with = dict(progress.part_tokens)

    def note(self, progress: Progress) -> None:
        """Keep what memory that ran out has taught."""
        for course in self._training.courses:
            fewer_tokens = progress.part_tokens.get(course.task, 0)
            if fewer_tokens != self._begun_with.get(course.task, 0):
                self._fits.lower(fewer_tokens, *self._kinds[course.task])

    def _part_tokens(self) -> dict[str, int]:
        """By task, the tokens that go through the model at once, where a micro-batch has more."""
        free = _USABLE * self._free_bytes(self._device) - self._states_bytes()
        found = {course.task: self._most_tokens(course, free) for course in self._training.courses}
        most = {course.task: course.batches.most_tokens for course in self._training.courses}
        return {task: tokens for task, tokens in found.items() if 0 < tokens < most[task]}

    def _most_tokens(self, course: Course, free: float) -> int:
        """What is known of the course's batches, or found now; 0 where they go whole."""
        row, kind = course.batches.longest, self._kinds[course.task]
        fit = self._fits.of(*kind)
        if fit == Fit():
            tokens = course.batches.most_tokens * token_bytes(self._config, row)
            if tokens < _FAR_BELOW * free or self._training.until():
                return 0
            fit = self._probed(course, row)
            self._fits.note(fit, *kind)
        return fit.tokens_in(free)

    def _probed(self, course: Course, row: Mapping[str, Any]) -> Fit:
        """The line through two peaks, or as many tokens as the first has, where memory ran out."""
        least = course.family.least_rows
        row_tokens, peaks = _shape(row)[0], []
        for n_rows in (least, least, _PROBE_ROWS * least):  # the first also takes what stays
            try:
                peaks.append(self._peak(partial(self._loss, course, [row] * n_rows), self._device))
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                break
        free_cached()
        if len(peaks) < 3:
            return Fit(most_tokens=least * row_tokens)
        slope = (peaks[2] - peaks[1]) / ((_PROBE_ROWS - 1) * least * row_tokens)
        fixed_bytes = max(0, int(peaks[1] - slope * least * row_tokens))
        n_layers: int = self._config.num_hidden_layers
        return Fit(fixed_bytes, max(1.0, (1 + 1 / n_layers) * slope))

    def _loss(self, course: Course, rows: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        """A batch's loss, with all that is kept to go back from it."""
        import torch

        training, learner = self._training, self._learner
        learner.encoder.train()
        learner.heads.train()
        batch = course.family.collate(rows, training.pad_id)
        there = {name: tensor.to(self._device) for name, tensor in batch.items()}
        bf16 = uses_bf16(training.precision, self._device)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=bf16):
            return course.family.loss(learner.encoder, learner.heads[course.task], there)

    def _kind(self, course: Course) -> tuple[object, ...]:
        """What is known together: rows up to the next power of two, since each stage reads others."""
        row_tokens, n_sequences = _shape(course.batches.longest)
        up_to = 1 << (row_tokens - 1).bit_length()
        return ("train", self._model, type(course.family).__name__, up_to, n_sequences)

    def _states_bytes(self) -> int:
        """Of gradients, and of AdamW's two moments as far as they are not there yet."""
        state = self._learner.optimiser.state
        weights = (weight for _, weight in self._learner.named_parameters())
        return sum(weight.nbytes * (1 if weight in state else 3) for weight in weights)


def token_bytes(config: PretrainedConfig, row: Mapping[str, Any]) -> float:
    """What training keeps of one token until its gradient is there, estimated high.

        4 bytes * (layers * (12 width + 3 inner + 4 heads * longest) + 0.8 vocabulary)

    As if every layer kept all that it makes in float32 and its attention matrix with it; the vocabulary
    is that of masked text, of which a fifth is taken to be predicted, its logits four times over.

    Source of the terms: Korthikanti et al. 2022, arXiv:2205.05198, section 4.1.
    """
    width: int = config.hidden_size
    inner: int = max(getattr(config, name, 0) for name in _INNER) or 4 * width
    row_tokens, n_sequences = _shape(row)
    attention = 4 * config.num_attention_heads * row_tokens / n_sequences
    layers: float = config.num_hidden_layers * (12 * width + 3 * inner + attention)
    return _FLOAT * (layers + 0.8 * int(row.get("n_vocabulary", 0)))


def _shape(row: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens that a row takes of a batch in which it is the longest, and its sequences."""
    ids = row["input_ids"]
    return row.get("n_padded", row["n_tokens"]), len(ids) if isinstance(ids[0], list) else 1
