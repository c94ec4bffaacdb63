"""Progress of a training run in a file, so that a run that was killed goes on.  Taught in on_its_own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lumbo import store
from lumbo.errors import require

__all__ = ["Checkpoint"]


class Checkpoint:
    """Where one run keeps its weights, its best weights, the state of its optimisers and its history.

    Parameters
    ----------
    path : file, or None to keep nothing
    model : as it is before the first step
    optimizers : by name
    identity : JSON-able; what a file must say of itself to belong to this run
    """

    def __init__(
        self,
        path: Path | None,
        model: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        identity: dict,
    ):
        start = store.digest(value.detach().cpu().numpy() for value in model.state_dict().values())
        self.path, self.model, self.optimizers = path and Path(path), model, optimizers
        self.identity = identity | {"start": start}

    def keep(self, best: Mapping[str, Tensor], history: Sequence) -> None:
        """Write everything needed to go on, atomically."""
        if self.path is None:
            return
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in best.items()}
        for who, optimizer in self.optimizers.items():
            for i, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{who}/{i}/{slot}": value for slot, value in slots.items()}
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        store.save_tensors(self.path, arrays, {"history": list(history), "identity": self.identity})

    def resume(self) -> tuple[list[list], dict[str, Tensor]]:
        """Load into model and optimisers what was kept; return the history and the best weights.

        Where there is no file, the history is empty and the best weights are those of the model.

        Raises `InputError` naming a file that is unreadable or belongs to another run.
        """
        if self.path is None or not self.path.exists():
            return [], {name: value.clone() for name, value in self.model.state_dict().items()}
        arrays, note = store.load_tensors(self.path)
        found, allowed = note.get("identity"), f"a checkpoint of this run, {self.identity}"
        require(found == self.identity, str(self.path), found, allowed)
        self.model.load_state_dict(_part(arrays, "model"))
        for who, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            for name, value in _part(arrays, "optimizer").items():
                owner, i, slot = name.rsplit("/", 2)
                if owner == who:
                    state["state"].setdefault(int(i), {})[slot] = value
            optimizer.load_state_dict(state)
        device = next(self.model.parameters()).device
        return note["history"], {name: value.to(device) for name, value in _part(arrays, "best").items()}


def _part(arrays: Mapping, kind: str) -> dict[str, Tensor]:
    start = f"{kind}/"
    return {k.removeprefix(start): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(start)}
