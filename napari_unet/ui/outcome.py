"""How a training ended, in words with both numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.app.commands import Training


def describe_outcome(training: Training, used: str) -> str:
    """Say before and after, on what, and which model is `used` now."""
    lines = []
    if not training.parent:
        lines.append("" if math.isnan(training.after) else f"It scores {training.after:.3f} on what was held out.")
    elif math.isnan(training.before) or math.isnan(training.after):
        lines.append("Nothing could be held out to compare the models: look at the picture and judge.")
    else:
        on = f"{training.n_held_out} held-out objects" if training.n_held_out else "held-out corrections"
        lines.append(f"Before {training.before:.3f}, after {training.after:.3f} on {on} ({training.held_out}).")
        lines.append(_sureness(training))
    if training.accepted:
        lines.append(f"The new model '{used}' is used now. Segment again to see it, or take it back.")
    else:
        lines.append(f"{training.reason or 'The score fell'}. The old model '{used}' is kept.")
    if training.stopped:
        lines.append("You stopped it: this is the best it had learnt by then.")
    lines += training.notes
    return "\n".join(line for line in lines if line)


def _sureness(training: Training) -> str:
    """Say in what interval the difference lies, and what that means; nothing where there is too little to tell."""
    low, high = training.interval
    if math.isnan(low) or math.isnan(high):
        return ""
    difference = training.after - training.before
    over = f"{training.n_units} {training.unit}"
    text = f"Difference {difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f} (bootstrap over {over})."
    return f"{text} It may be chance." if low <= 0 <= high and difference else text


def describe_pretraining(training: Training) -> str:
    """Say what came of a pre-training, and what it is good for."""
    lines = [f"'{training.name}' has learnt what this stack looks like. Train a new model that starts from it."]
    if not math.isnan(training.after):
        lines.append(f"It restores {100 * training.after:.0f} % of what was hidden from it in held-out images.")
    if training.stopped:
        lines.append("You stopped it: this is what it had learnt by then.")
    return "\n".join(lines)
