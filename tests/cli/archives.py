"""Archives of others: listed, read and unpacked; what hostile ones must not do. s3_archives.py: the same from S3."""
import gzip
import io
import os
import random
import shutil
import signal
import stat
import subprocess
import tarfile
import zipfile

from harness import (Dir, Link, Skip, as_nobody, case, check, equal, keys, main, make_tree, read, same_trees, scan, set_age,
                     temporaries, write)

MIB = 1 << 20
TREE = {"a": b"A", "sub/b": b"BB" * 5000, "sub/deep/c": b"", "sub/l": Link("../a"), "empty": Dir(0o750), "dead": Link("no/where"),
        b"\xff\xfe": b"latin", "e\u0301": b"decomposed", "\u00e9": b"composed", "new\nline": b"n", " ": b"space",
        "x" * 200: b"long", f"{'d' * 120}/{'e' * 120}": b"deep", "big": random.Random(1).randbytes(3 * MIB)}
PACKERS = {"plain.tar": ["tar", "--format=pax", "-cf"], "gnu.tar": ["tar", "--format=gnu", "-cf"], "a.tar.gz": ["tar", "--format=pax", "-czf"],
           "a.tgz": ["tar", "--format=gnu", "-czf"], "a.tar.bz2": ["tar", "--format=pax", "-cjf"],
           "a.tar.xz": ["tar", "--format=pax", "-cJf"], "a.tar.zst": ["tar", "--format=pax", "--zstd", "-cf"],
           "bsd.tar": ["bsdtar", "--format=pax", "-cf"], "nothing-in-the-name": ["tar", "--format=pax", "-czf"]}


def run(*args, cwd=None):
    if shutil.which(args[0]) is None:
        raise Skip(f"{args[0]} is missing")
    done = subprocess.run(list(map(str, args)), cwd=cwd, capture_output=True, check=False)
    check(done.returncode == 0, f"{args}", done.stderr.decode(errors="replace"))


def packed(it, name="a.tar.gz", content=None):
    make_tree(it / "src", content or TREE)
    set_age(it / "src")
    run(*PACKERS[name], it / name, "-C", it / "src", ".")


def tar_of(path, members, mode="w"):
    """Members: (name, what): bytes, or a function that changes the TarInfo, or both as a pair."""
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for name, what in members:
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = 1500000000, 0o644
            data, change = what if isinstance(what, tuple) else (what, None) if isinstance(what, bytes) else (b"", what)
            info.size = len(data)
            if change:
                change(info)
            tar.addfile(info, io.BytesIO(data))


def kind(type_, target=""):
    def change(info):
        info.type, info.linkname = type_, target
    return change


def symlink(target):
    return kind(tarfile.SYMTYPE, target)


def hardlink(target):
    return kind(tarfile.LNKTYPE, target)


def a_dir(info):
    info.type, info.mode = tarfile.DIRTYPE, 0o755


def outside(it):
    """What nothing may touch."""
    make_tree(it / "outside", {"secret": b"mine", "dir/f": b"mine"})
    return scan(it / "outside")


def unpack_hostile(it, members, status=1, *args):
    """Into out/; nothing beside it changes."""
    before = outside(it)
    tar_of(it / "bad.tar", members)
    there = sorted(os.listdir(it.path))
    done = it.lade("get", *args, "bad.tar!/", "out", status=status)
    equal(scan(it / "outside"), before, "what is outside")
    equal([name for name in sorted(os.listdir(it.path)) if name != "out"], [name for name in there if name != "out"])
    if (it / "out").exists():
        equal(temporaries(it / "out"), [])
    return done


# ---- there and back ----

def comes_back(it, name):
    packed(it, name)
    os.link(it / "src/a", it / "src/sub/hard")
    run(*PACKERS[name], it / name, "-C", it / "src", ".")
    it.lade("get", f"{name}!/", "out")
    ignore = ("mtime_ns",) if "gnu" in name or name == "a.tgz" else ()
    if ignore:  # whole seconds
        for path, entry in scan(it / "out").items():
            equal(entry.mtime_ns // 10**9, scan(it / "src")[path].mtime_ns // 10**9, f"seconds of {path}")
    same_trees(it / "out", it / "src", ignore=ignore)
    equal(os.stat(it / "out/a").st_ino, os.stat(it / "out/sub/hard").st_ino, "inode of the hard link")
    again = it.lade("get", "--json", f"{name}!/", "out").summary()
    equal((again["done"]["count"], again["failed"]["count"]), (0, 0), "what a second get did")
    same_trees(it / "out", it / "src", ignore=ignore)


for packer in PACKERS:
    def each(it, name=packer):
        comes_back(it, name)
    each.__name__ = "comes_back_" + packer.replace(".", "_").replace("-", "_")
    case(each)


@case
def zips_come_back(it):
    """Times of zip are whole seconds; names are the bytes of the archive also where libarchive composes them."""
    make_tree(it / "src", TREE)
    set_age(it / "src")
    run("zip", "-qry", it / "info.zip", ".", cwd=it / "src")
    run("bsdtar", "--format=zip", "-cf", it / "bsd.zip", "-C", it / "src", ".")
    with zipfile.ZipFile(it / "python.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("e\u0301", b"1"), ("\u00e9", b"2"), ("dir/\u65e5", b"3" * MIB)):
            archive.writestr(name, data)
    for name in ("info", "bsd"):
        it.lade("get", f"{name}.zip!/", name)
        same_trees(it / name, it / "src", ignore=("mtime_ns",))
        for path, entry in scan(it / name).items():
            if entry.kind != "dir":
                near = abs(entry.mtime_ns - scan(it / "src")[path].mtime_ns) < 2 * 10**9
                check(near or entry.kind == "link", f"time of {path}")
    it.lade("get", "python.zip!/", "python")
    equal(keys(it / "python"), ["dir/\u65e5", "e\u0301", "\u00e9"])
    equal(it.lade("cat", "python.zip!/e\u0301").out, "1")


@case
def sparse_files_come_back(it):
    (it / "src").mkdir()
    with open(it / "src/holes", "wb") as file:
        file.truncate(64 * MIB)
        file.seek(40 * MIB)
        file.write(b"x" * 100)
    run("tar", "-cSf", it / "s.tar", "-C", it / "src", ".")
    it.lade("get", "s.tar!/", "out")
    equal(read(it / "out/holes"), read(it / "src/holes"))
    check(os.stat(it / "out/holes").st_blocks * 512 < 8 * MIB, "the holes are filled")
    run("sh", "-c", f"{it.lade_path} cat s.tar!/holes | cmp - src/holes", cwd=it.path)


@case
def a_part_of_an_archive(it):
    packed(it)
    it.lade("get", "a.tar.gz!/sub/", "o1")
    it.lade("get", "a.tar.gz!/sub", "o2")
    it.lade("get", "--keep-name", "a.tar.gz!/sub/", "o3")
    for out in ("o1", "o2", "o3/sub"):
        same_trees(it / out, it / "src/sub")
    it.lade("get", "a.tar.gz!/sub/b", "o4")
    equal(keys(it / "o4"), ["b"])
    it.lade("get", "--to", "o5", "a.tar.gz!/sub/b")
    equal(read(it / "o5"), TREE["sub/b"])
    it.lade("get", "--include", "deep/*", "a.tar.gz!/sub/", "o6")
    equal(keys(it / "o6"), ["deep/c"])
    it.lade("get", "a.tar.gz!/nothing", "o7", status=1).has("no member 'nothing'")
    it.lade("get", "--to", "o8", "a.tar.gz!/sub", status=2).has("--to")
    it.lade("get", "a.tar.gz!/sub/", "a.tar.gz!/a", "o9", status=2).has("not the only location")
    for option in ("--dry-run", "--detach", "--glob"):
        it.lade("get", option, "a.tar.gz!/sub/", "o9", status=2).has(option)
    check(not (it / "o9").exists(), "a directory was made")


@case
def the_object_itself_is_looked_for_first(it):
    """A name may hold "!/", and the longest name of an archive counts."""
    packed(it, "plain.tar")
    make_tree(it.path, {"plain.tar!": Dir(), "odd!/f": b"object"})
    (it / "odd!/f!").mkdir()
    equal(it.lade("cat", "odd!/f").out, "object")
    equal(it.lade("cat", "plain.tar!/a").out, "A")
    write(it / "plain.tar!/a", b"object")
    equal(it.lade("cat", "plain.tar!/a").out, "object")
    equal(it.lade("ls", "odd!/").out, "f\nf!/\n")
    shutil.copy(it / "plain.tar", it / "odd!/in.tar")
    equal(it.lade("cat", "odd!/in.tar!/a").out, "A")


# ---- ls and cat ----

@case
def ls_of_archives(it):
    content = {"a": b"A", "sub/b": b"BBB", "sub/deep/c": b"", "l": Link("a")}
    make_tree(it / "src", content)
    set_age(it / "src")
    os.mkdir(it / "src/empty")
    run("tar", "--sort=name", "-cf", it / "t.tar", "-C", it / "src", ".")
    equal(it.lade("ls", "t.tar!/").out, "a\nempty/\nl\nsub/\n")
    equal(it.lade("ls", "-R", "t.tar!/").out, "a\nempty/\nl\nsub/b\nsub/deep/c\n")
    equal(it.lade("ls", "t.tar!/sub/").out, "b\ndeep/\n")
    equal(it.lade("ls", "t.tar!/sub/b").out, "b\n")
    found = it.lade("ls", "--json", "t.tar!/sub/").events()
    equal([(one["key"], one["size"], one["kind"]) for one in found], [("b", 3, "file"), ("deep/", 0, "directory")])
    check(it.lade("ls", "-l", "t.tar!/").out.splitlines()[0].split()[0] == "1", "no size")
    it.lade("ls", "t.tar!/nothing", status=1).has("no member")
    tar_of(it / "odd.tar", [("../x", b"1"), ("d/x", b"2"), ("d/y", b"3"), ("\x1b[2J", b"")])
    equal(it.lade("ls", "odd.tar!/").out, "../x\nd/\n\x1b[2J\n")


@case
def cat_of_objects(it):
    data = random.Random(2).randbytes(5 * MIB)
    write(it / "plain", data)
    it.lade("put", "plain", "file:store/")
    for location in ("plain", "file:store/plain"):
        run("sh", "-c", f"{it.lade_path} cat {location} | cmp - plain", cwd=it.path)
    write(it / "b", b"second")
    write(it / "c", b"first ")
    equal(it.lade("cat", "c", "b").out, "first second")
    it.lade("cat", "nothing", status=1).has("nothing")
    it.lade("cat", "store", status=(1, 2))
    it.lade("cat", "store/", status=2).has("no content")


@case
def cat_tells_what_is_not_what_was_stored(it):
    write(it / "plain", b"x" * 100000)
    it.lade("put", "plain", "file:store/")
    flip(it / "store/plain", 5000, keep_time=True)
    done = it.lade("cat", "file:store/plain", status=4).has("not what was stored")
    equal(len(done.out), 100000, "bytes that were given")


@case
def cat_of_members(it):
    packed(it, "a.tar.zst")
    equal(it.lade("cat", "a.tar.zst!/sub/b").out, TREE["sub/b"].decode())
    it.lade("cat", "a.tar.zst!/sub", status=2).has("directory")
    it.lade("cat", "a.tar.zst!/sub/l", status=2).has("link to '../a'")
    it.lade("cat", "a.tar.zst!/", status=2).has("whole archive")
    it.lade("cat", "a.tar.zst!/none", status=1).has("no member 'none'")


# ---- hostile ----

@case
def names_that_lead_out_are_refused(it):
    bad = ["../x", "/etc/lade-x", "a/../../x", "..", "d/..", "./../x", f"{it.path}/outside/secret", "../outside/secret"]
    done = unpack_hostile(it, [(name, b"evil") for name in bad] + [("good", b"good"), ("./d//good", b"good")])
    equal(keys(it / "out"), ["d/good", "good"])
    for name in bad:
        done.has(f"failed: {name}: ")
    check(not os.path.lexists("/etc/lade-x"), "a file in /etc")


@case
def nothing_is_written_through_a_link_of_the_archive(it):
    done = unpack_hostile(it, [("l", symlink("../outside")), ("l/secret", b"evil"), ("l/new", b"evil"), ("l/dir", a_dir), ("l/dir/f", b"evil"),
                               ("f", symlink("../outside/secret")), ("f", b"later")])
    done.has("failed: l/secret: its way leads through 'l'", "failed: l/dir/f: its way")
    equal(os.readlink(it / "out/l"), "../outside")
    equal(read(it / "out/f"), b"later")
    check(not os.path.islink(it / "out/f"), "the file that came later is a link")


@case
def a_link_does_not_replace_a_directory(it):
    done = unpack_hostile(it, [("d", a_dir), ("d/f", b"1"), ("d", symlink("../outside")), ("e/f", b"1"), ("e", symlink("../outside")), ("e/g", b"evil")])
    check(not os.path.islink(it / "out/d") and not os.path.islink(it / "out/e"), "a directory became a link")
    done.has("failed: d: ", "failed: e: ", "failed: e/g: ")


@case
def nothing_is_written_through_a_link_that_was_there(it):
    make_tree(it / "out", {"l": Link("../outside"), "s": Link("../outside/secret")})
    done = unpack_hostile(it, [("l/secret", b"evil"), ("l", a_dir), ("s", b"evil"), ("ok", b"1")])
    done.has("failed: l/secret: ", "failed: s: ")
    equal(read(it / "out/ok"), b"1")
    done = unpack_hostile(it, [("l/secret", b"evil"), ("s", b"mine now")], 1, "--overwrite")
    equal(read(it / "out/s"), b"mine now")
    check(not os.path.islink(it / "out/s"), "written through")


@case
def hard_links_lead_only_to_what_the_archive_brought(it):
    make_tree(it / "out", {"there": b"before"})
    bad = ["../outside/secret", "/etc/passwd", "there", "nothing", "l", "d"]
    done = unpack_hostile(it, [("l", symlink("../outside/secret")), ("d", a_dir), ("good", b"good"), ("h", hardlink("good"))] +
                          [(f"h{n}", hardlink(name)) for n, name in enumerate(bad)])
    for n in range(len(bad)):
        done.has(f"failed: h{n}: ")
        check(not os.path.lexists(it / f"out/h{n}"), f"h{n} is there")
    equal(os.stat(it / "out/h").st_ino, os.stat(it / "out/good").st_ino)
    equal(os.stat(it / "outside/secret").st_nlink, 1)


@case
def what_follows_a_hard_link_does_not_write_through_it(it):
    """A later member of the same name is a new file, also where it had two names."""
    unpack_hostile(it, [("a", b"first"), ("b", hardlink("a")), ("a", b"second"), ("b", b"third!")], 0)
    equal((read(it / "out/a"), read(it / "out/b")), (b"second", b"third!"))


@case
def links_in_circles(it):
    unpack_hostile(it, [("x", symlink("y")), ("y", symlink("x")), ("z", symlink("z")), ("z", symlink("y"))], 0)
    equal(os.readlink(it / "out/z"), "y")
    unpack_hostile(it, [("h", hardlink("i")), ("i", hardlink("h")), ("x/f", b"")], 1)


@case
def devices_are_skipped_and_bits_left_out(it):
    def setid(info):
        info.mode = 0o6755

    members = [("fifo", kind(tarfile.FIFOTYPE)), ("null", kind(tarfile.CHRTYPE)), ("disk", kind(tarfile.BLKTYPE)), ("suid", (b"#!", setid))]
    done = unpack_hostile(it, members, 0).has("skipped: fifo", "skipped: null", "skipped: disk")
    equal(keys(it / "out"), ["suid"])
    equal(stat.S_IMODE(os.stat(it / "out/suid").st_mode), 0o755)
    if os.geteuid() == 0:
        it.lade("get", "--keep-setid", "bad.tar!/", "kept")
        equal(stat.S_IMODE(os.stat(it / "kept/suid").st_mode), 0o6755)
    check(done.status == 0, "skipped is no failure")


@case
def of_several_with_one_name_the_last_counts(it):
    unpack_hostile(it, [("f", b"1"), ("f", b"22"), ("g", b"1"), ("g", symlink("f")), ("k", symlink("f")), ("k", symlink("g")), ("f", b"333")], 0)
    equal(read(it / "out/f"), b"333")
    equal((os.readlink(it / "out/g"), os.readlink(it / "out/k")), ("f", "g"))


@case
def odd_and_long_names(it):
    names = ["new\nline", "\x01\x1b[2J", "-rf", "\\", "a" * 255, "/".join(["b" * 100] * 40), "c/" * 300 + "f"]
    unpack_hostile(it, [(name, b"1") for name in names], 0)
    found = {os.fsdecode(path) for path, entry in scan(it / "out").items() if entry.kind == "file"}
    equal(found, set(names))
    done = unpack_hostile(it, [("x" * 256, b"1"), ("y/" * 1100 + "f", b"1"), ("z" * 66000, b"1"), ("ok", b"1")], 1)
    done.has("x" * 256, "deep")


@case
def temporary_names_are_not_for_archives(it):
    unpack_hostile(it, [(".lade-x.tmp", b"1"), ("d/.lade-x.tmp", b"1"), ("ok", b"2")], 1).has("temporary names")
    equal(keys(it / "out"), ["ok"])


@case
def bombs_are_given_up(it):
    """1 GiB and a little, from a thousandth and less."""
    chunk = bytes(16 * MIB)
    with open(it / "bomb.tar.xz", "wb") as raw:
        packer = subprocess.Popen(["xz", "-1", "-T1"], stdin=subprocess.PIPE, stdout=raw)
        info = tarfile.TarInfo("zeros")
        info.size = 66 * len(chunk)
        packer.stdin.write(info.tobuf())
        for _ in range(66):
            packer.stdin.write(chunk)
        packer.stdin.write(bytes(1024))
        packer.stdin.close()
        packer.wait()
    check(os.path.getsize(it / "bomb.tar.xz") < MIB, "no bomb")
    for verb in (("get", "bomb.tar.xz!/", "out"), ("ls", "bomb.tar.xz!/"), ("cat", "bomb.tar.xz!/nothing")):
        it.lade(*verb, status=1).has("far more than its own size", "--max-ratio")
    equal(keys(it / "out"), [])
    it.lade("ls", "--max-ratio", "20000", "bomb.tar.xz!/")


@case
def zips_of_one_part_many_times_are_given_up(it):
    """Members that lie over each other: little in the archive, much out of it."""
    data = bytes(8 * MIB)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(150):
            archive.writestr(f"z{n}", data)
    write(it / "bomb.zip", buffer.getvalue())
    it.lade("get", "--max-ratio", "10", "bomb.zip!/", "out", status=1).has("far more than its own size")
    check(sum(entry.size for entry in scan(it / "out").values()) <= 1 << 30, "more than the limit was written")


@case
def too_many_members_are_given_up(it):
    tar_of(it / "many.tar", [(f"f{n}", b"") for n in range(1001)])
    it.lade("get", "--max-members", "1000", "many.tar!/", "out", status=1).has("more than 1000 members", "--max-members")
    equal(len(keys(it / "out")), 1000)
    it.lade("ls", "--max-members", "1000", "many.tar!/", status=1).has("more than 1000 members")
    it.lade("get", "--max-members", "1001", "many.tar!/", "out")


# ---- damaged ----

def flip(path, at, keep_time=False):
    st = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x55]))
    if keep_time:
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


@case
def archives_that_were_cut_are_told(it):
    content = {f"f{n}": random.Random(n).randbytes(20000) for n in range(20)}
    make_tree(it / "src", content)
    for name in PACKERS:
        run(*PACKERS[name], it / name, "-C", it / "src", ".")
        whole = read(it / name)
        for number, part in enumerate((len(whole) // 2, len(whole) - 40000, 700, 300, 5, 0)):
            write(it / name, whole[:part])
            out = it / f"{name}-{number}"
            done = it.lade("get", f"{name}!/", out, status=4)
            check(done.err.count("lade:") == 1, "no clear error", done)
            for path in keys(out) if out.exists() else []:
                equal(read(out / path), content[path], f"{path} of {name} cut to {part}")
            equal(temporaries(out) if out.exists() else [], [])


@case
def a_tar_that_was_cut_between_two_members_is_told(it):
    tar_of(it / "t.tar", [("a", b"1"), ("b", b"2")])
    write(it / "t.tar", read(it / "t.tar")[:1024])
    it.lade("get", "t.tar!/", "out", status=4).has("no end mark")
    it.lade("ls", "t.tar!/", status=4).has("no end mark")
    equal(keys(it / "out"), ["a"])


@case
def one_wrong_byte_is_told(it):
    """Each compression has its checksum; a plain tar is known by what is recorded with its object."""
    rng = random.Random(3)
    make_tree(it / "src", {f"f{n}": bytes(rng.choices(b"abcdef", k=30000)) for n in range(10)})
    for name in ("a.tgz", "a.tar.bz2", "a.tar.xz", "a.tar.zst"):
        run(*PACKERS[name], it / name, "-C", it / "src", ".")
        whole = read(it / name)
        for number in range(12):
            write(it / name, whole)
            flip(it / name, rng.randrange(20, len(whole) - 20))
            done = it.lade("get", f"{name}!/", it / f"{name}-{number}", status=4)
            check("damaged" in done.err or "cut off" in done.err, "not told", done)
    run("zip", "-qr", it / "z.zip", ".", cwd=it / "src")
    flip(it / "z.zip", 3000)
    it.lade("get", "z.zip!/", "zip", status=4).has("damaged")
    run(*PACKERS["plain.tar"], it / "plain.tar", "-C", it / "src", ".")
    it.lade("put", "plain.tar", "file:store/")
    flip(it / "store/plain.tar", 100000, keep_time=True)
    it.lade("get", "file:store/plain.tar!/", "plain", status=4).has("not what was stored")
    it.lade("cat", "file:store/plain.tar!/f1", status=4).has("not what was stored")


@case
def a_wrong_checksum_at_the_very_end_is_told(it):
    packed(it, "a.tgz", {"f": b"x" * 1000})
    flip(it / "a.tgz", os.path.getsize(it / "a.tgz") - 6)
    it.lade("get", "a.tgz!/", "out", status=4).has("damaged")


@case
def what_is_no_archive_is_told(it):
    write(it / "text", b"this is no archive\n" * 1000)
    write(it / "empty", b"")
    write(it / "text.gz", gzip.compress(b"no tar" * 1000))
    for name in ("text", "empty", "text.gz"):
        it.lade("ls", f"{name}!/", status=4).has(name)
        it.lade("get", f"{name}!/", "out", status=4)


# ---- what is there already ----

@case
def what_is_there_stays_unless_overwritten(it):
    packed(it, content={"same": b"same", "other": b"new!", "length": b"longer", "new": b"n", "l": Link("same"), "d/f": b"f"})
    make_tree(it / "out", {"same": b"same", "other": b"old!", "length": b"old", "l": Link("elsewhere")})
    done = it.lade("get", "a.tar.gz!/", "out", status=1).has("failed: other: ", "failed: length: ", "failed: l: ", "--overwrite")
    done.has_not("failed: same")
    equal((read(it / "out/other"), read(it / "out/length"), os.readlink(it / "out/l")), (b"old!", b"old", "elsewhere"))
    equal(read(it / "out/new"), b"n")
    equal(temporaries(it / "out"), [])
    it.lade("get", "--overwrite", "a.tar.gz!/", "out")
    same_trees(it / "out", it / "src", ignore=("mtime_ns",))


@case
def equal_size_and_time_are_believed_unless_asked(it):
    packed(it, content={"f": b"1234"})
    write(it / "elsewhere", b"")
    make_tree(it / "out", {"f": b"4321"})
    st = os.stat(it / "src/f")
    os.utime(it / "out/f", ns=(st.st_mtime_ns, st.st_mtime_ns))
    it.lade("get", "a.tar.gz!/", "out").has("unchanged")
    it.lade("get", "--checksum", "a.tar.gz!/", "out", status=1).has("failed: f: ")
    it.lade("get", "--checksum", "--overwrite", "a.tar.gz!/", "out")
    equal(read(it / "out/f"), b"1234")


@case
def read_only_directories_come_back(it):
    make_tree(it / "src", {"d/e/f": b"1"})
    os.chmod(it / "src/d/e", 0o555)
    os.chmod(it / "src/d", 0o500)
    set_age(it / "src")
    run("tar", "--format=pax", "-cf", it / "t.tar", "-C", it / "src", ".")
    os.chmod(it / "t.tar", 0o644)
    os.chmod(it.path, 0o777)
    for _ in range(2):
        it.lade("get", "t.tar!/", "out", prefix=as_nobody())
        equal([stat.S_IMODE(os.stat(it / "out" / path).st_mode) for path in ("d", "d/e")], [0o500, 0o555])
    equal(os.stat(it / "out/d").st_mtime_ns, os.stat(it / "src/d").st_mtime_ns)


# ---- interrupted ----

def large_archive(it):
    tar_of(it / "large.tar", [(f"d{n % 7}/f{n}", random.Random(n).randbytes(200000)) for n in range(300)])


@case
def a_killed_get_goes_on(it):
    large_archive(it)
    for number in range(6):
        process = it.start("get", "--bwlimit", "60M", "large.tar!/", "out")
        it.wait_for(lambda: (it / "out").exists() and len(temporaries(it / "out")) > number, process, what="files")
        process.send_signal(signal.SIGKILL)
        it.end(process, -signal.SIGKILL)
    check(temporaries(it / "out"), "the kills left nothing: no test")
    write(it / "out/d1/.lade-of-others.tmp", b"theirs")
    it.lade("get", "large.tar!/", "out")
    equal([os.path.basename(path) for path in temporaries(it / "out")], [b".lade-of-others.tmp"])
    os.unlink(it / "out/d1/.lade-of-others.tmp")
    equal(len(keys(it / "out")), 300)
    for n in range(300):
        equal(read(it / f"out/d{n % 7}/f{n}"), random.Random(n).randbytes(200000), f"f{n}")


@case
def sigint_ends_it(it):
    large_archive(it)
    process = it.start("get", "--bwlimit", "2M", "large.tar!/", "out")
    it.wait_for(lambda: (it / "out").exists() and temporaries(it / "out"), process, what="files")
    process.send_signal(signal.SIGINT)
    it.end(process, 130, timeout=10).has("interrupted")
    it.lade("get", "large.tar!/", "out")
    equal((len(keys(it / "out")), temporaries(it / "out")), (300, []))


@case
def a_network_that_breaks_goes_on_where_it_was(it):
    large_archive(it)
    (it / "store").mkdir()
    os.rename(it / "large.tar", it / "store/large.tar")
    there = f"fault:{it / 'rules'}+{it / 'store'}/large.tar"
    for rules, status in (("get nth=2 times=2 lose\nget nth=5 fail=busy", 0), ("get nth=3 times=100 fail=net", 3)):
        write(it / "rules", rules.encode())
        done = it.lade("get", f"{there}!/", f"out{status}", env={"LADE_FAULTS": "1"}, status=status)
        equal(temporaries(it / f"out{status}"), [])
        for path in keys(it / f"out{status}"):
            equal(read(it / f"out{status}" / path), random.Random(int(path.split("/f")[1])).randbytes(200000), path)
    equal(len(keys(it / "out0")), 300)
    check(len(keys(it / "out3")) < 300, "no fault", done)


@case
def json_events(it):
    packed(it)
    done = it.lade("get", "--json", "a.tar.gz!/", "out")
    summary = done.summary()
    equal((summary["exit_status"], summary["failed"]["count"]), (0, 0))
    check(summary["done"]["count"] >= 12, "too few", done)
    tar_of(it / "bad.tar", [("../x", b"")])
    failed = it.lade("get", "--json", "bad.tar!/", "out", status=1).events("item")
    equal([item["name"] for item in failed], ["../x"])
    it.lade("get", "--quiet", "a.tar.gz!/", "quiet").has_not("fetched")


main()
