"""Two studies in two processes on one store, at the same time: what they share is trained once."""

from __future__ import annotations

import subprocess

import pytest
from small_study import command, environment, write_spec

from experiments.load import open_study
from trainers.order import Outcome


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The runs of two studies that differ in their names alone, begun together."""
    folder = tmp_path_factory.mktemp("together")
    specs = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        spec = write_spec(folder / name, trials=1, store=str(folder / "runs"))
        spec.write_text(spec.read_text().replace("name: small", f"name: {name}"))
        specs.append(spec)
    begun = [
        subprocess.Popen(
            command("run", str(spec), "--driver", "inline"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for spec in specs
    ]
    for process in begun:
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
    return [folder / "runs" / spec.parent.name for spec in specs]


def records(run):
    return open_study(run).state.stages


def test_a_stage_that_both_need_is_trained_by_one_and_found_by_the_other(both):
    first, second = (records(run) for run in both)
    shared = first.keys() & second.keys()
    assert shared
    for name in shared:
        done = [
            m
            for stages in (first, second)
            for m in stages[name].measurements
            if m.outcome is Outcome.DONE
        ]
        worked = [m for m in done if m.bill.amounts.get("train") or m.bill.amounts.get("evaluate")]
        assert (len(done), len(worked)) == (2, 1), name


def test_no_claim_is_left_behind(both):
    assert list((both[0].parent / "claims").iterdir()) == []
