"""Seeds for every source of chance a job uses."""

import random
import sys

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed Python, numpy's old generator and, where it is loaded, torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries draw from it
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def generator(seed: int) -> np.random.Generator:
    """A generator of our own: equal seeds give equal draws, whatever else was drawn."""
    return np.random.default_rng(seed)
