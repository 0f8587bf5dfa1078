"""Hugging Face's ``Trainer`` over the same workload, in the ways that its users set it.

    scripts    as the library's example scripts: random order; run_glue and run_qa pad every sequence
               to the longest allowed (128 and 384, ``pad_to_max_length`` is on unless turned off),
               run_ner, run_swag and ``run_mlm --line_by_line`` to the longest of the batch. (Without
               ``--line_by_line`` run_mlm joins texts: other features than ours.)
    grouped    ``train_sampling_strategy="group_by_length"``, padded to the longest of the batch
    compiled   the same with the model compiled, as ``torch_compile=True`` does. It is done here, since
               accelerate would keep that setting for every later ``Trainer`` of the process

The model is our encoder, head and loss, so that only the loop differs: ``Trainer`` too scores the
vocabulary at masked tokens alone, which the library's own masked-LM head does not. Optimiser, schedule,
clipping and precision are ours; a batch has as many rows as have our tokens on average. What the
scripts leave at its default is so here, but for checkpoints, progress bar and printed logs: off.

Source: transformers, examples/pytorch/{text-classification/run_glue, question-answering/run_qa,
token-classification/run_ner, multiple-choice/run_swag, language-modeling/run_mlm}.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from experiments.benchmarks.runs import HEAD_SEED, Peak, Run, Workload, wait_for
from experiments.benchmarks.shapes import PAD_ID
from trainers.families.sequences import attended
from trainers.state import make_head

if TYPE_CHECKING:
    from trainers.families.base import Batch, Family

Loss = Callable[[nn.Module, nn.Module, "Batch"], torch.Tensor]


class Way(StrEnum):
    """How ``Trainer`` is set."""

    SCRIPTS = "scripts"
    GROUPED = "grouped"
    COMPILED = "compiled"


class WithLoss(nn.Module):
    """Encoder and head as one model whose forward pass gives the family's loss."""

    accepts_loss_kwargs = False  # a batch's loss is a mean over itself

    def __init__(self, encoder: nn.Module, head: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self._loss = loss

    def forward(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss, under the name that ``Trainer`` looks for."""
        return {"loss": self._loss(self.encoder, self.head, batch)}


@dataclass(slots=True)
class Collator:
    """The family's ``collate``, counting what goes through it.

    Attributes:
        family: whose batches.
        pad_to: tokens that every sequence is padded to; 0 for the longest of the batch.
        n_tokens: of each batch, without padding. There may be a batch more than steps: the loop asks
            for the next one before it knows that it has ended.
        n_padded: the same with padding.
        begun_s: when the first batch was asked for.
    """

    family: Family
    pad_to: int = 0
    n_tokens: list[int] = field(default_factory=list)
    n_padded: list[int] = field(default_factory=list)
    begun_s: float = 0.0

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """A batch of the rows."""
        self.begun_s = self.begun_s or time.perf_counter()
        batch = self.family.collate(rows, PAD_ID)
        more = self.pad_to - batch["input_ids"].shape[1]
        if more > 0:
            padded = {
                "input_ids": nn.functional.pad(batch["input_ids"], (0, more), value=PAD_ID),
                "attention_mask": nn.functional.pad(attended(batch), (0, more)),
            }
            batch = {**batch, **padded}
        self.n_tokens.append(sum(row["n_tokens"] for row in rows))
        self.n_padded.append(batch["input_ids"].numel())
        return batch


class Peer:
    """``Trainer`` set in one way, over one workload.

    Args:
        work: what is trained.
        way: how.
    """

    def __init__(self, work: Workload, way: Way) -> None:
        self._work, self._way = work, way
        _, head = make_head(work.case.task, work.encoder.config.hidden_size, HEAD_SEED)
        self._initial_head = {key: value.clone() for key, value in head.state_dict().items()}
        self._head = head.to(work.device)
        loss = work.family.loss
        self._loss: Loss = torch.compile(loss) if way is Way.COMPILED else loss

    def run(self, seed: int, n_steps: int) -> Run:
        """So many steps from the first weights."""
        from transformers import PrinterCallback, Trainer

        work = self._work
        work.begin()
        self._head.load_state_dict(self._initial_head)
        self._head.train()
        padded = self._way is Way.SCRIPTS and work.case.padded
        collator = Collator(work.family, work.case.max_length if padded else 0)
        memory = Peak(work.device)
        with TemporaryDirectory() as folder:
            trainer = Trainer(
                model=WithLoss(work.encoder, self._head, self._loss),
                args=self._arguments(folder, seed, n_steps),
                train_dataset=work.features,
                data_collator=collator,
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        wait_for(work.device)
        wall_s = time.perf_counter() - collator.begun_s
        return Run(
            wall_s=wall_s,
            n_tokens=sum(collator.n_tokens[:n_steps]),
            n_padded=sum(collator.n_padded[:n_steps]),
            peak_bytes=memory.bytes_above(),
            loss=work.held_out_loss(self._head),
        )

    def _arguments(self, folder: str, seed: int, n_steps: int) -> Any:  # noqa: ANN401 - transformers is untyped
        from transformers import TrainingArguments

        work, optimisation = self._work, self._work.optimisation
        grouped = self._way is not Way.SCRIPTS
        return TrainingArguments(
            output_dir=folder,
            max_steps=n_steps,
            per_device_train_batch_size=work.rows_per_batch,
            train_sampling_strategy="group_by_length" if grouped else "random",
            length_column_name="n_tokens",
            learning_rate=optimisation.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=optimisation.warmup_share,
            weight_decay=optimisation.weight_decay,
            max_grad_norm=optimisation.clip_norm,
            optim="adamw_torch_fused",
            adam_beta1=0.9,  # these three as trainers/state.py
            adam_beta2=0.98,
            adam_epsilon=1e-6,
            bf16=work.bf16,
            use_cpu=work.device.type == "cpu",
            dataloader_pin_memory=work.device.type == "cuda",
            remove_unused_columns=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
        )


def compiler_fault(device: torch.device) -> str:
    """Why nothing can be compiled for the device here; empty where it can."""
    try:
        torch.compile(lambda numbers: numbers.sin() + 1)(torch.zeros(8, device=device))
    except (RuntimeError, OSError, ImportError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        return f"torch.compile fails here: {type(error).__name__}: {first[:200]}"
    return ""
