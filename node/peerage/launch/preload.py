"""Imported by the fork server before any peer exists: what all peers share, and nothing that computes.

Torch, web3 and our own modules take seconds and hundreds of megabytes to import; forked peers inherit them for nothing.
In exchange: one thread from before torch's first operation (a fork after a two-thread computation hangs), no
computation, no ZeroMQ context, no secret drawn here. The optimiser is built once because building it imports lazily.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_name] = "1"  # read when the libraries load: so before the imports below

import gc  # noqa: E402
import importlib  # noqa: E402
import threading  # noqa: E402

import torch  # noqa: E402

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
torch.optim.SGD([torch.nn.Parameter(torch.empty(1))], lr=0.1)

for _module in ("zmq", "web3", "safetensors.numpy", "peerage.peer", "peerage.launch.product"):
    importlib.import_module(_module)

gc.collect()
gc.freeze()  # the children do not copy these pages when their collector runs

THREADS_AFTER_IMPORT = threading.active_count()
