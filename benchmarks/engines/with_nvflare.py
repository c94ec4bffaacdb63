"""NVFlare: its simulator with a site for each hospital.  The clients run this same file, with an argument.

`TASK.workers` processes at a time share the clients.  Where there are fewer than clients, NVFlare starts the
processes anew in every round.
"""

import json
import sys

import nvflare.client as flare
import torch
import workload
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv


def names() -> list[str]:
    """Hospitals in order."""
    return [client.name for client in workload.clients()]


class Ordered(ModelAggregator):
    """NVFlare's average, added up in the order of clients, not of arrival: sums of floats depend on it."""

    def reset_stats(self):
        """Begin a round."""
        self.received = {}

    def accept_model(self, model):
        """Keep what a client sends."""
        self.received[model.meta["client_name"]] = model.params

    def aggregate_model(self):
        """Average, and write down the round."""
        mean = WeightedAggregationHelper()
        for k, name in enumerate(names()):
            mean.add(self.received[name], workload.share(k), name, 0)
        params = mean.get_result()
        workload.landed({name: torch.as_tensor(value) for name, value in params.items()})
        return FLModel(params=params, params_type=ParamsType.FULL)


def client() -> None:
    """Take one client's steps, round after round."""
    flare.init()
    k = names().index(flare.get_site_name())
    while flare.is_running():
        model = flare.receive()
        state = {name: torch.as_tensor(value) for name, value in model.params.items()}
        flare.send(FLModel(params=workload.train(state, k, model.current_round)))


def main() -> None:
    """Simulate."""
    net, start = workload.network(), workload.FOLDER / "start.pt"
    torch.save(net.state_dict(), start)
    recipe = FedAvgRecipe(
        name="lumbo", model=net, initial_ckpt=str(start), min_clients=len(names()),
        num_rounds=workload.TASK.rounds, train_script=__file__, train_args="client", aggregator=Ordered(),
    )  # fmt: skip
    policy = workload.FOLDER / "lumbo" / "local" / "resources.json"  # classes of our own are let in
    policy.parent.mkdir(parents=True)
    policy.write_text(json.dumps({"format_version": 2, "class_allow_list": ["*"]}))
    threads = workload.TASK.workers
    recipe.execute(SimEnv(clients=names(), num_threads=threads, workspace_root=str(workload.FOLDER)))


if __name__ == "__main__":
    client() if "client" in sys.argv else main()
