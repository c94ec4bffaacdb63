"""pfl-research: its federated averaging on its simulated backend, one process."""

import numpy as np
import torch
import workload
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel


class Averaging(FederatedAveraging):
    """Federated averaging whose users take lumbo's steps."""

    def train_one_user(self, initial_model_state, model, user_dataset, central_context):
        """Train in place and return the difference that pfl averages."""
        round_ = central_context.current_central_iteration
        workload.local_steps(model.pytorch_model, user_dataset.user_id, round_)
        return model.get_model_difference(initial_model_state), Metrics()


class Marks(TrainingProcessCallback):
    """Write down each round."""

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        """Go on."""
        workload.landed(model.pytorch_model.state_dict())
        return False, Metrics()


def main() -> None:
    """Train."""
    users = range(len(workload.clients()))
    films = {k: [np.arange(n)] for k, n in enumerate(workload.sizes())}  # for pfl to count
    data = FederatedDataset.from_slices(films, get_user_sampler("minimize_reuse", users))
    net = workload.network()
    net.metrics = lambda films: {"films": Weighted(len(films), 1)}  # pfl evaluates in the first round
    model = PyTorchModel(net, torch.optim.SGD, torch.optim.SGD(net.parameters(), lr=1.0))
    Averaging().run(
        NNAlgorithmParams(workload.TASK.rounds, workload.TASK.rounds, len(users), None),
        SimulatedBackend(data, data, [WeightByDatapoints()]),
        model,
        NNTrainHyperParams(local_num_epochs=1, local_learning_rate=0.0, local_batch_size=None),
        callbacks=[Marks()],
    )


if __name__ == "__main__":
    main()
