import pytest

from tests import system
from tests.system import Part


@pytest.fixture
def commands(monkeypatch):
    """What would have been run; nothing is, and nothing works."""
    said = []
    monkeypatch.setattr(system, "succeeds", lambda *command: bool(said.append(command)))
    return said


def test_says_nothing_and_runs_nothing_where_all_is_there(commands):
    assert system.main() is None
    assert commands == []


def test_says_in_one_line_what_cannot_be_installed(commands, monkeypatch):
    parts = [
        Part("Sundial", ("sundial", "gnomon"), bool),
        Part("Python", ("python3",), lambda: True),
    ]
    monkeypatch.setattr(system, "PARTS", parts)
    assert system.main() == (
        "The tests need Sundial: install the packages sundial gnomon and try again."
    )


def test_installs_with_apt_after_one_update(monkeypatch):
    said = []
    monkeypatch.setattr(system.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system, "succeeds", lambda *command: not said.append(command))
    monkeypatch.setattr(system.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system, "is_debian", bool)
    assert system.install_with_apt(["sundial"])
    asked, update, install = said
    assert asked == ("sudo", "-n", "true")
    assert update[-1] == "update"
    assert install[:2] == ("sudo", "-n")
    assert install[-1] == "sundial"


def test_falls_back_to_playwrights_own_browser(commands, monkeypatch):
    monkeypatch.setattr(system, "PARTS", [Part("Chromium", ("chromium",), bool)])
    monkeypatch.setattr(system, "has_chromium", bool)
    monkeypatch.setattr(system, "is_debian", bool)
    assert "Chromium" in system.main()
    assert [command[-3:] for command in commands] == [("playwright", "install", "chromium")]


def test_looks_after_those_that_are_named_and_no_others(commands, monkeypatch):
    parts = [Part("Sundial", ("sundial",), bool), Part("Hourglass", ("hourglass",), bool)]
    monkeypatch.setattr(system, "PARTS", parts)
    assert system.main("Hourglass") == (
        "This needs Hourglass: install the packages hourglass and try again."
    )
    assert not any("sundial" in command for command in commands)
