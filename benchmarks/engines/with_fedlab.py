"""FedLab: its standalone pipeline, which trains clients one after the other."""

import sys
from unittest.mock import MagicMock

import workload

# FedLab imports these for its data sets, whatever is asked of it; none of them is used here.
unused = dict.fromkeys(("PIL", "sklearn", "sklearn.datasets", "torchvision"), MagicMock())
sys.modules |= unused

from fedlab.contrib.algorithm.basic_server import SyncServerHandler
from fedlab.core.client.trainer import SerialClientTrainer
from fedlab.core.standalone import StandalonePipeline
from fedlab.utils import Aggregators, SerializationTool

for name in unused:
    del sys.modules[name]


class Server(SyncServerHandler):
    """Averages with the clients' shares; FedLab's own handler weighs all alike."""

    def global_update(self, buffer):
        """Put the weighted mean into the global network; clients come in order."""
        shares = [workload.share(k) for k in range(self.num_clients)]
        mean = Aggregators.fedavg_aggregate([package[0] for package in buffer], shares)
        SerializationTool.deserialize_model(self._model, mean)


class Trainer(SerialClientTrainer):
    """Trains all clients in this process."""

    def local_process(self, payload, id_list):
        """Take the steps of each client from the global weights."""
        self.uploads = [self._train(payload[0], k) for k in id_list]

    def _train(self, weights, k):
        self.set_model(weights)
        workload.local_steps(self.model, k, self.round)
        return [self.model_parameters]

    @property
    def uplink_package(self):
        """What the clients send."""
        return self.uploads


class Pipeline(StandalonePipeline):
    """Writes down each round where FedLab would evaluate."""

    def evaluate(self):
        """Go on to the next round."""
        self.trainer.round = self.handler.round
        workload.landed(self.handler.model.state_dict())


def main() -> None:
    """Train."""
    net = workload.network()
    server = Server(net, workload.TASK.rounds, sample_ratio=1.0)
    trainer = Trainer(net, len(workload.clients()), cuda=False)
    trainer.round = 0
    Pipeline(server, trainer).main()


if __name__ == "__main__":
    main()
