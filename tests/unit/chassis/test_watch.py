"""Files are noticed to have changed once they have settled."""

from pathlib import Path

from chassis.watch import FileWatch


def looks(watch: FileWatch, *paths: Path) -> list[bool]:
    return [watch.changed(paths) for _ in range(3)]


def test_a_change_counts_once_and_when_it_stands_still(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    watch = FileWatch([file])
    assert looks(watch, file) == [False, False, False]
    file.write_text("12")
    assert not watch.changed([file])
    assert watch.changing
    file.write_text("123")  # still being written
    assert not watch.changed([file])
    assert watch.changed([file])
    assert not watch.changing
    assert looks(watch, file) == [False, False, False]


def test_a_swapped_link_counts(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("same size")
    current, file = tmp_path / "current", tmp_path / "a"
    current.symlink_to("one")
    file.symlink_to("current/a")
    watch = FileWatch([file])
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(current)
    assert looks(watch, file) == [False, True, False]


def test_a_file_that_vanishes_or_appears_counts(tmp_path: Path) -> None:
    file = tmp_path / "a"
    watch = FileWatch([file])
    file.write_text("1")
    assert looks(watch, file) == [False, True, False]
    file.unlink()
    assert looks(watch, file) == [False, True, False]


def test_a_newly_watched_file_has_not_changed(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.touch()
    two.touch()
    watch = FileWatch([one])
    assert looks(watch, one, two) == [False, False, False]
    two.write_text("1")
    assert looks(watch, one, two) == [False, True, False]
