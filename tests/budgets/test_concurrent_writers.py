"""Eight drivers, 500 transactions each, on one account: every sum exact, the cap never passed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from budgets.amount import DeviceTime
from budgets.envelope import Envelope
from budgets.ledger import Balance, Charged, Opened, Released, Reserved, apply

N_DRIVERS = 8
N_TRANSACTIONS = 500
CAP_MS = 60_000  # about half of what the drivers ask for in all: many requests must be refused

DRIVER = """
import json, random, sys
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.envelope import Envelope
from budgets.errors import InsufficientBudgetError

url, study, n_transactions = sys.argv[1], sys.argv[2], int(sys.argv[3])
draw = random.Random(study)
charged_ms, refused, done, holds = 0, 0, 0, []
with Envelope(url, "lab") as lab:
    while done < n_transactions:
        done += 1
        if not holds or (len(holds) < 3 and draw.random() < 0.6):
            hold, amount = f"h{done}", draw.randint(1, 200)
            try:
                lab.reserve(study, hold, DeviceTime(amount))
            except InsufficientBudgetError:
                refused += 1
            else:
                holds.append((hold, amount))
        else:
            hold, amount = holds.pop(draw.randrange(len(holds)))
            cost = draw.randint(0, amount)
            lab.settle(study, hold, {Purpose.TRAIN: DeviceTime(cost)}, release=True)
            charged_ms += cost
print(json.dumps({"charged_ms": charged_ms, "refused": refused, "open": len(holds)}))
"""


@pytest.fixture(params=["file", "server"])
def url(request, tmp_path):
    if request.param == "server":
        return request.getfixturevalue("postgres")
    return f"sqlite:///{tmp_path}/accounts.db"


def test_concurrent_drivers_never_overdraw_and_every_sum_is_exact(url):
    with Envelope(url, "lab") as lab:
        lab.open(DeviceTime(CAP_MS))
    command = [sys.executable, "-c", DRIVER, url]
    drivers = {
        f"study-{number}": subprocess.Popen(
            [*command, f"study-{number}", str(N_TRANSACTIONS)], stdout=subprocess.PIPE
        )
        for number in range(N_DRIVERS)
    }
    told = {study: json.loads(process.communicate()[0]) for study, process in drivers.items()}
    assert all(process.returncode == 0 for process in drivers.values())

    balance, charged = Balance(), Counter()
    with Envelope(url, "lab", writer=False) as lab:
        for line in lab.lines():
            match line.entry:
                case Opened():
                    entry = line.entry
                case Reserved(hold, amount):
                    entry = Reserved(f"{line.study}/{hold}", amount)
                case Charged(hold, purpose, amount):
                    entry = Charged(f"{line.study}/{hold}", purpose, amount)
                    charged[line.study] += amount.ms
                case Released(hold):
                    entry = Released(f"{line.study}/{hold}")
            balance = apply(balance, entry)  # refuses what no single driver could have done
            assert line.standing.spent == balance.spent
            assert line.standing.held == balance.held
            assert line.standing.spent.ms + line.standing.held.ms <= CAP_MS
        last = lab.standing
    assert {study: said["charged_ms"] for study, said in told.items()} == {
        study: charged[study] for study in told
    }
    assert last.open_holds == sum(said["open"] for said in told.values()) == len(balance.holds)
    assert sum(said["refused"] for said in told.values()) > 0
