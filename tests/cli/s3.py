"""The verbs against a real gateway: tests/servers/with python3 tests/cli/s3.py LADE. Also what rclone makes of it."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import (LONG, Dir, Link, Skip, case, check, equal, main, make_tree, random_of, same_trees, scan, set_age,
                     write)
from s3_gateway import proxy

MIB = 1 << 20
TREE = {"a": b"A", "sub/b": b"BB" * 5000, "sub/deep/c": b"", "sub/l": Link("b"), "empty": Dir(), "x.rclonelink": b"file"}
# Names that S3, XML, URLs or rclone's encoding have trouble with.
ODD = [b"\xff\xfe invalid", b"half \xe2\x80", b"new\nline", b"\x01\x1f\x7f\t\r", b"%2F+&#?=%", b" space ", b"'\"`$(x)*?[a]<>",
       "ä日本".encode(), "‛".encode(), "‛FF".encode(), "‛‛".encode(), "．".encode(), "．．".encode(), "／".encode(), "␀".encode(),
       b"...", b"..a", b"\\", b"-rf", "￾".encode(), b"l" * 255]


def bucket(it):
    """A fresh bucket, named after the case."""
    name = f"{it.name.replace('_', '-')[:50]}-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


def stored(it, content=None):
    make_tree(it / "src", content or TREE)
    set_age(it / "src")
    there = bucket(it)
    it.lade("put", "src", f"{there}/p")
    return there


def rclone(it, *args):
    env = {**it.env, "RCLONE_CONFIG_G_TYPE": "s3", "RCLONE_CONFIG_G_PROVIDER": "Ceph", "RCLONE_CONFIG_G_ENV_AUTH": "true",
           "RCLONE_CONFIG_G_ENDPOINT": it.env["AWS_ENDPOINT_URL"]}
    if shutil.which("rclone") is None:
        raise Skip("rclone is missing")
    done = subprocess.run(["rclone", "--config", "/dev/null", *args], env=env, cwd=it.path, capture_output=True, check=False)
    check(done.returncode == 0, f"rclone {args}", done.stderr.decode(errors="replace"))
    return done.stdout


def by_rclone(place):
    return "g:" + place.removeprefix("s3://")


def contents(root):
    """What S3 can keep: no times of directories, which are no objects."""
    return {path: entry._replace(mtime_ns=0) if entry.kind == "dir" else entry for path, entry in scan(root).items()}


def round_trip(it, there):
    it.lade("get", there, "back")
    same_trees(contents(it / "back"), contents(it / "src"))


@contextlib.contextmanager
def weather(it, *rules):
    """The gateway seen through a proxy that makes faults: the environment that leads there. Each rule must have hit."""
    with proxy(it, *rules) as air:
        yield air.env
        air.all_hit()


# ---- there and back ----

@case
def tree_comes_back(it):
    there = stored(it)
    round_trip(it, f"{there}/p")
    it.lade("check", "src", f"{there}/p")
    it.lade("check", "--deep", "--download", "src", f"{there}/p")
    again = it.lade("put", "--json", "src", f"{there}/p").summary()
    equal(again["done"]["count"], 0, "objects of a second put")


@case
def tree_goes_to_the_root_of_a_bucket(it):
    make_tree(it / "src", TREE)
    there = bucket(it)
    it.lade("put", "src", there)
    round_trip(it, there)
    equal(it.lade("ls", there).out, "a\nempty/\nsub/\nx.rclonelink\n")


@case
def one_file_keeps_its_name_in_a_bucket(it):
    write(it / "one", b"1")
    there = bucket(it)
    it.lade("put", "one", there)
    it.lade("put", "one", f"{there}/dir/other")
    equal(it.lade("ls", "-R", there).out, "dir/other\none\n")
    it.lade("get", "--to", "two", f"{there}/one")
    equal((it / "two").read_bytes(), b"1")


@case
def odd_names_come_back(it):
    make_tree(it / "src", {b"d/" + name: name for name in ODD})
    there = bucket(it)
    it.lade("put", "src", f"{there}/odd p+%")
    round_trip(it, f"{there}/odd p+%")
    it.lade("check", "src", f"{there}/odd p+%")
    set_age(it / "src")
    it.lade("put", "src", f"{there}/odd p+%")
    equal(it.lade("put", "--json", "src", f"{there}/odd p+%").summary()["done"]["count"], 0, "objects of a third put")
    it.lade("rm", "-r", f"{there}/odd p+%")
    equal(it.lade("ls", "-R", there).out, "")


@case
def again_moves_only_what_changed(it):
    """The listing of S3 tells no time of an entry and writes odd names in another way; twice, since what is recorded of a
    run that moved nothing counts too. Then by another job, which has no record: by asking for each object."""
    make_tree(it / "src", {"d/plain": b"B", "d/l": Link("plain"), b"\xff odd": b"A", "\u201bx": b"C",
                           b"\xfelink": Link("d"), "empty": Dir(), "big": bytes(40 * MIB)})
    set_age(it / "src")
    there = f"{bucket(it)}/p"
    for verb, source, target in (("put", "src", there), ("get", there, "back")):
        it.lade(verb, "--job", f"{verb}.job", source, target)
        for job in (f"{verb}.job", f"{verb}.job", f"{verb}.other"):
            done = it.lade(verb, "--json", "--job", job, source, target)
            end = [json.loads(line) for line in done.out.splitlines()][-1]
            check(end["unchanged"]["count"] >= 6 and end["moved_bytes"] <= 30, f"{verb} with {job} moved something", done.out)
        it.lade("check", f"{verb}.job")
    same_trees(contents(it / "back"), contents(it / "src"))
    write(it / "back/d/plain", b"mine")
    write(it / "back/\u201bx", b"x")
    done = it.lade("get", "--job", "get.job", there, "back", status=1)
    done.has("d/plain: a different file", "a different file is there")
    equal((it / "back/d/plain").read_bytes(), b"mine", "what was written by another")
    it.lade("get", "--overwrite", "--job", "get.over", there, "back")
    same_trees(contents(it / "back"), contents(it / "src"))


@case
def random_trees_come_back(it):
    rng = random_of("s3 trees", 1)
    content = {}
    for number in range(300):
        path = b"/".join(b"d" + rng.choice(ODD)[:40].replace(b"/", b"") for _ in range(rng.randrange(3)))
        content[path + b"/f%d" % number if path else b"f%d" % number] = rng.randbytes(rng.choice([0, 1, 100, 70000]))
    make_tree(it / "src", content)
    there = bucket(it)
    it.lade("put", "src", there)
    round_trip(it, there)
    it.lade("check", "src", there)


@case
def sizes_around_parts_come_back(it):
    sizes = [0, 1, MIB - 1, MIB, MIB + 1, 8 * MIB, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 24 * MIB + 7]
    rng = random_of("s3 sizes", 1)
    make_tree(it / "src", {f"f{size}": rng.randbytes(size) for size in sizes})
    there = bucket(it)
    it.lade("put", "src", there)
    round_trip(it, there)
    it.lade("check", "--deep", "--download", "src", there)


@case
def six_gib_come_back(it):
    """More than one PUT may carry (5 GiB), and holes stay holes."""
    if not LONG:
        raise Skip("only with LADE_LONG")
    (it / "src").mkdir()
    with open(it / "src/sparse", "wb") as file:
        file.truncate(6 << 30)
        for at in (0, 3 << 30, (6 << 30) - 5):
            file.seek(at)
            file.write(b"bytes")
    set_age(it / "src")
    there = bucket(it)
    it.lade("put", "src", f"{there}/p")
    it.lade("check", "--deep", "src", f"{there}/p")
    it.lade("get", f"{there}/p", "back")
    same_trees(it / "back", it / "src")
    used = (it / "back/sparse").stat().st_blocks * 512
    check(used < 64 * MIB, f"{used} bytes are used by a file of holes")


@case
def the_aws_cli_reads_and_writes_the_same(it):
    there = stored(it)
    aws = ["aws", "--endpoint-url", it.env["AWS_ENDPOINT_URL"], "s3", "cp", "--recursive", "--quiet"]
    for words in (["src", f"{there}/aws"], [f"{there}/p", "by-aws"]):
        done = subprocess.run(aws + words, env=it.env, cwd=it.path, capture_output=True, check=False)
        check(done.returncode == 0, f"aws {words}", done.stderr.decode(errors="replace"))
    for name in ("a", "sub/b", "sub/deep/c"):
        equal((it / "by-aws" / name).read_bytes(), TREE[name], f"{name}, put by lade, fetched by the AWS CLI")
    it.lade("get", f"{there}/aws", "back")
    for name in ("a", "sub/b", "sub/deep/c"):
        equal((it / "back" / name).read_bytes(), TREE[name], f"{name}, put by the AWS CLI, fetched by lade")
    it.lade("check", "--exclude", "sub/l", "--exclude", "/empty/", "--exclude", "*.rclonelink", "src", f"{there}/aws")


@case
def keys_of_the_greatest_length(it):
    there = bucket(it)
    longest = "/".join(["d" * 200] * 5) + "/" + "f" * 19
    equal(len(longest), 1024)
    make_tree(it / "src", {longest: b"long"})
    it.lade("put", "src", there)
    round_trip(it, there)
    make_tree(it / "more", {longest + "x": b"too long", "short": b""})
    it.lade("put", "more", f"{there}/more", status=1).has("refused")
    equal(it.lade("ls", "-R", f"{there}/more").out, "short\n")


# ---- with rclone ----

@case
def rclone_reads_what_lade_stored(it):
    there = stored(it, {"a": b"A", "sub/b": b"BB" * 5000, "sub/l": Link("b"), b"bad\xff": b"1", "x\ny": b"2"})
    rclone(it, "copy", "--links", by_rclone(f"{there}/p"), "theirs")
    for name in (b"a", b"sub/b", b"bad\xff", b"x\ny"):
        mine, other = (os.path.join(os.fsencode(it / root), name) for root in ("src", "theirs"))
        equal(pathlib.Path(os.fsdecode(other)).read_bytes(), pathlib.Path(os.fsdecode(mine)).read_bytes(), "content")
        equal(os.stat(other).st_mtime_ns, os.stat(mine).st_mtime_ns, "mtime")
    equal(os.readlink(it / "theirs/sub/l"), "b")


@case
def lade_reads_what_rclone_stored(it):
    make_tree(it / "src", {"a": b"A", "sub/b": b"BB" * 5000, "sub/l": Link("b"), b"bad\xff": b"1", "x\ny": b"2"})
    there = bucket(it)
    rclone(it, "copy", "--links", "src", by_rclone(f"{there}/p"))
    it.lade("get", f"{there}/p", "back")
    for name in (b"a", b"sub/b", b"bad\xff", b"x\ny"):
        mine, other = (os.path.join(os.fsencode(it / root), name) for root in ("src", "back"))
        equal(pathlib.Path(os.fsdecode(other)).read_bytes(), pathlib.Path(os.fsdecode(mine)).read_bytes(), "content")
        equal(os.stat(other).st_mtime_ns, os.stat(mine).st_mtime_ns, "mtime")
    equal(os.readlink(it / "back/sub/l"), "b")
    it.lade("check", "src", f"{there}/p")


# ---- buckets, uploads, access ----

@case
def put_makes_no_bucket(it):
    write(it / "one", b"1")
    it.lade("put", "one", "s3://no-such-bucket-here", status=3).has("no-such-bucket-here", "lade mb s3://")
    it.lade("ls", "s3://no-such-bucket-here", status=3).has("lade mb")
    there = bucket(it)
    it.lade("mb", there)  # again
    it.lade("mb", "/tmp", status=2)
    it.lade("mb", "s3://", status=2)


@case
def refused_credentials_stop_the_run_once(it):
    there = stored(it, {f"f{n}": b"x" for n in range(50)})
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    done = it.lade("put", "--job", "j", "src", f"{there}/q", env=wrong, status=3).has("SignatureDoesNotMatch")
    equal(done.err.count("SignatureDoesNotMatch"), 1)
    it.lade("ls", there, env={"AWS_ACCESS_KEY_ID": ""}, status=3).has("no credentials")
    check("wrong" not in done.err, "the secret is told", done)


@case
def options_say_where_the_store_is(it):
    there = bucket(it)
    write(it / "one", b"1")
    write(it / "credentials", "[p]\naws_access_key_id = {RGW_ACCESS_KEY}\naws_secret_access_key = {RGW_SECRET_KEY}\n"
          .format(**it.env).encode())
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(it / "credentials"), "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
           "AWS_ACCESS_KEY_ID": "nobody"}
    where = ["--endpoint-url", it.env["AWS_ENDPOINT_URL"], "--profile", "p", "--region", "anywhere"]
    it.lade("put", *where, "--storage-class", "STANDARD", "--acl", "bucket-owner-full-control", "--job", "j", "one", there, env=env)
    equal(it.lade("ls", *where, there, env=env).out, "one\n")
    it.lade("run", "j", env=env)
    it.lade("put", *where, "--acl", "bogus", "--job", "j2", "one", f"{there}/x/", env=env, status=1).has("InvalidArgument")


def begin_and_die(it, there):
    """A put of a large file that is killed when a part is on its way."""
    write(it / "src/large", os.urandom(40 * MIB))
    process = it.start("put", "--job", "j", "--bwlimit", "4M", "src", there)
    it.wait_for(lambda: re.search('"parts": ?[1-9]', it.lade("uploads", "--json", there).out), process, what="a part")
    os.kill(process.pid, signal.SIGKILL)
    it.end(process, None)


@case
def killed_put_goes_on_and_leaves_no_upload(it):
    there = bucket(it)
    os.mkdir(it / "src")
    begin_and_die(it, there)
    left = it.lade("uploads", there)
    check(left.out.count("large") == 1, "not one unfinished upload", left)
    it.lade("put", "--job", "j", "src", there)
    equal(it.lade("uploads", there).out, "")
    round_trip(it, there)


@case
def rm_empties_a_bucket_only_when_asked(it):
    there = stored(it)
    place = there.split("/")[2]
    it.lade("rm", f"s3://{place}", status=2).has("whole bucket", "--recursive")
    check(it.lade("ls", "-R", f"s3://{place}").out != "", "the bucket was emptied")
    it.lade("rm", "--recursive", f"s3://{place}/")
    equal(it.lade("ls", "-R", f"s3://{place}").out, "", "what is left")
    it.lade("rm", "--recursive", "--dry-run", "file:/", status=2).has("whole file system")


@case
def tpslimit_bounds_the_requests(it):
    make_tree(it / "src", {f"f{number}": b"x" for number in range(20)})
    there = f"{bucket(it)}/t"
    start = time.monotonic()
    it.lade("put", "--tpslimit", "10", "src", there)
    took = time.monotonic() - start
    check(took > 1.5, f"22 requests took {took:.1f} s with 10 a second")
    it.lade("check", "--tpslimit", "100", "src", there)


@case
def uploads_are_ended_by_age(it):
    there = bucket(it)
    os.mkdir(it / "src")
    begin_and_die(it, there)
    equal(it.lade("uploads", "--abort", "--older-than", "1h", there).out, "")
    it.lade("uploads", "--older-than", "soon", there, status=2)
    it.lade("uploads", f"file:{it.path}", status=2)
    check("large" in it.lade("uploads", "--abort", there).out, "not ended")
    equal(it.lade("uploads", there).out, "")
    it.lade("put", "--job", "j", "src", there)
    round_trip(it, there)


# ---- weather ----

def survives(it, *rules, size=20 * MIB):
    """put and get through the proxy end well, and leave nothing behind."""
    there = bucket(it)
    rng = random_of("s3 weather", 1)
    make_tree(it / "src", {"large": rng.randbytes(size), **{f"f{n}": rng.randbytes(n * 50) for n in range(60)}})
    with weather(it, *rules) as env:
        it.lade("put", "--retries", "20", "src", there, env=env)
        it.lade("get", "--retries", "20", there, "back", env=env)
    same_trees(contents(it / "back"), contents(it / "src"))
    equal(it.lade("uploads", there).out, "")


@case
def slow_down_and_server_errors(it):
    survives(it, "err503 p=20", "err status=500 code=InternalError p=10 method=PUT")


@case
def resets_and_lost_answers(it):
    survives(it, "lost method=POST path=uploadId tries=1", "reset method=PUT path=partNumber tries=1")


@case
def lost_puts_and_cut_bodies(it):
    survives(it, "lost method=PUT p=20 tries=1", "truncate method=GET p=20 tries=1")


@case
def success_that_hides_an_error(it):
    survives(it, "error200 method=POST path=uploadId tries=1")


@case
def corruption_on_the_way(it):
    survives(it, "corrupt method=PUT path=partNumber tries=1", "corrupt method=PUT at=-1 tries=1 p=30")


@case
def an_upload_that_is_gone_is_begun_again(it):
    survives(it, "err status=404 code=NoSuchUpload method=POST path=uploadId nth=1")


if __name__ == "__main__":
    if "LADE_TEST_S3" not in os.environ:
        sys.exit("no gateway: tests/servers/with python3 tests/cli/s3.py LADE")
    main()
