"""BlazeFL: its pool of `TASK.workers` threads and its own averaging."""

import copy
import threading

import workload
from blazefl.contrib.fedavg import FedAvgBaseServerHandler, FedAvgUplinkPackage
from blazefl.core import ModelSelector, ThreadPoolClientTrainer, deserialize_model, serialize_model


class Selector(ModelSelector):
    """Builds the network."""

    def select_model(self, model_name):
        """Return it as it is before the first round."""
        return workload.network()


class Trainer(ThreadPoolClientTrainer):
    """Trains each client in a thread."""

    def __init__(self):
        self.num_parallels, self.device, self.cache = workload.TASK.workers, "cpu", []
        self.stop_event, self.round, self.net = threading.Event(), 0, workload.network()

    def worker(self, cid, device, payload, stop_event):
        """Take one client's steps of the round."""
        net = copy.deepcopy(self.net)
        deserialize_model(net, payload.model_parameters)
        workload.local_steps(net, cid, self.round)
        return FedAvgUplinkPackage(cid, serialize_model(net), workload.sizes()[cid])

    def uplink_package(self):
        """Hand over what the clients send."""
        package, self.cache = self.cache, []
        return package


def main() -> None:
    """Run the rounds; the loop is the user's in BlazeFL."""
    server = FedAvgBaseServerHandler(
        Selector(), "landmarks", dataset=None, global_round=workload.TASK.rounds,
        num_clients=len(workload.sizes()), sample_ratio=1.0, device="cpu", batch_size=workload.BATCH, seed=0,
    )  # fmt: skip
    trainer = Trainer()
    while not server.if_stop():
        trainer.local_process(server.downlink_package(), server.sample_clients())
        for package in trainer.uplink_package():
            server.load(package)
        trainer.round = server.round
        workload.landed(server.model.state_dict())


if __name__ == "__main__":
    main()
