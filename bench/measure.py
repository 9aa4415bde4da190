"""What the benchmarks share: a child that is measured, children in turn, trees, rows of a table."""
import argparse
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOM_BYTES = 30 << 30


class Run:
    """What one child cost."""

    def __init__(self, argv):
        start = time.monotonic()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)
        text = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        self.wall_s = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.rss_kb = usage.ru_maxrss
        if child.returncode != 0:
            sys.exit(f"{' '.join(argv)}: exit {child.returncode}\n{text.decode(errors='replace')}")


class Sitting:
    """Several commands in turn, five times round."""

    def __init__(self, bench):
        self.bench = bench
        self.runs = {}

    def go(self, commands, before=None):
        names = list(commands)
        for turn in range(self.bench.runs):
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                if before is not None:
                    before()
                self.runs.setdefault(name, []).append(commands[name]())
        return self

    def median(self, name, what):
        return statistics.median(getattr(run, what) for run in self.runs[name])

    def tell(self, name, unit, count):
        def scaled(what):
            return self.median(name, what) / count
        return (f"{name} {scaled('cpu_s') * unit[0]:.3g} {unit[1]} CPU, "
                f"{self.median(name, 'wall_s'):.2f} s wall, "
                f"{self.median(name, 'rss_kb') / 1000:.0f} MB")


class Bench:
    def __init__(self, options):
        self.lade = os.path.abspath(options.lade)
        self.small = options.small
        self.runs = options.runs
        self.dir = os.path.join(os.path.abspath(options.dir), "lade-bench")
        os.makedirs(self.dir, exist_ok=True)
        if not self.small and shutil.disk_usage(self.dir).free < ROOM_BYTES:
            sys.exit(f"less than {ROOM_BYTES >> 30} GiB are free in {self.dir}")
        self.work = tempfile.mkdtemp(prefix="work-", dir=self.dir)
        os.environ["XDG_STATE_HOME"] = self.work
        os.environ["RCLONE_CONFIG"] = os.devnull
        self.number = 0
        self.rows = []

    def fresh(self):
        """A name in the working directory that nothing has yet."""
        self.number += 1
        return os.path.join(self.work, str(self.number))

    def close(self):
        """What a benchmark started is ended here."""

    # ---- trees ----

    def tree(self, name, make):
        """The tree of that name, made when it is missing; a half made one is made again."""
        path = os.path.join(self.dir, name + ("-small" if self.small else ""))
        if not os.path.isdir(path):
            shutil.rmtree(path + ".new", ignore_errors=True)
            os.makedirs(path + ".new")
            make(path + ".new")
            os.rename(path + ".new", path)
            os.sync()
        return path

    def large(self):
        """Two files of 512 MiB each (16 when small) that do not compress, and the size of one."""
        size = (16 if self.small else 512) << 20

        def make(path):
            some = random.Random("large")
            for name in ("one.bin", "two.bin"):
                with open(os.path.join(path, name), "wb") as file:
                    for _ in range(size >> 20):
                        file.write(some.randbytes(1 << 20))
        return self.tree("large", make), size

    def row(self, work, target, measured, good, peers):
        self.rows.append(f"| {work} | {target} | {measured} | {'yes' if good else '**no**'} "
                         f"| {'; '.join(peers)} |")
        print(self.rows[-1], flush=True)


def main(bench_class, figures, about):
    """Measure the figures that are asked for; `figures` are names of methods of bench_class."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("lade", help="the program, from a release build")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/tmp"))
    parser.add_argument("--small", action="store_true", help="a few files, to see that it runs")
    parser.add_argument("--only", default=",".join(figures), help="some of: " + " ".join(figures))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="do not remove what was written")
    options = parser.parse_args()
    bench = bench_class(options)
    print("| work | to reach | measured | reached | peers |\n|---|---|---|---|---|", flush=True)
    with contextlib.ExitStack() as at_end:
        at_end.callback(bench.close)
        if not options.keep:
            at_end.callback(shutil.rmtree, bench.work, ignore_errors=True)
        for name in options.only.split(","):
            if name not in figures:
                sys.exit(f"no figure '{name}'")
            getattr(bench, "measure_" + name)()
