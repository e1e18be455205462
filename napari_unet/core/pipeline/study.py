"""The trials of a search, kept in optuna's embedded database; loaded only where optuna is used.

References
----------
T. Akiba et al.: Optuna: A Next-generation Hyperparameter Optimization Framework. KDD 2019,
doi:10.1145/3292500.3330701. Its sampler: J. Bergstra et al.: Algorithms for Hyper-Parameter Optimization (tree of
Parzen estimators). NeurIPS 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.extras import need

if TYPE_CHECKING:
    import optuna

STORAGE = "search.db"
"""Name of optuna's database in the folder of a search."""

DEPTHS = {2: (2, 5), 3: (2, 4)}
BASES = (8, 16, 32)
BLOCKS = ("plain", "residual", "dense")
LOSSES = ("dice_ce", "ce", "dice_focal", "tversky")
RATES = (3e-4, 1e-2)
"""What is searched over; poolings by dimensions, the learning rate on a logarithmic scale."""

FIRST = {"base": 16, "block": "plain", "loss": "dice_ce", "learning_rate": 2e-3}
"""What is tried first: the preset `fast`, so that nothing worse than it can win."""

STARTUP = 5
"""Trials whose values are drawn at random, before the sampler learns from those that were."""


@dataclass(frozen=True)
class Trial:
    """One network that was tried.

    Parameters
    ----------
    number : int
        From 0.
    values : dict
        What it was: depth, base, block, loss and learning rate, but for those that the user fixed.
    state : {"complete", "pruned", "failed"}
        `pruned` was given up early.
    score : float or None
        On the held-out images; None where it failed before it had one.
    seconds : float
        That it took.
    reason : str
        Why it failed.
    """

    number: int
    values: dict[str, Any]
    state: str
    score: float | None
    seconds: float
    reason: str = ""


def optuna_package() -> Any:
    """Import optuna, or raise a `UserError` that says how to install it."""
    return need("optuna", extra="search", what="The search")


def open_study(folder: Path, origin: str, *, dims: int, seed: int) -> optuna.Study:
    """Open or make the study; trials that were interrupted are tried again.

    Parameters
    ----------
    folder : Path
        Keeps the database.
    origin : str
        What is searched on; a study of something else is not gone on with.
    dims : int
        Spatial axes.
    seed : int
        Of the values that are proposed.

    Raises
    ------
    UserError
        When the folder holds a search on other data or with other options.
    """
    package = optuna_package()
    package.logging.set_verbosity(package.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    storage = package.storages.RDBStorage(f"sqlite:///{(folder / STORAGE).resolve().as_posix()}")
    study: optuna.Study = package.create_study(
        study_name="search",
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        pruner=package.pruners.MedianPruner(n_startup_trials=3),
    )
    # A sampler begins anew with each run: with the same seed it would propose what it has proposed already.
    study.sampler = package.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP)
    if study.user_attrs.get("origin", origin) != origin:
        raise UserError(
            f"{folder} holds a search on other images or with other options.", "Give another folder for --out."
        )
    if not study.trials:
        study.set_user_attr("origin", origin)
        study.enqueue_trial({"depth": 4 if dims == 2 else 3, **FIRST})
    for trial in study.trials:
        if trial.state == package.trial.TrialState.RUNNING:  # its process was killed
            study.tell(trial.number, state=package.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def suggest(trial: optuna.Trial, dims: int, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Let the study propose the values of a trial, but for those that the user fixed."""
    propose: dict[str, Callable[[], Any]] = {
        "depth": lambda: trial.suggest_int("depth", *DEPTHS[dims]),
        "base": lambda: trial.suggest_categorical("base", BASES),
        "block": lambda: trial.suggest_categorical("block", BLOCKS),
        "loss": lambda: trial.suggest_categorical("loss", LOSSES),
        "learning_rate": lambda: trial.suggest_float("learning_rate", *RATES, log=True),
    }
    return {name: fixed[name] if name in fixed else ask() for name, ask in propose.items()}


def seconds_of(trial: optuna.trial.FrozenTrial) -> float:
    """Give how long a trial took."""
    return float(trial.user_attrs.get("seconds", 0.0))


def to_trial(trial: optuna.trial.FrozenTrial) -> Trial:
    """Describe a trial that has ended."""
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    reason = trial.user_attrs.get("reason", "interrupted" if trial.state.name == "FAIL" else "")
    return Trial(trial.number, dict(trial.params), states[trial.state.name], trial.value, seconds_of(trial), reason)
