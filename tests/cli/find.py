"""lade find: against a plain walk of what was put; the cache of indexes and listings; places; lists of the a-commands."""
import fnmatch
import json
import os
import pathlib
import re
import shutil
import stat
import time

from harness import LONG, Link, case, check, equal, main, make_tree, random_of, read, set_age, write

ROUNDS = 60 if LONG else 12
WORDS = ["night", "Log", "img", "cam", "x y", "\u00e4", "FITS", "new\nline", "a!", "q"]


def find(it, *args, status=(0, 1), **more):
    """What is found, as bytes; asked for by -0."""
    done = it.lade("find", "-0", *args, status=status, **more)
    check(not done.out or done.out.endswith("\0"), "the last location does not end", done)
    return done, [os.fsencode(item) for item in done.out.split("\0")[:-1]]


def found(it, *args, **more):
    return find(it, *args, **more)[1]


def rows(it, *args, **more):
    return it.lade("find", "--json", *args, **{"status": (0, 1), **more}).events()


def path_of(row):
    """The path in the tree that was put, as bytes."""
    text = row.get("member") or row["key"]
    if "member" not in row:
        text = text.removesuffix(".rclonelink")
    return os.fsencode(text.rstrip("/"))


def tree_entries(root):
    """path: (kind, size, mtime in ns) of files and links below root, in order."""
    entries = {}
    for top, dirs, files in os.walk(os.fsencode(root)):
        for name in dirs + files:
            path = os.path.join(top, name)
            st = os.lstat(path)
            if not stat.S_ISDIR(st.st_mode):
                kind = "link" if stat.S_ISLNK(st.st_mode) else "file"
                entries[os.path.relpath(path, os.fsencode(root))] = (kind, st.st_size, st.st_mtime_ns)
    return dict(sorted(entries.items()))


def own_objects(store):
    """The objects of their own in a directory store, under their paths."""
    entries = {}
    for path, (_, size, mtime) in tree_entries(store).items():
        if not path.endswith((b".tar.zst", b".tar", b".tar.index")):
            kind = "link" if path.endswith(b".rclonelink") else "file"
            entries[path.removesuffix(b".rclonelink")] = (kind, size, mtime)
    return entries


def small(text):
    """ASCII letters alone are folded."""
    return bytes(c + 32 if 65 <= c <= 90 else c for c in text)


def random_tree(it, dice):
    content = {}
    for _ in range(dice.randrange(20, 120)):
        parts = [dice.choice(WORDS) + str(dice.randrange(5)) for _ in range(dice.randrange(1, 5))]
        name = "/".join(parts[:-1] + [parts[-1] + dice.choice([".txt", ".fits", "", ".FITS"])])
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        if any(key in content for key in above) or any(key.startswith(name + "/") for key in content):
            continue
        content[name] = Link("../somewhere") if dice.random() < 0.1 else b"z" * dice.choice([0, 5, 500, 3000, 40000])
    content[b"odd\xff\xfe/n\x01me"] = b"bytes"
    make_tree(it / "src", content)


def age_some(it, dice):
    now = time.time_ns()
    for path in tree_entries(it / "src"):
        when = now - dice.choice([1, 3, 20, 400]) * 86400 * 10**9 - 10**12
        os.utime(os.path.join(os.fsencode(it / "src"), path), ns=(when, when), follow_symlinks=False)


def change(it, dice):
    """Some are changed, some go, some come."""
    for path in list(tree_entries(it / "src")):
        full = os.path.join(os.fsencode(it / "src"), path)
        what = dice.random()
        if what < 0.15:
            os.unlink(full)
        elif what < 0.3 and not os.path.islink(full):
            write(full, b"changed" * dice.randrange(1, 3000))
    make_tree(it / "src", {f"night9/later{number}.fits": b"new" * number for number in range(dice.randrange(4))})
    age_some(it, dice)


def questions(dice, paths):
    """Arguments of lade find, and what they mean for (path, kind, size, mtime)."""
    now = time.time_ns()
    names = [os.fsdecode(path) for path in paths if re.fullmatch(rb"[\w /.!]+", path)]
    piece = dice.choice(names)
    start = dice.randrange(len(piece))
    word = piece[start:start + dice.randrange(1, 8)]
    upper = word.upper().replace(" ", "\\ ")
    yield [""], lambda *_: True
    yield [upper], lambda path, *_: small(os.fsencode(word)) in small(b"/" + path)
    yield ["night fits"], lambda path, *_: b"night" in small(path) and b"fits" in small(path)
    yield ["*.fits"], lambda path, *_: path.endswith(b".fits")
    yield ["img?.*"], lambda path, *_: fnmatch.fnmatchcase(os.fsdecode(path.split(b"/")[-1]), "img?.*")
    yield ["/night1/**"], lambda path, *_: path.startswith(b"night1/")
    yield ["/night*/*.txt cam"], lambda path, *_: re.fullmatch(rb"night[^/]*/[^/]*\.txt", path) and b"cam" in small(path)
    yield ["-E", "cam[0-2](/|.txt$)"], lambda path, *_: re.search(rb"cam[0-2](/|.txt\Z)", path)
    yield ["--regex", "^[^/]*$"], lambda path, *_: b"/" not in path
    yield ["--size", "+499", "i"], lambda path, kind, size, _: size > 499 and b"i" in small(path)
    yield ["--size", "-5", ""], lambda path, kind, size, _: size < 5
    yield ["--size", "5..3000", ""], lambda path, kind, size, _: 5 <= size <= 3000
    yield ["--size=500", ""], lambda path, kind, size, _: size == 500
    yield ["--newer", "2d", ""], lambda path, kind, size, when: when > now - 2 * 86400 * 10**9
    yield ["--newer", time.strftime("%Y-%m-%d", time.gmtime(now / 1e9 - 10 * 86400)), ""], \
        lambda path, kind, size, when: when > now - 11 * 86400 * 10**9
    yield ["--type", "link", ""], lambda path, kind, *_: kind == "link"
    yield ["--type", "file,link", "a"], lambda path, *_: b"a" in small(path)


def compare(it, dice, *where):
    """Objects of their own stay when their files are deleted; what is in packs is said to be gone."""
    expected = {**tree_entries(it / "src"), **own_objects(it / "store")}
    for args, fits in questions(dice, expected):
        wanted = sorted(path for path, entry in expected.items() if fits(path, *entry))
        got = [row for row in rows(it, *args, *where) if row["kind"] not in ("dir", "pack")]
        equal(sorted(map(path_of, got)), wanted, f"found by {args}")
        for row in got:
            kind, size, _ = expected[path_of(row)]
            equal((row["kind"], row["size"]), (kind, size), f"{row}")


@case
def what_is_found_is_what_a_walk_finds(it):
    for number in range(ROUNDS):
        dice = random_of("find property", number)
        for name in ("src", "store", "state", "home/.cache"):
            shutil.rmtree(it / name, ignore_errors=True)
        random_tree(it, dice)
        age_some(it, dice)
        how = dice.choice([["--pack=0"], ["--pack=1"], ["--pack=2"], ["--pack", "--pack-below", "1000", "--pack-size", "64K"],
                           ["--pack=1", "--no-compress"], []])
        for _ in range(3):
            it.lade("put", "--quiet", *how, "src", "file:store")
            compare(it, dice, "file:store")
            compare(it, dice, "--offline", "file:store")
            if not how:
                break
            change(it, dice)


@case
def locations_are_sorted_and_in_order_of_their_bytes(it):
    make_tree(it / "src", {f"d{n}/f{m}": b"1" for n in range(12) for m in range(12)} | {"d1/a b": b"", "d1/a!": b"", "top": b""})
    it.lade("put", "--quiet", "--pack=1", "src", "file:store")
    got = found(it, "", "file:store")
    check(len(got) > 150, got)
    equal(got, sorted(got), "the order")


@case
def names_of_all_bytes(it):
    make_tree(it / "src", {b"d/new\nline": b"1", b"d/\xff\xfe": b"2", b"d/esc\x1b[1m": b"3"})
    it.lade("put", "--quiet", "--pack=0", "src", "file:store")
    base = os.fsencode(f"file:{it / 'store'}/src.tar.zst!/d/")
    equal(found(it, "line"), [base + b"new\nline"])
    equal(found(it, b"\xff"), [base + b"\xff\xfe"])
    equal([os.fsencode(row["member"]) for row in rows(it, "/d/??")], [b"d/\xff\xfe"])
    equal(it.lade("find", "esc").out, os.fsdecode(base + b"esc\x1b[1m\n"))


@case
def old_versions_are_shown_by_all(it):
    make_tree(it / "src", {"d/changed": b"one", "d/gone": b"x", "d/same": b"x"})
    set_age(it / "src")
    it.lade("put", "--quiet", "--pack=0", "src", "file:store")
    first = pathlib.Path(it / "store/src.tar.zst")
    write(it / "src/d/changed", b"three")
    os.unlink(it / "src/d/gone")
    it.lade("put", "--quiet", "--pack=0", "src", "file:store")
    equal([row["size"] for row in rows(it, "changed")], [5])
    check(not os.fsencode(first.name + "!") in found(it, "changed")[0], "the old pack")
    equal(found(it, "gone", status=1), [])
    equal(sorted(row["size"] for row in rows(it, "--all", "changed")), [3, 5])
    equal(len(found(it, "--all", "gone")), 1)
    # An object of its own comes before all.
    make_tree(it / "store", {"d/same": b"own"})
    equal([row["size"] for row in rows(it, "/d/same")], [3])
    equal(found(it, "/d/same"), [os.fsencode(f"file:{it / 'store'}/d/same")])


@case
def a_prefix_and_one_pack_are_places(it):
    make_tree(it / "src", {"cam0/00/a.jpg": b"1", "cam0/01/b.jpg": b"2", "cam1/00/a.jpg": b"3"})
    it.lade("put", "--quiet", "--pack=2", "src", "file:store/run7")
    base = f"file:{it / 'store'}"
    equal(found(it, "a.jpg", "file:store/run7/cam0"), [os.fsencode(f"{base}/run7/cam0/00.tar.zst!/cam0/00/a.jpg")])
    equal(len(found(it, "/run7/*/*/a.jpg", "file:store")), 2)
    equal(len(found(it, "run7/cam0 jpg", "store")), 2)
    pack = f"{base}/run7/cam1/00.tar.zst"
    equal(found(it, "a.jpg", pack), [os.fsencode(f"{pack}!/cam1/00/a.jpg")])
    equal(found(it, "--offline", "a.jpg", pack), [os.fsencode(f"{pack}!/cam1/00/a.jpg")])
    equal(found(it, "b.jpg", pack, status=1), [])
    # Renamed, it stands where it lies.
    os.rename(it / "store/run7/cam1/00.tar.zst", it / "store/run7/other.tar.zst")
    equal(found(it, "/run7/cam1/00/a.jpg", "file:store"), [os.fsencode(f"{base}/run7/other.tar.zst!/cam1/00/a.jpg")])


@case
def a_part_of_what_was_listed_is_known_offline(it):
    """What a search of it would have found, from the listing of a place around it."""
    make_tree(it / "src", {"cam0/00/a.jpg": b"1", "cam0/01/b.jpg": b"2", "cam0/01/c.jpg": b"22", "cam1/00/a.jpg": b"3"})
    it.lade("put", "--quiet", "--pack=2", "src", "file:store/run7")
    it.lade("put", "--quiet", "--pack=1", "--no-compress", "src", "file:store/run7-b")
    it.lade("put", "--quiet", "src", "file:store/own")
    parts = ["run7", "run7/cam0", "run7/cam0/", "run7/cam0/00.tar.zst", "run7-b/cam1.tar", "own/cam1", "own/cam0/01/c.jpg", "own"]

    def all_parts(*how):
        return {part: sorted(map(str, rows(it, *how, "", f"file:store/{part}"))) for part in parts}
    wanted = all_parts()
    shutil.rmtree(it / "home/.cache")
    find(it, "--offline", "", "file:store/run7", status=3)[0].has("never searched")
    found(it, "", "file:store")
    os.rename(it / "store", it / "away")
    equal(all_parts("--offline"), wanted)
    check(all(len(found) for found in wanted.values()), wanted)
    equal(found(it, "--offline", "", "file:store/run", status=1), [], "what only begins with the same text")
    equal(found(it, "--offline", "", "file:store/run7/cam0/00.tar", status=1), [])
    os.rename(it / "away", it / "store")
    # The newest listing counts, whichever place it is of.
    os.unlink(it / "store/own/cam0/01/c.jpg")
    found(it, "", "file:store/own")
    equal(found(it, "--offline", "c.jpg", "file:store/own", status=1), [])
    equal(len(found(it, "--offline", "c.jpg", "file:store")), 3)
    write(it / "store/own/d.jpg", b"new")
    found(it, "", "file:store")
    equal(len(found(it, "--offline", "d.jpg", "file:store/own")), 1)


def indexes(it):
    return sorted((it / "home/.cache/lade/indexes").glob("i-*"))


@case
def damaged_files_of_the_cache_are_read_again(it):
    dice = random_of("find cache", 1)
    make_tree(it / "src", {f"d{n}/f{m}": b"1" for n in range(3) for m in range(50)})
    it.lade("put", "--quiet", "--pack=1", "src", "file:store")
    wanted = found(it, "f7", "file:store")
    equal(len(wanted), 3)
    cached = it / "home/.cache/lade/indexes"
    equal(stat.S_IMODE(os.stat(cached).st_mode), 0o700)
    for path in cached.iterdir():
        equal(stat.S_IMODE(path.stat().st_mode), 0o600, path.name)
    for _ in range(40):
        path = dice.choice(list(cached.iterdir()))
        data = bytearray(read(path))
        what = dice.randrange(5)
        if what == 0:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        elif what == 1:
            del data[dice.randrange(len(data)):]
        elif what == 2:
            data += b"more"
        elif what == 3:
            data = bytearray(read(dice.choice(list(cached.iterdir()))))  # of another
        else:
            data = bytearray(dice.randbytes(dice.randrange(2000)))
        write(path, data)
        equal(found(it, "f7", "file:store"), wanted)
        equal(found(it, "--offline", "f7", "file:store"), wanted, "offline, after it was mended")
    shutil.rmtree(cached)
    os.mkdir(it / "elsewhere")
    os.symlink(it / "elsewhere", cached)
    equal(found(it, "f7", "file:store"), wanted, "without a cache")
    equal(list((it / "elsewhere").iterdir()), [], "behind a link")


@case
def only_new_packs_are_read(it):
    make_tree(it / "src", {f"d{n}/f": b"1" for n in range(4)})
    it.lade("put", "--quiet", "--pack=1", "src", "file:store")
    equal(len(found(it, "/*/f", "file:store")), 4)
    kept = {path.name: path.stat().st_ino for path in indexes(it)}
    equal(len(kept), 4)
    # The packs cannot be read any more by content, and need not be.
    for path in (it / "store").glob("*.tar.zst"):
        st = path.stat()
        with open(path, "r+b") as file:
            file.write(b"\0" * st.st_size)
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    equal(len(found(it, "/*/f", "file:store")), 4)
    equal({path.name: path.stat().st_ino for path in indexes(it)}, kept, "the cache")
    # Another ETag: read again, and what is no pack any more is an object.
    os.utime(it / "store/d1.tar.zst")
    equal(len(found(it, "/*/f", "file:store")), 3)
    equal([row["kind"] for row in rows(it, "d1.tar.zst", "file:store")], ["file"])
    equal([row["kind"] for row in rows(it, "d2.tar.zst", "file:store")], ["pack"])


@case
def what_is_found_can_be_read(it):
    """cat and get take a location as find writes it."""
    dice = random_of("find cat", 1)
    content = {name: dice.randbytes(dice.randrange(1, 3000)) for name in
               ("d/plain", "d/with space", "d/new\nline", "d/odd!", "d!/x", "e/f.tar", "e/d/deep.txt", b"d/\xff\xfe")}
    make_tree(it / "src", content)
    for how in (["--pack=0"], ["--pack=1"], ["--pack=0", "--no-compress"], []):
        shutil.rmtree(it / "store", ignore_errors=True)
        shutil.rmtree(it / "state", ignore_errors=True)
        it.lade("put", "--quiet", *how, "src", "file:store")
        got = {path_of(row): os.fsencode(row["location"]) for row in rows(it, "--type=file", "", "file:store")}
        equal(sorted(got), sorted(map(os.fsencode, content)))
        for name, data in content.items():
            process = it.start("cat", got[os.fsencode(name)])
            out, err = process.communicate(timeout=60)
            equal((process.returncode, out), (0, data), f"{got[os.fsencode(name)]} {err}")
        it.lade("get", "--quiet", got[b"e/d/deep.txt"], f"out{len(how)}{how[-1:]}")
        equal([read(path) for path in (it / f"out{len(how)}{how[-1:]}").rglob("deep.txt")], [content["e/d/deep.txt"]])


@case
def a_damaged_pack_is_named(it):
    make_tree(it / "src", {f"d{n}/f": os.urandom(100) for n in range(3)})
    it.lade("put", "--quiet", "--pack=1", "src", "file:store")
    path = it / "store/d1.tar.zst"
    data = bytearray(read(path))
    at = data.rindex(b"LADEPKE1") - 200
    data[at] ^= 0xFF
    write(path, data)
    done, got = find(it, "/*/f", "file:store", status=3)
    equal(len(got), 2)
    done.has("d1.tar.zst", "damaged")


@case
def two_at_once(it):
    make_tree(it / "src", {f"d{n}/f{m}": b"1" for n in range(40) for m in range(20)})
    it.lade("put", "--quiet", "--pack=1", "src", "file:store")
    for process in [it.start("find", "-0", "f7", "file:store") for _ in range(8)]:
        equal(it.end(process).out.count("\0"), 40)
    equal([path.name for path in (it / "home/.cache/lade/indexes").iterdir() if path.name.startswith(".")], [])


@case
def places_that_were_used_are_searched(it):
    make_tree(it / "src", {"d/name": b"1"})
    it.lade("find", "name", status=2).has("no place is known", "LOC")
    it.lade("put", "--quiet", "src", "file:one")
    it.lade("put", "--quiet", "--pack", "src", "file:two/below")
    make_tree(it / "three", {"name.txt": b"3", "sub/name": b""})
    it.lade("get", "--quiet", "file:three", "out")
    equal(len(found(it, "name", "file:three/sub")), 1)  # below one that is known
    base = f"file:{it.path}"
    got = found(it, "name")
    equal([item.split(b"!")[0] for item in got[:3]],
          [os.fsencode(f"{base}/{rest}") for rest in ("one/d/name", "three/name.txt", "three/sub/name")])
    check(len(got) == 4 and got[3].startswith(os.fsencode(f"{base}/two/below/")) and got[3].endswith(b"!/d/name"), got)
    # One that cannot be reached is searched as it was, and named.
    os.rename(it / "two", it / "away")
    done, again = find(it, "name", status=3)
    equal(again, got)
    done.has("two/below", "No such file")
    os.rename(it / "away", it / "two")
    equal(found(it, "name", status=0), got)
    # A damaged line is one place less; all others stay.
    places = it / "state/lade/places"
    lines = read(places).splitlines(keepends=True)
    write(places, b"".join([(b"1" if lines[0][:1] == b"0" else b"0") + lines[0][1:]] + [b"rubbish\n", b"\0\xff\n"] + lines[1:]))
    equal(len(found(it, "name")), 3)
    equal(stat.S_IMODE(os.stat(places).st_mode), 0o600)


@case
def offline_knows_only_what_was_looked_at(it):
    make_tree(it / "src", {"d/name": b"1"})
    it.lade("put", "--quiet", "--pack", "src", "file:store")
    it.lade("find", "--offline", "name", "file:store", status=3).has("never searched")
    equal(len(found(it, "name")), 1)
    shutil.rmtree(it / "store")
    equal(len(found(it, "--offline", "name", status=0)), 1)
    for path in indexes(it):
        os.unlink(path)
    done, got = find(it, "--offline", "name", status=3)
    equal(got, [])
    done.has("index is not in the cache")


@case
def get_takes_indexes_from_the_cache(it):
    make_tree(it / "src", {f"d/f{m}": b"1" for m in range(50)})
    it.lade("put", "--quiet", "--pack", "src", "file:store")
    it.lade("get", "--quiet", "file:store", "out")
    equal(len(indexes(it)), 1)
    before = indexes(it)[0].stat().st_ino
    it.lade("get", "--quiet", "--job", "again", "file:store", "out2")
    equal(indexes(it)[0].stat().st_ino, before)
    equal(sorted(os.listdir(it / "out2/d")), sorted(os.listdir(it / "src/d")))
    # Damaged in the cache: the pack itself has it.
    data = bytearray(read(indexes(it)[0]))
    data[len(data) // 2] ^= 1
    write(indexes(it)[0], data)
    it.lade("get", "--quiet", "--job", "more", "file:store", "out3")
    equal(sorted(os.listdir(it / "out3/d")), sorted(os.listdir(it / "src/d")))


AMETA = """user: kk
host: node1
host_name: node1
input: data
original_location: /home/kk/proj/data\x20
protocol: S3\x20
compression: none
Note: findme in a note
-rw-r--r-- 1 kk grp  6 Nov 21  2021 data/a.txt
-rw-r--r-- 1 kk grp 11 Nov 21 08:36 data/sub/b.txt
-rw-r--r-- 1 kk grp  3 Nov 21 08:36 data/sub/with space.txt
lrwxrwxrwx 1 kk grp  3 Nov 21 08:36 data/link.txt -> a.txt
drwxr-xr-x 1 kk grp  3 Nov 21 08:36 data/sub
-rw-r--r-- 1 kk grp  9 Nov 21 08:36 /abs/c.txt
-rw-r--r-- 1 kk grp  9 Nov 21 08:36 ../up/d.txt
"""


@case
def lists_of_the_a_commands_are_searched(it):
    make_tree(it / "store", {"run/data.tar.zst": b"not ours", "run/data.tar.zst_ameta": AMETA.encode(),
                             "run/data.tar.zst.other": b"", "names.tar": b"x", "names.tar_ameta": b"user: kk\ninput: n\nn/one.txt\nn/two.txt\n",
                             "single.dat": b"x", "single.dat_ameta": b"-rw-r--r-- 1 kk grp 1 Nov 21 08:36 single.dat\n",
                             "lost.tar_ameta": AMETA.encode(), "empty.tar": b"", "empty.tar_ameta": b"Empty directory\n"})
    archive = f"file:{it / 'store'}/run/data.tar.zst"
    equal([os.fsdecode(item) for item in found(it, "*.txt", "file:store")],
          [f"file:{it / 'store'}/names.tar!/n/{name}.txt" for name in ("one", "two")] +
          [f"{archive}!/{name}" for name in ("abs/c.txt", "data/a.txt", "data/link.txt", "data/sub/b.txt",
                                              "data/sub/with space.txt", "up/d.txt")])
    row = rows(it, "/run/data/a.txt", "file:store")[0]
    equal((row["size"], row["time"][:10], row["kind"]), (6, "2021-11-21", "file"))
    equal([item["member"] for item in rows(it, "--type=link", "data", "file:store")], ["data/link.txt"])
    equal(found(it, "findme", "file:store", status=1), [])
    equal(found(it, "single", "file:store"), [os.fsencode(f"file:{it / 'store'}/single.dat")])
    equal(found(it, "lost", "file:store"), [os.fsencode(f"file:{it / 'store'}/lost.tar_ameta")])
    wanted = found(it, "b.txt", "file:store")
    shutil.rmtree(it / "store")
    equal(found(it, "--offline", "b.txt", "file:store"), wanted)
    equal(len(wanted), 1)


@case
def what_is_asked_wrongly_is_refused(it):
    make_tree(it / "store", {"a": b""})
    it.lade("find", "--size", "big", "a", "file:store", status=2).has("--size", "is not a size")
    it.lade("find", "--size", "10..5", "a", "file:store", status=2).has("--size")
    it.lade("find", "--size=-0", "a", "file:store", status=2).has("--size")
    it.lade("find", "--newer", "soon", "a", "file:store", status=2).has("--newer", "7d")
    it.lade("find", "--newer", "2026-02-30", "a", "file:store", status=2).has("--newer")
    it.lade("find", "--type", "socket", "a", "file:store", status=2).has("--type")
    it.lade("find", "--regex", "(", "a", status=2)
    it.lade("find", "-E", "a(", "file:store", status=2).has("regular expression")
    it.lade("find", "[", "file:store", status=2).has("pattern")
    it.lade("find", status=2).has("PATTERN")
    equal(it.lade("find", "b", "file:store", status=1).out, "")
    it.lade("find", "a", "file:nowhere", status=3).has("nowhere")


@case
def long_and_plain_output(it):
    make_tree(it / "store", {"sub/file": b"12345"})
    os.utime(it / "store/sub/file", (1600000000, 1600000000))
    location = f"file:{it / 'store'}/sub/file"
    equal(it.lade("find", "file", "file:store").out, location + "\n")
    equal(it.lade("find", "--long", "file", "file:store").out.split(), ["5", "2020-09-13", "12:26:40", location])
    equal(it.lade("find", "--null", "file", "file:store").out, location + "\0")
    row = json.loads(it.lade("find", "--json", "file", "file:store").out)
    equal(row, {"location": location, "kind": "file", "size": 5, "time": "2020-09-13T12:26:40.000000000Z", "key": "sub/file"})
    equal([item["kind"] for item in rows(it, "--type", "dir", "sub", "file:store")], ["dir"])


if __name__ == "__main__":
    main()
