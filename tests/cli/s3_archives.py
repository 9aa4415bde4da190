"""Archives in a real gateway: tests/servers/with python3 tests/cli/s3_archives.py LADE. How many requests they take, and what
a network that breaks does."""
import io
import os
import random
import subprocess
import tarfile
import zipfile

from harness import case, check, equal, keys, main, make_tree, read, same_trees, scan, set_age, write
MIB = 1 << 20
TREE = {"a": b"A", "sub/b": b"BB" * 5000, "sub/deep/c": b"", b"\xff\xfe": b"latin", "big": random.Random(1).randbytes(20 * MIB)}


def bucket(it):
    name = f"{it.name.replace('_', '-')[:50]}-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


def packed(it, name, *args):
    make_tree(it / "src", TREE)
    set_age(it / "src")
    subprocess.run(["tar", "--format=pax", *args, "-cf", it / name, "-C", it / "src", "."], check=True)
    there = bucket(it)
    it.lade("put", name, f"{there}/dir/")
    return f"{there}/dir/{name}"


@case
def comes_back_from_s3(it):
    for name, args in (("a.tar", []), ("a.tgz", ["-z"]), ("a.tar.zst", ["--zstd"])):
        there = packed(it, name, *args) if name == "a.tar" else None
        if there is None:
            subprocess.run(["tar", "--format=pax", *args, "-cf", it / name, "-C", it / "src", "."], check=True)
            it.lade("put", name, f"{root}/{name}")
            there = f"{root}/{name}"
        root = there.rsplit("/", 1)[0]
        it.lade("get", f"{there}!/", f"out-{name}")
        same_trees(it / f"out-{name}", it / "src")
        it.lade("get", f"{there}!/sub/", f"sub-{name}")
        same_trees(it / f"sub-{name}", it / "src/sub")
        equal(it.lade("cat", f"{there}!/sub/b").out, TREE["sub/b"].decode())
        equal(sorted(it.lade("ls", "-R", f"{there}!/").out.splitlines()),
              sorted(os.fsdecode(path) for path in keys_of(it / "src")))
    it.lade("get", f"{root}/none.tar!/", "none", status=1).has("none.tar")


def keys_of(root):
    return [path for path, entry in scan(root).items() if entry.kind != "dir"]


@case
def cat_from_s3(it):
    make_tree(it / "src", {"small": b"s" * 1000, "large": random.Random(2).randbytes(40 * MIB)})
    there = bucket(it)
    it.lade("put", "src", there)
    for name in ("small", "large"):
        subprocess.run(["sh", "-c", f"{it.lade_path} cat {there}/{name} | cmp - src/{name}"], cwd=it.path, env=it.env, check=True)
    it.lade("cat", f"{there}/none", status=1).has("none")
    it.lade("cat", f"{there}/", status=2)


@case
def a_member_of_a_zip_is_read_alone(it):
    """The directory at the end, then the member: not the other 30 MiB."""
    with zipfile.ZipFile(it / "z.zip", "w") as archive:
        for n in range(30):
            archive.writestr(f"f{n}", random.Random(n).randbytes(MIB))
        archive.writestr("last", b"the last one")
    there = bucket(it)
    it.lade("put", "z.zip", f"{there}/")
    equal(it.lade("cat", f"{there}/z.zip!/last").out, "the last one")
    done = it.lade("get", "--json", f"{there}/z.zip!/f7", "out").summary()
    check(done["moved_bytes"] < 8 * MIB, "more was read than the member", done)
    equal(read(it / "out/f7"), random.Random(7).randbytes(MIB))


@case
def a_tar_is_listed_without_reading_large_members(it):
    with tarfile.open(it / "t.tar", "w") as tar:
        for n in range(4):
            info = tarfile.TarInfo(f"f{n}")
            info.size = 20 * MIB
            tar.addfile(info, io.BytesIO(bytes(20 * MIB)))
    there = bucket(it)
    it.lade("put", "t.tar", f"{there}/")
    equal(it.lade("ls", f"{there}/t.tar!/").out, "f0\nf1\nf2\nf3\n")
    equal(it.lade("ls", f"{there}/t.tar!/f2").out, "f2\n")


@case
def what_was_changed_in_the_bucket_is_told(it):
    """Another object of the same name, while it is read: never a mixture."""
    there = packed(it, "a.tar")
    process = it.start("get", "--bwlimit", "4M", f"{there}!/", "out")
    it.wait_for(lambda: (it / "out").exists(), process, what="the directory")
    write(it / "a.tar", read(it / "a.tar")[::-1])
    it.lade("put", "--overwrite", "a.tar", there.rsplit("/", 1)[0] + "/")
    done = it.end(process, None)
    if done.status == 0:
        same_trees(it / "out", it / "src")
    for path in keys(it / "out"):
        equal(read(it / "out" / path), TREE[path] if path in TREE else b"latin", path)


main()
