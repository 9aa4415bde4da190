"""put --pack to a gateway: kills, bad weather, a second put, how much one member costs, several processes:
tests/servers/with python3 tests/cli/s3_packs.py LADE"""
import functools
import os
import shutil
import signal
import subprocess
import time

from harness import LONG, Failure, Link, at_once, case, check, equal, journalled, main, make_tree, random_of, read, same_trees, \
    scan, set_age, write
from s3_gateway import MIB, bucket, by_rclone, contents, no_uploads, proxy, rclone

KILLS = 20 if LONG else 5


def source(it, dice, size=50 * MIB, medium=9 * MIB):
    """Content that does not compress, with one file in pieces."""
    content = {f"d{number % 5}/f{number:03}": dice.randbytes(dice.randrange(60000)) for number in range(200)}
    content |= {"d1/large": dice.randbytes(size), "d2/link": Link("../d1/large"), "d3/medium": dice.randbytes(medium)}
    make_tree(it / "src", content)
    set_age(it / "src")


def packs_of(it, there):
    return sorted(line for line in rclone(it, "lsf", "-R", "--files-only", by_rclone(there)).decode().splitlines()
                  if line.endswith(".tar.zst"))


def stored_whole(it, there):
    """By lade, and by tar; nothing unfinished is left."""
    no_uploads(it, there)
    it.lade("check", "--deep", "src", there)
    shutil.rmtree(it / "out", ignore_errors=True)
    it.lade("get", "--job", "job-of-get", there, "out")
    shutil.rmtree(it / "job-of-get")
    same_trees(contents(it / "out"), contents(it / "src"))
    for name in ("packs", "by-tar"):
        shutil.rmtree(it / name, ignore_errors=True)
        os.makedirs(it / name)
    rclone(it, "copy", "--include", "*.tar.zst", by_rclone(there), it / "packs")
    for pack in sorted((it / "packs").rglob("*.tar.zst")):
        subprocess.run(["tar", "-xpf", pack, "-C", it / "by-tar"], check=True)
    same_trees(contents(it / "by-tar"), contents(it / "src"))


def parts_sent(air, after=0):
    return [entry for entry in air.requests("PUT", "partNumber") if entry["n"] > after]


@case
def kill_in_the_middle_of_a_pack(it):
    dice = random_of("s3 packs kill", 1)
    source(it, dice)
    there = bucket(it)
    pid = it / "pid"
    with proxy(it) as air:
        it.lade("put", "--job", "whole", "--pack=0", "src", f"{there}/whole", env=air.env)
        total = len(parts_sent(air))
    check(total >= 7, f"only {total} parts")
    for number in range(KILLS):
        place = f"{there}/{number}"
        command = ("put", "--job", "job", "--pack=0", "src", place)
        nth, fault = 2 + number % (total - 1), ("lost", "refuse")[number % 2]
        with proxy(it, f"{fault} path=partNumber nth={nth} cmd='until kill -9 $(cat {pid}); do sleep 0.01; done'") as air:
            # What a part holds is known from those before it, so one of two at once may come again.
            transfers = 1 + number % 2
            process = it.start(*command, "--transfers", str(transfers), env=air.env)
            write(pid, str(process.pid).encode())
            it.end(process, status=-signal.SIGKILL)
            air.all_hit()
            before = journalled(it / "job", parts=True)
            at = air.status()["requests"]  # the log has only those that are over
            air.mode()
            it.lade(*command, env=air.env)
            sent = parts_sent(air, at)
            check(before > 0 or nth <= 3, f"no part was journalled before part {nth}")
            check(total <= len(sent) + before < total + transfers,
                  f"killed at part {nth}: {before} of {total} parts were journalled, and {len(sent)} sent after it")
        stored_whole(it, place)
        shutil.rmtree(it / "job")


@case
def kill_at_random_moments(it):
    dice = random_of("s3 packs kill random", 1)
    source(it, dice, 30 * MIB)
    there = bucket(it)
    hits = 0
    for number in range(3 * KILLS):
        place = f"{there}/{number}"
        command = ("put", "--job", "job", f"--pack={('0', '1', 'auto')[number % 3]}", "--bwlimit", "60M", "src", place)
        for _ in range(dice.choice((1, 2))):
            process = it.start(*command)
            time.sleep(dice.uniform(0.05, 0.8))
            if process.poll() is None:
                hits += 1
                os.kill(process.pid, signal.SIGKILL)
            it.end(process, status=(0, -signal.SIGKILL))
        it.lade(*command)
        no_uploads(it, place)
        it.lade("check", "--deep", "src", place)
        shutil.rmtree(it / "job")
    stored_whole(it, f"{there}/0")
    check(hits >= KILLS, f"only {hits} kills hit")


REQUESTS = {"create": "method=POST path=uploads=", "part": "method=PUT path=partNumber",
            "complete": "method=POST path=uploadId"}
WEATHER = [("err503", "err503 tries=1"), ("slowdown", "slowdown after=1 tries=1"), ("error200", "error200 tries=1"),
           ("reset", "reset tries=1"), ("reset_reply", "reset side=reply tries=1"), ("lost", "lost tries=1"),
           ("corrupt", "corrupt tries=1"), ("hang", "hang tries=1")]


def survives(it, fault):
    source(it, random_of("s3 packs weather", 1), 17 * MIB, MIB)
    there = bucket(it)
    name, _, rest = fault.partition(" ")
    where = {key: rule for key, rule in REQUESTS.items() if not (name == "corrupt" and key == "create")}
    with proxy(it, *(f"{name} {rule} {rest}" for rule in where.values())) as air:
        it.lade("put", "--job", "job", "--pack=0", "--stall-timeout", "1", "src", there, env=air.env)
        air.all_hit()
    stored_whole(it, there)
    equal(it.lade("put", "--job", "job", "--pack=0", "--json", "src", there).summary()["done"]["count"], 0)


@case
def put_in_any_weather(it):
    at_once(it, [(name, functools.partial(survives, fault=fault)) for name, fault in WEATHER], most=3)


@case
def small_packs_in_any_weather(it):
    """Those that are put as they are."""
    there = bucket(it)
    make_tree(it / "src", {f"d{number}/f": b"%d" % number * 1000 for number in range(12)})
    set_age(it / "src")
    for number, (name, fault) in enumerate(WEATHER):
        kind, _, rest = fault.partition(" ")
        with proxy(it, f"{kind} method=PUT path=zst$ {rest}") as air:
            it.lade("put", "--job", f"job{number}", "--pack=1", "--stall-timeout", "1", "src", f"{there}/{name}", env=air.env)
            air.all_hit()
        stored_whole(it, f"{there}/{name}")


@case
def get_in_any_weather(it):
    source(it, random_of("s3 packs get", 1), 17 * MIB, MIB)
    there = bucket(it)
    it.lade("put", "--pack=1", "src", there)
    for number, (name, fault) in enumerate(WEATHER):
        kind, _, rest = fault.partition(" ")
        if kind == "corrupt":
            rest = "side=reply tries=1"
        rules = [f"{kind} method=GET path=zst$ {rest}"]
        with proxy(it, *rules) as air:
            it.lade("get", "--job", f"job{number}", "--stall-timeout", "1", there, f"out{number}", env=air.env)
            air.all_hit()
        same_trees(contents(it / f"out{number}"), contents(it / "src"), f"in {name}")


@case
def put_twice_sends_nothing(it):
    source(it, random_of("s3 packs twice", 1), 20 * MIB)
    there = bucket(it)
    for mode in ("0", "1", "auto"):
        command = ("put", "--job", f"job{mode}", f"--pack={mode}", "--json", "src", f"{there}/{mode}")
        it.lade(*command)
        with proxy(it) as air:
            equal(it.lade(*command, env=air.env).summary()["done"]["count"], 0)
            equal([entry["path"] for entry in air.requests("PUT") + air.requests("POST")], [], "what was sent again")


@case
def one_member_costs_little(it):
    """Of a large pack that does not compress: at most three requests, and 2.5 MiB."""
    dice = random_of("s3 packs cat", 1)
    content = {f"d{number % 10}/f{number:03}": dice.randbytes(MIB) for number in range(310)}
    small = {f"d{number}/small": dice.randbytes(10 * 1024) for number in range(10)}
    make_tree(it / "src", content | small)
    set_age(it / "src")
    there = bucket(it)
    it.lade("put", "--pack=0", "src", there)
    check(packs_of(it, there) == ["src.tar.zst"], packs_of(it, there))
    for name in ("d0/small", "d5/small", "d9/small"):
        with proxy(it) as air:
            done = subprocess.run([it.lade_path, "cat", f"{there}/src.tar.zst!/{name}"], env={**it.env, **air.env}, cwd=it.path,
                                  capture_output=True, check=False)
            check(done.returncode == 0 and done.stdout == small[name], f"cat of {name}", done.stderr)
            requests = air.requests()
            print(f"# {name}: {len(requests)} requests, {sum(entry['reply'] for entry in requests)} bytes")
            check(len(requests) <= 3, f"{len(requests)} requests", *requests)
            check(sum(entry["reply"] for entry in requests) <= 2.5 * MIB, "too many bytes", *requests)


@case
def attributes_cost_no_request(it):
    """They are in the index. What is no member of a pack is told: a directory above them is no object here."""
    dice = random_of("s3 packs attributes", 1)
    make_tree(it / "src", {f"d{number % 3}/e/f{number}": dice.randbytes(3000) for number in range(60)} | {"d0/e/large": dice.randbytes(9 * MIB)})
    given = ["d0/e/large", "d0/e/f0", "d1/e/f1", "d1", "d1/e"]
    for name in given:
        os.setxattr(it / "src" / name, "user.name", name.encode())
    set_age(it / "src")
    there = bucket(it)
    it.lade("put", "--job", "level", "--pack=1", "--xattrs", "src", f"{there}/level").has_not("warning")
    it.lade("put", "--job", "auto", "--pack", "--xattrs", "src", f"{there}/auto").has("warning: d0/e/large: its").has_not("warning: d1")
    done = it.lade("put", "--job", "deep", "--pack=2", "--xattrs", "src", f"{there}/deep")
    done.has("warning: d1/: its extended attributes are not stored", "warned     1 entry").has_not("warning: d1/e")
    counts = []
    for options in ((), ("--xattrs",)):
        shutil.rmtree(it / "out", ignore_errors=True)
        shutil.rmtree(it / "job-get", ignore_errors=True)
        with proxy(it) as air:
            env = {**air.env, "XDG_CACHE_HOME": str(it / f"cache{len(counts)}")}
            it.lade("get", "--transfers", "1", "--job", "job-get", *options,
                    f"{there}/level", "out", env=env).has_not("warning")
            counts.append(len([entry for entry in air.requests() if entry["method"] in ("GET", "HEAD")]))
        for name in given:
            found = {one: os.getxattr(it / "out" / name, one) for one in os.listxattr(it / "out" / name)}
            equal(found, {"user.name": name.encode()} if options else {}, f"attributes of {name}")
    same_trees(contents(it / "out"), contents(it / "src"))
    print(f"# requests {counts}")
    check(counts[1] <= counts[0] + 1, "attributes cost requests", counts)


@case
def one_request_with_the_index_in_the_cache(it):
    """And never the content of a pack that is another one by now."""
    dice = random_of("s3 packs recall", 1)
    make_tree(it / "src", {"a": dice.randbytes(10240), "b": dice.randbytes(10240), "c": b""})
    (it / "src/d").symlink_to("a")
    set_age(it / "src")
    there = bucket(it)
    it.lade("put", "--pack=0", "src", there)
    with proxy(it) as air:
        def cat(name, wanted, most, status=0):
            before = air.status()["requests"]  # the log has only those that are over
            done = subprocess.run([it.lade_path, "cat", f"{there}/src.tar.zst!/{name}"], env={**it.env, **air.env},
                                  cwd=it.path, capture_output=True, check=False)
            check(done.returncode == status and done.stdout == wanted, f"cat of {name}", done)
            requests = [entry for entry in air.requests() if entry["n"] > before]
            check(air.status()["requests"] - before <= most, f"{len(requests)} requests for {name}", *requests)
        cat("a", read(it / "src/a"), 3)
        cat("b", read(it / "src/b"), 1)
        cat("nowhere", b"", 3, 1)
        write(it / "src/a", b"newer")
        (it / "src/b").unlink()
        it.lade("rm", f"{there}/src.tar.zst")
        cat("a", b"", 6, 1)
        it.lade("put", "--job", "again", "--pack=0", "src", there)
        cat("a", b"newer", 4)
        cat("b", b"", 3, 1)
        cat("c", b"", 3)
        cat("d", b"a", 3)
        cat("a", b"newer", 1)
    # What find has looked at is not looked at again.
    with proxy(it) as air:
        subprocess.run([it.lade_path, "find", "a", there], env={**it.env, **air.env}, cwd=it.path, capture_output=True, check=True)
        cat("a", b"newer", 1)


@case
def credentials_that_end_in_the_middle(it):
    source(it, random_of("s3 packs credentials", 1), 30 * MIB)
    there = bucket(it)
    write(it / "credentials", f"[default]\naws_access_key_id = {it.env['AWS_ACCESS_KEY_ID']}\n"
          f"aws_secret_access_key = {it.env['AWS_SECRET_ACCESS_KEY']}\n".encode())
    # Before it is read again it is another file: that is what is looked for.
    with proxy(it, f"err status=400 code=ExpiredToken method=PUT path=partNumber nth=3 cmd='touch {it / 'credentials'}'") as air:
        env = {**air.env, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
               "AWS_SHARED_CREDENTIALS_FILE": str(it / "credentials")}
        it.lade("put", "--job", "job", "--pack=0", "src", there, env=env, status=(0, 3))
        air.all_hit()
        it.lade("put", "--job", "job", "--pack=0", "src", there, env=env)
    stored_whole(it, there)


@case
def several_processes_share_the_packs(it):
    source(it, random_of("s3 packs crew", 1), 20 * MIB)
    there = bucket(it)
    it.lade("plan", "--job", "job", "--pack=1", "--batch-objects", "20", "src", there)
    crew = [it.start("run", "job") for _ in range(4)]
    for process in crew:
        it.end(process)
    equal(len(packs_of(it, there)), 5)
    stored_whole(it, there)


@case
def names_that_s3_writes_in_another_way(it):
    names = [b"a", b"a\x01", b"a!", b"ab", b"a\x80", b"a\xc3\xa4", b"a\xff", b"b\x7f", b"b\r", b"c\xe4\xb8\xad", b"c\xfe"]
    make_tree(it / "src", {name: b"of " + name for name in names} | {b"d/" + name: b"below " + name for name in names})
    set_age(it / "src")
    there = bucket(it)
    it.lade("put", "--job", "job", "--pack=0", "src", there)
    stored_whole(it, there)
    for name in (b"ab", b"d/a\x01"):
        (it / "src" / os.fsdecode(name)).unlink()
    write(it / "src" / os.fsdecode(b"d/a\xff"), b"changed")
    set_age(it / "src", 50)
    it.lade("put", "--job", "job", "--pack=0", "src", there)
    it.lade("get", there, "again")
    same_trees(contents(it / "again"), contents(it / "src"))
    equal(len(scan(it / "again")), 2 * len(names) - 1)
    equal(read(it / "again" / os.fsdecode(b"d/a\xff")), b"changed")


if __name__ == "__main__":
    if "LADE_TEST_S3" not in os.environ:
        raise Failure("run it by tests/servers/with")
    main()
