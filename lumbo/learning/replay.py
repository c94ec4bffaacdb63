"""A step recorded once on a GPU and replayed (a CUDA graph); no other room knows of it.  Taught in on_its_own.

Our networks are small: launching their kernels, hundreds or a thousand, takes a GPU several times
as long as running them.  What may be recorded is a function of tensors, without a decision that
depends on their values and without a copy from the host; so all chance is drawn beforehand.

*Given* is what a step takes: tensors, in tuples or named tuples of any depth.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

__all__ = ["Work", "each", "run", "forget"]

Work = Callable[[Any, Any], Tensor]  # what is done with a model and what is given


def each(act: Callable[[Tensor], Any], given: Any) -> Any:
    """Act on every tensor of what is given; the tuples around them stay what they are.

    >>> each(lambda value: value.tolist(), (torch.zeros(1), (torch.ones(2),)))
    ([0.0], ([1.0, 1.0],))
    """
    if isinstance(given, Tensor):
        return act(given)
    parts = [each(act, part) for part in given]
    return type(given)(*parts) if hasattr(given, "_fields") else tuple(parts)


def run(work: Work, model: nn.Module, given: Any, device: torch.device) -> Tensor:
    """Return `work(model, given)`, whose gradients stay in the weights, on the device of the model.

    On a GPU the work is recorded when inputs of a shape come for the first time, and then replayed.

    given : on the host
    """
    if device.type != "cuda":
        return work(model, each(lambda value: value.to(device), given))
    recorded, key = _RECORDED.setdefault(model, {}), (work, *(value.shape for value in _tensors(given)))
    if key not in recorded or not recorded[key].fits(model):
        recorded[key] = _Recording(work, model, given, device)
    return recorded[key].replay(model, given)


def forget(model: nn.Module) -> None:
    """Drop what was recorded of a model: a GPU has better use for the memory."""
    _RECORDED.pop(model, None)


class _Recording:
    """Work on inputs of one shape; it holds no model alive."""

    def __init__(self, work: Work, model: nn.Module, given: Any, device: torch.device):
        self.given = each(lambda value: value.to(device), given)
        here, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(3):  # what libraries do at their first call cannot be recorded
                work(model, self.given)
        here.wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=aside):
            self.result = work(model, self.given)
        self.gradients = [weight.grad for weight in model.parameters()]  # None of a frozen one
        self.places = self._places(model)

    def fits(self, model: nn.Module) -> bool:
        """Say whether weights and gradients lie where they lay: a model that was moved has others."""
        return self.places == self._places(model)

    def _places(self, model: nn.Module) -> list[int]:
        tensors = (*model.parameters(), *self.gradients)
        return [tensor.data_ptr() for tensor in tensors if tensor is not None]

    def replay(self, model: nn.Module, given: Any) -> Tensor:
        """Do the work on other inputs of the same shape."""
        for place, values in zip(_tensors(self.given), _tensors(given)):
            place.copy_(values.pin_memory(), non_blocking=True)
        for weight, gradient in zip(model.parameters(), self.gradients):
            weight.grad = gradient
        self.graph.replay()
        return self.result.clone()


def _tensors(given: Any) -> list[Tensor]:
    found: list[Tensor] = []
    each(found.append, given)
    return found


_RECORDED: WeakKeyDictionary[nn.Module, dict[tuple, _Recording]] = WeakKeyDictionary()
