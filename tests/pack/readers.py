#!/usr/bin/env python3
"""Packs of random trees, read by programs that know nothing of lade: usage: readers.py PACKER

GNU tar, bsdtar and zstd take each pack; what they unpack is the tree, with owners and times. The seek table is read
by the specification of the zstd seekable format, and a frame that it names is expanded by zstd. Damaged packs are
refused by our reader, by name."""
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

PACKER = sys.argv[1]
FRAME = 65536


def component(rng):
    kind = rng.randrange(8)
    length = rng.randint(1, 240) if kind == 0 else rng.randint(1, 12)
    if kind < 4:
        name = bytes(rng.choice([c for c in range(1, 256) if c != ord("/")]) for _ in range(length))
    else:
        name = bytes(rng.choice(b"abcd.") for _ in range(length))
    return b"_" + name[1:] if name[:1] in b"." else name


def content(rng):
    size = rng.choice([0, 1, 511, 512, 513, 5000, FRAME - 1536, FRAME, FRAME * 5 // 4, 3 * FRAME + 7, rng.randrange(20000)])
    return rng.randbytes(size) if rng.randrange(3) == 0 else bytes(rng.choice(b"abc\n") for _ in range(64)) * (size // 64 + 1)


def times(path, rng):
    ns = rng.choice([0, 10**9, rng.randrange(2 * 10**18), -5 * 10**9, rng.randrange(10**9), 2**33 * 10**9 + 7])
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def owner(path, rng):
    if os.getuid() == 0 and rng.randrange(3) == 0:
        os.chown(path, rng.choice([1, 0o7777777, 0o7777777 + 1, 4000000000]), rng.choice([2, 2**31]), follow_symlinks=False)


def plant(top, rng):
    directories = [top]
    for _ in range(rng.randint(0, 120)):
        path = os.path.join(rng.choice(directories), component(rng))
        if os.path.lexists(path) or len(path) - len(top) > 3000:
            continue
        kind = rng.randrange(10)
        try:
            if kind < 2:
                os.mkdir(path)
                directories.append(path)
            elif kind == 2:
                os.symlink(b"/".join(component(rng) for _ in range(rng.randint(1, 6))), path)
            elif kind == 3:
                with open(path, "wb") as file:
                    for _ in range(rng.randrange(4)):
                        file.seek(rng.randrange(1 << 20), 1)
                        file.write(content(rng) + b"x")
                    file.truncate(file.tell() + rng.randrange(1 << 16))
            else:
                with open(path, "wb") as file:
                    file.write(content(rng))
        except OSError as error:
            if error.errno != 36:  # a name too long, of a deep tree
                raise
            continue
        owner(path, rng)
        if kind > 2:
            os.chmod(path, rng.randrange(0o10000) | 0o400)
    if rng.randrange(2) == 0:
        with open(os.path.join(top, b"sparse"), "wb") as file:
            for at in (0, 1 << 20, 5 << 30, (9 << 30) + 4711):
                file.seek(at)
                file.write(b"data" * 2000)
            file.truncate(10 << 30)
    for path, names, files in os.walk(top, topdown=False):
        for name in files + names:
            times(os.path.join(path, name), rng)


def tree(top, exact_times):
    found = {}
    for path, names, files in os.walk(top):
        for name in names + files:
            full = os.path.join(path, name)
            info = os.lstat(full)
            if stat.S_ISLNK(info.st_mode):
                what = os.readlink(full)
            elif stat.S_ISDIR(info.st_mode):
                what = None
            elif info.st_size > 1 << 30:
                what = big(full)
            else:
                with open(full, "rb") as file:
                    what = file.read()
            mtime = info.st_mtime_ns if exact_times or info.st_mtime_ns >= 0 else None
            found[os.path.relpath(full, top)] = (stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_uid,
                                                 info.st_gid, mtime, info.st_size if what is not None else 0, what)
    return found


def big(path):
    """The data of a sparse file."""
    parts = []
    with open(path, "rb") as file:
        at, end = 0, os.fstat(file.fileno()).st_size
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            stop = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            data = os.pread(file.fileno(), stop - at, at)
            kept = data.strip(b"\0")
            if kept:
                parts.append((at + data.index(kept[:1]), kept))
            at = stop
    return tuple(parts)


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, check=False, **options)
    assert result.returncode == 0, (command, result.returncode, result.stderr[:500])
    return result


def compare(want, got, what):
    for name in sorted(set(want) | set(got)):
        a, b = want.get(name), got.get(name)
        if a is None or b is None or a[:5] != b[:5] or a[5:] != b[5:]:
            raise AssertionError(f"{what}: {name!r}: {str(a)[:200]} is now {str(b)[:200]}")


def unpack(pack, where, want_exact, want_whole, level, locale):
    env = {**os.environ, "LC_ALL": locale}
    for program, want, exact in (("tar", want_exact, True), ("bsdtar", want_whole, False)):
        shutil.rmtree(where, ignore_errors=True)
        os.mkdir(where)
        how = ["--zstd"] if program == "tar" and level else []
        if program == "tar":
            how += ["--warning=no-timestamp"]
        else:
            how += ["-P"]  # without it, bsdtar cuts a backslash or "c:" off the beginning of a name
        result = run(program, *how, "-xpf", pack, "--numeric-owner", "-C", where, env=env)
        assert not result.stderr, (program, result.stderr)
        compare(want, tree(where, exact), program)


def seek_table(pack, tmp):
    """Version 0.1.0: https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md"""
    with open(pack, "rb") as file:
        data = file.read()
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (descriptor, magic) == (0, 0x8F92EAB1)
    table = data[-(count * 8 + 17):]
    assert struct.unpack("<II", table[:8]) == (0x184D2A5E, count * 8 + 9)
    entries = list(struct.iter_unpack("<II", table[8:-9]))
    assert sum(entry[0] for entry in entries) == len(data) - len(table)
    assert entries[-1][1] == 0 and entries[-2][1] == 1024
    whole = run("zstd", "-dcq", pack).stdout
    assert len(whole) == sum(entry[1] for entry in entries)
    at = position = 0
    for packed, raw in entries:
        if raw:
            assert run("zstd", "-dcq", input=data[at:at + packed]).stdout == whole[position:position + raw]
        at, position = at + packed, position + raw
    return data


def damage(pack, tmp, rng, rounds):
    with open(pack, "rb") as file:
        data = file.read()
    bad = os.path.join(tmp, "bad")
    tail = len(data) - 17
    for turn in range(rounds):
        broken = bytearray(data)
        if turn % 4 == 0:
            del broken[rng.randrange(len(broken)):]
        else:
            at = rng.choice([rng.randrange(len(data)), rng.randrange(max(0, len(data) - 3000), len(data)), rng.randrange(tail, len(data))])
            broken[at] ^= 1 << rng.randrange(8)
        with open(bad, "wb") as file:
            file.write(broken)
        result = subprocess.run([PACKER, "verify", bad], capture_output=True, check=False)
        assert result.returncode in (1, 4), (turn, at, len(data), result)
        assert b"pack" in result.stderr or b"index" in result.stderr or b"block" in result.stderr, result.stderr


def one(seed, tmp):
    rng = random.Random(seed)
    source, where, pack = os.path.join(tmp, "in").encode(), os.path.join(tmp, "out").encode(), os.path.join(tmp, "p.tar.zst")
    shutil.rmtree(source, ignore_errors=True)
    os.mkdir(source)
    plant(source, rng)
    exact, whole = tree(source, True), tree(source, False)
    level = rng.choice([0, 1, 1, 3, 9])
    if level == 0:
        pack = os.path.join(tmp, "p.tar")
    run(PACKER, source, pack, str(level), str(FRAME), str(rng.choice([1, 100000, 1 << 30])), str(rng.choice([1000, 70000, 1 << 30])))
    assert run(PACKER, "verify", pack).stdout == f"{len(exact)} members\n".encode()
    unpack(pack, where, exact, whole, level, rng.choice(["C", "C.UTF-8"]))
    if level:
        run("zstd", "-tq", pack)
        if b"sparse" not in exact:
            seek_table(pack, tmp)
            damage(pack, tmp, rng, 12)
    for name in rng.sample(sorted(exact), min(5, len(exact))):
        if stat.S_ISREG(exact[name][0]) and exact[name][5] < 1 << 30:
            assert run(PACKER, "read", pack, name).stdout == exact[name][6], name


def main():
    rounds = 200 if os.environ.get("LADE_LONG") else 20
    if hasattr(os, "getuid"):
        os.umask(0o022)
    with tempfile.TemporaryDirectory() as tmp:
        for seed in range(1, rounds + 1):
            try:
                one(seed, tmp)
            except AssertionError:
                print(f"seed {seed}", file=sys.stderr)
                raise


main()
