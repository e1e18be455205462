"""The one undo list."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psygnal.testing import assert_emitted_once, assert_not_emitted

from napari_unet.app.history import CallStep, CompositeStep, History, StateStep


class Box:
    """A state with one value, as small as it gets."""

    def __init__(self) -> None:
        self.value = 0

    def put(self, value: int) -> None:
        self.value = value

    def step(self, value: int, name: str = "set", owner: str = "") -> StateStep[int]:
        before, self.value = self.value, value
        return StateStep(name, self.put, before, value, owner)


@given(st.lists(st.one_of(st.integers(), st.sampled_from(["undo", "redo"]))))
def test_history_when_anything_happens_then_it_equals_a_list_of_states(actions):
    box, history = Box(), History(limit=1000)
    states, at = [0], 0
    for action in actions:
        if action == "undo":
            history.undo()
            at = max(0, at - 1)
        elif action == "redo":
            history.redo()
            at = min(len(states) - 1, at + 1)
        else:
            history.push(box.step(action))
            states, at = [*states[: at + 1], action], at + 1
        assert box.value == states[at]
        assert (history.can_undo, history.can_redo) == (at > 0, at < len(states) - 1)


def test_undo_when_the_layer_pushes_while_undoing_then_the_echo_is_ignored():
    history = History()
    history.push(CallStep("Paint", lambda: history.push(CallStep("echo", int, int)), lambda: None))
    assert history.undo() == "Paint"
    assert not history.can_undo
    assert history.redo_name == "Paint"


def test_group_when_two_steps_are_pushed_then_one_undo_takes_both_back_in_reverse():
    history, order = History(), []
    with history.group("Segment", "layer"):
        history.push(CallStep("write", lambda: order.append("write"), lambda: order.append("write again")))
        with history.group("inner"):
            history.push(CallStep("state", lambda: order.append("state"), lambda: order.append("state again")))
    assert history.undo_name == "Segment"
    history.undo()
    history.redo()
    assert order == ["state", "write", "write again", "state again"]


def test_group_when_nothing_is_pushed_then_there_is_no_step():
    history = History()
    with history.group("nothing"):
        assert history.undo() == ""
    assert not history.can_undo


def test_group_when_it_fails_half_way_then_the_half_can_be_undone():
    box, history = Box(), History()

    def segment() -> None:
        with history.group("Segment"):
            history.push(box.step(1))
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        segment()
    history.undo()
    assert box.value == 0


def test_undo_when_the_step_fails_then_the_history_is_as_before():
    def fail() -> None:
        raise ValueError("gone")

    history = History()
    history.push(CompositeStep("Paint", (CallStep("Paint", fail, fail),)))
    with pytest.raises(ValueError, match="gone"):
        history.undo()
    assert history.undo_name == "Paint"
    history.push(CallStep("next", int, int))
    assert history.undo_name == "next"


def test_push_when_the_limit_is_reached_then_the_oldest_is_forgotten():
    box, history = Box(), History(limit=2)
    for value in (1, 2, 3):
        history.push(box.step(value))
    assert [history.undo(), history.undo(), history.undo()] == ["set", "set", ""]
    assert box.value == 1


def test_push_when_the_memory_is_used_up_then_the_oldest_go_but_never_the_last():
    box, history = Box(), History(max_bytes=100)
    for value in (1, 2, 3):
        history.push(replace(box.step(value), n_bytes=40))
    assert [history.undo(), history.undo(), history.undo()] == ["set", "set", ""]
    history.push(CompositeStep("large", (replace(box.step(4), n_bytes=90), replace(box.step(5), n_bytes=90))))
    assert history.undo_name == "large"


def test_forget_when_a_layer_is_gone_then_only_its_steps_go():
    box, history = Box(), History()
    history.push(box.step(1, "kept", owner="a"))
    history.push(box.step(2, "gone", owner="b"))
    with assert_emitted_once(history.changed):
        history.forget("b")
    assert history.undo_name == "kept"
    history.clear()
    assert not history.can_undo


def test_changed_when_a_step_is_pushed_then_it_is_emitted_once_and_not_for_an_empty_undo():
    history = History()
    with assert_emitted_once(history.changed):
        history.push(CallStep("Paint", int, int))
    history.clear()
    with assert_not_emitted(history.changed):
        history.undo()
