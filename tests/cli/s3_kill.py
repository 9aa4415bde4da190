"""kill -9 of put and of get against a gateway, then the same command: the same objects, byte for byte, what was journalled
is not sent again, and no unfinished upload is left. tests/servers/with python3 tests/cli/s3_kill.py LADE"""
import functools
import os
import shutil
import signal
import time

from harness import LONG, Failure, Link, at_once, case, check, equal, journalled, main, make_tree, random_of, same_trees, set_age, write
from s3_gateway import MIB, bucket, by_rclone, contents, no_uploads, proxy, rclone, stored_whole, upload_by_hand, \
    uploads

PUT_KILLS = 200 if LONG else 20
GET_KILLS = 60 if LONG else 6
PARTS = {"large": 4, "other": 2}
LARGE = 3 * 8 * MIB + 5


def source(it, dice):
    content = {f"d{number % 4}/f{number:02}": dice.randbytes(dice.randrange(4000)) for number in range(60)}
    content |= {"large": dice.randbytes(LARGE), "other": dice.randbytes(16 * MIB), "link": Link("large")}
    make_tree(it / "src", content)
    set_age(it / "src")


def unfinished(it):
    return (it / "job/g000001").exists() and not (it / "job/g000001/finished").exists()


def most_parts(names):
    """How many parts may go in all: an object that came to its place before the kill, but not into the journal, goes again."""
    return sum(PARTS.values()) + sum(PARTS[name] for name in PARTS if name in names)


def span_of(it, *command):
    began = time.monotonic()
    it.lade(*command)
    return time.monotonic() - began


@case
def kill_put_at_random_moments(it):
    dice = random_of("s3 kill put", 1)
    source(it, dice)
    there = bucket(it)
    span = span_of(it, "put", "--job", "whole", "src", f"{there}/whole")
    hits = tries = 0
    with proxy(it) as air:
        while hits < PUT_KILLS:
            place = f"{there}/{tries}"
            command = ("put", "--job", "job", "src", place)
            for _ in range(dice.choice((1, 1, 2))):
                hits += it.kill_at(dice.uniform(0.01, span), *command)
            done = journalled(it / "job") if unfinished(it) else 0
            parts = journalled(it / "job", parts=True) if unfinished(it) else 0
            most = most_parts(it.lade("ls", "-R", place, status=None).out.split())
            before = len(air.requests())
            last = it.lade(*command, "--json", env=air.env).summary()
            sent = [entry for entry in air.requests("PUT") if entry["n"] > before and "tagging" not in entry["path"]]
            sent_objects = sum("partNumber" not in entry["path"] for entry in sent) + sum(
                "uploadId" in entry["path"] for entry in air.requests("POST") if entry["n"] > before)
            check(sent_objects + done <= last["planned"]["count"], f"{done} were done before, {sent_objects} sent after the kill")
            sent_parts = sum("partNumber" in entry["path"] for entry in sent)
            check(sent_parts + parts <= most, f"{parts} parts were sent before the kill and {sent_parts} after it", *sent)
            it.lade("check", "--deep", "--download", "src", place)
            shutil.rmtree(it / "job", ignore_errors=True)
            tries += 1
            check(tries < 4 * PUT_KILLS, f"only {hits} of {tries} kills hit a running lade")
    no_uploads(it, there)
    rclone(it, "copy", "--links", by_rclone(f"{there}/{tries - 1}"), "back")
    same_trees(contents(it / "back"), contents(it / "src"), ignore=("mode", "uid", "gid", "mtime_ns"))
    print(f"# {hits} kills, the work takes {span:.2f} s")


@case
def kill_get_at_random_moments(it):
    dice = random_of("s3 kill get", 1)
    source(it, dice)
    there = bucket(it)
    it.lade("put", "src", there)
    command = ("get", "--job", "job", there, "out")
    span = span_of(it, *command)
    hits = tries = 0
    with proxy(it) as air:
        while hits < GET_KILLS:
            shutil.rmtree(it / "job", ignore_errors=True)
            shutil.rmtree(it / "out", ignore_errors=True)
            hits += it.kill_at(dice.uniform(0.01, span), *command)
            done = journalled(it / "job") if unfinished(it) else 0
            parts = journalled(it / "job", parts=True) if unfinished(it) else 0
            most = most_parts(os.listdir(it / "out") if (it / "out").exists() else [])
            before = len(air.requests())
            last = it.lade(*command, "--json", env=air.env).summary()
            got = [entry for entry in air.requests("GET") if entry["n"] > before and "tagging" not in entry["path"]]
            small = sum("list-type" not in entry["path"] and not entry["path"].endswith(("/large", "/other")) for entry in got)
            check(small + done <= last["planned"]["count"], f"{done} were done before, {small} fetched after the kill")
            got_parts = sum(entry["path"].endswith(("/large", "/other")) for entry in got)
            check(got_parts + parts <= most, f"{parts} parts were there before the kill and {got_parts} came after it", *air.requests()[-14:])
            same_trees(contents(it / "out"), contents(it / "src"))
            tries += 1
            check(tries < 4 * GET_KILLS, f"only {hits} of {tries} kills hit a running lade")


def die_at(it, fault, rule, nth):
    """Killed when the request reaches the proxy, or when its answer does."""
    pid = it / "pid"
    with proxy(it, f"{fault} {rule} nth={nth} cmd='until kill -9 $(cat {pid}); do sleep 0.01; done'") as air:
        process = it.start("put", "--job", "job", "src", it.there, env=air.env)
        write(pid, str(process.pid).encode())
        it.end(process, status=-signal.SIGKILL)
        air.all_hit()


def die_and_go_on(it, fault, rule, nth):
    dice = random_of("s3 die", 1)
    make_tree(it / "src", {"a": b"a", "large": dice.randbytes(16 * MIB + 1)})
    set_age(it / "src")
    it.there = bucket(it)
    die_at(it, fault, rule, nth)
    it.lade("put", "--job", "job", "src", it.there)
    stored_whole(it, it.there)


@case
def kill_put_at_each_request_of_a_large_object(it):
    """Refused: it was never sent. Lost: it was carried out, and nobody heard of it."""
    at_once(it, [(f"{fault}-{name}", functools.partial(die_and_go_on, fault=fault, rule=rule, nth=nth))
                 for fault in ("refuse", "lost")
                 for name, rule, nth in (("list", "path=list-type", 1), ("create", "method=POST path=uploads=", 1),
                                         ("part1", "path=partNumber", 1), ("part3", "path=partNumber", 3),
                                         ("complete", "method=POST path=uploadId", 1), ("object", "method=PUT path=/a$", 1))])


@case
def two_that_race_on_one_key_leave_one_whole_object(it):
    dice = random_of("s3 race", 1)
    there = bucket(it)
    for number in range(10 if LONG else 3):
        for name in "ab":
            make_tree(it / f"{name}{number}", {"large": dice.randbytes(LARGE), "small": dice.randbytes(5000)})
            set_age(it / f"{name}{number}")
        racing = [it.start("put", "--job", f"job-{name}{number}", "--overwrite", f"{name}{number}", f"{there}/{number}")
                  for name in "ab"]
        for process in racing:
            it.end(process)
        for key in ("large", "small"):
            found = rclone(it, "cat", by_rclone(f"{there}/{number}/{key}"))
            check(found in [(it / f"{name}{number}" / key).read_bytes() for name in "ab"], f"'{key}' is neither of the two")
    no_uploads(it, there)


@case
def only_our_own_uploads_are_aborted(it):
    dice = random_of("s3 orphans", 1)
    make_tree(it / "src", {"large": dice.randbytes(LARGE)})
    set_age(it / "src")
    it.there = bucket(it)
    others = {upload_by_hand(it, it.there, "large"), upload_by_hand(it, it.there, "elsewhere")}
    time.sleep(3)  # an upload that begins in the same moment could be taken for ours
    die_at(it, "refuse", "path=partNumber", 3)
    left = {upload["id"] for upload in uploads(it, it.there)}
    equal(len(left - others), 1, "uploads of ours")
    write(it / "src/large", dice.randbytes(LARGE))  # its parts do not fit any more
    set_age(it / "src", 50)
    it.lade("put", "--job", "job", "src", it.there)
    equal({upload["id"] for upload in uploads(it, it.there)}, others, "uploads that are left")
    equal(rclone(it, "cat", by_rclone(f"{it.there}/large")), (it / "src/large").read_bytes())


if __name__ == "__main__":
    if "LADE_TEST_S3" not in os.environ:
        raise Failure("run it by tests/servers/with")
    main()
