"""Random trees: put, put again (nothing is sent), get, get again, compare everything. LADE_SEED starts the series."""
import os
import random
import socket
import time

from harness import LONG, ROOT, case, equal, main, same_trees, scan, seed_of, stamps, temporaries

SEEDS = 200 if LONG else 12
BYTES = bytes(set(range(1, 256)) - {ord("/")})
PIECES = [b"a", b"b", b".", b"-", b" ", b"\n", b"\xff", b"%", b"'", b'"', b"\\", b"*", "é".encode(), "日".encode(),
          b".rclonelink", b"~", b"\x1b", b"0", b"/"[:0]]


def name_of(dice):
    kind = dice.random()
    if kind < 0.5:
        return b"%c%d" % (dice.choice(b"abcxyz"), dice.randrange(100))
    if kind < 0.8:
        name = b"".join(dice.choice(PIECES) for _ in range(dice.randrange(1, 8)))
    else:
        name = bytes(dice.choice(BYTES) for _ in range(dice.choice((1, 2, 10, 100, 240))))
    return name if name not in (b"", b".", b"..") and not name.startswith(b".lade-") else b"n"


def size_of(dice):
    largest = 3 << 20 if dice.random() < 0.1 else 100000
    return dice.choice((0, 1, dice.randrange(100), dice.randrange(10000), 4096, 65536, dice.randrange(largest)))


def make_file(dice, path):
    size = size_of(dice)
    with open(path, "wb") as file:
        if dice.random() < 0.1:
            file.truncate(size + dice.randrange(2 << 20))
            file.seek(dice.randrange(size + 1))
        file.write(dice.randbytes(size))
    os.chmod(path, dice.choice((0o644, 0o600, 0o755, 0o444, 0o640)))


def set_time(dice, path):
    if dice.random() < 0.8:
        when = dice.choice((dice.randrange(2 * 10**18), dice.randrange(10**9), -dice.randrange(10**18), 10**9))
        os.utime(path, ns=(when, when), follow_symlinks=False)


def make_entry(dice, path, depth):
    """One entry, and what is below it."""
    kind = dice.random()
    if kind < 0.55:
        make_file(dice, path)
    elif kind < 0.65 and len(os.path.basename(path)) <= 244:
        os.symlink(dice.choice((b"x", b"../a", b"/etc/passwd", dice.randbytes(20).replace(b"\0", b"y"))), path)
    elif kind < 0.68:
        os.mkfifo(path)
    elif kind < 0.7:
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.bind(path)
            except OSError:  # the path is too long for a socket
                return
    else:
        os.mkdir(path)
        if depth < 5:
            fill(dice, path, depth + 1)
        os.chmod(path, dice.choice((0o755, 0o700, 0o775, 0o555)))
    set_time(dice, path)
    if ROOT and dice.random() < 0.1 and not os.path.islink(path):
        st = os.lstat(path)
        os.chown(path, dice.randrange(70000), dice.randrange(70000))
        os.chmod(path, st.st_mode & 0o777)
        os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))


def fill(dice, path, depth=0):
    names = {name_of(dice) for _ in range(dice.choice((0, 1, 3, 10, 30 >> depth)))}
    # A link NAME beside an entry NAME.rclonelink is refused, by another test.
    names = {name for name in names if not name.endswith(b".rclonelink")}
    for name in sorted(names):
        make_entry(dice, os.path.join(path, name), depth)


def options_of(dice):
    options = []
    for option, values in (("--transfers", ("1", "3", "16")), ("--memory", ("16M", "64M")), ("--crawlers", ("1", "8")),
                           ("--digest", ("sha256", "md5,sha256"))):
        if dice.random() < 0.3:
            options += [option, dice.choice(values)]
    return options


def mutate(dice, top):
    """Change some of the tree; what has changed is sent again, and only that."""
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)
    for path in paths:
        if os.path.isfile(path) and not os.path.islink(path) and dice.random() < 0.2:
            os.chmod(path, 0o644)
            make_file(dice, path)


def trip(it, number, seed):
    dice = random.Random(f"property {seed}")
    top, store, out = (os.fsencode(it / f"{name}{number}") for name in ("src", "store", "out"))
    os.mkdir(top)
    fill(dice, top)
    put = ["put", *options_of(dice), top, b"file:" + store]
    get = ["get", b"file:" + store, out]
    it.lade(*put)
    before = stamps(store)
    it.lade(*put)
    equal(stamps(store), before, "what the second put moved")
    it.lade(*get)
    same_trees(scan(out), scan(top), f"tree of LADE_SEED={seed}")
    before = stamps(out)
    it.lade(*get)
    equal(stamps(out), before, "what the second get moved")
    mutate(dice, top)
    time.sleep(0.01)
    it.lade(*put)
    it.lade(*get[:1], "--overwrite", *get[1:])
    same_trees(scan(out), scan(top), f"changed tree of LADE_SEED={seed}")
    equal(temporaries(store) + temporaries(out), [], "temporary names")


@case
def random_trees_come_back(it):
    first = seed_of(1)
    for seed in range(first, first + SEEDS):
        try:
            trip(it, seed, seed)
        except Exception:
            print(f"# LADE_SEED={seed}")
            raise
    print(f"# seeds {first} to {first + SEEDS - 1}")


if __name__ == "__main__":
    main()
