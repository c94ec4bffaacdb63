"""No federation: the steps of all clients one after the other, one network and one optimiser."""

import workload

from lumbo.learning import training


def main() -> None:
    """Take the steps."""
    net = workload.network()
    optimizer = training.new_optimizer(net, workload.plan())
    for round_ in range(workload.TASK.rounds):
        for k in range(len(workload.clients())):
            workload.local_steps(net, k, round_, optimizer)
        workload.landed(net.state_dict())


if __name__ == "__main__":
    main()
