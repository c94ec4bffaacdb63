"""The command line: one clear line and exit code 2 for what cannot be, and nothing lost by Ctrl-C."""

import copy
import io
import os
import shutil
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from test_claims import PROTOCOL, TABLE, complete
from tiny import TINY, WIDE, contents
from tqdm import tqdm

import lumbo
from lumbo.cli import main
from lumbo.experiment import jobs, results, runner, tables
from lumbo.films import archive, hospitals
from lumbo.learning import evaluation, models


@pytest.fixture
def sizes(monkeypatch):
    """Sizes a test has time for: "tiny", "tiny" with one step more, and one of two seeds; and the stored one."""
    longer = TINY | {"plan": TINY["plan"] | {"steps": 13}}
    tables = {"tiny": TINY, "longer": longer, "wide": TINY | WIDE}
    made = {name: jobs.check_size(name, table) for name, table in tables.items()}
    made["full"] = jobs.size("full")
    monkeypatch.setattr(jobs, "sizes", lambda: made)


@pytest.fixture
def few_resamples(monkeypatch):
    """Intervals a test has time for."""
    monkeypatch.setattr(tables, "results", partial(tables.results, resamples=20))
    monkeypatch.setattr(tables, "overview", partial(tables.overview, resamples=20))


@pytest.fixture
def call(capsys, sizes, few_resamples):
    """A function: run a command in this process and return (exit code, lines of stdout, lines of stderr)."""

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def reproduce(folder, *more, size="tiny"):
    return "reproduce", "--size", size, "--out", folder, "--quiet", *more


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    runner.run(jobs.check_size("tiny", TINY), folder, workers=1)
    return folder


def test_the_module_is_a_command(root):
    done = subprocess.run([sys.executable, "-m", "lumbo"], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lumbo: the following arguments are required: {reproduce,claims,films,cache}\n"


def test_version_and_help(call):
    assert call("--version") == (0, [lumbo.__version__], [])
    code, out, err = call("reproduce", "--help")
    assert (code, err) == (0, []) and "tiny, longer" in " ".join(out)
    code, out, err = call("claims", "--help")
    assert (code, err) == (0, []) and "--claims" in " ".join(out)
    code, out, err = call("films", "--help")
    assert (code, err) == (0, []) and "aspen, birch, cedar" in " ".join(out)


@pytest.mark.parametrize(
    "words, found",
    [
        ([], "arguments are required: {reproduce,claims,films,cache}"),
        (["reprodcue"], "invalid choice: 'reprodcue' (choose from"),
        (["reproduce", "--size", "huge"], "size: got 'huge'; allowed: one of tiny, longer, wide"),
        (["reproduce", "--size"], "argument --size: expected one argument"),
        (["reproduce", "--sise", "tiny"], "option: got '--sise tiny'; allowed: reproduce [-h] [--size SIZE]"),
        (["reproduce", "tiny"], "option: got 'tiny'; allowed: reproduce [-h] [--size SIZE]"),
        (["--workers", "2", "reproduce"], "command: got '--workers'; allowed: a command, reproduce, claims"),
        (["reproduce", "--workers", "0"], "argument --workers: got '0'; allowed: a whole number from 1"),
        (["reproduce", "--workers", "-2"], "argument --workers: got '-2'; allowed: a whole number from 1"),
        (["reproduce", "--workers", "two"], "argument --workers: got 'two'; allowed: a whole number from 1"),
        (["reproduce", "--seed", "-1"], "argument --seed: got '-1'; allowed: a whole number from 0"),
        (["reproduce", "--seed", "all"], "argument --seed: got 'all'; allowed: a whole number from 0"),
        (
            ["reproduce", "--size", "wide", "--seed", "2"],
            "seed: got 2; allowed: a whole number from 0 to 1",
        ),
        (["claims", "--claims", "no.yml"], "no.yml: got"),
        (["claims", "--out", "."], "--out: got '.'; allowed: a file to write"),
        (["claims", "--figure", ".."], "--figure: got '..'; allowed: a file to write"),
        (["claims", "--out", "x", "--figure", "./x"], "--figure: got 'x'; allowed: another file than --out"),
        (["claims", "--seed", "1"], "option: got '--seed 1'; allowed: claims [-h]"),
        (
            ["reproduce", "--size", "tiny", "--device", "tpu"],
            "device: got 'tpu'; allowed: one of auto, cpu",
        ),
        (["films"], "the following arguments are required: --out"),
        (["films", "--out", "x", "--hospital", "elk"], "hospital: got 'elk'; allowed: one of aspen, birch"),
        (["films", "--out", "x", "--hospital", ""], "hospital: got ''; allowed: one of aspen, birch"),
        (["films", "--out", "x", "--hospital", "elm,elm"], "hospital: got 'elm,elm'; allowed: at least one"),
        (["films", "--out", "x", "--split", "tset"], "split: got 'tset'; allowed: one of training, valid"),
        (["films", "--out", "x", "--n", "0"], "argument --n: got '0'; allowed: a whole number from 1"),
        (
            ["films", "--out", "x", "--seed", "-1"],
            "argument --seed: got '-1'; allowed: a whole number from 0",
        ),
        (["films", "--out", "x", "--n", "9" * 5000], "argument --n: got '999"),
        (["films", "--out", "x", "--n", "9" * 15], "n: got 999999999999999; allowed: a whole number from"),
        (["films", "--out", "x", "--long-side", "250"], "long_side_px: got 250; allowed: a multiple of 16"),
        (["films", "--out", "x", "--format", "png,tiff"], "format: got 'tiff'; allowed: one of png, dicom"),
        (["films", "--out", "x", "--fromat", "png"], "option: got '--fromat png'; allowed: films [-h] --out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_said_in_one_line(call, tmp_path, monkeypatch, words, found):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*words)
    assert code == 2 and out == [] and len(err) == 1
    assert err[0].startswith("lumbo: ") and found in err[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_that_nobody_takes_is_no_traceback(root):
    command = [sys.executable, "-m", "lumbo", "cache"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=root, stdout=full, stderr=subprocess.PIPE, text=True)
    said = "lumbo: output: got 'No space left on device'; allowed: a place that can be used\n"
    assert (done.returncode, done.stderr) == (2, said)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, cwd=root, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_cache_is_shown_and_emptied(call, tmp_path, monkeypatch):
    monkeypatch.setenv("LUMBO_CACHE", str(tmp_path))
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "mine.safetensors").write_bytes(b"not the cache's")
    hospitals.film_set(hospitals.hospital("elm"), "test", 0, 2, 64)
    assert call("cache") == (0, [f"{tmp_path}: 1 files, 0.0 MB"], [])
    assert call("cache", "--empty") == (0, [f"{tmp_path}: 1 files, 0.0 MB deleted"], [])
    assert call("cache") == (0, [f"{tmp_path}: 0 files, 0.0 MB"], [])
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["mine.safetensors"]


def test_a_warning_is_one_line(call, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LUMBO_CACHE", str(tmp_path / "file"))
    code, out, err = call("cache")
    assert (code, len(out), err) == (0, 1, [])
    code, out, err = call("reproduce", "--size", "tiny", "--out", tmp_path / "run", "--quiet", "--workers", 1)
    assert code == 0 and err and all(line.startswith("lumbo: nothing is kept in the cache: ") for line in err)


def test_a_run_prints_the_table_and_stores_all_of_it(call, finished, tmp_path):
    code, out, err = call(*reproduce(tmp_path, "--workers", "2"))
    assert code == 0 and err == []
    assert out[0].split() == ["network", "arm", "test", "models", "mae", "low", "high", "full"]
    assert len(out) == 1 + 7 + 4 + 1 + 3 + 1
    assert out[8].startswith("MAE in degrees") and out[9].startswith("full: ")
    assert str(tmp_path) in out[10] and out[11] == ""
    assert out[12].split() == ["network", "arm", "late_gain", "steps", "early"]
    assert out[14].split()[:2] == ["regressor", "federated"] and out[-1].startswith("How far from the end")
    assert contents(tmp_path) == contents(finished)
    written = pd.read_csv(tmp_path / "results.csv", keep_default_na=False)
    expected = tables.results(results.read_outcome(finished), np.random.default_rng(0))
    assert len(written) == 6 * 6 * 2 * 5  # models, hospitals, references, angles and pooled
    for column in expected.columns.difference(["icc"]):
        assert written[column].tolist() == pytest.approx(expected[column].tolist(), abs=1e-4), column
    internal = written.query("arm == 'federated' and test == 'internal' and angle == 'pooled'")
    line = next(line.split() for line in out if "federated" in line and "internal" in line)
    mae = internal[internal.reference == "rated"].mae
    assert float(line[4]) == pytest.approx(mae.mean(), abs=0.006) and line[3] == "1"
    stored, _ = results.reference("full")
    job = jobs.Job("regressor", "federated", 0)
    wrong = [
        abs(evaluation.angle_errors(stored.said[job][h.name], stored.rated[h.name])).mean()
        for h in hospitals.participants()
    ]
    assert float(line[7]) == pytest.approx(np.mean(wrong), abs=0.006)


def test_one_seed_after_the_other_is_the_whole(call, tmp_path):
    """Shards of two calls, of two machines perhaps; the table is of all that is there."""
    for seed, count in ((1, "1"), (0, "2")):
        code, out, err = call(*reproduce(tmp_path, "--seed", seed, size="wide"))
        assert (code, err) == (0, [])
        assert {line.split()[3] for line in out[:9] if "federated" in line} == {count}
    assert contents(tmp_path).keys() == {"seed0.safetensors", "seed1.safetensors"}
    what = jobs.size("wide")
    expected = [job for seed in (0, 1) for job in jobs.of_seed(what, seed)]
    assert list(results.read_outcome(tmp_path).said) == expected
    assert len(pd.read_csv(tmp_path / "results.csv")) == len(expected) * 6 * 2 * 5


def test_results_go_to_a_folder_named_after_the_size(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    monkeypatch.setattr(runner, "run", lambda what, out, *rest: folders.append(out) or sys.exit(0))
    call("reproduce", "--size", "tiny", "--quiet")
    assert [str(folder) for folder in folders] == [os.path.join("runs", "tiny")]


@pytest.fixture
def bars(monkeypatch):
    """The progress bars that a command shows, in order; each keeps what it was told."""
    shown = []

    class Bar:
        def __init__(self, total=None, smoothing=0.3, **_):
            self.total, self.smoothing, self.n, self.initial, self.texts = total, smoothing, 0, 0, []
            self.disable = False
            shown.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def set_postfix_str(self, text, refresh=True):
            self.texts.append(text)

        def update(self, more):
            assert more >= 0
            self.n += more

    monkeypatch.setattr("tqdm.tqdm", Bar)
    return shown


def test_progress_reaches_the_end(call, tmp_path, bars):
    for _ in range(2):  # trained, and found finished
        assert call(*reproduce(tmp_path))[0] == 0
    assert [(bar.n, bar.total) for bar in bars] == [(6 * 12, 6 * 12)] * 2
    # What is left is estimated from this call's own steps alone: (n - initial) in the time since it began.
    assert [bar.initial for bar in bars] == [0, 6 * 12] and {bar.smoothing for bar in bars} == {0}


def test_what_is_left_is_estimated_from_the_steps_of_this_call():
    """As tqdm does it: two thirds were there before, the rest took a minute, and as much is left."""
    bar = tqdm(total=120_000, smoothing=0, delay=1e9, file=io.StringIO())
    bar.initial += 80_000
    bar.update(80_000)
    bar.update(20_000)
    bar.start_t -= 60
    assert "01:00<01:00" in str(bar)


def test_progress_says_what_is_trained_and_how_much_is_to_begin(call, tmp_path, bars):
    assert call(*reproduce(tmp_path, "--workers", "1"))[0] == 0
    names = [job.name for job in jobs.of_seed(jobs.size("tiny"), 0)]
    expected = [f"drawing films; {len(names)} models to begin"]
    for k, name in enumerate(names):  # when it begins, after its two checks, and when it is done
        left = len(names) - k - 1
        expected += [f"{name}; {left} models to begin"] * 4
    assert bars[0].texts == expected


def test_progress_of_two_at_a_time_names_both(call, tmp_path, bars):
    assert call(*reproduce(tmp_path, "--workers", "2"))[0] == 0
    names = {job.name for job in jobs.of_seed(jobs.size("tiny"), 0)}
    for text in bars[0].texts[1:]:
        running, _, left = text.partition("; ")
        assert 1 <= len(running.split(", ")) <= 2 and set(running.split(", ")) <= names
        assert left in {f"{k} models to begin" for k in range(6)}


def test_progress_of_one_seed_counts_its_models_alone(call, tmp_path, bars):
    assert call(*reproduce(tmp_path, "--seed", "1", size="wide"))[0] == 0
    assert [(bar.n, bar.total) for bar in bars] == [(8 * 12, 8 * 12)]
    assert bars[0].texts[0] == "drawing films; 8 models to begin"
    assert all("seed1" in text and "seed0" not in text for text in bars[0].texts[1:])


def test_results_of_another_size_are_refused_and_kept(call, finished):
    before = contents(finished)
    code, out, err = call(*reproduce(finished, size="longer"))
    assert code == 2 and out == [] and len(err) == 1
    assert "safetensors: got 'specification" in err[0] and "choose another folder" in err[0]
    assert contents(finished) == before


def test_a_torn_result_is_named(call, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "torn")
    path = next(folder.glob("jobs/*local-birch*.predictions.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    code, out, err = call(*reproduce(folder))
    assert code == 2 and out == [] and len(err) == 1
    assert str(path) in err[0] and "allowed: a safetensors file written by lumbo" in err[0]


def test_a_folder_that_is_a_file_is_named(call, tmp_path):
    place = tmp_path / "results"
    place.write_text("mine")
    code, out, err = call(*reproduce(place))
    assert code == 2 and len(err) == 1 and str(place) in err[0]
    assert place.read_text() == "mine"


def test_ctrl_c_says_how_to_go_on_and_loses_nothing(call, finished, tmp_path, monkeypatch):
    plain, calls = models.save, iter(range(100))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores Ctrl-C

    def interrupted(*arguments):
        if next(calls) == 1:  # while the second model is being stored
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(models, "save", interrupted)
        code, out, err = call(*reproduce(tmp_path, "--workers", "1"))
    _ = signal.signal(signal.SIGINT, before)
    assert code == 130 and out == []
    assert err == [
        "",
        "lumbo: stopping; each model goes on to its next check",
        "lumbo: stopped; run the same command again to go on from here",
    ]
    done = {path.name for path in tmp_path.glob("jobs/*.predictions.safetensors")}
    assert 1 <= len(done) < 6 and not (tmp_path / "results.csv").exists()
    assert call(*reproduce(tmp_path))[0] == 0
    assert contents(tmp_path) == contents(finished)


# -------------------------------------------------------------------------- claims


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """A function: write claims, and ship an outcome and the record of a run."""
    run = {
        "specification": PROTOCOL["specification"],
        "commit": "c0ffee",
        "hardware": {"processor": "Abacus 9", "cores": 2, "gpu": None},
        "seconds": {"drawing": 12.0, "training": 1234.0},
        "seeds": [0, 1, 2, 3],
        "size": {"seeds": {"landmarks": 4}},
    }
    outcome, asked = complete(), []
    monkeypatch.setattr(results, "reference", lambda name: asked.append(name) or (outcome, run))
    monkeypatch.setattr("lumbo.experiment.claims.RESAMPLES", 199)

    def write(**changes):
        table = copy.deepcopy(TABLE)
        table["protocol"] |= changes
        (tmp_path / "claims.yml").write_text(yaml.safe_dump(table))
        words = "--out", tmp_path / "new" / "claims.md", "--figure", tmp_path / "new" / "result.png"
        return ["claims", "--claims", tmp_path / "claims.yml", *words], asked

    return write


def test_claims_are_judged_and_the_page_is_written(call, judged, tmp_path):
    words, asked = judged()
    pages = []
    for _ in range(2):
        code, out, err = call(*words)
        assert (code, err) == (0, []) and len(out) == 1 + len(TABLE["claims"])
        columns = ["id", "value", "low", "high", "tolerance", "p_holm", "verdict", "student_verdict"]
        assert out[0].split() == columns
        assert [line.split()[0] for line in out[1:]] == [claim["id"] for claim in TABLE["claims"]]
        pages.append((tmp_path / "new" / "claims.md").read_bytes())
    assert pages[0] == pages[1] and b"Not for clinical use" in pages[0]
    with Image.open(tmp_path / "new" / "result.png") as figure:
        said = f"specification {PROTOCOL['specification']}, seeds 0, 1, 2, 3"
        assert figure.info["Description"] == said and figure.width > figure.height
    assert asked == ["full", "full"]


def test_claims_fixed_for_another_run_are_refused_and_no_page_is_written(call, judged, tmp_path):
    for changes in ({"specification": "ffffffffffffffff"}, {"specification": None, "fixed": None}):
        words, _ = judged(**changes)
        code, out, err = call(*words)
        assert code == 2 and out == [] and len(err) == 1
        assert err[0].startswith("lumbo: protocol.specification: got ")
        assert not (tmp_path / "new").exists()


# --------------------------------------------------------------------------- films


def films(folder, *more):
    words = "--hospital", "elm,fir", "--n", "3", "--long-side", "32", "--seed", "5", "--quiet"
    return "films", "--out", folder, *words, *more


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    sites = [hospitals.hospital("elm"), hospitals.hospital("fir")]
    archive.write_films(folder, sites, "test", 5, 3, 32)
    return folder


def test_films_are_written(call, written, tmp_path):
    for _ in range(2):  # written, and found complete
        code, out, err = call(*films(tmp_path / "new"))
        assert (code, err) == (0, []) and len(out) == 2
        assert out[0].startswith("6 films of elm, fir: ") and str(tmp_path / "new") in out[0]
        assert out[1].endswith("Not for clinical use.")
        assert everything(tmp_path / "new") == everything(written)


def test_films_of_every_hospital_in_one_format(call, tmp_path):
    words = "--n", "1", "--long-side", "32", "--format", "png", "--quiet"
    assert call("films", "--out", tmp_path, *words)[0] == 0
    found = sorted(path.name for path in (tmp_path / "png").iterdir())
    assert found == [f"{name}-test-0-00000.png" for name in sorted(hospitals.hospitals())]
    assert not (tmp_path / "dicom").exists()


def test_films_of_another_kind_are_refused_and_kept(call, written):
    before = everything(written)
    code, out, err = call(*films(written, "--seed", "6"))
    assert code == 2 and out == [] and len(err) == 1
    assert "films.json: seed: got 5; allowed: 6, as asked for; or choose another folder" in err[0]
    assert everything(written) == before


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX systems")
def test_a_full_disk_is_said_in_one_line(call, written, tmp_path, root):
    """The system refuses what is longer than 3,000 bytes: DICOM, but not a small PNG."""
    command = [sys.executable, "-B", "-m", "lumbo", *map(str, films(tmp_path / "new"))]
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
    limited += "os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", limited, *command], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "allowed: a disk with room" in done.stderr
    assert str(tmp_path / "new") in done.stderr and "Traceback" not in done.stderr
    assert {name.split("/")[0] for name in everything(tmp_path / "new")} == {"films.json", "png"}
    assert call(*films(tmp_path / "new"))[0] == 0
    assert everything(tmp_path / "new") == everything(written)


def test_ctrl_c_while_films_are_written_loses_nothing(call, written, tmp_path, monkeypatch):
    plain, calls = archive.png, iter(range(100))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(pixels):
        if next(calls) == 4:  # in the second hospital
            os.kill(os.getpid(), signal.SIGINT)
        return plain(pixels)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "png", interrupted)
        code, out, err = call(*films(tmp_path / "new"))
    _ = signal.signal(signal.SIGINT, before)
    assert (code, out) == (130, [])
    assert err == ["lumbo: stopped; run the same command again to go on from here"]
    assert not (tmp_path / "new" / "SHA256SUMS").exists()
    assert call(*films(tmp_path / "new"))[0] == 0
    assert everything(tmp_path / "new") == everything(written)


def test_progress_of_films_reaches_the_end(call, tmp_path, bars):
    assert call(*films(tmp_path / "new"))[0] == 0
    assert [(bar.n, bar.total) for bar in bars] == [(6, 6)]
    assert set(bars[0].texts) == {"elm", "fir"}
