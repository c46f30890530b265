"""What several test folders share is imported by its name: `cohort`, and the simulator with its parts."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "node")]
