"""Three Ray nodes on this machine, with a door for Ray Client, until the standard input ends.

Says, as JSON, the cluster's address, the client's, and the process of the last node's raylet.
"""

from __future__ import annotations

import json
import os
import socket
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        door = free.getsockname()[1]
    given = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**given, "ray_client_server_port": door})
    nodes = [cluster.add_node(**given) for _ in range(2)]
    raylet = nodes[-1].all_processes["raylet"][0].process.pid
    print(json.dumps({"address": cluster.address, "client": f"ray://127.0.0.1:{door}", "raylet": raylet}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
