"""The metric store: points a second, alarms judged, and what 500 instances take for 15 days.

    python benches/metrics/run.py [--rounds 3]

Builds `crates/metrics/examples/bench.rs` optimised, runs it in rounds and prints medians beside
the bars that are set for them. The database lies in the system's temporary directory.
"""

import argparse
import json
import statistics
import subprocess
import sys

BARS = {
    "points_per_second": (1_000_000, "at least", "points a second into 10,000 series, archive included"),
    "alarms_ms": (100, "at most", "ms for 10,000 alarms on metrics of their own"),
    "expression_alarms_ms": (100, "at most", "ms for 10,000 alarms on expressions over two metrics"),
    "total_bytes": (2**30, "at most", "bytes of 500 instances for 15 days, memory and disk"),
    "series_bytes": (None, "", "bytes of them in memory, without the metrics' names"),
    "resident_bytes": (None, "", "bytes resident after a start on them"),
    "disk_bytes": (None, "", "bytes of them on disk"),
    "open_ms": (None, "", "ms to open them again"),
    "read_15_days_ms": (None, "", "ms to read one metric's 15 days by the minute"),
    "written_s": (None, "", "s to write them"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    command = ["cargo", "run", "--release", "--quiet", "-p", "metrics", "--example", "bench"]
    results = []
    for _ in range(rounds):
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        found["total_bytes"] = found["resident_bytes"] + found["disk_bytes"]
        results.append(found)
    missed = False
    for name, (bar, how, text) in BARS.items():
        value = statistics.median(r[name] for r in results)
        if bar is None:
            verdict = ""
        else:
            good = value >= bar if how == "at least" else value <= bar
            verdict = f"  (bar: {how} {bar:,}: {'held' if good else 'MISSED'})"
            missed = missed or not good
        print(f"{value:>16,.1f}  {text}{verdict}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
