"""The yardstick of `startup`: processes that each import for themselves and take one step; prints seconds and memory.

python spawned.py COUNT
"""

import json
import subprocess
import sys
import time

import psutil

PEER = """
import sys, torch, web3, zmq
torch.set_num_threads(1)
model = torch.nn.Linear(64, 10)
torch.optim.SGD(model.parameters(), lr=0.1).step()
print("ready", flush=True)
sys.stdin.read()
"""


def main() -> None:
    started = time.perf_counter()
    pipe = subprocess.PIPE
    peers = [subprocess.Popen([sys.executable, "-c", PEER], stdin=pipe, stdout=pipe) for _ in range(int(sys.argv[1]))]
    for peer in peers:
        assert peer.stdout is not None
        peer.stdout.readline()
    seconds = time.perf_counter() - started
    infos = [psutil.Process(peer.pid).memory_full_info() for peer in peers]
    gigabytes = sum(getattr(info, "pss", info.rss) for info in infos) / 1e9
    unshared = sum(info.uss for info in infos) / 1e9
    for peer in peers:
        peer.communicate()
    print(json.dumps({"seconds": seconds, "gigabytes": gigabytes, "unshared_gigabytes": unshared}))


if __name__ == "__main__":
    main()
