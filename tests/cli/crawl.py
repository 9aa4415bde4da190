"""lade crawl: listings in each format, and the summary."""
import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import LONG, Dir, Link, Skip, as_nobody, case, check, equal, main, make_tree, read, same_trees, scan, set_age, write

# The tree of the guide of DESI's mirror, and the find.json that it shows for it.
GUIDE_SIZES = {"docs/README.md": 478, "docs/entry_schema.png": 28437, "LICENSE": 1495, "batch.json": 309506,
               "batch.py": 2964, "find.json": 88754948, "find.py": 6271, "makefile": 925, "upload.py": 5216}
GUIDE = [".", 0, 89110240,
         ["docs", 0, 28915, ["README.md", 1, 478], ["entry_schema.png", 1, 28437]],
         ["LICENSE", 1, 1495], ["batch.json", 1, 309506], ["batch.py", 1, 2964], ["find.json", 1, 88754948],
         ["find.py", 1, 6271], ["makefile", 1, 925], ["upload.py", 1, 5216]]


def make_guide(root):
    for name, size in GUIDE_SIZES.items():
        make_tree(root, {name: b""})
        os.truncate(root / name, size)


def compact(tree):
    return json.dumps(tree, separators=(",", ":")) + "\n"


def tree_of(path, name=None, above=()):
    """What find.py makes of it: links are followed, directories come first."""
    path = os.fsencode(path)
    name = os.fsdecode(os.path.basename(path) if name is None else name)
    if os.path.isdir(path):
        st = os.stat(path)
        if (st.st_dev, st.st_ino) in above:
            return [name, -1, 0]
        inner = [tree_of(os.path.join(path, child), None, (*above, (st.st_dev, st.st_ino)))
                 for child in sorted(os.listdir(path), key=lambda child: (not os.path.isdir(os.path.join(path, child)), child))]
        return [name, 0, sum(child[2] for child in inner), *inner]
    return [name, 1, os.path.getsize(path)] if os.path.isfile(path) else [name, -1, 0]


ODD = {b"a/x": b"1", b"a-b/y": b"22", b"a.txt": b"333", b"empty": Dir(), b"new\nline": b"4", b'quo"te\\s': b"55",
       b"bad\xff\xfe": b"666", b"bad\xed\xb0\x80dir/in": b"7", "ümläut/ж/漢字".encode(): b"8", b"tab\t\x01\x7f": b"9",
       b"\xc2\x85next": b"1", b",comma": b"1", b" blank ": b"", b"link": Link("a.txt"), b"dir-link": Link("a"),
       b"broken": Link("nowhere"), b"a/up": Link("..")}


@case
def the_guides_tree(it):
    make_guide(it / "tree")
    done = it.lade("crawl", "-q", ".", cwd=it / "tree")
    equal(done.out, compact(GUIDE), "find.json")
    it.lade("crawl", "--max-workers", "32", "--output", it / "found.json", ".", cwd=it / "tree").matches(r"^ +9 +85.0 MiB +files$")
    equal(read(it / "found.json").decode(), compact(GUIDE), "find.json in a file")


@case
def odd_names_and_links(it):
    make_tree(it / "tree", ODD)
    os.mkfifo(it / "tree" / "fifo")
    for workers in ("0", "1", "128"):
        done = it.lade("crawl", "-q", "--crawlers", workers, it / "tree")
        equal(json.loads(done.out), tree_of(it / "tree", it / "tree"), "tree")
    equal(done.out.count("\n"), 1, "lines")
    # All but the names outside ASCII, which JSON may hold as they are, is as Python writes it.
    shutil.rmtree(it / "tree" / "ümläut")
    os.unlink(os.fsencode(it / "tree") + b"/\xc2\x85next")
    os.unlink(os.fsencode(it / "tree") + b"/tab\t\x01\x7f")
    equal(it.lade("crawl", "-q", it / "tree").out, compact(tree_of(it / "tree", it / "tree")), "text")


@case
def links_as_asked(it):
    make_tree(it / "tree", {"a": b"123", "d/f": b"4", "l": Link("a"), "dl": Link("d")})

    def nodes(*args):
        return json.loads(it.lade("crawl", "-q", *args, ".", cwd=it / "tree").out)[3:]
    d = ["d", 0, 1, ["f", 1, 1]]
    equal(nodes(), [d, ["dl", 0, 1, ["f", 1, 1]], ["a", 1, 3], ["l", 1, 3]], "auto")
    equal(nodes("--links", "follow"), nodes(), "follow")
    equal(nodes("--links", "keep"), [d, ["a", 1, 3], ["dl", -1, 0], ["l", -1, 0]], "keep")
    equal(nodes("--links", "skip"), [d, ["a", 1, 3]], "skip")


@case
def deep_trees(it):
    top = it / "tree"
    os.mkdir(top)
    fd = os.open(top, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("deeper-and-deeper", dir_fd=fd)
        inner = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.truncate(f"/proc/self/fd/{fd}/bottom", 5)
    os.close(fd)
    done = it.lade("crawl", "-q", top)
    equal(done.out.count('["deeper-and-deeper",0,5,'), 600, "levels")
    check('["bottom",1,5' in done.out, "no bottom", done)
    done = it.lade("crawl", "-q", "--max-depth", "3", top)
    equal(done.out, json.dumps([str(top), 0, 5], separators=(",", ":"))[:-1] +
          ',["deeper-and-deeper",0,5' * 3 + "]" * 4 + "\n", "three levels")
    subprocess.run(["rm", "-rf", top], check=True)


@case
def max_depth_keeps_the_sizes(it):
    make_guide(it / "tree")
    flat = [GUIDE[0], GUIDE[1], GUIDE[2], *[[*node[:3]] for node in GUIDE[3:]]]
    equal(it.lade("crawl", "-q", "--max-depth=1", ".", cwd=it / "tree").out, compact(flat), "one level")
    rows = it.lade("crawl", "-q", "--max-depth=1", "--format", "jsonl", ".", cwd=it / "tree").out.splitlines()
    equal(len(rows), 8, "rows")


@case
def json_lines(it):
    make_tree(it / "tree", ODD)
    os.utime(it / "tree" / "a.txt", ns=(0, -1_500_000_001))
    os.chmod(it / "tree" / "a.txt", 0o4751)
    done = it.lade("crawl", "-q", "--format", "jsonl", it / "tree")
    rows = {os.fsencode(row["path"]): row for row in map(lambda line: json.loads(line, parse_float=str), done.out.splitlines())}
    names = {os.path.relpath(os.path.join(top, name), os.fsencode(it / "tree"))
             for top, dirs, files in os.walk(os.fsencode(it / "tree")) for name in dirs + files}
    equal(set(rows), names, "paths")
    for path, row in rows.items():
        st = os.lstat(os.path.join(os.fsencode(it / "tree"), path))
        if row["type"] != "directory":
            equal(row["size"], st.st_size, f"size of {path}")
        equal([row["uid"], row["gid"], row["ino"], row["nlink"]], [st.st_uid, st.st_gid, st.st_ino, st.st_nlink], "numbers")
        equal(int(row["mtime"].replace(".", "")), st.st_mtime_ns, f"mtime of {path}")
    equal(rows[b"a.txt"]["mode"], "4751", "mode")
    equal({rows[name]["type"] for name in (b"link", b"broken", b"dir-link")}, {"link"}, "links")


@case
def comma_separated(it):
    make_tree(it / "tree", ODD)
    done = it.lade("crawl", "-q", "--format", "csv", it / "tree")
    rows = list(csv.DictReader(io.StringIO(done.out, newline=""), strict=True))
    other = [json.loads(line) for line in it.lade("crawl", "-q", "--format", "jsonl", it / "tree").out.splitlines()]
    equal([row["path"] for row in rows], [row["path"] for row in other], "paths")
    equal([int(row["size"]) for row in rows], [row["size"] for row in other], "sizes")
    equal([row["mode"] for row in rows], [row["mode"] for row in other], "modes")
    check(all(line.endswith("\r") for line in done.out.split("\n") if line.startswith("a")), "lines do not end in CR LF")


@case
def ncdu_reads_it(it):
    if shutil.which("ncdu") is None:
        raise Skip("ncdu is not installed")
    make_tree(it / "tree", {name: what for name, what in ODD.items()})
    os.link(it / "tree" / "a.txt", it / "tree" / "a" / "hard")
    os.mkfifo(it / "tree" / "fifo")
    it.lade("crawl", "-q", "--format", "ncdu", "-o", it / "ncdu.json", it / "tree")
    again = subprocess.run(["ncdu", "-e", "-o-", "-f", it / "ncdu.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env={**it.env, "TERM": "dumb"}, check=False)
    equal((again.returncode, again.stderr), (0, b""), "ncdu")

    def shape(node):
        if isinstance(node, list):
            return [shape(node[0]), *[shape(child) for child in node[1:]]]
        return {key: node.get(key) for key in ("name", "asize", "dsize", "uid", "gid", "mtime", "mode", "notreg")}
    ours = json.loads(read(it / "ncdu.json").decode(errors="surrogateescape"), strict=False)
    theirs = json.loads(again.stdout.decode(errors="surrogateescape"), strict=False)
    equal(ours[:2], [1, 2], "version")
    ours_shape, theirs_shape = shape(ours[3]), shape(theirs[3])
    equal(theirs_shape, ours_shape, "what ncdu read")
    equal(len([1 for node in ours[3][1:] if isinstance(node, dict)]), 12, "entries at the top that are no directories")


@case
def output_appears_whole_or_not_at_all(it):
    make_tree(it / "tree", {"a": b"1"})
    before = b"what was there"
    write(it / "out", before)
    os.mkdir(it / "many")
    for i in range(20000):
        os.close(os.open(it / "many" / f"name-{i:06}", os.O_CREAT | os.O_WRONLY))
    for delay in (0, 0.002, 0.005, 0.01, 0.02):
        process = it.start("crawl", "-q", "--format", "jsonl", "-o", it / "out", it / "many")
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        it.end(process, (0, -signal.SIGKILL))
        content = read(it / "out")
        check(content == before or content.count(b"\n") == 20000, "half a file", len(content))
        equal([name for name in os.listdir(it.path) if "lade-tmp" in name], [], "temporary names")
    it.lade("crawl", "-q", "-o", it / "out", it / "tree")
    equal(json.loads(read(it / "out"))[1:], [0, 1, ["a", 1, 1]], "tree")
    os.symlink("out", it / "link")
    it.lade("crawl", "-q", "-o", it / "link", it / "many")
    check(os.path.islink(it / "link"), "the link was replaced")
    equal(len(json.loads(read(it / "out"))), 20003, "nodes")
    it.lade("crawl", "-q", "-o", "/dev/null", it / "many")
    it.lade("crawl", "-o", it / "tree", it / "many", status=2).has("is a directory")
    it.lade("crawl", "-o", it / "no" / "out", it / "many", status=None).has("No such file")
    check(it.lade("crawl", "-q", "-o", "-", it / "tree").out.startswith("["), "- is not standard output")


@case
def a_full_disk(it):
    make_tree(it / "tree", {f"{i:03}": b"" for i in range(100)})
    with open("/dev/full", "wb") as full:
        process = it.start("crawl", "-q", it / "tree", stdout=full)
        _, err = process.communicate()
    check(process.returncode not in (0, None) and b"No space left" in err, "a full disk is not told", err)


@case
def not_a_directory(it):
    write(it / "file", b"")
    it.lade("crawl", it / "file", status=2).has("is no directory")
    it.lade("crawl", it / "nothing", status=None).has("No such file")


@case
def unreadable_directories(it):
    make_tree(it / "tree", {"in/a": b"1", "shut/b": b"2"})
    os.chmod(it / "tree" / "shut", 0)
    done = it.lade("crawl", ".", cwd=it / "tree", status=1, prefix=as_nobody()).has("unreadable: shut/: Permission denied", "could not be read")
    equal(json.loads(done.out), [".", 0, 1, ["in", 0, 1, ["a", 1, 1]], ["shut", 0, 0]], "tree")
    for form in ("jsonl", "csv", "ncdu"):
        it.lade("crawl", "--format", form, ".", cwd=it / "tree", status=1, prefix=as_nobody())
    os.chmod(it / "tree" / "shut", 0o755)


@case
def filters(it):
    make_tree(it / "tree", {"a.fits": b"1", "a.tmp": b"2", "d/b.tmp": b"3", "e/b.fits": b"4"})
    done = it.lade("crawl", "-q", "--one-file-system", "--exclude", "*.tmp", ".", cwd=it / "tree")
    equal(json.loads(done.out), [".", 0, 2, ["e", 0, 1, ["b.fits", 1, 1]], ["a.fits", 1, 1]], "tree")


@case
def the_summary(it):
    make_tree(it / "tree", {**ODD, "big": b"", "huge": b"", "x.rclonelink": b"", "h1": b"h" * 2000})
    os.truncate(it / "tree" / "big", 6 << 30)
    os.link(it / "tree" / "h1", it / "tree" / "h2")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(it / "tree" / "sock"))
    long = "n" * 200
    make_tree(it / "tree", {"/".join([long] * 5 + ["n" * 30]): b""})
    done = it.lade("crawl", "--json", "--format", "csv", "-o", it / "out", it / "tree")
    found, = done.events("crawl")
    care = {row["what"]: row for row in found["care"]}
    counts = {what: row["count"] for what, row in care.items()}
    equal(counts, {"not_utf8": 2, "control_characters": 3, "blanks": 1, "link_suffix": 1, "long": 1, "links": 4, "special": 1,
                   "multipart": 1, "hard_links": 2, "empty_directories": 1}, "care")
    equal({os.fsencode(name) for name in care["not_utf8"]["examples"]}, {b"bad\xff\xfe", b"bad\xed\xb0\x80dir/"}, "not UTF-8")
    equal(found["files"]["bytes"], (6 << 30) + sum(len(what) for what in ODD.values() if isinstance(what, bytes)) + 4000, "bytes")
    equal(sum(row["count"] for row in found["sizes"]), found["files"]["count"], "files by size")
    equal((found["links"], found["others"], found["unreadable"], found["exit_status"]), (4, 1, 0, 0), "counts")
    equal(found["fullest"]["name"], "", "fullest")
    it.lade("crawl", it / "tree").has("files by size", "will need care", "FIFOs, sockets and devices: never stored", "more than 5 GiB",
                                      "bad\\xff\\xfe", "largest directories").has_not("\x01", "\x7f")
    equal(it.lade("crawl", "--json", it / "tree").err[:16], '{"event":"crawl"', "summary on standard error")


@case
def large_directories_beside_each_other(it):
    """What does not fit in memory is sorted outside it; the order stays."""
    count = 200_000 if LONG else 60_000
    os.makedirs(it / "tree" / "flat")
    fd = os.open(it / "tree" / "flat", os.O_RDONLY)
    for i in range(count):
        name = f"{i * 7919 % count:06}-" + "n" * 100
        if i % 100 == 0:
            os.mkdir(name, dir_fd=fd)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    done = it.lade("crawl", "-q", it / "tree")
    equal(json.loads(done.out), tree_of(it / "tree", it / "tree"), "tree")



@case
def a_listing_makes_the_others(it):
    """From a listing of its own kind it is the same again; without times the rest is told all the same."""
    make_tree(it / "tree", ODD)
    os.mkfifo(it / "tree" / "fifo")
    for form, links in (("desi", "follow"), ("jsonl", "keep")):
        it.lade("crawl", "-q", "--links", links, "--format", form, "-o", it / form, it / "tree")
        it.lade("crawl", "-q", "--format", form, "--from", it / form, "-o", it / "again", it / "tree")
        equal(read(it / "again"), read(it / form), f"{form} from {form}")
        made, = it.lade("crawl", "--json", "-o", "/dev/null", "--links", links, it / "tree").events("crawl")
        told, = it.lade("crawl", "--json", "-o", "/dev/null", "--from", it / form).events("crawl")
        for what in ("files", "directories", "sizes", "largest", "fullest"):
            equal(told[what], made[what], what)
    done = it.lade("crawl", "-q", "--from", "-", input=read(it / "jsonl"))
    equal(json.loads(done.out)[:2], [".", 0], "top")
    it.lade("crawl", "-q", "--from", it / "desi", "--format", "csv").has("a/x,file,1,,,")
    if shutil.which("ncdu") is not None:
        it.lade("crawl", "-q", "--from", it / "desi", "--format", "ncdu", "-o", it / "n")
        subprocess.run(["ncdu", "-o", "/dev/null", "-f", it / "n"], check=True)


@case
def damaged_listings(it):
    def refused(text, *words):
        write(it / "bad", text)
        it.lade("crawl", "-q", "--from", it / "bad", status=None).has("listing '", *words)
        write(it / "src" / "a", b"1")
        done = it.lade("put", "-q", "--from", it / "bad", it / "src", it.store(), status=None)
        check(done.status not in (0, -6, -11), "taken", done)
    os.mkdir(it / "src")
    for name in (b"..", b".", b"a/b", b"", b"/etc", b"../x"):
        refused(b'[".",0,1,["' + name + b'",1,1]]', "a name that is none")
    for path in (b"../x", b"/etc/passwd", b"a/../../x", b"", b"a/", b"a//b"):
        refused(b'{"path":"' + path + b'","type":"file","size":1}\n', "leads out of the tree")
    refused(b'[".",0,1,["a",1,1]', "")
    refused(b'[".",0,1,["a",1,1,["b",1,1]]]', "has children")
    refused(b'[".",0,1,["a",7,1]]', "unknown type")
    refused(b'[".",0,1,["a",1,-1]]', "no whole number")
    refused(b'[".",0,1,["a\\ud800",1,1]]', "half a character")
    refused(b'[".",0,1,["a\\u0000",1,1]]', "NUL")
    refused(b'[".",0,1,["a\x00",1,1]]', "NUL")
    refused(b'[".",0,1]]', "more behind")
    refused(b'{"path":"a","type":"what"}', "unknown type")
    refused(b'{"path":"a"}', "without path or type")
    refused(b'"a"', "no listing")
    refused(b'[".",0,1,["' + b"x" * 300000 + b'",1,1]]', "bytes")
    write(it / "bad", b'{"path":"d/a","type":"file","size":1,"more":[1,{"x":null}]}\n')
    it.lade("crawl", "-q", "--from", it / "bad", status=None).has("does not come behind its directory")
    it.lade("crawl", "-q", "--from", it / "bad", "--exclude", "x", status=2).has("without filter rules")
    it.lade("crawl", status=2).has("needs a directory")
    it.lade("put", "--from", it / "bad", "--files-from", it / "bad", it / "src", it.store(), status=2).has("two lists")


def put_tree(it):
    make_tree(it / "src", {**ODD, b"z/deep/er/file": b"z" * 100, b"z/deep.txt": b"", b"z/deep-/x": b"1"})
    os.unlink(it / "src" / "a" / "up")
    set_age(it / "src")
    for top, dirs, files in os.walk(os.fsencode(it / "src")):
        for name in dirs:
            os.chmod(os.path.join(top, name), 0o750) if not os.path.islink(os.path.join(top, name)) else None


@case
def put_from_json_lines(it):
    put_tree(it)
    it.lade("crawl", "-q", "--format", "jsonl", "-o", it / "list", it / "src")
    it.lade("put", it / "src", it.store("crawled"))
    done = it.lade("put", "--json", "--from", it / "list", it / "src", it.store())
    same_trees(it / "store", it / "crawled", "store")
    equal(done.summary()["done"]["count"], len(scan(it / "store")), "objects")
    again = it.lade("put", "--json", "--from", it / "list", it / "src", it.store()).summary()
    equal((again["done"]["count"], again["unchanged"]["count"]), (0, done.summary()["done"]["count"]), "again")
    it.lade("check", it / "src", it.store())
    it.lade("get", it.store(), it / "back")
    same_trees(it / "back", it / "src", "tree that came back")


@case
def put_from_nested_arrays(it):
    put_tree(it)
    os.unlink(it / "src" / "broken")
    it.lade("crawl", "-q", "-o", it / "list", it / "src")
    it.lade("put", "--links", "follow", it / "src", it.store("crawled"))
    it.lade("plan", "-q", "--links", "follow", "--job", it / "job", "--from", it / "list", it / "src", it.store())
    it.lade("run", it / "job")
    same_trees(it / "store", it / "crawled", "store")
    again = it.lade("put", "--json", "--links", "follow", "--job", it / "job", "--from", it / "list", it / "src", it.store()).summary()
    equal((again["done"]["count"], again["failed"]["count"]), (0, 0), "again")
    # Nothing is taken on trust: a file is stored as it is now, and what has gone is told.
    write(it / "src" / "z" / "deep.txt", b"grown")
    os.unlink(it / "src" / "a.txt")
    os.unlink(it / "src" / "link")
    it.lade("put", "--links", "follow", "--job", it / "job", "--from", it / "list", it / "src", it.store(), status=1).has("a.txt")
    equal(read(it / "store" / "z" / "deep.txt"), b"grown", "the grown file")
    it.lade("check", it / "job", status=None)


@case
def put_from_a_listing_with_filters(it):
    put_tree(it)
    it.lade("crawl", "-q", "--format", "jsonl", "-o", it / "list", it / "src")
    for number, rules in enumerate((["--include", "*.txt"], ["--exclude", "/z/deep/"], ["--exclude", "*"], ["--include", "/z/**"])):
        it.lade("put", *rules, it / "src", it.store(f"crawled{number}"))
        it.lade("put", *rules, "--from", it / "list", it / "src", it.store(f"listed{number}"))
        if number != 2:
            same_trees(it / f"listed{number}", it / f"crawled{number}", f"store with {rules}")


@case
def a_large_listing_is_sorted_outside_memory(it):
    os.makedirs(it / "src" / "empty")
    count = 150_000
    with open(it / "list", "w", encoding="utf-8") as file:
        for i in range(count):
            file.write(json.dumps({"path": f"{i * 7919 % count:06}-" + "n" * 80, "type": "file", "size": i}) + "\n")
    done = it.lade("plan", "--dry-run", "--json", "--from", it / "list", it / "src", it.store())
    names = [event["name"] for event in done.events() if "name" in event]
    check(len(names) in (0, count) and names == sorted(names), "not in the order of keys", len(names))


main()
