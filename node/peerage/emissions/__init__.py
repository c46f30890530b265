"""One peer's energy and CO2e, metered by phase, with a label and a band on every number.

Launcher: `codecarbon_door.probe_host` (the only module that loads CodeCarbon), then `HostMeter`. Peer: `Meter`.
Auditor: `decode_record`, `decode_host_record`, `check_run`.
"""

from peerage.emissions.attribution import equal_reservation
from peerage.emissions.checks import MARKED, EmissionFinding, check_host, check_peer, check_record, check_run
from peerage.emissions.csv_log import EmissionsCsv
from peerage.emissions.gpu import counters_of, devices_of
from peerage.emissions.host import HostProbe, probe_from_json
from peerage.emissions.host_meter import HostMeter
from peerage.emissions.host_record import HostRecord, decode_host_record
from peerage.emissions.labels import Band, Label
from peerage.emissions.marks import Mark
from peerage.emissions.meter import Meter
from peerage.emissions.record import PHASES, BadRecord, EmissionRecord, Phase, decode_record
from peerage.emissions.resolution import parse_resolution
from peerage.emissions.summary import EmissionSummary, summarise

__all__ = [
    "MARKED",
    "PHASES",
    "BadRecord",
    "Band",
    "EmissionFinding",
    "EmissionRecord",
    "EmissionSummary",
    "EmissionsCsv",
    "HostMeter",
    "HostProbe",
    "HostRecord",
    "Label",
    "Mark",
    "Meter",
    "Phase",
    "check_host",
    "check_peer",
    "check_record",
    "check_run",
    "counters_of",
    "decode_host_record",
    "decode_record",
    "devices_of",
    "equal_reservation",
    "parse_resolution",
    "probe_from_json",
    "summarise",
]
