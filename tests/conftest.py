"""What several test folders share is imported by its name: `cohort`, and the simulator with its parts."""

import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "node")]

# Workers share the cores already: a pool of threads for each of them would spin, and small sums take seconds instead of
# milliseconds. Set before anybody imports torch or numpy; what is started from here has it too.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell starts what runs in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and what we start is to hear Ctrl-C all the same
