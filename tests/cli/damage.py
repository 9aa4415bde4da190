"""What damage to a job leads to: each row of the table in docs/formats.md, for put and for get."""
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess

from harness import Failure, LONG, ROOT, Skip, at_once, case, cases, check, journalled, keys, main, make_tree, random_of, \
    same_trees, scan, set_age, temporaries, write

FORMATS = pathlib.Path(__file__).parent / "../../docs/formats.md"
HEADING = "\n## What damage to a job leads to\n"
TREE = {f"d{number % 10}/f{number:04}": b"%d " % number * 30 for number in range(1300)}
RANDOM_TRIES = 60 if LONG else 4
FAULTS = {"LADE_FAULTS": "1"}


def section():
    return FORMATS.read_text(encoding="utf-8").split(HEADING)[1].split("\n## ")[0]


def rows():
    for line in section().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 6 and cells[0] != "case":
            name, job, _, _, status, says = cells
            yield name.rstrip("*"), name.endswith("*"), job, int(status), says.strip("| ")


# ---- damage: functions of the job directory and of dice ----

def newest(job):
    return sorted(job.glob("g*"))[-1]


def some(job, pattern, dice):
    found = sorted(newest(job).glob(pattern))
    check(found, f"the job has no {pattern}: {[path.name for path in newest(job).iterdir()]}")
    return dice.choice(found)


def flip(path, dice):
    data = bytearray(path.read_bytes())
    at = dice.randrange(len(data))
    data[at] ^= 1 << dice.randrange(8)
    path.write_bytes(data)
    print(f"#   a bit of byte {at} of {len(data)} in {path.name}")


def cut(path, dice):
    os.truncate(path, dice.randrange(path.stat().st_size))


def last_claim(job):
    return max((job / "claims").glob("run.g*"), key=lambda path: int(path.name[5:]))


DAMAGE = {
    "journal-deleted": lambda job, dice: some(job, "journal-*.log", dice).unlink(),
    "journal-truncated": lambda job, dice: cut(some(job, "journal-*.log", dice), dice),
    "journal-flipped": lambda job, dice: flip(some(job, "journal-*.log", dice), dice),
    "journal-emptied": lambda job, dice: os.truncate(some(job, "journal-*.log", dice), 0),
    "segment-flipped": lambda job, dice: flip(some(job, "*.seg", dice), dice),
    "segment-truncated": lambda job, dice: cut(some(job, "*.seg", dice), dice),
    "segment-deleted": lambda job, dice: some(job, "*.seg", dice).unlink(),
    "end-deleted": lambda job, dice: (newest(job) / "end").unlink(),
    "end-flipped": lambda job, dice: flip(newest(job) / "end", dice),
    "results-flipped": lambda job, dice: flip(some(job, "*.res", dice), dice),
    "results-deleted": lambda job, dice: some(job, "*.res", dice).unlink(),
    "generation-deleted": lambda job, dice: shutil.rmtree(newest(job)),
    "job-flipped": lambda job, dice: flip(job / "job.ini", dice),
    "job-truncated": lambda job, dice: cut(job / "job.ini", dice),
    "job-deleted": lambda job, dice: (job / "job.ini").unlink(),
    "claims-deleted": lambda job, dice: shutil.rmtree(job / "claims"),
    "claim-flipped": lambda job, dice: flip(last_claim(job), dice),
    "all-deleted": lambda job, dice: shutil.rmtree(job),
    "other-options": lambda job, dice: None,
    "record-flipped": lambda job, dice: flip(some(job, "*.res", dice), dice),
    "record-deleted": lambda job, dice: some(job, "*.res", dice).unlink(),
    "plan-flipped": lambda job, dice: flip(some(job, "*.seg", dice), dice),
    "plan-deleted": lambda job, dice: shutil.rmtree(newest(job)),
    "mark-deleted": lambda job, dice: (newest(job) / "finished").unlink(),
    "finished-job-deleted": lambda job, dice: shutil.rmtree(job),
}
# What killed processes were about to write can only be found by what they recorded.
LEAVES_TEMPORARIES = {"journal-deleted", "journal-truncated", "journal-flipped", "journal-emptied", "all-deleted",
                      "generation-deleted", "segment-flipped", "segment-truncated", "segment-deleted", "end-flipped",
                      "job-flipped", "job-truncated", "job-deleted"}
PACK_DAMAGE = {
    "pack-journal-flipped": lambda job, dice: flip(some(job, "journal-*.log", dice), dice),
    "pack-journal-deleted": lambda job, dice: some(job, "journal-*.log", dice).unlink(),
}
BATCH = 1060  # entries of the first batch, and some


class Work:
    """One direction: what is run, and what must be there at the end."""

    def __init__(self, it, verb):
        self.it, self.verb, self.job = it, verb, it / f"{verb}-job"
        self.target = it / ("store" if verb == "put" else "out")
        self.rules = it / "rules"
        store = f"fault:{self.rules}+{it / 'store'}"
        self.ends = ("src", store) if verb == "put" else (store, "out")
        write(self.rules, b"")

    def run(self, *options, status=0):
        return self.it.lade(self.verb, *options, "--job", self.job, *self.ends, status=status, env=FAULTS)

    def begin(self, state):
        for path in (self.target, self.job):
            shutil.rmtree(path, ignore_errors=True)
        write(self.rules, b"")
        if state == "finished":
            self.run()
            return
        # A batch is whole, and of another one all is done but what shares its work with one entry.
        write(self.rules, f"{self.verb} key=d9/f1239 hang\n".encode())
        process = self.it.start(self.verb, "--transfers", "3", "--job", self.job, *self.ends, env=FAULTS)
        self.it.wait_for(lambda: list(self.job.glob("g*/000001.res")) and list(self.job.glob("g*/end")) and
                         journalled(self.job) > BATCH, process)
        process.send_signal(signal.SIGKILL)
        self.it.end(process, -signal.SIGKILL)
        write(self.rules, b"")
        check(not list(self.job.glob("g*/finished")), "killed too late")

    def verify(self, name):
        found = scan(self.target)
        left = temporaries(self.target)
        if name not in LEAVES_TEMPORARIES:
            check(left == [], f"temporary names left after {name}", left)
        for rel in left:
            del found[rel]
        same_trees(found, self.it / "src", f"destination after {name}")


def one(work, row, dice):
    name, _, state, status, says = row
    work.begin(state)
    before = journalled(work.job) if state == "unfinished" else 0
    DAMAGE[name](work.job, dice)
    done = work.run(*(("--checksum",) if name == "other-options" else ()), status=status)
    done.has(says)
    if status == 0:
        work.verify(name)
        return
    # It refused, and nothing happened. What it says helps.
    check(before <= len(scan(work.target)), "something was lost")
    if name.startswith("job-"):
        done.has("move this job directory away")
        shutil.rmtree(work.job)
    work.run()
    work.verify(name)


def make_case(row, verb):
    name, random, _, _, _ = row

    def function(it):
        dice = random_of(f"{verb} {name}", 1)
        make_tree(it / "src", TREE)
        set_age(it / "src")
        if verb == "get":
            it.lade("put", "--job", "first", "src", "file:store")
        work = Work(it, verb)
        for _ in range(RANDOM_TRIES if random else 1):
            one(work, row, dice)
    function.__name__ = f"{verb}_{name.replace('-', '_')}"
    return function


def claims_at_once(row):
    """Most of these wait half a minute until nobody can be at work, so they wait side by side."""
    def one_of(it, verb, number):
        make_tree(it / "src", TREE)
        set_age(it / "src")
        if verb == "get":
            it.lade("put", "--job", "first", "src", "file:store")
        one(Work(it, verb), row, random_of(f"{verb} {row[0]} {number}", 1))

    def function(it):
        at_once(it, [(f"{verb}-{number}", functools.partial(one_of, verb=verb, number=number))
                     for number in range(RANDOM_TRIES) for verb in ("put", "get")], most=8)
    function.__name__ = row[0].replace("-", "_")
    return function


def of_packs(row):
    """Killed with a part of a pack in the store."""
    name, random, _, status, says = row

    def function(it):
        dice = random_of(name, 1)
        make_tree(it / "src", {f"d/f{number:03}": dice.randbytes(3000) for number in range(300)} |
                  {"e": dice.randbytes(70 << 20), "g": b"the last"})
        set_age(it / "src")
        command = ("put", "--job", "job", "--pack=0", "src", "file:store")
        for _ in range(RANDOM_TRIES if random else 1):
            process = it.start(*command, "--bwlimit", "100M")
            it.wait_for(lambda: journalled(it / "job", parts=True), process)
            process.send_signal(signal.SIGKILL)
            it.end(process, -signal.SIGKILL)
            PACK_DAMAGE[name](it / "job", dice)
            it.lade(*command, status=status).has(says)
            it.lade("check", "--deep", "src", "file:store")
            os.makedirs(it / "out")
            subprocess.run(["tar", "-xpf", it / "store/src.tar.zst", "-C", it / "out"], check=True)
            same_trees(it / "out", it / "src", f"pack after {name}")
            for path in ("job", "store", "out"):
                shutil.rmtree(it / path)
    function.__name__ = name.replace("-", "_")
    return function


# ---- full disks ----

def small_disk(it, name, size="size=300k"):
    if not ROOT:
        raise Skip("only root may mount a small disk")
    return it.mount("-t", "tmpfs", "-o", size, "none", it / name)


def status_and_text(name):
    return next((row[3], row[4]) for row in rows() if row[0] == name)


@case
def state_full(it):
    status, says = status_and_text("state-full")
    make_tree(it / "src", {f"{'long-name-' * 20}{number:05}-{os.urandom(16).hex()}": b"x" for number in range(6000)})
    set_age(it / "src")
    disk = small_disk(it, "full")
    done = it.lade("put", "--job", disk / "job", "src", "file:store", status=status)
    done.has(says)
    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    it.lade("put", "--job", disk / "job", "src", "file:store")
    same_trees(it / "store", it / "src")
    check(temporaries(it / "store") == [], "temporary names left")


@case
def state_full_while_it_moves(it):
    """The plan fits, the journal does not."""
    status, says = status_and_text("state-full")
    make_tree(it / "src", TREE)
    set_age(it / "src")
    disk = small_disk(it, "full", "size=1m")
    it.lade("plan", "--job", disk / "job", "src", "file:store")
    with open(disk / "ballast", "wb", buffering=0) as file:
        while True:
            try:
                if file.write(bytes(4096)) < 4096:
                    break
            except OSError:
                break
    for _ in range(2):
        done = it.lade("put", "--job", disk / "job", "src", "file:store", status=status)
        done.has(says)
    os.truncate(disk / "ballast", 4096)
    # Now there is room for one more file, and not for all that it needs.
    it.lade("put", "--job", disk / "job", "src", "file:store", status=(0, status))
    os.unlink(disk / "ballast")
    it.lade("put", "--job", disk / "job", "src", "file:store")
    same_trees(it / "store", it / "src")
    check(temporaries(it / "store") == [], "temporary names left")


@case
def store_full(it):
    status, says = status_and_text("store-full")
    make_tree(it / "src", {f"d{number % 5}/f{number:03}": os.urandom(20000) for number in range(300)})
    set_age(it / "src")
    disk = small_disk(it, "full", "size=3m")
    if subprocess.run(["setfattr", "-n", "user.x", "-v", "x", str(disk)], capture_output=True, check=False).returncode:
        raise Skip("tmpfs of this kernel has no user attributes")
    done = it.lade("put", "src", f"file:{disk}/p", status=status)
    done.has(says)
    check(len(keys(disk / "p")) < 300, "it fits")
    for rel, entry in scan(disk / "p").items():
        if entry.kind == "file" and b".lade-" not in rel:
            check(entry.content == scan(it / "src")[rel].content, f"{rel} has other content")
    subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
    it.lade("put", "src", f"file:{disk}/p")
    same_trees(disk / "p", it / "src")
    check(temporaries(disk / "p") == [], "temporary names left")


@case
def every_row_has_its_case(it):
    names = {row[0] for row in rows()}
    known = set(DAMAGE) | set(PACK_DAMAGE) | {"state-full", "store-full"} | {"buckets-deleted", "buckets-flipped"}  # of spread.py
    if names != known:
        raise Failure(f"docs/formats.md and this file differ: {sorted(names ^ known)}")
    check(re.search(r"no case is an entry reported as done", section()), "the promise is gone")
    write(it / "nothing", b"")


for found in rows():
    if found[0] == "claim-flipped":
        cases.append(claims_at_once(found))
    elif found[0] in PACK_DAMAGE:
        cases.append(of_packs(found))
    elif found[0] in DAMAGE:
        for direction in ("put", "get"):
            cases.append(make_case(found, direction))

if __name__ == "__main__":
    main()
