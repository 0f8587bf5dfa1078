"""What claims on stages must do, wherever they are kept; subclasses only say how to make them."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from fakes import HandClock

STAGE = "0123456789abcdef"
MARGIN_S = 60.0


class StageClaimsContract:
    """Needs a fixture ``claims``: the claims of a holder on one store, on a clock moved by hand."""

    @pytest.fixture
    def clock(self):
        return HandClock()

    @pytest.fixture
    def claims(self, clock):
        raise NotImplementedError

    def test_a_claimed_stage_is_refused_to_others_until_it_is_released(self, claims):
        ours, theirs = claims("ours"), claims("theirs")
        assert ours.claim(STAGE, 100)
        assert not theirs.claim(STAGE, 100)
        assert theirs.claim("another0stage000", 100)
        ours.release(STAGE, done=False)
        assert theirs.claim(STAGE, 100)
        assert not ours.claim(STAGE, 100)

    def test_a_stage_that_is_done_is_anybody_s_and_leaves_nothing_behind(self, claims):
        ours, theirs = claims("ours"), claims("theirs")
        assert ours.claim(STAGE, 100)
        ours.release(STAGE, done=True)
        assert theirs.claim(STAGE, 100)
        theirs.release(STAGE, done=True)
        assert ours.claim(STAGE, 100)

    def test_a_claim_ends_a_margin_after_its_deadline(self, claims, clock):
        ours, theirs = claims("ours"), claims("theirs")
        assert ours.claim(STAGE, 100)
        clock.forward(100 + MARGIN_S - 1)
        assert not theirs.claim(STAGE, 100)
        clock.forward(1)
        assert theirs.claim(STAGE, 100)
        assert not ours.claim(STAGE, 100)

    def test_who_restarts_has_its_claims_again_and_a_new_deadline(self, claims, clock):
        assert claims("ours").claim(STAGE, 100)
        clock.forward(100)
        assert claims("ours").claim(STAGE, 100)
        clock.forward(100)
        assert not claims("theirs").claim(STAGE, 100)

    def test_a_late_release_does_not_take_the_next_holder_s_claim_away(self, claims, clock):
        ours, theirs, third = claims("ours"), claims("theirs"), claims("third")
        assert ours.claim(STAGE, 100)
        clock.forward(200)
        assert theirs.claim(STAGE, 100)
        for done in (False, True):
            ours.release(STAGE, done=done)
            assert not third.claim(STAGE, 100)

    def test_releasing_what_nobody_claimed_is_harmless(self, claims):
        claims("ours").release(STAGE, done=True)
        claims("ours").release(STAGE, done=False)
        assert claims("theirs").claim(STAGE, 100)

    def test_of_many_that_take_over_an_expired_claim_at_once_one_has_it(self, claims, clock):
        for round_ in range(10):
            stage = f"{round_:016x}"
            assert claims("killed").claim(stage, 1)
            clock.forward(1000)
            holders = [claims(f"h{i}") for i in range(4)]
            together, granted = Barrier(len(holders)), []

            def take(holder, stage=stage, together=together, granted=granted):
                together.wait()
                granted.append(holder.claim(stage, 100))

            threads = [Thread(target=take, args=(holder,)) for holder in holders]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(granted) == [False, False, False, True]
