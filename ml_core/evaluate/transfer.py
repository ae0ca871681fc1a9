"""Tensors between host and device, without waiting for the device where it allows that."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths end to end: row i is the next `lengths[i]` entries of `values`."""

    values: torch.Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Arriving:
    """What a forward pass gave, on its way to the host.

    `done` is the event after the copy, None where nothing is under way. `lengths` are those of
    ragged rows, None where each entry of the first dimension is a row.
    """

    host: torch.Tensor
    done: torch.cuda.Event | None = None
    lengths: tuple[int, ...] | None = None

    def has_arrived(self) -> bool:
        """Whether `wait` would return at once."""
        return self.done is None or bool(self.done.query())  # type: ignore[no-untyped-call]  # torch's

    def wait(self) -> list[Values]:
        """The rows, once the device has computed them."""
        if self.done is not None:
            self.done.synchronize()
        values = np.asarray(self.host.numpy(), dtype=np.float32)
        if self.lengths is None:
            return list(values)
        ends = np.cumsum(self.lengths)
        return [values[end - n : end] for end, n in zip(ends, self.lengths, strict=True)]


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`.

    To a CUDA device it is copied from page-locked memory, behind the work that is queued there; the
    allocator keeps that memory until the copy is done.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetch(given: torch.Tensor | Ragged) -> Arriving:
    """`given` as float32 on its way to the host, behind the work that computes it."""
    values, lengths = (given.values, given.lengths) if isinstance(given, Ragged) else (given, None)
    wanted = values.detach().float()
    if wanted.device.type != "cuda":
        return Arriving(wanted.cpu(), lengths=lengths)
    host = torch.empty(wanted.shape, dtype=torch.float32, pin_memory=True)
    host.copy_(wanted, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's
    done.record(torch.cuda.current_stream(wanted.device))
    return Arriving(host, done, lengths)
