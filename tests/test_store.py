"""A file is whole or as before, whatever goes wrong; a cache never answers with something else."""

import os
import signal
import stat
import subprocess
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from lumbo import angles, store
from lumbo.errors import InputError

TENSORS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7)}
NOTE = {"seed": 3, "sizes": [8, 4, 2, 1]}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LUMBO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype and array.shape == right[name].shape, name
        np.testing.assert_array_equal(array, right[name], err_msg=name)


# ------------------------------------------------------------------ atomic writes


def test_writes_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    for content in (b"first", b"", b"second" * 1000):
        assert store.write_atomic(path, content) == path
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file.bin"]


def test_takes_a_path_as_text(tmp_path):
    assert store.write_atomic(str(tmp_path / "a"), b"x").read_bytes() == b"x"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_midway_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, step, problem):
    path = store.write_atomic(tmp_path / "file.bin", b"old")

    def fail(*_):
        raise problem

    monkeypatch.setattr(store.os, step, fail)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        store.write_atomic(path, b"new")
    if isinstance(problem, OSError):
        assert (caught.value.field, caught.value.value) == (str(path), "No space left on device")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_a_writer_killed_between_two_bytes_leaves_the_old_file(tmp_path):
    """The draft is written in full, then the process dies before it takes the file's name."""
    path = store.write_atomic(tmp_path / "file.bin", b"old")
    writer = (
        "import os, signal, sys; from lumbo import store\n"
        "store.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.write_atomic(sys.argv[1], b'new' * 1000)"
    )
    killed = subprocess.run([sys.executable, "-c", writer, str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    store.write_atomic(path, b"newer")  # a leftover draft is in nobody's way
    assert path.read_bytes() == b"newer" and len(os.listdir(tmp_path)) == 2
    (tmp_path / ".file.bin.notes").write_text("mine")
    store.remove_drafts(path)
    assert sorted(os.listdir(tmp_path)) == [".file.bin.notes", "file.bin"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A file where the folder should be: refused to everybody, root included."""
    (tmp_path / "taken").write_text("a file")
    path = tmp_path / "taken" / "file.bin"
    with pytest.raises(InputError, match="a folder that can be written to") as caught:
        store.write_atomic(path, b"new")
    assert caught.value.field == str(path.parent)
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "file.bin").mkdir()
    with pytest.raises(InputError) as caught:
        store.write_atomic(tmp_path / "file.bin", b"new")
    assert caught.value.field == str(tmp_path / "file.bin")
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    atomic = store.write_atomic(tmp_path / "atomic", b"")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


NO_PATHS = [None, 3, b"bytes", "", "a\0b", ["list"], True]


@pytest.mark.parametrize("path", NO_PATHS, ids=repr)
@pytest.mark.parametrize(
    "use",
    [
        lambda path: store.write_atomic(path, b""), store.make_folder, store.load_tensors, store.read_toml,
        lambda path: store.save_tensors(path, TENSORS, NOTE), lambda path: store.read_json(path, "us"),
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(use, path):
    with pytest.raises(InputError, match="allowed: a path, as text or pathlib.Path$"):
        use(path)


TEXTS = {
    "missing": None,
    "no UTF-8": b"\xff\xfe",
    "torn": b'{"a": [1, ',
    "deep": b"[" * 100_000,
    "a number too long": b'{"a": ' + b"9" * 5000 + b"}",
    "a = a number too long": b"a = " + b"9" * 5000,
    "a = deep": b"a = " + b"[" * 100_000,
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("read", [store.read_toml, lambda path: store.read_json(path, "a file of ours")])
def test_a_text_that_cannot_be_read_is_refused_by_name(tmp_path, what, read):
    path = tmp_path / "text"
    if TEXTS[what] is not None:
        path.write_bytes(TEXTS[what])
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.field == str(path) and str(caught.value).isprintable()


def test_a_huge_text_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "huge.json"
    with open(path, "wb") as file:
        file.truncate(10**10)  # a sparse file
    with pytest.raises(InputError, match="got 'a huge file'; allowed: at most 33554432 bytes"):
        store.read_json(path, "us")


# ------------------------------------------------------------------------ tensors

KINDS = [np.bool_, np.uint8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_arrays_come_back_as_they_went(tmp_path, kind, shape):
    arrays = {"a": (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 7).astype(kind)}
    path = store.save_tensors(tmp_path / "t.safetensors", arrays, NOTE)
    loaded, note = store.load_tensors(path)
    assert_same(loaded, arrays)
    assert note == NOTE


def test_special_values_and_views_survive(tmp_path):
    grid = np.arange(12.0).reshape(3, 4)
    arrays = {
        "special": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
        "transposed": grid.T,
        "strided": grid[::2, ::-1],
        "big endian": grid.astype(">f8"),
    }
    loaded, _ = store.load_tensors(store.save_tensors(tmp_path / "t", arrays, {}))
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array, err_msg=name)
    assert np.signbit(loaded["special"][3])


def test_loaded_arrays_can_be_written_to(tmp_path):
    loaded, _ = store.load_tensors(store.save_tensors(tmp_path / "t", TENSORS, NOTE))
    loaded["weights"] += 1
    again, _ = store.load_tensors(tmp_path / "t")
    assert_same(again, TENSORS)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    one = store.save_tensors(tmp_path / "one", TENSORS, {"a": 1, "b": 2})
    two = store.save_tensors(tmp_path / "two", TENSORS, {"b": 2, "a": 1})
    assert one.read_bytes() == two.read_bytes()


def test_a_file_torn_at_any_byte_is_refused_by_name(tmp_path):
    path = store.save_tensors(tmp_path / "t.safetensors", TENSORS, NOTE)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="a safetensors file written by lumbo") as caught:
            store.load_tensors(path)
        assert caught.value.field == str(path)


def test_any_flipped_bit_is_refused_by_name(tmp_path):
    """Header, note, checksum or weights: a disk or a network that lies is found out."""
    path = store.save_tensors(tmp_path / "t.safetensors", TENSORS, NOTE)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(InputError) as caught:
            store.load_tensors(path)
        assert caught.value.field == str(path)


def test_damage_is_called_damage(tmp_path):
    path = store.save_tensors(tmp_path / "t.safetensors", TENSORS, NOTE)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=r"got 'damaged, checksum \w{8}'; allowed: \w{8}, as it was written"):
        store.load_tensors(path)


@pytest.mark.parametrize(
    "other",
    [
        ({"weights": TENSORS["weights"]}, NOTE),
        ({"weight": TENSORS["weights"], "step": TENSORS["step"]}, NOTE),
        ({"weights": TENSORS["step"], "step": TENSORS["weights"]}, NOTE),
        (TENSORS | {"weights": np.nextafter(TENSORS["weights"], np.float32(9))}, NOTE),
        (TENSORS, NOTE | {"seed": 4}),
        (TENSORS | {"weights": TENSORS["weights"].T}, NOTE),
    ],
    ids=["one missing", "another name", "names swapped", "one bit", "another note", "transposed"],
)
def test_other_content_has_another_checksum(other):
    assert store.checksum(*other) != store.checksum(TENSORS, NOTE)
    assert store.checksum(dict(reversed(TENSORS.items())), NOTE) == store.checksum(TENSORS, NOTE)


FOREIGN = {
    "text": b"angle,mae\nSS,3.1\n",
    "zeros": bytes(200),
    "ones": b"\xff" * 200,
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_bytes_are_refused_by_name(tmp_path, what):
    path = tmp_path / "t.safetensors"
    path.write_bytes(FOREIGN[what])
    with pytest.raises(InputError) as caught:
        store.load_tensors(path)
    assert caught.value.field == str(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"note": "not JSON"},
        {"note": "3"},
        {"note": '["crc32", "note"]'},
        {"note": '{"seed": 3}'},  # what lumbo wrote before it sealed files
        {"note": '{"note": {"seed": 3}, "crc32": 7}'},
    ],
)
def test_safetensors_of_others_are_refused_by_name(tmp_path, metadata):
    path = tmp_path / "t.safetensors"
    save_file(TENSORS, path, metadata=metadata)
    with pytest.raises(InputError) as caught:
        store.load_tensors(path)
    assert caught.value.field == str(path)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError) as caught:
            store.load_tensors(path)
        assert caught.value.field == str(path)


# -------------------------------------------------------------------------- cache


def test_makes_once_then_remembers(cache):
    made = []

    def make():
        made.append(1)
        return TENSORS, NOTE

    cold, warm = store.cached_tensors("films", make), store.cached_tensors("films", make)
    assert len(made) == 1
    for arrays, note in (cold, warm):
        assert_same(arrays, TENSORS)
        assert note == NOTE
    assert os.listdir(cache) == ["films.safetensors"]


def test_a_cold_cache_answers_exactly_as_a_warm_one(cache):
    """JSON turns tuples into lists and keys into text; the first caller must see that too."""
    note = {"size": (256, 128), "count": {4: "four"}}
    answers = [store.cached_tensors("x", lambda: ({}, note)) for _ in range(2)]
    assert answers[0] == answers[1] == ({}, {"size": [256, 128], "count": {"4": "four"}})


def test_another_name_is_another_entry(cache):
    one, _ = store.cached_tensors("one", lambda: ({"a": np.array(1)}, {}))
    two, _ = store.cached_tensors("two", lambda: ({"a": np.array(2)}, {}))
    assert (one["a"], two["a"]) == (1, 2)


SPOILT = {
    "torn": lambda whole: whole[:-1],
    "empty": lambda whole: b"",
    "junk": lambda whole: b"junk" * 50,
    "damaged": lambda whole: whole[:-1] + bytes([whole[-1] ^ 4]),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_entry_is_made_again(cache, spoil):
    store.cached_tensors("films", lambda: (TENSORS, NOTE))
    path = cache / "films.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    arrays, note = store.cached_tensors("films", lambda: (TENSORS, {"made": "again"}))
    assert_same(arrays, TENSORS)
    assert note == {"made": "again"} == store.load_tensors(path)[1]["note"]


def test_an_entry_under_another_name_is_made_again(cache):
    store.cached_tensors("one", lambda: ({"a": np.array(1)}, {}))
    (cache / "one.safetensors").rename(cache / "two.safetensors")
    assert store.cached_tensors("two", lambda: ({"a": np.array(2)}, {}))[0]["a"] == 2


def test_what_is_in_the_cache_is_listed_and_nothing_else(cache, tmp_path):
    store.cached_tensors("films/one", lambda: (TENSORS, NOTE))
    store.save_tensors(cache / "weights.safetensors", TENSORS, NOTE)  # somebody's results
    store.save_tensors(cache / "films" / "moved.safetensors", TENSORS, {"cached": "films/one", "note": {}})
    (cache / "films" / "torn.safetensors").write_bytes(b"torn")
    (cache / "films" / "notes.txt").write_text("mine")
    assert [path.name for path, _ in store.cached_files()] == ["one.safetensors"]
    assert [size for _, size in store.cached_files()] == [
        (cache / "films" / "one.safetensors").stat().st_size
    ]


def test_a_make_that_fails_leaves_no_entry(cache):
    with pytest.raises(ZeroDivisionError):
        store.cached_tensors("films", lambda: 1 / 0)
    assert not cache.exists()
    assert store.cached_tensors("films", lambda: (TENSORS, NOTE))[1] == NOTE


def test_without_a_cache_one_is_warned_and_gets_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LUMBO_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match=f"nothing is kept in the cache: {tmp_path / 'file'}: got "):
        arrays, note = store.cached_tensors("films", lambda: (TENSORS, NOTE | {"size": (1, 2)}))
    assert_same(arrays, TENSORS)
    assert note == NOTE | {"size": [1, 2]} and arrays["weights"] is not TENSORS["weights"]


def test_without_a_home_one_is_warned_and_gets_the_same(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LUMBO_CACHE")
    monkeypatch.setattr(store.Path, "home", homeless)
    with pytest.warns(RuntimeWarning, match="^nothing is kept in the cache: LUMBO_CACHE: got 'Could not "):
        assert_same(store.cached_tensors("films", lambda: (TENSORS, NOTE))[0], TENSORS)


def test_the_cache_lives_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("LUMBO_CACHE", str(tmp_path))
    assert store.cache_folder() == tmp_path
    monkeypatch.delenv("LUMBO_CACHE")
    monkeypatch.setattr(store.Path, "home", lambda: tmp_path / "home")
    assert store.cache_folder() == tmp_path / "home" / ".cache" / "lumbo"


# --------------------------------------------------------------------------- keys


def test_a_key_is_short_and_known():
    """Of two parts it is the digest of their JSON texts, each closed by a zero byte."""
    # printf '{"a": [2, null], "b": 1}\0"x"\0' | sha256sum | cut -c1-16
    assert store.content_key({"b": 1, "a": [2, None]}, "x") == "074ed98f1dbe75db"


@pytest.mark.parametrize(
    "other",
    [("spec", {"n": 3}), ("spec", {"n": 2}, 0), ("spec",), ({"n": 2}, "spec"), ('spec{"n": 2}',)],
)
def test_a_key_depends_on_every_part_and_their_order(other):
    assert store.content_key(*other) != store.content_key("spec", {"n": 2})


def test_a_key_does_not_depend_on_the_order_within_a_part():
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert store.content_key(one) == store.content_key(other)


def test_a_key_depends_on_the_source_of_a_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keys = []
    for name, source in (("recipe_a", "GAIN = 1\n"), ("recipe_b", "GAIN = 1\n"), ("recipe_c", "GAIN = 2\n")):
        (tmp_path / f"{name}.py").write_text(source)
        keys.append(store.content_key(__import__(name)))
    assert keys[0] == keys[1] != keys[2]
    assert keys[0] != store.content_key("GAIN = 1\n")  # text is no module


def test_a_key_is_the_same_in_another_process():
    code = "from lumbo import angles, store; print(store.content_key(angles, {'b': 1, 'a': 2.5}))"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert printed.strip() == store.content_key(angles, {"a": 2.5, "b": 1})


@pytest.mark.parametrize("part", [np.arange(3), object(), types.SimpleNamespace(a=1), {1, 2}])
def test_a_part_that_json_cannot_say_is_refused(part):
    """Silence here would give two different contents one key."""
    with pytest.raises(TypeError):
        store.content_key(part)
