"""No setting and no path runs anything in the scripts of Slurm jobs, where nothing is quoted."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from phenoprints.configuration import load
from phenoprints.configuration.models.stages import Workers
from phenoprints.foundations import workers
from phenoprints.foundations.errors import ConfigurationError, UnsafeInputError
from phenoprints.foundations.workers import worker_pool

PLAIN = {"run": "demo", "screens": {"demo": {"source": "simulated"}}}
COMMANDS = ["$(touch${IFS}ran)", "`touch${IFS}ran`", "a;touch${IFS}ran", "a&touch${IFS}ran",
            "a|touch${IFS}ran", "a>ran", "a\ntouch ran", "a\n", "a\rb", "a b", "a'b", 'a"b', "a#b",
            "a\\b", "*", "~"]  # fmt: skip
PLACES = ["folder", "partition", "account", "interface", "extra"]
FILES = ["--output=/home/me/.bashrc", "--outp=x", "--error=x", "--open-mode=append", "--wrap=x",
         "--chdir=/", "--export=LD_PRELOAD", "--export-file=x", "--qos=a --output=x",
         "--get-user-env", "--container=x", "--uid=0", "--bb=x", "--qos=a\n--output=x"]  # fmt: skip


def setting(place: str, value: str) -> dict[str, object]:
    """The section `workers` with a value in one place."""
    return {"cluster": "slurm", place: [f"--qos={value}"] if place == "extra" else value}


@pytest.fixture
def script(monkeypatch):
    """The script of a job, up to where it would be submitted."""

    class Written(Exception):
        pass

    def keep(text: str) -> None:
        raise Written(text)

    monkeypatch.setattr(workers, "_try", keep)

    def script(**settings) -> str:
        chosen = Workers(cluster="slurm", num_jobs=1, cores=1, **settings)
        with pytest.raises(Written) as caught, worker_pool(1, chosen):
            pass
        return str(caught.value)

    return script


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", PLACES)
def test_commands_in_settings_of_workers_are_refused(place, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section = setting(place, command)
    with pytest.raises(ConfigurationError, match=rf"workers\.{place}"):
        load({**PLAIN, "workers": section})
    if place == "extra":
        section["extra"] = tuple(section["extra"])
    with (
        pytest.raises(UnsafeInputError, match=rf"workers\.{place}.*script of a Slurm job"),
        worker_pool(1, Workers.model_construct(**section)),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", FILES)
def test_options_of_sbatch_that_name_files_or_set_variables_are_refused(option):
    with pytest.raises(ConfigurationError, match=r"workers\.extra.*expected --<name>=<value>"):
        load({**PLAIN, "workers": {"cluster": "slurm", "extra": [option]}})


def test_usual_settings_of_workers_pass():
    section = yaml.safe_load(
        "{cluster: slurm, partition: 'cpu,long', account: lab_1.a, interface: 'ib0:1',"
        " folder: /scratch/me/.workers-1, extra: [--qos=long, --exclusive, --gres=gpu:a100:1,"
        " '--constraint=(a|b)&c', '--nodelist=node[01-04,7]', --mail-user=me@lab.org]}"
    )
    resolved = load({**PLAIN, "workers": section})["workers"]
    assert {key: resolved[key] for key in section} == section


@pytest.mark.parametrize("name", ["$(touch ran)", "a b", "a;b", "a`b`"])
def test_a_working_directory_that_bash_would_read_is_refused(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with (
        pytest.raises(UnsafeInputError, match=r"(?s)workers\.folder: .*start in another working"),
        worker_pool(1, Workers(cluster="slurm")),
    ):
        pass


def test_the_path_of_python_is_looked_at_too(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/home/me/$(touch ran)/bin/python")
    with (
        pytest.raises(UnsafeInputError, match=r"Python's path: .*touch ran"),
        worker_pool(1, Workers(cluster="slurm")),
    ):
        pass


def test_bash_runs_nothing_of_a_script_but_the_worker(script, tmp_path):
    text = script(
        folder=str(tmp_path / "w-1"), partition="cpu", account="lab", interface="lo",
        extra=("--constraint=(a|b)&c", "--comment=a!b"),
    )  # fmt: skip
    *_, command = text.strip().splitlines()
    echoed = text.replace(command, "printf '%s\\n' " + command)
    done = subprocess.run(["bash", "-eu"], input=echoed, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert " ".join(words) == " ".join(command.split())
    assert str(tmp_path / "w-1") in text
