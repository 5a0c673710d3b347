"""The tests of durability are tested: with a fault in the store, the one that is named fails."""

from __future__ import annotations

import shutil

import pytest

from tests import planted


@pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no Rust toolchain here")
def test_each_fault_of_the_store_is_caught(subtests: pytest.Subtests) -> None:
    for proof in planted.RUST:
        with subtests.test(f"{proof.fault}: {proof.command[-1]}"):
            assert planted.is_proven(proof)


def test_each_fault_has_a_test_that_is_said_to_catch_it() -> None:
    assert planted.faults() == {proof.fault for proof in (*planted.RUST, *planted.LIVE)}
