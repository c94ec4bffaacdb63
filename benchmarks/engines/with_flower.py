"""Flower: its simulation on Ray, one core for each of `TASK.workers` actors."""

import workload
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message, context):
    """Take one client's steps of the round."""
    k, round_ = context.node_config["partition-id"], message.content["config"]["server-round"] - 1
    state = workload.train(message.content["arrays"].to_torch_state_dict(), k, round_)
    metrics = MetricRecord({"num-examples": workload.sizes()[k], "client": k})
    return Message(RecordDict({"arrays": ArrayRecord(state), "metrics": metrics}), reply_to=message)


class Ordered(FedAvg):
    """Adds replies up in the order of clients, not of arrival: sums of floats depend on it."""

    def aggregate_train(self, server_round, replies):
        """Average, and write down the round."""
        replies = sorted(replies, key=lambda reply: reply.content["metrics"]["client"])
        arrays, metrics = super().aggregate_train(server_round, replies)
        workload.landed(arrays.to_torch_state_dict())
        return arrays, metrics


@server_app.main()
def serve(grid, context):
    """Run the rounds."""
    n = len(workload.sizes())
    strategy = Ordered(fraction_evaluate=0.0, min_train_nodes=n, min_available_nodes=n)
    start = ArrayRecord(workload.network().state_dict())
    strategy.start(grid, start, num_rounds=workload.TASK.rounds)


def main() -> None:
    """Simulate."""
    resources = {"init_args": {"num_cpus": workload.TASK.workers}, "client_resources": {"num_cpus": 1}}
    run_simulation(server_app, client_app, len(workload.sizes()), backend_config=resources)


if __name__ == "__main__":
    main()
