"""lade find in a real gateway: tests/servers/with python3 tests/cli/s3_find.py LADE. What it asks the server for, and what it
says when there is none."""
import os
import shutil

from harness import case, check, equal, main, make_tree, read, set_age, write
from s3_gateway import ask, bucket, proxy


def found(it, *args, status=0, **more):
    done = it.lade("find", "-0", *args, status=status, **more)
    return [os.fsencode(item) for item in done.out.split("\0")[:-1]]


def stored(it, *how):
    make_tree(it / "src", {f"d{n}/f{m}.txt": b"x" * (n * 100 + m) for n in range(3) for m in range(20)}
              | {b"d0/\xff\xfe": b"bytes", "d0/new\nline": b"n", "top.txt": b"t"})
    set_age(it / "src")
    place = bucket(it)
    it.lade("put", "--quiet", *how, "src", f"{place}/run7")
    return place


def contents(entries):
    """Requests for what is in objects, not for listings."""
    return [entry["path"] for entry in entries if "list-type" not in entry["path"] and "?" not in entry["path"]]


@case
def objects_and_members_are_found_and_read(it):
    place = stored(it, "--pack=1")
    pack = os.fsencode(f"{place}/run7/d1.tar.zst!/d1/f7.txt")
    equal(found(it, "/d1/f7", place), [pack])
    equal(found(it, "d1/f7", f"{place}/run7"), [pack])
    equal(found(it, "f7", f"{place}/run7/d1.tar.zst"), [pack])
    equal(found(it, "--offline", "f7", f"{place}/run7/d1.tar.zst"), [pack])
    equal(len(found(it, "*.txt")), 61)
    for name in (b"d0/\xff\xfe", b"d0/new\nline", b"d1/f7.txt", b"top.txt"):
        where = found(it, b"/run7/" + name, place)
        equal(len(where), 1, name)
        process = it.start("cat", where[0])
        equal(process.communicate(timeout=60)[0], read(os.path.join(os.fsencode(it / "src"), name)), where)
    it.lade("get", "--quiet", pack, "out")
    equal([path.name for path in (it / "out").rglob("*") if path.is_file()], ["f7.txt"])


@case
def encoded_names_are_their_bytes(it):
    place = stored(it)
    where = found(it, b"\xff", place)
    equal(len(where), 1)
    process = it.start("cat", where[0])
    equal(process.communicate(timeout=60)[0], b"bytes", where)
    equal(found(it, b"\xff", "--offline", place), where)


@case
def a_prefix_is_known_offline_when_its_bucket_is(it):
    place = stored(it, "--pack=1")
    it.lade("put", "--quiet", "src", f"{place}/own")
    found(it, "", place)
    with proxy(it, "refuse") as air:
        for prefix in (f"{place}/own", f"{place}/own/d0/", f"{place}/run7", f"{place}/run7/d1.tar.zst", f"{place}/own/top.txt"):
            known = found(it, "--offline", "", prefix, env=air.env | {"AWS_ENDPOINT_URL": it.env["AWS_ENDPOINT_URL"]})
            check(known, prefix)
            equal(known, found(it, "", prefix))
            os.rename(it / "home/.cache", it / "cache")  # what was listed just now, too
            equal(found(it, "--offline", "", prefix, status=3), [], "without a cache")
            shutil.rmtree(it / "home/.cache")
            os.rename(it / "cache", it / "home/.cache")
        equal(air.log(), [], "requests")


@case
def only_what_is_new_is_asked_for(it):
    place = stored(it, "--pack=1")
    with proxy(it, "ok") as air:
        equal(len(found(it, "f7", place, env=air.env)), 3)
        before = len(air.log())
        check(contents(air.log()), "the indexes were not read", *air.log())
        equal(len(found(it, "f7", place, env=air.env)), 3)
        asked = air.log()[before:]
        equal(contents(asked), [], "requests of a second search")
        check(len(asked) >= 1, "it was not listed")
        # One pack changes.
        write(it / "src/d1/f7.txt", b"changed")
        it.lade("put", "--quiet", "--pack=1", "src", f"{place}/run7")
        before = len(air.log())
        equal(len(found(it, "f7", place, env=air.env)), 3)
        asked = contents(air.log()[before:])
        check(asked and all("d1.g2" in path for path in asked), "what was asked for", asked)
        # Offline asks nobody; nor does a search of a server that is away.
        before = len(air.log())
        wanted = found(it, "f7", place, "--offline", env=air.env)
        equal(len(air.log()), before, "requests offline")
    done = it.lade("find", "-0", "f7", place, "--stall-timeout", "2", env=air.env, status=3)
    equal([os.fsencode(item) for item in done.out.split("\0")[:-1]], wanted)
    done.has(place)


@case
def a_get_with_the_index_in_the_cache_reads_only_the_member(it):
    place = stored(it, "--pack=0")
    with proxy(it, "ok") as air:
        equal(len(found(it, "d1/f7", place, env=air.env)), 1)
        before = len(air.log())
        it.lade("get", "--quiet", "--include", "/d1/f7.txt", f"{place}/run7", "out", env=air.env)
        asked = [path for path in contents([entry for entry in air.log()[before:] if entry["method"] == "GET"])
                 if ".tar.zst" in path]
        equal(len(asked), 1, f"reads of the pack {asked}")
    equal(read(it / "out/d1/f7.txt"), read(it / "src/d1/f7.txt"))


@case
def a_bucket_that_is_gone_is_forgotten(it):
    place = stored(it)
    other = f"{place}2"
    it.lade("mb", other)
    it.lade("put", "--quiet", "src/top.txt", f"{other}/")
    equal(len(found(it, "top.txt")), 2)
    it.lade("rm", "--quiet", "-r", f"{other}/")
    equal(len(found(it, "top.txt")), 1)
    # Nobody named it: it is told once.
    ask(it, "DELETE", f"/{other.removeprefix('s3://')}")
    it.lade("find", "top.txt", status=3).has(other)
    it.lade("find", "top.txt", status=0).has_not(other)
    it.lade("find", "top.txt", other, status=3).has(other)


@case
def lists_of_the_a_commands_are_read_once(it):
    place = bucket(it)
    make_tree(it / "a", {"data.tar.zst": b"not ours", "data.tar.zst_ameta":
                         b"user: kk\ninput: data\n-rw-r--r-- 1 kk grp 6 Nov 21  2021 data/with space.txt\n"})
    it.lade("put", "--quiet", "a", place)
    wanted = [os.fsencode(f"{place}/data.tar.zst!/data/with space.txt")]
    with proxy(it, "ok") as air:
        equal(found(it, "with\\ space", place, env=air.env), wanted)
        before = len(air.log())
        equal(found(it, "with\\ space", place, env=air.env), wanted)
        equal(contents(air.log()[before:]), [], "requests of a second search")
    equal(found(it, "data", "--type", "pack", place, status=1), [])


if __name__ == "__main__":
    main()
