"""A recipe that cannot be trained is given up at its first attempt, and nothing is learnt from it."""

from fakes import Bench, begun, engine_on, small_tree

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from scheduler.drivers.table import drive_table
from scheduler.trial import TrialState
from trainers.order import Measurement, Outcome
from trainers.stage import stage_name

AMPLE = DeviceTime.from_hours(2)


def test_an_infeasible_stage_gives_its_trial_up_at_once_and_its_bill_is_charged(monkeypatch):
    tree = small_tree("uniform", 4)
    bench, asked = Bench(tree), []

    def run(order):
        name = stage_name(order.stage)
        if order.stage.kind == "intermediate" and (not asked or asked[0] == name):
            asked.append(name)
            bill = Bill({Purpose.TRAIN: DeviceTime(77)})
            return Measurement(order.hold, name, Outcome.INFEASIBLE, bill, error="the loss was nan")
        return bench.run(order)

    engine, account = engine_on(begun(tree, AMPLE), tree)
    told = []
    real = engine._sampler.tell
    monkeypatch.setattr(engine._sampler, "tell", lambda *given: (told.append(given), real(*given)))
    drive_table(engine, run, 1)

    (given_up,) = [t for t in engine.state.searched if t.state is TrialState.FAILED]
    assert len(asked) == 1
    kind_and_name = f"infeasible: intermediate {asked[0]}: the loss was nan"
    assert engine.state.reasons[given_up.name] == kind_and_name
    assert (given_up.recipe.mix, None) in told
    assert engine.state.stages[asked[0]].charged == DeviceTime(77)
    assert account.balance.holds == {}
