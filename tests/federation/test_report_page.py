"""The report of a real small run, read as text and looked at in a real browser."""

import csv
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from peerage.report import Asked, page, read_run
from peerage.report.documents import csv_text, document
from peerage.report.sections import SECTIONS

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "\"><script>document.title='owned'</script><img src=x onerror=alert(1)>\u202e"
LOOKING = ("--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=4000")
PLOTS = 8  # three of accuracy, three of energy, SCI, rewards

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def peerage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "peerage", *arguments], capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    done = peerage("run", "--data", "digits", "--peers", "3", "--rounds", "2", "--ledger", "embedded", "--country",
                   "DEU", "--out", str(folder))  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


class Markup(HTMLParser):
    """Every element and what it points at; balanced, or it says so."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            local = (value or "").startswith(("#", "data:image/svg+xml;"))
            if name in {"src", "href", "action", "data"} and not local:
                self.outside.append(value or "")


def test_a_run_ends_with_its_page(run: Path) -> None:
    text = (run / "report.html").read_text()
    markup = Markup(text)
    assert markup.tags.count("section") == len(SECTIONS)
    assert text.count('class="chart"') == PLOTS
    assert markup.outside == []
    assert "script" not in markup.tags
    assert "What is missing on this page" not in text


def test_a_run_says_what_its_overhead_took(run: Path) -> None:
    told = read_run(run)
    assert told.summary is not None
    overhead = told.summary.overhead
    assert overhead is not None
    assert 0 < overhead.energy_wh.low < overhead.energy_wh.mid < overhead.energy_wh.high
    assert "CPU seconds beside the peers" in page(told)


def test_every_plot_has_words_and_a_table(run: Path) -> None:
    text = page(read_run(run))
    assert text.count("<desc>") == PLOTS
    assert text.count("<details>") == PLOTS - 2  # the three of accuracy share one


def test_the_sums_are_those_of_the_records(run: Path) -> None:
    told = read_run(run)
    figures = document(told)
    mid = sum(r.energy_uj.mid for r in told.records) / 3.6e9
    summary = json.loads((run / "summary.json").read_text())["emissions"]
    assert figures["energy"]["energy_wh"]["mid"] == pytest.approx(mid)
    assert figures["energy"]["energy_wh"]["mid"] == pytest.approx(summary["energy_wh"], rel=1e-6)
    # each end of a band rounds down to a microjoule, per component and phase
    floors = len(told.records) * 4 * 7 / 3.6e9
    for cut in ("by_phase", "by_component", "by_peer", "by_place", "by_round"):
        for end in ("low", "mid", "high"):
            parts = sum(one["energy_wh"][end] for one in figures[cut].values())
            assert parts == pytest.approx(figures["energy"]["energy_wh"][end], abs=floors), cut


def test_the_network_is_shown_by_every_figure_and_in_no_sum(run: Path) -> None:
    told = read_run(run)
    figures = document(told)
    sent = sum(use.bytes_out for record in told.records for use in record.use)
    assert figures["network"]["bytes_sent"] == sent > 0
    beyond = figures["network"]["in_no_sum"]
    assert beyond["onebyte-4g"]["energy_wh"]["mid"] > 800 * beyond["ccf"]["energy_wh"]["mid"] > 0
    assert {one["energy_label"] for one in beyond.values()} == {"assumed"}
    assert all(name in page(told) for name in beyond)
    mine = sum(record.energy_uj.mid for record in told.records) / 3.6e9
    assert figures["energy"]["energy_wh"]["mid"] == pytest.approx(mine)


def test_nothing_is_netted(run: Path) -> None:
    bare, offset = document(read_run(run)), document(read_run(run, Asked(offset_g=1000.0)))
    assert offset["offset_g"] == 1000.0
    assert {**offset, "offset_g": None} == bare
    text = page(read_run(run, Asked(offset_g=1000.0)))
    assert "offsets, not subtracted" in text
    assert "no offset was stated" in page(read_run(run))
    assert "no offset was stated" not in text


def test_embodied_is_excluded_until_stated(run: Path) -> None:
    assert "M, embodied emissions: excluded" in page(read_run(run))
    rounds = document(read_run(run, Asked(embodied_g=300_000.0, lifespan_years=4.0)))["sci"]["rounds"]
    told = read_run(run)
    for one in rounds:
        records = [r for r in told.records if r.round == one["round"]]
        expected = sum(
            300_000.0 * (r.end_us - r.start_us) / (4 * 365.25 * 86400e6) * r.power.reserved_ppm / 1e6 for r in records
        )
        assert one["embodied_g"] == pytest.approx(expected)
        assert one["sci_g"] == pytest.approx(one["operational_g"][1] + expected)


def test_names_of_a_run_are_text(copy: Path) -> None:
    path = copy / "summary.json"
    summary = json.loads(path.read_text())
    name, address = next(iter(summary["accounts"].items()))
    summary["accounts"] = {EVIL: address, "=cmd()": summary["accounts"][list(summary["accounts"])[1]]}
    summary |= {"name": EVIL, "lost": {EVIL: EVIL}, "parts": {EVIL: EVIL}, "aggregate_sha256": EVIL}
    summary["missing"] = [{"round": 1, "peer": EVIL, "address": EVIL}]
    summary["rewards"]["by_peer"][EVIL] = EVIL
    summary["ledger"]["engine"] = EVIL
    if summary["privacy"]:
        summary["privacy"]["against"] = EVIL
    path.write_text(json.dumps(summary))
    told = read_run(copy)
    text = page(told)
    markup = Markup(text)
    assert "script" not in markup.tags
    assert markup.handlers == []
    assert markup.outside == []
    assert markup.tags.count("img") == Markup(page(read_run(copy))).tags.count("img") <= 1
    assert "\u202e" not in text
    assert html.escape("<script>document") in text
    cells = [row[1] for row in csv.reader(csv_text(told).splitlines())]
    assert "'=cmd()" in cells
    assert name not in cells


@pytest.mark.parametrize("part", ["summary.json", "host.jsonl", "store", "peers", "chain", "deployment.json"])
def test_a_broken_run_says_what_is_missing(copy: Path, part: str) -> None:
    gone = copy / part
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    told = read_run(copy)
    assert told.gaps
    text = page(told)
    assert "What is missing on this page" in text
    assert html.escape(told.gaps[0], quote=True) in text


@pytest.mark.parametrize("file", ["summary.json", "host.jsonl", "peers/peer-01/metrics.jsonl", "federation.toml"])
def test_rubbish_in_a_file_costs_that_file_only(copy: Path, file: str) -> None:
    (copy / file).write_bytes(b'\xff{"a":1e999' + b"[" * 5000)
    assert "</html>" in page(read_run(copy))


def test_a_forged_record_is_left_out(copy: Path) -> None:
    told = read_run(copy)
    victim = copy / "store" / told.records[0].digest().hex()
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes().replace(b'"round":', b'"rounds":'))
    again = read_run(copy)
    assert len(again.records) == len(told.records) - 1
    assert any("do not hash to their name" in gap for gap in again.gaps)


def test_wrong_input_is_one_sentence(run: Path, tmp_path: Path) -> None:
    for arguments in (
        [str(tmp_path)],
        [str(run), "--out", str(tmp_path / "no" / "where.html")],
        [str(run), "--offset-g", "nan"],
        [str(run), "--embodied-g", "3"],
    ):
        done = peerage("report", *arguments)
        assert done.returncode == 2, arguments
        assert done.stderr.startswith("peerage: ")
        assert done.stderr.count("\n") == 1


def test_files_for_programs(run: Path, tmp_path: Path) -> None:
    names = {kind: tmp_path / kind for kind in ("out", "csv", "sci", "boamps")}
    done = peerage("report", str(run), "--json", *(x for k, path in names.items() for x in (f"--{k}", str(path))))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == 1
    assert json.loads(names["sci"].read_text())["functional_unit"] == "one federated round"
    assert json.loads(names["boamps"].read_text())["header"]["formatVersion"] == "1.1.0"
    assert names["csv"].read_text().startswith("cut,key,")


@pytest.fixture
def chromium() -> Iterator[list[str]]:
    if BROWSER is None:
        assert os.environ.get("CI") != "true", "CI needs Chromium: apt-get install chromium"
        pytest.skip("needs Chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        yield [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--enable-logging=stderr", f"--user-data-dir={profile}",
        ]  # fmt: skip


def browse(chromium: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*chromium, *arguments], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return done


# The page itself may run no script, so another page looks at it through a frame of a phone's width.
LOOK = """<!doctype html><iframe id=f width=375 height=800 style="border:0" src="report.html"></iframe>
<pre id=out></pre>
<script>onload=()=>{const d=document.getElementById('f').contentDocument;
const w=[...d.querySelectorAll('svg.chart')].map(x=>x.getBoundingClientRect());
const sizes=[...d.querySelectorAll('svg.chart')].map(x=>15*x.getBoundingClientRect().width/480);
document.getElementById('out').textContent=JSON.stringify({title:d.title,wide:d.documentElement.scrollWidth,
plots:w.filter(r=>r.width>200&&r.height>20).length,type:Math.min(...sizes),
drawn:[...d.images].every(i=>i.complete&&i.naturalWidth>0)})}</script>"""


def test_it_reads_on_a_phone(run: Path, tmp_path: Path, chromium: list[str]) -> None:
    shutil.copy(run / "report.html", tmp_path / "report.html")
    (tmp_path / "look.html").write_text(LOOK)
    url = (tmp_path / "look.html").as_uri()
    done = browse(chromium, *LOOKING, url)
    seen = json.loads(html.unescape(done.stdout.split('<pre id="out">')[1].split("</pre>")[0]))
    assert seen["wide"] <= 375
    assert seen["plots"] == PLOTS
    assert seen["type"] >= 9
    assert seen["drawn"]
    assert "CONSOLE" not in done.stderr


def test_a_hostile_run_runs_nothing_in_a_browser(copy: Path, tmp_path: Path, chromium: list[str]) -> None:
    path = copy / "summary.json"
    summary = json.loads(path.read_text())
    summary["accounts"] = {EVIL: next(iter(summary["accounts"].values()))}
    summary["name"] = EVIL
    path.write_text(json.dumps(summary))
    (tmp_path / "report.html").write_text(page(read_run(copy)))
    (tmp_path / "look.html").write_text(LOOK)
    url = (tmp_path / "look.html").as_uri()
    done = browse(chromium, *LOOKING, url)
    seen = json.loads(html.unescape(done.stdout.split('<pre id="out">')[1].split("</pre>")[0]))
    assert seen["title"].startswith("Report of")
    assert seen["wide"] <= 375
    assert "CONSOLE" not in done.stderr


def test_it_prints(run: Path, tmp_path: Path, chromium: list[str]) -> None:
    out = tmp_path / "report.pdf"
    done = browse(chromium, f"--print-to-pdf={out}", "--no-pdf-header-footer", (run / "report.html").as_uri())
    assert out.read_bytes().startswith(b"%PDF-")
    assert out.stat().st_size > 20_000
    assert "CONSOLE" not in done.stderr
