import gzip
import hashlib
import http.server
import threading

import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge import datasets
from lmerbridge.errors import DataError, MissingPackageError

SHIPPED = [n for n in datasets.names() if datasets.describe(n).url is None]
KEPT = ("InstEval", "VerbAgg", "Contraception")  # in a checkout
HERE = [*SHIPPED, *(n for n in KEPT if datasets.is_local(n))]


@pytest.mark.parametrize("name", HERE)
def test_every_data_set_is_what_it_says(name):
    d, info = datasets.load(name), datasets.describe(name)
    assert len(d) == info.rows
    assert list(d.columns) == list(info.columns)
    assert d.attrs["name"] == name
    assert info.licence
    assert info.source
    for column, levels in info.levels.items():
        assert str(d[column].dtype) == "category"
        if isinstance(levels, list):
            assert d[column].cat.categories.tolist() == levels
    assert name in str(info)


def test_the_classics_are_there():
    wanted = {
        "sleepstudy",
        "science",
        "ChickWeight",
        "Dyestuff",
        "Dyestuff2",
        "Penicillin",
        "Pastes",
        "InstEval",
        "cake",
        "cbpp",
        "bounce",
        "dragons",
        "VerbAgg",
        "grouseticks",
        "Arabidopsis",
        "epil",
        "bacteria",
        "Contraception",
        "toenail",
        "salamander",
    }
    assert wanted <= set(datasets.names())


def test_levels_are_r_s():
    chick = datasets.load("ChickWeight").Chick.cat
    assert chick.ordered
    assert chick.categories[:3].tolist() == ["18", "16", "15"]  # R's order, by final weight
    assert datasets.load("cake").temperature.cat.ordered
    if "InstEval" in HERE:
        assert datasets.load("InstEval").dept.cat.categories[:3].tolist() == ["15", "5", "10"]
        assert datasets.load("InstEval").s.cat.categories[-1] == "2972"


def test_an_unknown_name():
    with pytest.raises(DataError, match="did you mean 'sleepstudy'"):
        lb.datasets.load("sleepstdy")


def test_those_that_do_not_ship_are_not_here():
    folder = datasets.data_folder("datasets")
    assert not list(folder.glob("bounce.csv*"))
    assert not list(folder.glob("dragons.csv*"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A cache of its own, and no folder of data."""
    monkeypatch.delenv("LMERBRIDGE_DATA", raising=False)
    monkeypatch.setattr(datasets, "_cache", lambda: tmp_path)
    return tmp_path


CONTENT = b"bounce_time,age,county,location\n165.5,16,devon,a\n167.5,34,kent,b\n"


@pytest.fixture
def small_bounce(monkeypatch):
    """bounce described as two rows, so that a test can serve it."""
    real = datasets.describe("bounce")

    def described(url="http://127.0.0.1:9/bounce.csv", content=CONTENT, kind="csv"):
        info = datasets.DatasetInfo(
            **{
                **vars(real),
                "rows": 2,
                "url": url,
                "format": kind,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        monkeypatch.setattr(datasets, "describe", lambda name: info)

    return described


def test_from_a_folder(elsewhere, small_bounce, monkeypatch):
    small_bounce()
    folder = elsewhere / "mine"
    folder.mkdir()
    (folder / "bounce.csv").write_bytes(CONTENT)
    assert not datasets.is_local("bounce")
    monkeypatch.setenv("LMERBRIDGE_DATA", str(folder))
    assert datasets.is_local("bounce")
    assert datasets.load("bounce").county.tolist() == ["devon", "kent"]
    (folder / "bounce.csv").write_bytes(CONTENT + b"1,2,x,y\n")
    with pytest.raises(DataError, match="is not the data set 'bounce'"):
        datasets.load("bounce")
    # a checkout's folder has some of them compressed
    (folder / "bounce.csv").unlink()
    (folder / "bounce.csv.gz").write_bytes(gzip.compress(CONTENT))
    assert datasets.load("bounce").county.tolist() == ["devon", "kent"]


@pytest.fixture
def served():
    """A web server on this machine; yields its address and the pages to fill."""
    pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


def test_fetched_once_reduced_to_our_columns_and_checked(elsewhere, small_bounce, served):
    address, pages = served
    small_bounce(f"{address}/bounce.csv")
    # the file there has further columns, as the real one does
    pages["/bounce.csv"] = (
        b"bounce_time,age,county,location,fitted\n165.5,16,devon,a,1\n167.5,34,kent,b,2\n"
    )
    assert datasets.load("bounce").bounce_time.tolist() == [165.5, 167.5]
    pages.clear()
    assert datasets.load("bounce").age.tolist() == [16, 34]


def test_an_r_file_is_read(elsewhere, small_bounce, served, tmp_path):
    """As dragons comes: a data frame in an RData file, with a further column."""
    rdata = pytest.importorskip("rdata")
    address, pages = served
    frame = pd.DataFrame(
        {
            "bounce_time": [165.5, 0.0],
            "age": [16.25, 34.0],
            "county": pd.Categorical(["devon", "kent"]),
            "location": pd.Categorical(["a", "b"]),
            "X": [float("nan")] * 2,
        }
    )
    rdata.write_rda(tmp_path / "made.RData", {"bounce": frame})
    pages["/made.RData"] = (tmp_path / "made.RData").read_bytes()
    # numbers are written as R writes them: 0 and 34, not 0.0 and 34.0
    csv = b"bounce_time,age,county,location\n165.5,16.25,devon,a\n0,34,kent,b\n"
    small_bounce(f"{address}/made.RData", csv, "rdata")
    assert datasets.load("bounce").age.tolist() == [16.25, 34.0]


def test_other_content_is_refused_and_not_kept(elsewhere, small_bounce, served):
    address, pages = served
    small_bounce(f"{address}/bounce.csv")
    pages["/bounce.csv"] = CONTENT.replace(b"34", b"35")
    with pytest.raises(DataError, match="SHA-256"):
        datasets.load("bounce")
    pages["/bounce.csv"] = CONTENT
    assert len(datasets.load("bounce")) == 2


def test_what_cannot_be_fetched_says_what_to_do(elsewhere, small_bounce):
    small_bounce("http://127.0.0.1:9/bounce.csv")
    with pytest.raises(DataError, match="LMERBRIDGE_DATA") as caught:
        datasets.load("bounce")
    # a session shows that sentence, not the hundred lines of what tried
    assert caught.value.__suppress_context__


@pytest.fixture
def outside_a_checkout(monkeypatch, tmp_path_factory):
    """As from a wheel, which has no InstEval; its file as R's package has it, with row numbers."""
    shipped = datasets.data_folder("datasets")
    content = gzip.decompress((shipped / "InstEval.csv.gz").read_bytes())
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "InstEval.toml").write_bytes((shipped / "InstEval.toml").read_bytes())
    monkeypatch.setattr(datasets, "data_folder", lambda name: folder)
    monkeypatch.setattr(datasets, "data_folders", lambda name: [folder])
    first, *rows = content.decode().splitlines()
    lines = [f"rownames,{first}", *(f"{i},{row}" for i, row in enumerate(rows, 1))]
    return "\n".join(lines).encode()


@pytest.mark.skipif(not datasets.is_local("InstEval"), reason="run from an installed wheel")
def test_a_mirror_is_fetched_from(
    elsewhere, outside_a_checkout, served, monkeypatch, capsys, tmp_path
):
    """LMERBRIDGE_DATA_URL: the same file at another address, fetched once."""
    address, pages = served
    monkeypatch.setenv("LMERBRIDGE_DATA_URL", f"{address}/mine/")
    with pytest.raises(DataError, match=r"/mine/InstEval.csv .*LMERBRIDGE_DATA, .*_DATA_URL"):
        datasets.load("InstEval")  # nothing is there
    pages["/mine/InstEval.csv"] = outside_a_checkout.replace(b"1,1,1002,", b"1,1,1003,", 1)
    with pytest.raises(DataError, match=r"SHA-256 .* put InstEval.csv into a folder"):
        datasets.load("InstEval")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert not datasets.is_local("InstEval")
    pages["/mine/InstEval.csv"] = outside_a_checkout
    assert datasets.load("InstEval").shape == (73421, 7)
    assert datasets.is_local("InstEval")
    pages.clear()
    assert datasets.load("InstEval")["y"].iloc[:3].tolist() == [5, 2, 5]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["InstEval.csv"]
    # what pooch says of hashes is nothing to who loads data
    assert "hash" not in "".join(capsys.readouterr())


def test_a_missing_column_is_named(elsewhere, small_bounce, served):
    address, pages = served
    small_bounce(f"{address}/bounce.csv")
    pages["/bounce.csv"] = b"a,b\n1,2\n"
    with pytest.raises(DataError, match="does not have the column 'bounce_time'"):
        datasets.load("bounce")


def test_what_is_in_the_further_distribution_says_so(monkeypatch):
    monkeypatch.setattr(datasets, "_packed", lambda file: None if "csv" in file else b"")
    monkeypatch.setattr(datasets, "data_folders", lambda name: [])
    info = datasets.DatasetInfo("clark", "", "", "", 1, "", {}, {}, ())
    monkeypatch.setattr(datasets, "describe", lambda name: info)
    assert not datasets.is_local("clark")
    words = r"'clark' is in lmerbridge-further, .*: pip install lmerbridge-further"
    with pytest.raises(MissingPackageError, match=words):
        datasets.load("clark")
