"""Tensors between host and device, without waiting for the device where it allows that."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Arriving:
    """Logits of shape `(rows, outputs)` on their way to the host.

    `done` is the event after the copy, None where nothing is under way.
    """

    host: torch.Tensor
    done: torch.cuda.Event | None = None

    def has_arrived(self) -> bool:
        """Whether `wait` would return at once."""
        return self.done is None or bool(self.done.query())  # type: ignore[no-untyped-call]  # torch's

    def wait(self) -> Logits:
        """The logits, once the device has computed them."""
        if self.done is not None:
            self.done.synchronize()
        return np.asarray(self.host.numpy(), dtype=np.float32)


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`.

    To a CUDA device it is copied from page-locked memory, behind the work that is queued there; the
    allocator keeps that memory until the copy is done.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fetch(logits: torch.Tensor) -> Arriving:
    """`logits` as float32 on their way to the host, behind the work that computes them."""
    wanted = logits.detach().float()
    if wanted.device.type != "cuda":
        return Arriving(wanted.cpu())
    host = torch.empty(wanted.shape, dtype=torch.float32, pin_memory=True)
    host.copy_(wanted, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's
    done.record(torch.cuda.current_stream(wanted.device))
    return Arriving(host, done)
