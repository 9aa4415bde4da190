"""Mode, owner, times, links and empty directories travel and come back."""
import os
import stat

from harness import Dir, Link, ROOT, Skip, as_nobody, case, check, equal, main, make_tree, same_trees, scan, set_age, \
    write


def round_trip(it, ignore=()):
    expected = scan(it / "src")
    it.lade("put", "src", "file:store")
    it.lade("get", "file:store", "out")
    same_trees(it / "out", expected, "what came back", ignore)
    same_trees(it / "src", expected, "source")


@case
def modes_come_back(it):
    make_tree(it / "src", {f"f{mode:04o}": b"x" for mode in
                           (0o600, 0o644, 0o755, 0o400, 0o000, 0o777, 0o4755, 0o2755, 0o1644, 0o6711)})
    for name in os.listdir(it / "src"):
        os.chmod(it / "src" / name, int(name[1:], 8))
    set_age(it / "src")
    if not ROOT:
        os.unlink(it / "src/f0000")
    round_trip(it)


@case
def modes_of_directories_come_back(it):
    modes = (0o755, 0o700, 0o555, 0o500, 0o1777, 0o2775, 0o711) + ((0o000, 0o111) if ROOT else ())
    make_tree(it / "src", {f"d{mode:04o}/inner/f": b"x" for mode in modes})
    make_tree(it / "src", {f"e{mode:04o}": Dir(mode) for mode in modes})
    set_age(it / "src")
    for mode in modes:
        os.chmod(it / f"src/d{mode:04o}/inner", mode)
        os.chmod(it / f"src/d{mode:04o}", mode)
    round_trip(it)
    it.lade("put", "src", "file:store")
    it.lade("get", "file:store", "out")
    same_trees(it / "out", it / "src", "what came back after the second run")


@case
def a_tree_without_write_permission_comes_back_to_a_plain_user(it):
    """Where root may do all, nobody needs each step in the right order."""
    make_tree(it / "src", {"a/b/f": b"F", "a/b/g": b"G", "a/h": b"H", "c": Dir(0o555)})
    for name in ("home", "."):
        os.chmod(it / name, 0o777)
    set_age(it / "src")
    for name, mode in (("a/b/f", 0o444), ("a/b", 0o555), ("a", 0o555), ("c", 0o555)):
        os.chmod(it / "src" / name, mode)
    plain = {"prefix": as_nobody()}
    it.lade("put", "--job", "home/put", "src", "file:store", **plain)
    same_trees(it / "store", it / "src", "store", ignore=("uid", "gid"))
    it.lade("get", "--job", "home/get", "file:store", "out", **plain)
    same_trees(it / "out", it / "src", "what came back", ignore=("uid", "gid"))
    # Into the read-only directories that are there now.
    os.chmod(it / "src/a/b", 0o755)
    write(it / "src/a/b/new", b"N")
    os.chmod(it / "src/a/b", 0o555)
    done = it.lade("put", "--job", "home/put", "src", "file:store", status=(0, 1), **plain)
    check(done.status == 0 or "a/b/new" in done.err, "not stored and not named", done)


@case
def read_only_directories_come_back_to_a_plain_user(it):
    """They are filled first and closed last."""
    make_tree(it / "src", {"a/b/c/f": b"F", "d/e/g": b"G"})
    for name in ("home", "."):
        os.chmod(it / name, 0o777)
    set_age(it / "src")
    it.lade("put", "src", "file:store")
    names = ("a/b/c", "a/b", "a", "d")
    for name in names:
        os.chmod(it / "store" / name, 0o500)
        if ROOT:
            os.chown(it / "store" / name, 65534, 65534)
    it.lade("get", "--job", "home/get", "file:store", "out", prefix=as_nobody())
    for name in names:
        equal(stat.S_IMODE(os.stat(it / "out" / name).st_mode), 0o500, f"mode of {name}")
    equal(sorted(scan(it / "out")), sorted(scan(it / "src")), "names")


@case
def owners_come_back(it):
    if not ROOT:
        raise Skip("only root can give files away")
    make_tree(it / "src", {"f": b"F", "d/g": b"G", "l": Link("f")})
    set_age(it / "src")
    for number, name in enumerate(("f", "d", "d/g", "l"), 12345):
        mtime = os.lstat(it / "src" / name).st_mtime_ns
        os.lchown(it / "src" / name, number, number + 10)
        os.utime(it / "src" / name, ns=(mtime, mtime), follow_symlinks=False)
    os.chown(it / "src/f", 99, 98)
    os.chmod(it / "src/f", 0o4755)
    round_trip(it)


@case
def set_user_id_does_not_come_back_to_someone_else(it):
    if not ROOT:
        raise Skip("only root can give files away")
    make_tree(it / "src", {"f": b"F"})
    os.chmod(it / "src/f", 0o4755)
    it.lade("put", "src", "file:store")
    for name in ("home", "."):
        os.chmod(it / name, 0o777)
    it.lade("get", "--job", "home/get", "file:store", "out", prefix=as_nobody())
    equal(stat.S_IMODE(os.stat(it / "out/f").st_mode), 0o755, "mode of a file that belongs to somebody else now")


@case
def times_come_back_to_the_nanosecond(it):
    times = {"now": 1_700_000_000_123_456_789, "epoch": 0, "before": -1_000_000_001, "old": -2_000_000_000 * 10**9,
             "future": 4_000_000_000 * 10**9 + 1, "y2038": (1 << 31) * 10**9, "one": 1, "last": 999_999_999}
    make_tree(it / "src", {f"f-{name}": b"x" for name in times})
    make_tree(it / "src", {f"d-{name}": Dir() for name in times})
    make_tree(it / "src", {f"l-{name}": Link("t") for name in times})
    for name, when in times.items():
        for kind in "fdl":
            os.utime(it / f"src/{kind}-{name}", ns=(when, when), follow_symlinks=False)
    round_trip(it)
    it.lade("get", "file:store", "out")
    same_trees(it / "out", it / "src")


@case
def links_come_back_as_they_are(it):
    targets = ["f", "nowhere", "/absolute", "..", "../../..", ".", "a b", " ", "new\nline", "x" * 255, "d/" * 500 + "x",
               "y" * 4095, "self"]
    make_tree(it / "src", {f"l{number}": Link(target) for number, target in enumerate(targets)})
    os.symlink(b"\xff\xfe", it / "src/bytes")
    set_age(it / "src")
    round_trip(it)


@case
def empty_directories_come_back(it):
    make_tree(it / "src", {"a/b/c": Dir(0o750), "d": Dir(), "e/f": b"", "g/h": Dir()})
    set_age(it / "src")
    round_trip(it)


@case
def times_of_directories_survive_what_is_written_into_them(it):
    make_tree(it / "src", {f"a/b/c/f{number}": b"x" * number for number in range(300)})
    set_age(it / "src")
    for depth, name in enumerate(("a/b/c", "a/b", "a")):
        when = (1_000_000_000 + depth) * 10**9 + 42
        os.utime(it / "src" / name, ns=(when, when))
    round_trip(it)


@case
def hard_links_become_copies(it):
    make_tree(it / "src", {"f": b"F"})
    os.link(it / "src/f", it / "src/g")
    set_age(it / "src")
    round_trip(it)


if __name__ == "__main__":
    main()
