"""How uploads are proven, against a server that verifies checksum headers: python3 tests/cli/s3_proof.py LADE SINK"""
import collections
import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time

from harness import at_once, case, check, equal, journalled, main, make_tree, set_age, write

SINK = os.path.abspath(sys.argv.pop(2))
MIB = 1 << 20
Line = collections.namedtuple("Line", "method path status payload checksum size")


class Sink:
    def __init__(self, it, process, env):
        self.it, self.process, self.env, self.log = it, process, env, it / "sink.log"

    def requests(self, method="PUT"):
        """Those of objects, not of probes."""
        lines = [Line(*line.split()) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line.method == method and "/.lade-probe-" not in line.path]

    def switch(self, number):
        """SIGUSR1: checksum headers are looked at, or no more; SIGUSR2: they are refused, or no more."""
        self.process.send_signal(number)

    def probes(self):
        return [line for line in self.log.read_text().splitlines() if "/.lade-probe-" in line]

    def forget_log(self):
        self.log.write_text("")

    def lade(self, *args, **more):
        return self.it.lade(*args, env=self.env, **more)

    def start(self, *args, **more):
        return self.it.start(*args, env=self.env, **more)

    def etag(self, key):
        """With the CRC of what the sink has there."""
        for line in self.lade("ls", "-R", "--json", f"s3://b/{key}").out.splitlines():
            return json.loads(line)["etag"]

    def nothing_is_left(self, keys=""):
        equal(self.lade("ls", "-R", "s3://b").out, keys, "keys that are there")
        equal(self.lade("uploads", "s3://b").out, "", "uploads that are left")


@contextlib.contextmanager
def sink(it, *options):
    cert, key, port = it / "cert.pem", it / "key.pem", it / "port"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    scheme = "http" if "--plain" in options else "https"
    process = subprocess.Popen([SINK, "--cert", cert, "--key", key, "--port-file", port, "--log", it / "sink.log", *options])
    try:
        it.wait_for(lambda: port.exists() and port.read_text().endswith("\n"), what="the sink")
        yield Sink(it, process, {"AWS_ENDPOINT_URL": f"{scheme}://127.0.0.1:{port.read_text().strip()}", "AWS_CA_BUNDLE": str(cert),
                        "AWS_ACCESS_KEY_ID": "sink", "AWS_SECRET_ACCESS_KEY": "sink-secret", "AWS_REGION": "here",
                        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"})
        check(process.poll() is None, "the sink died")
    finally:
        process.kill()
        process.wait()
        port.unlink(missing_ok=True)


def tree(it, sizes=(0, 1, 1000, MIB - 1, MIB, MIB + 1, 9 * MIB, 40 * MIB + 7)):
    make_tree(it / "src", {f"f{size}": os.urandom(min(size, MIB)) * (size // MIB) + os.urandom(size % MIB) for size in sizes})
    set_age(it / "src")


def cached(it):
    return list((it / "home/.cache/lade").glob("*"))


def crc64nvme(data):
    crc = 2**64 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x9a6c9329ac4bc9b5 if crc & 1 else 0)
    return crc ^ (2**64 - 1)


def believe(it, **facts):
    """Write into the cache what was seen."""
    path, = cached(it)
    lines = path.read_text().splitlines()[:-1]
    names = {name.replace("_", "-"): value for name, value in facts.items()}
    lines = [f"{name}={names.get(name, value)}" for name, _, value in (line.partition("=") for line in lines)]
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(text + b"crc=%016x\n" % crc64nvme(text))


BELIEFS = {"trailer": {"crc64nvme": "yes", "crc64nvme_part": "yes", "trailer": "yes"},
           "header": {"crc64nvme": "yes", "crc64nvme_part": "yes", "trailer": "no"},
           "signed": {"crc64nvme": "ignored", "crc64nvme_part": "unseen", "trailer": "unseen"}}


@case
def verified_header_is_the_proof(it):
    """Small and large files, parts too: none of it is digested with SHA-256."""
    tree(it)
    with sink(it) as there:
        there.lade("doctor", "s3://b/p").matches(r"proof +uploads carry their CRC64NVME")
        there.forget_log()
        there.lade("put", "src", "s3://b/p")
        puts = there.requests()
        check(len(puts) >= 8 + 5, f"{len(puts)} requests")
        for line in puts:
            want = ("sha256", "none") if line.size == "0" else ("unsigned", "crc64nvme")
            if line.path == f"/b/p/f{40 * MIB + 7}" and line.size != "7":  # a part, and long
                want = ("trailer", "crc64nvme")
            equal((line.status, line.payload, line.checksum), ("200", *want), str(line))
        equal(there.probes(), [], "what was known was probed again")
        again = there.lade("put", "--json", "src", "s3://b/p").summary()
        equal(again["done"]["count"], 0, "objects of a second put")
        there.lade("check", "src", "s3://b/p")


@case
def first_put_finds_out(it):
    tree(it, (1000,))
    with sink(it) as there:
        there.lade("put", "src", "s3://b/p")
        equal([(line.payload, line.checksum) for line in there.requests()], [("unsigned", "crc64nvme")])
        probes = there.probes()
        check(0 < len(probes) <= 18, f"{len(probes)} requests of the probe")
        equal(len(cached(it)), 1, "cache files")
        write(it / "src/more", b"more")
        there.forget_log()
        there.lade("put", "src", "s3://b/p")
        equal(there.probes(), [], "it was probed again")
        equal([(line.payload, line.checksum) for line in there.requests()], [("unsigned", "crc64nvme")])
        equal(there.lade("ls", "-R", "s3://b").out, "p/f1000\np/more\n")
        equal(there.lade("uploads", "s3://b").out, "")


@case
def damaged_cache_is_learnt_anew(it):
    tree(it, (1000,))
    with sink(it) as there:
        there.lade("put", "src", "s3://b/p")
        path, = cached(it)
        good = path.read_bytes()
        path.write_bytes(good.replace(b"crc64nvme=yes", b"crc64nvme=no"))
        write(it / "src/more", b"more")
        there.lade("put", "src", "s3://b/p")
        equal([(line.payload, line.checksum) for line in there.requests()], [("unsigned", "crc64nvme")] * 2)


@case
def damage_on_the_way_is_refused_and_sent_again(it):
    """What TLS does not cover: behind it. Objects and parts."""
    tree(it, (MIB, 2 * MIB, 30 * MIB))
    with sink(it, "--damage", "4") as there:
        there.lade("doctor", "s3://b/p")
        there.lade("put", "--transfers", "2", "src", "s3://b/p")
        refused = [line for line in there.requests() if line.status == "400"]
        equal(len(refused), 4, "refused requests")
        equal({line.checksum for line in refused}, {"crc64nvme"}, "checksums of the refused")
        there.lade("check", "src", "s3://b/p")


@case
def damage_of_parts_is_refused_by_their_trailer(it):
    tree(it, (30 * MIB,))
    with sink(it, "--damage", "3") as there:
        there.lade("put", "--transfers", "2", "src", "s3://b/p")
        refused = [line for line in there.requests() if line.status == "400"]
        equal([(line.payload, line.checksum) for line in refused], [("trailer", "crc64nvme")] * 3, "refused")
        there.lade("check", "src", "s3://b/p")
        there.lade("put", "--overwrite", "src", "s3://b/again")
        equal(there.etag("p"), there.etag("again"), "what is there")
        there.nothing_is_left(f"again/f{30 * MIB}\np/f{30 * MIB}\n")


@case
def damage_without_end_is_told(it):
    for size, payload in ((MIB, "unsigned"), (20 * MIB, "trailer")):
        tree(it, (size,))
        with sink(it, "--damage", "1000") as there:
            done = there.lade("put", "--retries", "1", "src", "s3://b/p", status=(1, 4))
            done.has(f"f{size}", "BadDigest")
            check(payload in {line.payload for line in there.requests()}, "another proof")
            there.nothing_is_left()
            equal(len(cached(it)), 1, "cache files: the server did as it should")
            cached(it)[0].unlink()
        os.remove(it / f"src/f{size}")


@case
def ignored_header_is_no_proof(it):
    tree(it)
    with sink(it, "--ignore") as there:
        there.lade("put", "src", "s3://b/p")
        equal({line.payload for line in there.requests()}, {"sha256", "chunks"}, "proofs")
        equal({line.checksum for line in there.requests()}, {"none"}, "checksums")
        there.lade("doctor", "s3://b/p").matches(r"crc64nvme +a wrong one is taken")


@case
def header_that_parts_ignore_is_no_proof(it):
    tree(it, (1000, 40 * MIB))
    with sink(it, "--no-parts") as there:
        there.lade("put", "src", "s3://b/p")
        equal({line.payload for line in there.requests()}, {"sha256", "chunks"}, "proofs")


@case
def unknown_header_breaks_nothing(it):
    tree(it, (1000, 9 * MIB, 40 * MIB))
    with sink(it, "--unknown") as there:
        there.lade("put", "src", "s3://b/p")
        equal({(line.checksum, line.status) for line in there.requests()}, {("none", "200")}, "checksums and answers")
        there.lade("doctor", "s3://b/p").matches(r"crc64nvme +not supported")


@case
def server_that_changed_its_mind_is_learnt_anew(it):
    """The cache says that it verifies, and now it refuses the header: the put goes on without."""
    tree(it, (1000, 2000))
    with sink(it) as there:
        there.lade("put", "src", "s3://b/first")
        there.switch(signal.SIGUSR2)
        there.forget_log()
        there.lade("put", "src", "s3://b/second")
        equal({line.checksum for line in there.requests() if line.status == "501"}, {"crc64nvme"}, "refused")
        equal(sorted(line.path for line in there.requests() if line.status == "200"), ["/b/second/f1000", "/b/second/f2000"])
        equal(cached(it), [], "cache files that are known to be wrong")


@case
def server_that_changed_its_mind_is_learnt_anew_by_a_large_object(it):
    tree(it, (17 * MIB,))
    with sink(it) as there:
        there.lade("doctor", "s3://b/p")
        there.switch(signal.SIGUSR2)
        there.forget_log()
        there.lade("put", "src", "s3://b/p")
        equal([line.status for line in there.requests("POST")], ["501", "200", "200"], "begun, begun again, committed")
        equal({(line.payload, line.checksum) for line in there.requests()}, {("chunks", "none")}, "proofs")
        equal(cached(it), [], "cache files that are known to be wrong")
        equal(there.lade("uploads", "s3://b").out, "", "unfinished uploads")


# ---- an upload is begun by one belief and goes on by another ----

def begin_and_die(it, there):
    """A put of a large object that is killed when parts of it are there: how many."""
    tree(it, (40 * MIB,))
    process = it.start("put", "--job", "job", "--transfers", "2", "--bwlimit", "16M", "src", "s3://b/p", env=there.env)
    it.wait_for(lambda: journalled(it / "job", parts=True) > 0, process, what="a part")
    os.kill(process.pid, signal.SIGKILL)
    it.end(process, -signal.SIGKILL)
    return journalled(it / "job", parts=True)


def go_on(it, there):
    """Its parts, of which each was taken; what was begun is ended."""
    there.forget_log()
    there.lade("put", "--job", "job", "src", "s3://b/p")
    there.lade("check", "src", "s3://b/p")
    equal(there.lade("uploads", "s3://b").out, "", "unfinished uploads")
    return [line for line in there.requests() if line.status == "200"]


def change(it, there, number, forgets):
    if forgets:
        cached(it)[0].unlink()
    there.switch(number)


def checksums_become_no_proof(it, forgets):
    with sink(it) as there:
        there.lade("doctor", "s3://b/p")
        done = begin_and_die(it, there)
        change(it, there, signal.SIGUSR1, forgets)
        parts = go_on(it, there)
        equal(len(parts), 5 - done, "parts")
        if forgets:  # nobody says any more that the CRC is looked at
            equal({(line.payload, line.checksum) for line in parts}, {("sha256", "crc64nvme")}, "proofs")


def checksums_become_unknown(it, forgets):
    with sink(it) as there:
        there.lade("doctor", "s3://b/p")
        begin_and_die(it, there)
        change(it, there, signal.SIGUSR2, forgets)
        parts = go_on(it, there)
        equal(len(parts), 5, "parts")
        equal({(line.payload, line.checksum) for line in parts}, {("chunks", "none")}, "proofs")


def checksums_become_a_proof(it):
    with sink(it, "--ignore") as there:
        there.lade("doctor", "s3://b/p")
        done = begin_and_die(it, there)
        change(it, there, signal.SIGUSR1, True)
        parts = go_on(it, there)
        equal(len(parts), 5 - done, "parts")
        equal({(line.payload, line.checksum) for line in parts}, {("chunks", "none")}, "proofs")


@case
def an_upload_goes_on_when_checksums_mean_something_else(it):
    at_once(it, [(f"{name}-{forgets}", functools.partial(function, forgets=forgets))
                 for name, function in (("no-proof", checksums_become_no_proof), ("unknown", checksums_become_unknown))
                 for forgets in (False, True)] + [("proof", checksums_become_a_proof)])


@case
def plain_http_is_signed(it):
    tree(it, (1000, 40 * MIB))
    with sink(it, "--plain") as there:
        there.lade("put", "src", "s3://b/p")
        equal({line.payload for line in there.requests()}, {"sha256", "chunks"}, "proofs")
        equal(there.probes(), [], "it was probed for nothing")


@case
def wrong_signature_is_refused(it):
    """The sink is one that can refuse."""
    tree(it, (1000,))
    with sink(it) as there:
        there.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
        there.lade("put", "src", "s3://b/p", status=3).has("SignatureDoesNotMatch")
        equal([line.status for line in there.requests() if line.status == "200"], [])


@case
def doctor_tells_the_sink(it):
    with sink(it) as there:
        done = there.lade("doctor", "--json", "s3://b/p")
        found = {item["name"]: item for item in map(json.loads, done.out.splitlines())}
        for name in ("crc64nvme", "crc64nvme-part", "trailer", "crc32c", "sha256"):
            equal(found[name]["text"], "a wrong one is refused", name)
        check("proves nothing" in found["content-md5"]["text"], found["content-md5"])
        equal(there.lade("ls", "-R", "s3://b").out, "")


# ---- trailers ----

@case
def trailer_that_is_no_proof_is_not_used(it):
    """Parts carry their CRC in a header, and the probe leaves nothing."""
    tree(it, (1000, 40 * MIB))
    for how, text in (("ignore", "a wrong one is taken"), ("refuse", "not supported"), ("hash", "not supported"),
                      ("keep", "not supported"), ("encoding", "not supported"), ("no-parts", "not supported")):
        with sink(it, "--trailers", how) as there:
            found = there.lade("doctor", "--again", "s3://b/p").matches(rf"trailer +{text}")
            found.matches(r"proof +uploads carry their CRC64NVME").has_not("read once")
            there.nothing_is_left()
            for path in cached(it):  # now a put finds out
                path.unlink()
            there.forget_log()
            there.lade("put", "--transfers", "1", "--job", it / f"job-{how}", "src", "s3://b/p")
            equal({(line.payload, line.checksum, line.status) for line in there.requests()},
                  {("unsigned", "crc64nvme", "200")}, how)
            there.nothing_is_left(f"p/f1000\np/f{40 * MIB}\n")


@case
def old_cache_is_probed_again(it):
    tree(it, (1000,))
    with sink(it) as there:
        there.lade("put", "src", "s3://b/p")
        path, = cached(it)
        now = path.read_text()
        text = "".join(line + "\n" for line in now.splitlines()[:-1] if not line.startswith("trailer="))
        text = text.replace("lade-s3-facts=2", "lade-s3-facts=1")
        path.write_text(f"{text}crc={crc64nvme(text.encode()):016x}\n")
        write(it / "src/more", b"more")
        there.forget_log()
        there.lade("put", "src", "s3://b/p")
        check(there.probes(), "an old cache is believed")
        check("\ntrailer=yes\n" in path.read_text(), path.read_text())


@case
def server_that_takes_no_trailer_any_more_gets_headers(it):
    tree(it, (40 * MIB,))
    for how in ("refuse", "hash"):
        with sink(it, "--trailers", how) as there:
            there.lade("doctor", "--again", "s3://b/p")
            believe(it, **BELIEFS["trailer"])
            there.forget_log()
            there.lade("put", "--job", it / f"job-{how}", "--transfers", "1", "--retries", "0", "src", "s3://b/p")
            refused = [line for line in there.requests() if line.status != "200"]
            equal([line.payload for line in refused], ["trailer"], "refused")
            equal([line.payload for line in there.requests() if line.status == "200"], ["unsigned"] * 5)
            equal(cached(it), [], "cache files that are known to be wrong")
            there.nothing_is_left(f"p/f{40 * MIB}\n")


@case
def upload_goes_on_under_another_belief(it):
    """Killed in the middle, and meanwhile something else was learnt: the same object."""
    tree(it, (40 * MIB + 7,))
    name = f"f{40 * MIB + 7}"
    # Begun with CRCs, it goes on with them, and is signed beside where they are not verified any more.
    after = {"trailer": {"trailer": "trailer", "header": "unsigned", "signed": "sha256"},
             "header": {"trailer": "trailer", "header": "unsigned", "signed": "sha256"},
             "signed": {"trailer": "chunks", "header": "chunks", "signed": "chunks"}}
    with sink(it) as there:
        there.lade("doctor", "s3://b/whole")
        there.lade("put", "--job", it / "whole", "src", "s3://b/whole")
        want = there.etag("whole")
        for first, then in ((a, b) for a in BELIEFS for b in BELIEFS if a != b):
            job = it / f"{first}-{then}"
            believe(it, **BELIEFS[first])
            there.forget_log()
            process = there.start("put", "--job", job, "--transfers", "2", "--bwlimit", "16M", "src", f"s3://b/{first}-{then}")
            it.wait_for(lambda job=job: job.exists() and journalled(job, parts=True) > 0, process)
            process.send_signal(signal.SIGKILL)
            it.end(process, -signal.SIGKILL)
            before = {line.payload for line in there.requests()}
            equal(before, {after[first][first]}, f"begun under {first}")
            believe(it, **BELIEFS[then])
            there.forget_log()
            there.lade("put", "--job", job, "--transfers", "2", "--bwlimit", "0", "src", f"s3://b/{first}-{then}")
            sent = [line for line in there.requests() if line.size != "7"]
            check(0 < len(sent) < 5, f"{len(sent)} parts were sent")
            equal({(line.payload, line.status) for line in sent}, {(after[first][then], "200")}, f"{first}, then {then}")
            equal(there.etag(f"{first}-{then}"), want, f"{first}, then {then}")
            equal(there.lade("uploads", "s3://b").out, "")
            there.lade("check", "src", f"s3://b/{first}-{then}")
    check((it / "src" / name).exists(), "the source")


@case
def file_that_changes_while_parts_are_sent_is_seen(it):
    """Each part is whole by its trailer; that they belong together is for the source to tell."""
    tree(it, (40 * MIB,))
    name = it / f"src/f{40 * MIB}"
    with sink(it) as there:
        there.lade("doctor", "s3://b/p")
        process = there.start("put", "--bwlimit", "20M", "--retries", "0", "--json", "src", "s3://b/p")
        it.wait_for(there.requests, process)
        while process.poll() is None:
            with open(name, "r+b") as file:
                file.seek(random.randrange(40 * MIB))
                file.write(b"x")
            time.sleep(0.05)
        done = it.end(process, 1)
        equal([item["kind"] for item in done.events("item") if item["status"] == "failed"], ["changed"], "what failed")
        equal({line.status for line in there.requests()}, {"200"}, "answers: what was sent was what its trailer told")
        there.nothing_is_left()
        there.lade("put", "src", "s3://b/p")
        there.lade("put", "src", "s3://b/again")
        equal(there.etag("p"), there.etag("again"), "what is there")


@case
def file_that_shrinks_while_parts_are_sent_is_seen(it):
    tree(it, (40 * MIB,))
    with sink(it) as there:
        there.lade("doctor", "s3://b/p")
        process = there.start("put", "--bwlimit", "20M", "--retries", "0", "--json", "src", "s3://b/p")
        it.wait_for(there.requests, process)
        os.truncate(it / f"src/f{40 * MIB}", 9 * MIB + 1)
        equal(it.end(process).summary()["done"]["bytes"], 9 * MIB + 1, "bytes, when it was read again")
        there.lade("put", "src", "s3://b/again")
        equal(there.etag("p"), there.etag("again"), "what is there")
        there.nothing_is_left(f"again/f{40 * MIB}\np/f{40 * MIB}\n")


main()
