"""put --pack --xattrs: extended attributes and ACLs, given back by GNU tar, by bsdtar and by get; what cannot have them."""
import errno
import os
import shutil
import struct
import subprocess

from harness import Link, Skip, as_nobody, case, check, equal, main, make_tree, random_of, same_trees, set_age, walk

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
OTHER_UID = 12345


def acl(owner=6, user=4, group=4, mask=6, others=0, uid=OTHER_UID, gid=40000):
    """As the kernel has it: version, then tag, rights, id of each entry."""
    nobody = 0xFFFFFFFF
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in (
        (1, owner, nobody), (2, user, uid), (4, group, nobody), (8, 0, gid), (16, mask, nobody), (32, others, nobody)))


def attributes_at(path):
    """What travels, by name."""
    return {name: os.getxattr(path, name) for name in os.listxattr(path, follow_symlinks=False)
            if name in (ACCESS, DEFAULT, "security.capability") or name.startswith("user.") and not name.startswith("user.lade.")}


def attributes(root):
    found = {}
    for _, _, rel, _ in walk(root):
        path = os.path.join(os.fsencode(root), rel)
        here = {} if os.path.islink(path) else attributes_at(path)
        if here:
            found[rel] = here
    return found


def same_attributes(got, want, what):
    got, want = (one if isinstance(one, dict) else attributes(one) for one in (got, want))
    for rel in sorted(set(got) | set(want)):
        equal(got.get(rel, {}), want.get(rel, {}), f"{what}: attributes of {rel!r}")


def give(path, name, value):
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Skip(f"the file system has no {name}") from None
        raise


def sources(it, odd=True):
    make_tree(it / "src", {"a/plain": b"no attributes", "a/with": b"some", "a/acl": b"acl", "a/link": Link("with"),
                           "b/c/deep": b"deep", "b/both": b"both", "b/empty": b"", "top": b"top"})
    src = it / "src"
    give(src / "a/with", "user.binary", bytes(range(256)) * 4)
    give(src / "a/with", "user.empty", b"")
    give(src / "a/with", "user.lines", b"one\n12 user.x=two\n=\n")
    if odd:
        give(src / "a/with", "user.odd = name\n\u00e4", b"odd")
        give(src / "a/with", b"user.\xff\xfe", b"bytes")
    give(src / "a/with", "user.lade.kind", b"7")  # lade's own
    give(src / "a/acl", ACCESS, acl(gid=4000000000 if odd else 4))
    give(src / "b/both", ACCESS, acl(mask=7))
    give(src / "b/both", "user.b", b"b")
    give(src / "b/empty", "user.large", os.urandom(3000))
    give(src / "b", DEFAULT, acl(owner=7, mask=5, uid=7))
    give(src / "b", ACCESS, acl(owner=7, user=5, mask=5))
    give(src / "b/c", "user.of.a.directory", b"d")
    set_age(src)


def put(it, *options, job="put"):
    return it.lade("put", "--job", job, "--xattrs", *options, "src", "file:store")


def unpack(it, pack, *command, out="out"):
    shutil.rmtree(it / out, ignore_errors=True)
    os.mkdir(it / out)
    subprocess.run([*command, "-f", pack, "-C", it / out], check=True)
    return it / out


def get(it, *options, place="file:store", out="got", status=0, xattrs=True, **how):
    shutil.rmtree(it / out, ignore_errors=True)
    shutil.rmtree(it / "job-get", ignore_errors=True)
    return it.lade("get", "--job", "job-get", *(("--xattrs",) if xattrs else ()), *options, place, out, status=status, **how)


@case
def other_programs_give_them_back(it):
    sources(it)
    for options in (("--pack=0",), ("--pack=0", "--no-compress")):
        shutil.rmtree(it / "store", ignore_errors=True)
        put(it, *options, job=f"job{len(options)}").has_not("warning")
        pack = next(path for path in (it / "store").iterdir() if path.suffix != ".index")
        how = ("--zstd",) if pack.name.endswith(".zst") else ()
        out = unpack(it, pack, "tar", "--xattrs", "--xattrs-include=*", "--acls", *how, "-xp")
        same_trees(out, it / "src")
        same_attributes(out, it / "src", "GNU tar")
    # bsdtar leaves the signs by which GNU tar writes '=' in a name, and takes no group above 2^31.
    shutil.rmtree(it / "src")
    shutil.rmtree(it / "store")
    sources(it, odd=False)
    put(it, "--pack=0", job="plainly")
    out = unpack(it, it / "store/src.tar.zst", "bsdtar", "--xattrs", "--acls", "-xp")
    same_trees(out, it / "src")
    same_attributes(out, it / "src", "bsdtar")
    names = subprocess.run(["tar", "--zstd", "--xattrs", "-tvvf", it / "store/src.tar.zst"], check=True, capture_output=True, text=True)
    check("user.binary" in names.stdout and "user.lade" not in names.stdout, names.stdout)


@case
def get_gives_them_back_when_asked(it):
    sources(it)
    for mode in ("0", "1", "2", "auto"):
        shutil.rmtree(it / "store", ignore_errors=True)
        put(it, f"--pack={mode}", job=f"job{mode}")
        get(it).has_not("warning", "warned")
        want = attributes(it / "src")
        if mode in ("1", "2"):
            same_trees(it / "got", it / "src", ignore=("mtime_ns", "mode"))
        else:
            same_trees(it / "got", it / "src")
        kept = {rel: what for rel, what in want.items() if mode in ("0", "auto") or rel.count(b"/") >= int(mode) or
                (os.path.isdir(os.path.join(os.fsencode(it / "src"), rel)) and rel.count(b"/") >= int(mode) - 1)}
        same_attributes(it / "got", kept, f"get of --pack={mode}")
        if mode == "2":
            get(it, place="file:store/b")
            same_attributes(it / "got", {b"c": want[b"b/c"]}, "a prefix")
    # A place in a pack, a prefix, one member.
    get(it, place=f"{next(it.path.glob('store/*.zst'))}!/b/")
    same_attributes(it / "got", {rel[2:]: what for rel, what in attributes(it / "src/").items() if rel.startswith(b"b/")}, "a place")
    it.lade("get", "--xattrs", "--to", "one", "--job", "one-job", f"{next(it.path.glob('store/*.zst'))}!/a/with")
    equal(attributes_at(it / "one"), attributes_at(it / "src/a/with"))
    # Of archives of others they are not set, and nobody is to think so.
    subprocess.run(["tar", "--xattrs", "-cf", it / "foreign.tar", "src"], cwd=it.path, check=True)
    it.lade("get", "--xattrs", f"{it / 'foreign.tar'}!/", "foreign", status=2).has("--xattrs does not go with an archive")
    # Only when asked.
    get(it, xattrs=False)
    same_attributes(it / "got", {}, "get without --xattrs")
    same_trees(it / "got", it / "src")


@case
def what_is_not_in_a_pack_is_told(it):
    sources(it)
    dice = random_of("xattrs own", 1)
    make_tree(it / "src", {"large": dice.randbytes(9 << 20)})
    give(it / "src/large", "user.l", b"l")
    it.lade("put", "--xattrs", "src", "file:store", status=2).has("--xattrs goes with --pack")
    check(not (it / "store").exists(), "something was stored")
    done = put(it, "--pack=auto", job="auto")
    done.has("warning: large: its extended attributes are not stored", "warned     1 entry")
    put(it, "--pack=auto", "-q", job="quiet").has_not("warning")  # unchanged: nothing is lost by this run
    shutil.rmtree(it / "store")
    done = put(it, "--pack=2", "--json", job="json")
    told = {event["name"]: event for event in done.events("item")}
    equal(set(told), {"large", "a/with", "a/acl", "b/both", "b/empty", "b/"}, "warnings")
    equal({event["status"] for event in told.values()}, {"warning"})
    equal(done.summary()["warned"], 6)
    # Where a directory is no object at all.
    done = it.lade("put", "--job", "null", "--xattrs", "--pack=2", "--json", "src", "null:")
    equal({event["name"] for event in done.events("item")}, set(told), "warnings where directories are no objects")
    shutil.rmtree(it / "store")
    put(it, "--pack=auto", "-q", job="silent").has("warning: large").has_not("warned")
    # Nothing is asked of the source without the option.
    trace = it / "trace"
    if shutil.which("strace"):
        it.lade("put", "--job", "traced", "--pack=0", "src", "file:traced", env={"ASAN_OPTIONS": "detect_leaks=0"},
                prefix=("strace", "-f", "-o", trace, "-e", "trace=flistxattr,fgetxattr,listxattr,getxattr"))
        lines = [line for line in trace.read_text().splitlines() if "listxattr" in line]
        check(not lines, "attributes were looked for", *lines[:5])


@case
def what_is_refused_is_no_failure(it):
    sources(it)
    put(it, "--pack=0")
    # No attributes at all.
    it.mount("-t", "ramfs", "none", it / "ram")
    done = get(it, out="ram/got")
    same_trees(it / "ram/got", it / "src", ignore=("mode",))
    count = len(attributes(it / "src"))
    done.has(f"warned     {count} entries without all their extended attributes", "warning: a/with: set the attribute user.", "supported")
    # Too much for the file system: what fits is there.
    image = it / "image"
    subprocess.run(["truncate", "-s", "8M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-b", "1024", "-I", "256", "-O", "^ea_inode", image], check=True)
    it.mount("-o", "loop", image, it / "small")
    done = get(it, out="small/got")
    done.has("warning: b/empty: set the attribute user.large")
    same_trees(it / "small/got", it / "src")
    equal(attributes_at(it / "small/got/b/empty"), {})
    same_attributes({b"acl": attributes_at(it / "small/got/a/acl")}, {b"acl": attributes_at(it / "src/a/acl")}, "what fits")
    # Without the right to: capabilities are root's.
    capability = struct.pack("<IIIII", 0x02000001, 0x20, 0, 0, 0)
    try:
        os.setxattr(it / "src/top", "security.capability", capability)
    except OSError as error:
        raise Skip(f"cannot set a capability: {error}") from None
    shutil.rmtree(it / "store")
    put(it, "--pack=0", job="caps").has_not("warning")
    get(it, out="root")
    equal(attributes_at(it / "root/top"), {"security.capability": capability})
    os.chmod(it.path, 0o777)
    subprocess.run(["chmod", "-R", "a+rX", it / "store"], check=True)
    done = it.lade("get", "--xattrs", "--job", it / "nobodys-job", "file:store", "nobodys", prefix=as_nobody())
    done.has("warning: top: set the attribute security.capability", "warned     1 entry")
    found = attributes(it / "nobodys")
    equal(found[b"a/with"], attributes_at(it / "src/a/with"))
    check(b"top" not in found, found)


@case
def read_only_entries_and_inherited_acls(it):
    """Attributes need the right to write, which a mode may take; a directory's default ACL comes to what is made in it."""
    make_tree(it / "src", {"dir/file": b"1", "dir/inner/x": b"2"})
    give(it / "src/dir/file", "user.a", b"1")
    give(it / "src/dir/inner", "user.a", b"2")
    give(it / "src/dir", DEFAULT, acl(owner=7, mask=7))
    os.chmod(it / "src/dir/file", 0o444)
    os.chmod(it / "src/dir/inner", 0o555)
    set_age(it / "src")
    subprocess.run(["chmod", "-R", "a+rX", it / "src"], check=True)
    it.lade("put", "--job", "put", "--xattrs", "--pack=0", "src", "file:store")
    subprocess.run(["chmod", "-R", "a+rX", it / "store"], check=True)
    os.chmod(it.path, 0o777)
    for again in range(2):
        it.lade("get", "--xattrs", "--job", it / "get-job", "file:store", "got", prefix=as_nobody()).has_not("warning")
        same_attributes(it / "got", it / "src", f"get {again}")
        same_trees(it / "got", it / "src", ignore=("uid", "gid"))
        if again == 0:
            os.unlink(it / "got/dir/file")  # made again in a directory that has a default ACL by now
    # Without --xattrs it inherits, as anything made there.
    os.unlink(it / "got/dir/file")
    it.lade("get", "--job", it / "get-job-2", "file:store", "got", prefix=as_nobody())
    equal(list(attributes_at(it / "got/dir/file")), [ACCESS])


@case
def one_acl_of_many_costs_next_to_nothing(it):
    content = {f"d{number % 40}/f{number}": b"x" for number in range(9000)}
    make_tree(it / "src", content)
    set_age(it / "src")
    sizes = {}
    for name in ("none", "same"):
        it.lade("put", "--job", name, "--xattrs", "--pack=0", "--no-compress", "src", f"file:{name}")
        sizes[name] = (it / name / "src.tar.index").stat().st_size
        for _, _, rel, _ in walk(it / "src"):
            os.setxattr(os.path.join(os.fsencode(it / "src"), rel), ACCESS, acl())
        set_age(it / "src")
    # Modes and ages differ a little, too.
    print(f"# index {sizes}")
    check(sizes["same"] - sizes["none"] < 9000, "the index grew", sizes)
    get(it, place="file:same")
    equal(attributes_at(it / "got/d7/f7"), {ACCESS: acl()})
    same_attributes(it / "got", it / "src", "all")


@case
def hard_links_large_files_and_later_runs(it):
    dice = random_of("xattrs later", 1)
    make_tree(it / "src", {"a": b"one file", "pieces": dice.randbytes(20 << 20), "small": b"s"})
    os.link(it / "src/a", it / "src/b")
    with open(it / "src/parts", "wb") as file:
        file.truncate(300 << 20)
        file.write(b"begin")
    for name in ("a", "pieces", "parts", "small"):
        give(it / "src" / name, "user.name", name.encode())
    set_age(it / "src")
    put(it, "--pack=0")
    get(it)
    same_attributes(it / "got", it / "src", "first")
    # Another value alone is no change, as long as size and time are the same.
    os.setxattr(it / "src/small", "user.name", b"other")
    equal(put(it, "--pack=0", "--json").summary()["done"]["count"], 0)
    os.utime(it / "src/small")
    put(it, "--pack=0")
    get(it)
    same_attributes(it / "got", it / "src", "changed")
    # Nor is it one to get or to check.
    os.removexattr(it / "got/small", "user.name")
    it.lade("get", "--xattrs", "--job", "job-get", "file:store", "got")
    equal(attributes_at(it / "got/small"), {})
    it.lade("check", "--deep", "--download", "src", "file:store")
    # Repacked.
    it.lade("repack", "--pack-size", "4G", "file:store")
    check(len(list((it / "store").rglob("*.tar.zst"))) == 1, "it was not repacked")
    get(it)
    same_attributes(it / "got", it / "src", "repacked")
    out = unpack(it, next((it / "store").rglob("*.tar.zst")), "tar", "--zstd", "--xattrs", "--xattrs-include=*", "-xp")
    same_attributes(out, it / "src", "GNU tar")


@case
def a_kill_loses_none(it):
    dice = random_of("xattrs kill", 1)
    make_tree(it / "src", {f"d{number % 7}/f{number}": dice.randbytes(300000) for number in range(700)})
    for number in range(700):
        give(it / f"src/d{number % 7}/f{number}", "user.n", str(number // 9).encode())
    set_age(it / "src")
    command = ("put", "--job", "put", "--xattrs", "--pack=0", "src", "file:store")
    kills = sum(it.kill_at(dice.uniform(0.02, 0.3), *command) for _ in range(4))
    print(f"# killed {kills} times")
    it.lade(*command)
    equal(len(list(it.path.glob("store/*.zst"))), 1)
    get(it)
    same_attributes(it / "got", it / "src", "get")
    same_trees(it / "got", it / "src")


main()
