"""`lade report`: one page that needs nothing else, whatever the names are and however many."""
import html
import html.parser
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import case, check, equal, main, make_tree, read, set_age, write

VOID = {"meta", "link", "br", "img", "input", "hr"}
LOADS = {"src", "srcset", "data", "action", "poster", "background"}


class Page(html.parser.HTMLParser):
    """Elements that are well nested, texts by section, and nothing that is loaded or run."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.sections, self.section, self.tags, self.names = [], {}, "", [], []
        self.feed(text)
        self.close()
        equal(self.open, [], "elements that are not closed")

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            check(not key.startswith("on") and key not in LOADS, f"<{tag} {key}={value}>")
            check(key != "href" or value in ("data:,",) or value.startswith("#"), f"<{tag} {key}={value}>")
            if key == "id":
                self.section = value
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}")
        self.open.pop()

    def handle_data(self, data):
        self.sections[self.section] = self.sections.get(self.section, "") + data
        if self.open and self.open[-1] == "bdi":
            self.names.append(data)


def page_of(it, job="job"):
    it.lade("report", "-o", "r.html", job)
    text = (it / "r.html").read_text(encoding="utf-8")
    check("url(" not in text and "@import" not in text and "http" not in re.sub(r"https?://[^<]*", "", text),
          "the page refers to something else")
    return Page(text)


def source(it, count=200):
    make_tree(it / "src", {f"d{number % 4}/f{number:04}": os.urandom(number * 37) for number in range(count)})
    set_age(it / "src")


def has(page, section, *texts):
    for text in texts:
        check(text in page.sections.get(section, ""), f"'{text}' is not told in '{section}'",
              page.sections.get(section, "")[:2000])


@case
def it_tells_what_was_moved_and_what_became_of_it(it):
    source(it)
    make_tree(it / "store", {"d3": b"in the way"})
    os.mkfifo(it / "src/fifo")
    it.lade("put", "--job", "job", "--digest", "sha256", "--exclude", "*.tmp", "src", "file:store", status=1)
    page = page_of(it)
    has(page, "job", str(it / "src"), f"file:{it / 'store'}", "--digest sha256", "- *.tmp", "exit status 1")
    has(page, "totals", "new", "failed", "skipped")
    has(page, "failed", "d3/f0003", "and 1 more")
    has(page, "skipped", "fifo", "is a FIFO")
    has(page, "slow", "No entry took a second")
    has(page, "largest", "d2/f0198", "crc64nvme", "sha256", "d0/f0196")
    has(page, "sizes", "below 1.00 KiB", "1.00 KiB to 8.00 KiB")
    has(page, "proof", "Moved, CRC64NVME")
    has(page, "batches", "done")
    has(page, "runs", os.uname().nodename)
    check("script" not in page.tags, "there is a script")


@case
def it_is_in_the_job_or_where_it_is_asked_for(it):
    source(it, 5)
    it.lade("put", "--job", "job", "src", "file:store")
    it.lade("report", "job").has(str(it / "job/report.html"))
    check((it / "job/report.html").stat().st_size > 1000, "no page")
    done = it.lade("report", "--output", "-", "job")
    check(done.out.startswith("<!DOCTYPE html>") and done.out.endswith("</html>\n"), "no page on standard output")
    equal(it.lade("report", "-q", "-o", "sub.html", "job").out, "")
    it.lade("report", "-o", "no/such/dir.html", "job", status=(1, 3)).has("no/such")
    it.lade("report", "absent", status=(1, 3)).has("absent")
    it.lade("put", "--job", "job", "src", "file:store")  # the page in it does no harm


@case
def no_name_gets_out_of_its_place(it):
    names = {b"<script>alert(1)<": b"1", b"a&amp;b\"'.txt": b"2", b"<!--": b"3", b"]]>": b"4", b"bad-\xff\xfe\x80": b"5",
             b"new\nline\x1b[31m\x7f": b"6", "gpj\u202eexe".encode(): b"7", "päivä-測量".encode(): b"8", b"<bdi>": b"9",
             b"\xed\xa0\x80surrogate": b"10", b"x" * 255: b"11"}
    make_tree(it / "src&<b>", names)
    os.mkfifo(it / "src&<b>/<i>pipe")
    set_age(it / "src&<b>")
    it.lade("put", "--job", "job", "--metadata", "a=<u>", "src&<b>", "file:store")
    page = page_of(it)
    equal({tag for tag in page.tags if tag in ("script", "b", "i", "u")}, {"b"})  # b: of the page itself
    for name in ("<script>alert(1)<", "a&amp;b\"'.txt", "<!--", "]]>", "bad-\\xff\\xfe\\x80", "new\\x0aline\\x1b[31m\\x7f",
                 "gpj\\u202eexe", "päivä-測量", "<bdi>", "\\xed\\xa0\\x80surrogate", "x" * 255):
        check(name in page.names, f"the name {name!r} is not told", page.names)
    has(page, "skipped", "<i>pipe")
    has(page, "job", "src&<b>", "--metadata a=<u>")


@case
def a_put_and_its_get_have_the_same_digest_of_the_list(it):
    source(it, 50)
    it.lade("put", "--job", "job", "src", "file:store")
    it.lade("get", "--job", "job2", "file:store", "out")
    found = [re.search(r"sha256.([0-9a-f]{64})of", page_of(it, job).sections["proof"]).group(1) for job in ("job", "job2")]
    equal(found[0], found[1])
    write(it / "src/d0/f0000", b"other")
    it.lade("put", "--job", "job", "src", "file:store")
    check(found[0] not in page_of(it).sections["proof"], "the digest is the same for other content")


@case
def rates_and_slow_entries_come_from_the_journal(it):
    source(it, 60)
    make_tree(it / "src", {"large": os.urandom(600000)})
    set_age(it / "src")
    process = it.start("put", "--job", "job", "--bwlimit", "70K", "src", "file:store")
    it.wait_for(lambda: (it / "store").exists(), process)
    time.sleep(2.2)
    process.send_signal(signal.SIGINT)
    it.end(process, 130)
    page = page_of(it)  # of a job that is not finished
    has(page, "totals", "left")
    it.lade("run", "--bwlimit", "100K", "job")
    page = page_of(it)
    has(page, "rates", "Bytes a second", "Entries a second", "mean")
    has(page, "slow", "large", "KiB/s")
    has(page, "runs", "1", "2")
    equal(page.tags.count("path"), 4)


@case
def a_job_that_is_only_planned_has_a_report(it):
    source(it, 5)
    it.lade("plan", "--job", "job", "src", "file:store")
    page = page_of(it)
    has(page, "totals", "left")
    os.mkdir(it / "none")
    it.lade("put", "--job", "job2", "none", "file:store2")
    page_of(it, "job2")


@case
def many_entries_make_no_large_page_and_need_no_memory(it):
    top = it / "src"
    for number in range(12):
        os.makedirs(top / f"d{number:02}")
        for entry in range(1000):
            os.symlink("nowhere", top / f"d{number:02}/a-name-of-some-length-{entry:05}")
    make_tree(it / "store", {f"d{number:02}": b"in the way" for number in range(5)})
    it.lade("put", "-q", "--job", "job", "src", "file:store", status=1)
    it.lade("report", "-o", "r.html", "job")
    size = (it / "r.html").stat().st_size
    check(size < 200000, f"{size} bytes")
    has(Page((it / "r.html").read_text()), "failed", "and 4,955 more")
    process = it.start("report", "-o", "r.html", "job", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    equal(process.returncode, 0, "exit status")
    sanitized = any(word in read(it.lade_path) for word in (b"__asan_init", b"__tsan_init"))
    check(sanitized or usage.ru_maxrss < 40 << 10, f"{usage.ru_maxrss} KiB of memory")


def browser(it, *args):
    name = shutil.which("chromium")
    check(name is not None, "chromium is missing")
    home = it / "browser"
    return subprocess.run([name, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                           "--disable-background-networking", "--disable-component-update", "--no-first-run",
                           f"--user-data-dir={home}", "--enable-logging=stderr", "--v=0", *args],
                          # Its socket has a path of at most 107 bytes.
                          env={**it.env, "HOME": str(it / "home"), "TMPDIR": "/tmp"}, capture_output=True, timeout=120, check=True)


@case
def a_browser_shows_it_without_a_word_of_complaint(it):
    source(it, 60)
    make_tree(it / "src", {"large": os.urandom(700000), "<img src=x onerror=alert(1)>": b"x" * 5000})
    it.lade("put", "--job", "job", "--bwlimit", "110K", "src", "file:store")
    it.lade("report", "-o", "r.html", "job")
    # A probe behind the page measures what was drawn; the page itself has no script.
    probe = """<script>
      const boxes = [...document.querySelectorAll('svg')].filter(svg => svg.checkVisibility()).map(svg => {
        const box = svg.getBoundingClientRect(); return [svg.getAttribute('class'), box.width, box.height]; });
      const marks = [...document.querySelectorAll('svg.chart path')].map(path => path.getBBox().width);
      document.title = JSON.stringify({boxes, marks, loaded: performance.getEntriesByType('resource').length,
        wide: document.documentElement.scrollWidth, images: document.images.length});
    </script>"""
    page = (it / "r.html").read_text()
    write(it / "probed.html", page.replace("</main>", "</main>" + probe).encode())
    for width in (1000, 400):
        done = browser(it, f"--window-size={width},3000", "--dump-dom", f"file://{it / 'probed.html'}")
        check(b"CONSOLE" not in done.stderr, "the browser complains", done.stderr.decode(errors="replace"))
        title = re.search(r"<title>(.*?)</title>", done.stdout.decode()).group(1)
        seen = json.loads(html.unescape(title))
        equal((seen["loaded"], seen["images"]), (0, 0), "what was loaded")
        check(seen["wide"] <= max(width, 500), f"{seen['wide']} wide in a window of {width}")
        kinds = {box[0] for box in seen["boxes"]}
        check({"chart", "parts"} <= kinds, f"drawings: {kinds}")
        for kind, wide, high in seen["boxes"]:
            check(wide > 10 and high > 5, f"{kind} is {wide} x {high}")
        check(len(seen["marks"]) == 4 and min(seen["marks"]) > 100, f"the areas are {seen['marks']} wide")
    browser(it, "--window-size=1000,2000", f"--screenshot={it / 'shot.png'}", f"file://{it / 'r.html'}")
    check((it / "shot.png").stat().st_size > 20000, "nothing is to be seen")


if __name__ == "__main__":
    main()
