"""The command line: small commands beside Snakemake, thin over the library.

Exit codes: 0 all is well, 1 the verdict is FAIL, 2 wrong usage, configuration or run.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from phenoprints import __version__
from phenoprints.cli.terminal import printable_output
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.printable import escaped
from phenoprints.foundations.publishing import storage_error

COMMANDS = {
    "check": "Read a configuration and its tables as a run does, and report what it would take.",
    "new": "Write a commented configuration for a kind of screen.",
    "verify": "Compare every artefact of a run with its provenance.",
    "explain": "Print where a file came from, back to the inputs.",
    "report": "Write the pages of a run from what it has left so far.",
    "freeze": "Make a reference of a map, that new screens can be matched with.",
    "diff": "Say what changed between two manifests, by step and reason.",
    "export-atlas": "Write the maps of a run as a folder that a browser opens from disk.",
    "plan": "Predict how many phenoprints each design of a screen would find.",
    "export-dataset": "Write a manifest as a folder that others load unchanged.",
    "export-embeddings": "Write embeddings as AnnData, profiles or in the Gallery's layout.",
    "export-crate": "Describe a run as a Workflow Run RO-Crate.",
}
OK, FAIL, ERROR = 0, 1, 2
CAUSES_OF_READING = (errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE)
"""Refusals of the system that concern reading too; what is written names itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; a traceback is shown only with `--debug`."""
    words = parser().parse_args(arguments)
    command = import_module(f"phenoprints.cli.{words.command.replace('-', '_')}")
    try:
        with printable_output():
            if words.command.startswith("export"):
                _name_stale(words.run)
            return int(command.run(words))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return OK
    except Exception as error:
        if words.debug:
            raise
        print(f"phenoprints {words.command}: {_described(error)}", file=sys.stderr)
        return ERROR


def _name_stale(run: str) -> None:
    """Name what is stale in a run, before it is given to others."""
    from phenoprints.cli.runs import run_folder
    from phenoprints.configuration.freezing import thaw
    from phenoprints.freshness import stale_artefacts

    folder = run_folder(run)
    with suppress(PhenoprintsError):  # without a configuration there is nothing to compare with
        for each in stale_artefacts(folder, thaw(folder / "config.json")):
            print(f"CHECK  stale: {escaped(each.line(folder))}", file=sys.stderr)


def _described(error: Exception) -> str:
    """Return what a user reads of an error: what the system refused, or that it is a defect."""
    if isinstance(error, PhenoprintsError):
        return str(error)
    named = getattr(error, "filename", None)
    if isinstance(error, OSError) and named is not None:
        told = storage_error(named, error)
        if told is not None and error.errno not in CAUSES_OF_READING:
            return str(told)
        return escaped(f"{named}: cannot be read: {error.strerror}")
    if isinstance(error, OSError):
        return escaped(f"a file cannot be read: {error}")
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}).\n  To fix: use a machine with more memory."
    return escaped(
        f"unexpected {type(error).__name__}: {error}\n"
        f"  This is a defect; `phenoprints --debug …` prints where it is."
    )


def parser() -> argparse.ArgumentParser:
    """Return the arguments of every command."""
    top = argparse.ArgumentParser(
        prog="phenoprints",
        description="Curated training sets, encoders, embeddings and maps from Cell Painting "
        "screens. The workflow itself is run by `snakemake`.",
    )
    top.add_argument("--version", action="version", version=f"phenoprints {__version__}")
    top.add_argument("--debug", action="store_true", help="show a traceback with errors")
    subparsers = top.add_subparsers(dest="command", metavar="command", required=True)
    for name, help_text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=help_text, description=help_text)
        _ARGUMENTS[name](subparser)
    return top


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="+", help="YAML files; later ones are laid over earlier")
    parser.add_argument("--no-read", action="store_true", help="do not read the screens' tables")


def _new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="kind of screen, such as profiles-table or harmony")
    parser.add_argument("--name", default="my-screen", help="name of the screen and the run")
    parser.add_argument("-o", "--output", help="file to write; without it, standard output")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    parser.add_argument(
        "--images", action="store_true", help="compare all image files, however many"
    )


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="an artefact of a run (file or folder)")
    parser.add_argument("--forward", action="store_true", help="what was made from it, instead")
    parser.add_argument("--settings", action="store_true", help="show every setting of each step")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    parser.add_argument("-o", "--output", help="folder of the pages; reports-so-far in the run's")


def _freeze(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    parser.add_argument("screen", help="name of the screen")
    parser.add_argument("encoder", help="name of the encoder")
    parser.add_argument("-o", "--output", required=True, help="folder of the reference; not there")
    parser.add_argument(
        "--license", default="", help="licence of the screen's data, such as CC-BY-4.0"
    )
    parser.add_argument("--name", help="name of the reference; run/screen/encoder by default")


def _diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", help="folder of a manifest, results/<run>/curation/<manifest>")
    parser.add_argument("second", help="folder of the other manifest")


def _export_atlas(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    parser.add_argument("-o", "--output", required=True, help="folder to make")
    parser.add_argument("--screen", help="only maps of this screen")
    parser.add_argument("--encoder", help="only maps of this encoder")
    parser.add_argument(
        "--images", type=int, default=200, metavar="COUNT",
        help="perturbations of each map that get images; the most consistent ones (200)",
    )  # fmt: skip


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pilot",
        help="a run, a table of aligned vectors (.parquet), assumptions (.yaml), or a preset: "
        "bbbc021, simulated",
    )
    parser.add_argument("--designs", required=True, help="YAML file with a list of designs")
    parser.add_argument("--screen", help="screen of the run, where it has several")
    parser.add_argument("--encoder", help="encoder of the run, where it has several")
    parser.add_argument("--budget", type=int, action="append", help="most wells; may be repeated")
    parser.add_argument("--p-value", type=float, default=0.01, help="threshold of a phenoprint")
    parser.add_argument("-o", "--output", default="plan", help="folder to make")


def _export_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    parser.add_argument("manifest", help="name of the manifest")
    parser.add_argument("-o", "--output", required=True, help="folder to make")
    parser.add_argument("--images", action="store_true", help="copy the images, not only locators")
    parser.add_argument("--name", help="name of the data set; without it, that of run and manifest")
    parser.add_argument("--creator", default="unknown", help="who made the data set")
    parser.add_argument("--cite", help="how to cite the data set")
    parser.add_argument("--url", help="where the data set is described")
    parser.add_argument("--date", help="date of publication; without it, that of the manifest")
    _license(parser)


def _export_embeddings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    parser.add_argument("screen", help="name of the screen")
    parser.add_argument("encoder", help="name of the encoder")
    parser.add_argument("--to", choices=["anndata", "profiles", "gallery"], default="anndata")
    parser.add_argument("--aligned", action="store_true", help="as the run aligned them")
    parser.add_argument("-o", "--output", help="file, or folder for the Gallery's layout")
    _license(parser)


def _export_crate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="name of a run below results/, or its folder")
    _license(parser)


def _license(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--license",
        default="No licence is stated for the results; that of the screens' images applies.",
        help="address (https://spdx.org/licenses/…) or sentence on the use of the results",
    )


_ARGUMENTS = {
    "check": _check,
    "new": _new,
    "verify": _verify,
    "explain": _explain,
    "report": _report,
    "freeze": _freeze,
    "diff": _diff,
    "export-atlas": _export_atlas,
    "plan": _plan,
    "export-dataset": _export_dataset,
    "export-embeddings": _export_embeddings,
    "export-crate": _export_crate,
}
