"""lumbo: `federated.fedavg`.  It alone also validates after each round, on one film of each hospital."""

import workload

from lumbo import federated


def main() -> None:
    """Train."""
    net = workload.network()
    federated.fedavg(
        net, workload.clients(), workload.plan(), workload.SEED, workers=workload.TASK.workers,
        report=lambda check: workload.landed(net.state_dict()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
