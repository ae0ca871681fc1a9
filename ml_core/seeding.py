"""Seeds for every source of chance a job uses."""

import hashlib
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


def item_generator(seed: int, item_id: str) -> np.random.Generator:
    """A generator for one item: its draws depend on seed and id, not on which items came before."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
