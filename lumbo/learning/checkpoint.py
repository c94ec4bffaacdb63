"""Progress of a training run in a file, so that a run that was killed goes on.  Taught in on_its_own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lumbo import store
from lumbo.errors import InputError, number, require, whole

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
        self.path = None if path is None else store.checked_path(path, "checkpoint")
        if self.path is not None:
            require(not self.path.is_dir(), "checkpoint", str(path), "a file, not a folder")
            store.make_folder(self.path.parent)  # a place that cannot be written to is found now
        start = store.digest(value.detach().cpu().numpy() for value in model.state_dict().values())
        self.model, self.optimizers = model, optimizers
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
        found = note.get("identity")
        if not isinstance(found, dict):
            raise InputError(str(self.path), found, "a checkpoint that training has left")
        for name, value in self.identity.items():
            allowed = f"a checkpoint of this run, {value}"
            require(found.get(name) == value, f"{self.path}: {name}", found.get(name), allowed)
        history = self._history(note.get("history"))
        self._fit(arrays)
        self.model.load_state_dict(_part(arrays, "model"))
        for who, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            for name, value in _part(arrays, "optimizer").items():
                owner, i, slot = name.rsplit("/", 2)
                if owner == who:
                    state["state"].setdefault(int(i), {})[slot] = value
            optimizer.load_state_dict(state)
        device = next(self.model.parameters()).device
        return history, {name: value.to(device) for name, value in _part(arrays, "best").items()}

    def _history(self, entries: object) -> list[list]:
        """Return the checks that a file holds, each steps, loss and error, or say what is wrong with them."""
        field, allowed = f"{self.path}: history", "at least one check: steps, loss, validation MAE"
        if not (isinstance(entries, list) and entries):
            raise InputError(field, entries, allowed)
        steps = 0
        for i, entry in enumerate(entries):
            place = f"{field}[{i}]"
            require(isinstance(entry, list) and len(entry) == 3, place, entry, "steps, loss, validation MAE")
            steps = whole(place, entry[0], steps + 1, 10**12)
            for value in entry[1:]:
                number(place, value, -1e30, 1e30)
        return entries

    def _fit(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise `InputError` unless the arrays of a file are just those that `keep` would write.

        An optimiser would write beyond an array that is too small.
        """
        state = {name: value.detach().cpu().numpy() for name, value in self.model.state_dict().items()}
        wanted = {f"{part}/{name}": value for part in ("model", "best") for name, value in state.items()}
        for who, optimizer in self.optimizers.items():
            weights = [value for group in optimizer.param_groups for value in group["params"]]
            for i, weight in enumerate(weights):
                like = weight.detach().cpu().numpy()
                wanted |= {f"optimizer/{who}/{i}/{slot}": like for slot in ("exp_avg", "exp_avg_sq")}
                wanted[f"optimizer/{who}/{i}/step"] = np.zeros((), np.float32)
        for name in sorted(wanted.keys() | arrays.keys()):
            have, want = (_kind(found.get(name)) for found in (arrays, wanted))
            require(have == want, f"{self.path}: {name}", have, want)
            good = bool(np.isfinite(arrays[name]).all()) and not (
                name.endswith("_sq") and arrays[name].min() < 0
            )
            require(good, f"{self.path}: {name}", "numbers that are not finite, or squares below 0", want)


def _kind(array: np.ndarray | None) -> str:
    return "nothing" if array is None else f"{array.dtype} of shape {array.shape}"


def _part(arrays: Mapping, kind: str) -> dict[str, Tensor]:
    start = f"{kind}/"
    return {k.removeprefix(start): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(start)}
