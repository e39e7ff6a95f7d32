"""What having pytest-vdb installed costs a project that does not use it: `pytest --help`, with and without the plugin.

python benchmarks/perf/startup.py [--rounds 15]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        timings = [(seconds(folder, "-p", "no:vdb"), seconds(folder)) for _ in range(rounds)]
    without, with_it = (statistics.median(column) for column in zip(*timings, strict=True))
    extra_ms = statistics.median(1000 * (b - a) for a, b in timings)
    print(f"pytest --help, {rounds} rounds in turn, medians")
    print(f"  without {1000 * without:.0f} ms   with {1000 * with_it:.0f} ms   pairwise difference {extra_ms:.0f} ms")


def seconds(folder: str, *arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pytest", "--help", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
