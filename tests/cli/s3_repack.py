"""repack in a real gateway: tests/servers/with python3 tests/cli/s3_repack.py LADE. Generations, kills, what is left."""
import os
import shutil
import signal
import time

from harness import LONG, case, check, equal, main, make_tree, random_of, same_trees, scan, set_age, write

MIB = 1 << 20
KILLS = 20 if LONG else 5


def bucket(it):
    name = f"{it.name.replace('_', '-')[:50]}-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


def renew(path, data, seconds):
    write(path, data)
    stamp = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(stamp, stamp))


def generations(it, dice, there, *options):
    make_tree(it / "src", {f"d{number % 5}/f{number:03}": dice.randbytes(dice.randrange(20000)) for number in range(120)}
              | {"d1/large": dice.randbytes(30 * MIB)})
    set_age(it / "src", 1000)
    for number in range(4):
        it.lade("put", "--job", "job", "--pack=1", *options, "src", there)
        for name in dice.sample(range(120), 8):
            path = it / f"src/d{name % 5}/f{name:03}"
            if number % 2 and path.exists():
                path.unlink()
            else:
                renew(path, dice.randbytes(9000), 900 - number)
    it.lade("put", "--job", "job", "--pack=1", *options, "src", there)


def same(it, there):
    shutil.rmtree(it / "out", ignore_errors=True)
    shutil.rmtree(it / "get", ignore_errors=True)
    it.lade("get", "--job", "get", there, "out")
    files = [{rel: entry for rel, entry in scan(it / name).items() if entry.kind != "dir"} for name in ("out", "src")]
    same_trees(*files)


@case
def packs_in_a_bucket_become_few(it):
    dice = random_of("s3 repack", 1)
    root = bucket(it)
    for options in ((), ("--no-compress",)):
        shutil.rmtree(it / "src", ignore_errors=True)
        shutil.rmtree(it / "job", ignore_errors=True)
        there = f"{root}/run{len(options)}"
        generations(it, dice, there, *options)
        told = it.lade("repack", "--pack-size", "1G", *options, "--json", there).summary()
        check(told["packs_before"] > 5 and told["packs_after"] == 1, told)
        same(it, there)
        equal(it.lade("put", "--job", "job", "--pack=1", *options, "--json", "src", there).summary()["done"]["count"], 0)
        it.lade("check", "job")
        equal(it.lade("repack", "--pack-size", "1G", "--json", there).summary()["rewritten"], 0)


@case
def a_kill_leaves_no_uploads(it):
    dice = random_of("s3 repack kill", 1)
    there = bucket(it)
    hits = 0
    for number in range(KILLS):
        place = f"{there}/{number}"
        shutil.rmtree(it / "src", ignore_errors=True)
        shutil.rmtree(it / "job", ignore_errors=True)
        generations(it, dice, place)
        for _ in range(2):
            process = it.start("repack", "--pack-size", "1G", "--bwlimit", "20M", place)
            time.sleep(dice.uniform(0.05, 1.8))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                hits += 1
            it.end(process, status=(0, -signal.SIGKILL))
        same(it, place)
        it.lade("repack", "--pack-size", "1G", place)
        same(it, place)
        equal(it.lade("uploads", place).out, "", "uploads that are left")
        equal(it.lade("repack", "--pack-size", "1G", "--json", place).summary()["packs_after"], 1)
    check(hits >= KILLS // 2, f"only {hits} kills hit")


main()
