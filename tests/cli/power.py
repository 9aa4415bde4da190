"""The power fails: what was reported as done is on the disk. An ext4 image is copied, as it is on the medium at that
moment, while lade writes into it or just after it ended; the copy is mounted and looked at."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

from harness import LONG, ROOT, Skip, case, check, equal, journalled, main, make_tree, random_of, same_trees, scan, \
    set_age, temporaries

CUTS = 40 if LONG else 5


def tool(*args):
    return subprocess.run(list(map(str, args)), capture_output=True, check=False)


def disk(it, name="disk", size="192M"):
    """A fresh ext4 in a file, mounted."""
    if not ROOT:
        raise Skip("only root may mount a disk image")
    for program in ("mkfs.ext4", "losetup", "mount"):
        if shutil.which(program) is None:
            raise Skip(f"{program} is missing")
    image = it / f"{name}.img"
    with open(image, "wb") as file:
        file.truncate(int(size[:-1]) << 20)
    check(tool("mkfs.ext4", "-q", "-F", image).returncode == 0, "mkfs.ext4 failed")
    probe = tool("losetup", "-f")
    if probe.returncode != 0:
        raise Skip(f"no loop device: {probe.stderr.decode().strip()}")
    return image, it.mount("-o", "loop", image, it / name)


def device_of(target):
    for line in pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        device, place = line.split()[:2]
        if place == os.fspath(target):
            return device
    raise AssertionError("not mounted")


def cut_power(it, target, name):
    """What the medium holds now, mounted as after a crash: the file system replays its journal."""
    copy = it / f"{name}.img"
    # Read past the cache of the file system, which is not on the medium: O_DIRECT on the device below it.
    done = tool("dd", f"if={device_of(target)}", f"of={copy}", "bs=1M", "iflag=direct", "conv=sparse")
    check(done.returncode == 0, "dd failed", done.stderr.decode())
    return it.mount("-o", "loop", copy, it / name)


def source(it):
    make_tree(it / "src", {f"d{number % 12}/f{number:04}": os.urandom(number % 4000) for number in range(1500)})
    with open(it / "src/large", "wb") as file:
        file.truncate(140 << 20)
        for at in range(0, 140 << 20, 20 << 20):
            file.seek(at)
            file.write(os.urandom(100000))
    os.symlink("large", it / "src/link")
    os.makedirs(it / "src/empty/dir")
    set_age(it / "src")


@case
def after_exit_0_everything_put_is_on_the_medium(it):
    source(it)
    _, target = disk(it)
    it.lade("put", "src", f"file:{target / 'store'}")
    crashed = cut_power(it, target, "crashed")
    same_trees(crashed / "store", scan(target / "store"), "store after the crash")


@case
def after_exit_0_everything_fetched_is_on_the_medium(it):
    source(it)
    it.lade("put", "src", "file:store")
    _, target = disk(it)
    it.lade("get", "file:store", target / "out")
    crashed = cut_power(it, target, "crashed")
    same_trees(crashed / "out", it / "src", "what was fetched, after the crash")


def series(it, verb):
    """Cut at random moments. Each result in the journal that is on the medium then, is for content that is there."""
    dice = random_of(f"power {verb}", 1)
    source(it)
    if verb == "get":
        it.lade("put", "src", "file:store")
    _, target = disk(it)
    place = target / ("store" if verb == "put" else "out")
    command = [verb, "--job", target / "job", *(("src", f"file:{place}") if verb == "put" else ("file:store", place))]
    began = time.monotonic()
    it.lade(*command)
    span = time.monotonic() - began
    expected = scan(place)
    for number in range(CUTS):
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(target / "job", ignore_errors=True)
        os.sync()
        process = it.start(*command)
        time.sleep(dice.uniform(0.05, span))
        # No write reaches the medium while it is copied.
        os.kill(process.pid, signal.SIGSTOP)
        crashed = cut_power(it, target, f"crashed{number}")
        os.kill(process.pid, signal.SIGKILL)
        it.end(process, (0, -signal.SIGKILL))
        job, found = crashed / "job", crashed / place.name
        done = journalled(job) if job.exists() and not list(job.glob("g*/finished")) else 0
        there = scan(found) if found.exists() else {}
        whole = 0
        for rel, entry in there.items():
            if b".lade-" in rel:
                continue
            want = expected.get(rel)
            check(want is not None, f"{rel} was never put")
            if entry.kind != "dir":
                equal((entry.kind, entry.content, entry.size, entry.mtime_ns),
                      (want.kind, want.content, want.size, want.mtime_ns), f"{rel} after the crash")
            whole += 1
        check(whole >= done, f"{done} entries were recorded as done, and {whole} are there after the crash")
        if list(job.glob("g*/finished")):
            same_trees(found, expected, "tree of a finished job after the crash")
        # And the same command goes on from what is left. The paths of the job are those of the copy.
        ends = ("src", f"file:{found}") if verb == "put" else ("file:store", found)
        shutil.rmtree(job, ignore_errors=True)
        it.lade(verb, "--job", job, *ends)
        after = scan(found)
        for rel in temporaries(found):
            del after[rel]
        same_trees(after, expected, "tree after going on")
        it.unmount(crashed)
        os.unlink(it / f"crashed{number}.img")


@case
def what_put_recorded_is_on_the_medium_at_any_moment(it):
    series(it, "put")


@case
def what_get_recorded_is_on_the_medium_at_any_moment(it):
    series(it, "get")


if __name__ == "__main__":
    main()
