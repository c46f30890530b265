"""One peer of `conservation`: our meter and two trackers of CodeCarbon around the same work, in one process.

python metered.py PROBE WHO PEERS SECONDS     says "ready", begins at a line on stdin, prints one JSON document
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

EDGES_A_SECOND = 20
DUTY = 0.3
PHASES = ("train", "wait")


def trackers() -> dict[str, Any]:
    from codecarbon import OfflineEmissionsTracker

    options = {
        "country_iso_code": "FRA",
        "save_to_file": False,
        "log_level": "critical",
        "allow_multiple_runs": True,
        "measure_power_secs": 1,
    }
    return {mode: OfflineEmissionsTracker(tracking_mode=mode, **options) for mode in ("machine", "process")}


def work(until: float) -> None:
    while time.perf_counter() < until:
        hashlib.sha256(bytes(20_000)).digest()


def main() -> None:
    from peerage.emissions import Meter, equal_reservation, probe_from_json

    probe, who, peers, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    cold = trackers()  # the first start of a process looks at the CPU for a second or two
    for tracker in cold.values():
        tracker.start()
        tracker.stop()
    measured = trackers()
    print("ready", flush=True)
    sys.stdin.readline()
    meter = Meter(probe_from_json(Path(probe).read_text()), bytes([who] * 20), reserved_ppm=equal_reservation(peers))
    for tracker in measured.values():
        tracker.start()
    records, cost, edges = [], 0.0, 0
    begin = time.perf_counter()
    step = 2 / EDGES_A_SECOND
    for number in range(round(seconds / step)):
        for phase, end in (("train", DUTY), ("wait", 1.0)):
            before = time.thread_time()
            meter.enter(phase)
            cost += time.thread_time() - before
            edges += 1
            if phase == "train":
                work(begin + (number + end) * step)
            else:
                time.sleep(max(0.0, begin + (number + end) * step - time.perf_counter()))
        if (number + 1) * step % 1.0 < step / 2:
            before = time.thread_time()
            records.append(meter.close_round(len(records) + 1))
            cost += time.thread_time() - before
    wall = time.perf_counter() - begin
    records.append(meter.close_round(len(records) + 1))
    for tracker in measured.values():
        tracker.stop()
    told = {
        mode: {
            "cpu_j": tracker.final_emissions_data.cpu_energy * 3.6e6,
            "ram_j": tracker.final_emissions_data.ram_energy * 3.6e6,
        }
        for mode, tracker in measured.items()
    }
    print(
        json.dumps(
            {
                "records": [record.encode().decode() for record in records],
                "codecarbon": told,
                "meter_core_share": cost / wall,
                "edges": edges,
            }
        )
    )


if __name__ == "__main__":
    main()
