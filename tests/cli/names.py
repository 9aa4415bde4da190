"""Any name, depth and size that the file system allows comes back, or is refused before a byte moves."""
import os

from harness import Link, case, check, equal, main, make_tree, read, same_trees, set_age, temporaries, write


def round_trip(it, *, ignore=()):
    it.lade("put", "src", "file:store")
    it.lade("get", "file:store", "out")
    same_trees(it / "out", it / "src", "what came back", ignore)
    equal(temporaries(it / "store") + temporaries(it / "out"), [], "temporary names")


@case
def odd_names_come_back(it):
    names = [b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80", "ä".encode(), "a\u0308".encode(), b"new\nline", b"tab\there",
             b" leading", b"trailing ", b" ", b"   ", b"quote'", b'double"', b"back\\slash", b"back`tick", b"$HOME",
             b"-n", b"--exclude", b"*", b"?", b"[a]", b"{a,b}", b"a:b", b"file:", b"%41", b"a%00b", b"a+b", b"a&b=c",
             b"#hash", b";", b"|", b"...", b"..x", b".hidden", b"~", b"\x01\x02\x1b[31m", b"\x7f", b"x" * 255,
             "日本語".encode(), "🚀".encode(), "\u202e".encode(), b"CON", b"a.rclonelinkx", b"NAME", b"name"]
    content = {}
    for number, name in enumerate(names):
        content[b"files/" + name] = b"%d" % number
        content[b"dirs/" + name + b"/inside"] = b"%d" % number
    make_tree(it / "src", content)
    for name in names:
        os.makedirs(it / "src/links", exist_ok=True)
        if len(name) < 240:
            os.symlink(b"to " + name, os.path.join(os.fsencode(it / "src/links"), name))
        os.makedirs(os.path.join(os.fsencode(it / "src/empty"), name))
    set_age(it / "src")
    round_trip(it)


@case
def names_in_messages_cannot_drive_a_terminal(it):
    make_tree(it / "src", {b"a\x1b[31mred\nlade: all is well": b"x"})
    make_tree(it / "store", {b"a\x1b[31mred\nlade: all is well/f": b"y"})
    done = it.lade("put", "src", "file:store", status=1)
    check("\x1b" not in done.err and "\x1b" not in done.out, "an escape sequence gets through", repr(done.err))
    check("\nlade: all is well" not in done.err, "a name makes a line of its own", done)


@case
def links_with_long_names_are_refused_or_come_back(it):
    """NAME.rclonelink is longer than the store's names may be: named, and the rest goes on."""
    make_tree(it / "src", {"x" * 250: Link("t"), "y" * 244: Link("t"), "f": b"F"})
    done = it.lade("put", "src", "file:store", status=1)
    done.has("x" * 250, "name that the destination cannot hold").has_not("y" * 244)
    it.lade("get", "file:store", "out")
    equal(sorted(os.listdir(it / "out")), ["f", "y" * 244])


@case
def a_name_of_lade_s_own_temporary_files_is_refused(it):
    name = ".lade-0123456789abcdef-1-1-1.tmp"
    make_tree(it / "src", {name: b"x", "f": b"F"})
    it.lade("put", "src", "file:store", status=1).has(name)
    equal(os.listdir(it / "store"), ["f"])


@case
def paths_longer_than_path_max_come_back(it):
    fd = os.open(it.path, os.O_RDONLY | os.O_DIRECTORY)
    os.mkdir("src", dir_fd=fd)
    for name in ["src"] + ["d" * 200 + f"{depth:02}" for depth in range(30)]:
        if name != "src":
            os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
        file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
        os.write(file, name.encode())
        os.close(file)
        os.symlink("file", "link", dir_fd=fd)
    os.close(fd)
    round_trip(it)
    it.lade("put", "src", "file:store")


@case
def many_levels_come_back(it):
    fd = os.open(it.path, os.O_RDONLY | os.O_DIRECTORY)
    for name in ["src"] + ["d"] * 400:
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    round_trip(it)


@case
def sizes_around_every_boundary_come_back(it):
    edges = [0, 1, 4095, 4096, 4097, 65535, 65536, 262143, 262144, 262145, (1 << 20) - 1, 1 << 20, (1 << 20) + 1,
             (16 << 20) - 1, 16 << 20, (16 << 20) + 1]
    make_tree(it / "src", {f"size-{size}": os.urandom(size) for size in edges})
    set_age(it / "src")
    round_trip(it)


@case
def sizes_around_the_size_of_parts_come_back(it):
    os.mkdir(it / "src")
    for size in ((128 << 20) - 1, 128 << 20, (128 << 20) + 1, (192 << 20) + 5):
        with open(it / f"src/size-{size}", "wb") as file:
            for at in range(0, size, 32 << 20):
                file.seek(at)
                file.write(os.urandom(min(70000, size - at)))
            file.seek(size - 1)
            file.write(b"x")
    set_age(it / "src")
    round_trip(it)


@case
def a_sparse_file_of_6_gib_comes_back_with_its_holes(it):
    size = 6 << 30
    os.mkdir(it / "src")
    with open(it / "src/sparse", "wb") as file:
        for at in (0, 5000, (1 << 30) + 1, (4 << 30) - 2, (4 << 30) + 70000, size - 10):
            file.seek(at)
            file.write(b"data data ")
        file.truncate(size)
    with open(it / "src/only-a-hole", "wb") as file:
        file.truncate(1 << 30)
    set_age(it / "src")
    round_trip(it)
    for top in ("store", "out"):
        for name in ("sparse", "only-a-hole"):
            blocks = os.stat(it / top / name).st_blocks * 512
            check(blocks < 16 << 20, f"{top}/{name} has {blocks} bytes on disk: its holes were filled")


@case
def a_directory_with_many_entries_comes_back(it):
    top = it / "src/flat"
    os.makedirs(top)
    for number in range(20000):
        write(top / f"{number * 7919 % 20000}", b"")
    set_age(it / "src")
    round_trip(it)


@case
def order_of_keys_is_by_bytes(it):
    """a-b, a/b and a.b, ab: a directory's own name sorts with its slash."""
    make_tree(it / "src", {"a/b": b"1", "a-b": b"2", "a.b": b"3", "ab": b"4", "a0": b"5", "a!": b"6",
                           "b/c/d": b"7", "b-": b"8"})
    set_age(it / "src")
    round_trip(it)
    before = {name: read(it / "store" / name) for name in ("a/b", "a-b", "a.b", "a!", "b/c/d", "b-")}
    it.lade("put", "src", "file:store")
    equal({name: read(it / "store" / name) for name in before}, before)


if __name__ == "__main__":
    main()
