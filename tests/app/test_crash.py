"""kill -9 at a random moment: what was saved before comes back, and nothing else."""

from __future__ import annotations

import pytest

from benchmarks.crash import FAST, crash


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("seed", "edits"), [(1, 5), (2, 23), (3, 60)])
def test_crash_when_killed_in_the_middle_of_editing_then_labels_and_states_are_those_of_a_moment_before(
    tmp_path, dims, seed, edits
):
    found = crash(tmp_path, dims, seed, edits, *FAST)
    assert found.is_whole
    assert found.edits >= edits
    assert found.missing < 10
