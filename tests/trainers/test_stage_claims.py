"""Claims on stages, in a folder and on a file system that creates files exclusively."""

from __future__ import annotations

import uuid

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from tests.contracts.stage_claims_contract import STAGE, StageClaimsContract
from trainers.errors import StoreError
from trainers.stage_claims import MARGIN_S, StoreClaims


class TestClaimsInAFolder(StageClaimsContract):
    @pytest.fixture
    def claims(self, clock, tmp_path):
        return lambda holder: StoreClaims(str(tmp_path), holder, clock.now_s)

    def test_a_finished_stage_leaves_no_file(self, claims, tmp_path):
        claims("ours").claim(STAGE, 100)
        claims("ours").release(STAGE, done=True)
        assert list((tmp_path / "claims").iterdir()) == []

    def test_a_store_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "claims").write_text("a file where a folder has to be")
        with pytest.raises(StoreError, match="cannot claim stage 0123456789abcdef"):
            StoreClaims(str(tmp_path), "ours").claim(STAGE, 100)


class TestClaimsInMemory(StageClaimsContract):
    @pytest.fixture
    def claims(self, clock):
        url = f"memory://{uuid.uuid4().hex}/runs"
        return lambda holder: StoreClaims(url, holder, clock.now_s)


def test_the_margin_covers_clocks_that_differ_by_a_minute():
    assert MARGIN_S >= 60


def test_where_files_cannot_be_created_exclusively_every_claim_is_granted(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", AbstractFileSystem.pipe_file)
    url = f"memory://{uuid.uuid4().hex}/runs"
    assert StoreClaims(url, "ours").claim(STAGE, 100)
    assert StoreClaims(url, "theirs").claim(STAGE, 100)
    StoreClaims(url, "ours").release(STAGE, done=True)
