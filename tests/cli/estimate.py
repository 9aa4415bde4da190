"""What lade plan says before a byte moves: requests, time, price, and the limits of a place."""
import os

from harness import case, check, equal, main, make_tree, set_age, write

SITE = b"""; a comment
[limits]
quota = 1MB
bucket-objects = 40
quota-contact = desk@example.org
[prices]
currency = EUR
per-1000-writes = 20
per-gb-month = 1000
"""
FILES = 50
EACH = 100_000


def tree(it):
    make_tree(it / "src", {f"d{number % 5}/f{number:02}": b"x" * EACH for number in range(FILES)})
    with open(it / "src/large", "wb") as file:
        file.truncate(200 << 20)
    set_age(it / "src")
    write(it / "site.ini", SITE)


def estimate(it, *options, dest="file:store"):
    done = it.lade("plan", "--json", "--job", "job", *options, "src", dest)
    found = done.events("estimate")
    equal(len(found), 1, "events")
    return found[0]


@case
def objects_requests_and_bytes_are_counted(it):
    tree(it)
    found = estimate(it)
    equal(found["objects"], FILES + 1)
    equal(found["bytes"], FILES * EACH + (200 << 20))
    equal(found["largest_bytes"], 200 << 20)
    # 200 MiB in parts of 64 MiB, and begin, commit and tag.
    equal(found["requests"], FILES + 4 + 3)
    equal(found["time_s"], None)
    equal(found["currency"], None)
    check(not found["exceeds_quota"] and not found["exceeds_bucket"], "limits that nobody gave", found)


@case
def time_is_that_of_the_slower_limit(it):
    tree(it)
    total = FILES * EACH + (200 << 20)
    equal(round(estimate(it, "--rate", "10MB")["time_s"], 2), round(total / 10e6, 2))
    equal(estimate(it, "--rate", "10GB", "--tpslimit", "1")["time_s"], FILES + 7.0)
    it.lade("plan", "--job", "job", "--rate", "10MB", "src", "file:store").has("time", "21s at")


@case
def prices_are_those_of_the_table(it):
    tree(it)
    found = estimate(it, "--site", "site.ini")
    equal(found["currency"], "EUR")
    equal(round(found["price_once"], 6), round((FILES + 7) / 1000 * 20, 6))
    equal(round(found["price_month"], 6), round((FILES * EACH + (200 << 20)) / 1e9 * 1000, 6))
    it.lade("plan", "--job", "job", "--site", "site.ini", "src", "file:store").has("1.14 EUR once", "214.72 EUR a month")


@case
def limits_of_the_place_are_told_with_the_request_that_its_guide_asks_for(it):
    tree(it)
    found = estimate(it, "--site", "site.ini")
    check(found["exceeds_quota"] and found["exceeds_bucket"], "limits are not noticed", found)
    told = it.lade("plan", "--job", "job", "--site", "site.ini", "src", "file:store")
    told.has("desk@example.org", "Project", "Space that we need: 205 MiB, beside what we have stored already (the quota is 1MB)", "51 objects, and one bucket holds 40",
             "at least 2 buckets")
    allas = os.path.join(os.path.dirname(__file__), "../../contrib/sites/allas.ini")
    it.lade("plan", "--job", "job", "--site", allas, "src", "file:store").has_not("quota of", "bucket holds")


@case
def what_is_there_already_costs_no_request(it):
    tree(it)
    it.lade("put", "--job", "job", "src", "file:store")
    found = estimate(it)
    equal((found["objects"], found["requests"], found["bytes"]), (0, 0, 0))
    found = estimate(it, "--site", "site.ini")
    check(found["exceeds_quota"], "what stays there counts too", found)


@case
def a_wrong_site_file_is_named_with_its_line(it):
    make_tree(it / "src", {"a": b"1"})
    for text, line, what in ((b"[limits]\nquota = much\n", 2, "much"), (b"[limits]\nquotas = 1TB\n", 2, "quotas"),
                             (b"[prices]\nper-gb-in = -1\n", 2, "-1"), (b"[prices]\n\nwhat\n", 3, "name = value"),
                             (b"[price]\ncurrency = EUR\n", 2, "[price]")):
        write(it / "bad.ini", text)
        it.lade("plan", "--site", "bad.ini", "src", "file:store", status=3).has(f"bad.ini:{line}", what)
    it.lade("plan", "--site", "none.ini", "src", "file:store", status=3).has("none.ini")


main()
