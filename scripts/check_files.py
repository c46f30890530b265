"""Tidiness that no linter looks at: line ends, stray whitespace, merge marks, sizes, run bits, forbidden loaders."""

import re
import subprocess
import sys
from pathlib import Path

MOST_BYTES = 1 << 20
BINARY = {".png", ".gz", ".safetensors"}
GENERATED = "contracts/snapshots/"  # forge writes these, without a last newline
LOADERS = re.compile(r"^\s*(import pickle|from pickle |import cPickle|.*\btorch\.load\()")
MERGE = re.compile(r"^(<{7}|>{7}|={7})( |$)")
SOURCES = ("crypto/", "ledger/", "node/")


def faults(path: Path) -> list[str]:  # noqa: C901 - one line a rule
    data = path.read_bytes()
    found = []
    if len(data) > MOST_BYTES:
        found.append(f"{len(data)} bytes: large files do not belong in the history")
    if path.suffix in BINARY:
        return found
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return [*found, f"is not UTF-8: {error}"]
    if "\r" in text:
        found.append("has carriage returns")
    if text and not str(path).startswith(GENERATED) and (not text.endswith("\n") or text.endswith("\n\n")):
        found.append("does not end with exactly one newline")
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip() and path.suffix != ".md":
            found.append(f"line {number} ends in whitespace")
        if MERGE.match(line):
            found.append(f"line {number} is a merge mark")
        if str(path).startswith(SOURCES) and LOADERS.match(line):
            found.append(f"line {number} loads code from data: use msgspec or safetensors")
    if text.startswith("#!") and not path.stat().st_mode & 0o111:
        found.append("has a #! line but no run bit")
    return found


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    paths = [Path(name) for name in listed.split("\0") if name]
    lines = [f"{path}: {fault}" for path in paths if path.is_file() and not path.is_symlink() for fault in faults(path)]
    print("\n".join([*lines, f"{len(paths)} files, {len(lines)} faults"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
