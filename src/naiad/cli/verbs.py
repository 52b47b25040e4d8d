"""Verbs of applications: ``infer``, ``process``, ``watch``, ``simulate``, ``train``, ``weights
import``.

The commands are made from what a `Task` declares: its docstrings, and the fields of its options.
"""

from __future__ import annotations

import contextlib
import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from naiad.application import Application, application, application_in, applications
from naiad.cli.connect import connected
from naiad.cli.fields import build, options, reshaped
from naiad.cli.help import Group, make_command
from naiad.cli.options import (
    Force,
    Local,
    ModelName,
    Seconds,
    Url,
    Weights,
    server_asked,
    time_option,
)
from naiad.cli.perf_analyzer import NUMBER, OPTION, requests_command, write
from naiad.cli.stopping import Stopped, interruptible
from naiad.console import complain, progress_bar, refuse_existing, say, say_notice
from naiad.errors import NaiadError
from naiad.files import partial_path
from naiad.tasks.studies import ReadsSeries
from naiad.tasks.study_options import StudyOptions
from naiad.tasks.task import (
    Draws,
    ImportsWeights,
    Opens,
    Parses,
    Simulates,
    Task,
    Trains,
    WritesFiles,
)
from naiad.tasks.truth import HasTruth

Command: TypeAlias = "Callable[..., None]"
Kind: TypeAlias = "type[Task[Any, Any]]"

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def group(verb: str, about: str) -> typer.Typer:
    """Return the group ``naiad VERB``, with a command for every application that has the verb."""
    build = BUILDERS[verb]
    imports = verb == "import_weights"

    class Verb(Group):
        def list_commands(self, ctx: Any) -> list[str]:
            derived = {app.name for app in applications() if _command(app, build) is not None}
            return sorted(
                {*super().list_commands(ctx), *derived, *(_families() if imports else ())}
            )

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            found = _application(cmd_name)
            if found is None and (own := super().get_command(ctx, cmd_name)) is not None:
                return own
            if found is None and imports:
                found = _families().get(cmd_name)
            if found is None and verb in ("infer", "process"):
                from naiad.tasks.tensors import task_of_model

                found = task_of_model(cmd_name)
            command = None if found is None else _command(found, build)
            if command is None and verb == "simulate":
                command = requests_command(found or cmd_name)
            return None if command is None else make_command(cmd_name, command)

    return typer.Typer(help=about, no_args_is_help=True, rich_markup_mode="rich", cls=Verb)


def _application(name: str) -> type[Application] | None:
    """Return the application of that name, or ``FILE.py:CLASS``; None for other classes."""
    return application_in(name) if ".py:" in name else application(name)


def _families() -> dict[str, Kind]:
    """Return an application by each further name under which its weights are imported."""
    return {
        name: app
        for app in applications()
        if issubclass(app, Task) and issubclass(app, ImportsWeights)
        for name in app.imported_as
    }


def _command(found: type[Application], build: Callable[[Kind], Command | None]) -> Command | None:
    return build(found) if issubclass(found, Task) else None


def infer_command(kind: Kind) -> Command:
    """Make ``naiad infer NAME``."""
    singular = kind.unit.removesuffix("s").upper()

    def infer(**given: Any) -> None:
        from naiad.tasks.inference import Inference, infer

        task = kind()
        server = server_asked(given["url"], local=given["local"], weights=given["weights"])
        what = Inference(
            task=task,
            options=build(kind.Options, given),
            paths=[Path(path) for path in given.get("paths") or given.get("file") or []],
            typed=given.get("texts") or [],
            chosen=parse_slice(given.get("chosen"), kind.unit),
            output=given["output"],
            plot=given.get("plot"),
            truth=given.get("truth", False),
            model=given["model"],
            drawing=build(kind.DrawOptions, given) if issubclass(kind, Draws) else None,
            concurrency=given["concurrency"],
            timeout=given["timeout"],
            force=given["force"],
            studies=build(StudyOptions, given) if issubclass(kind, ReadsSeries) else None,
        )
        inputs = what.inputs()
        served = kind.name if application(kind.name) is kind else kind.pipeline
        try:
            with (
                interruptible(once=True),
                connected(served, server, timeout=what.timeout, weights=given["weights"]) as client,
            ):
                failed = infer(what, client, inputs)
        except Stopped as stop:
            complain("interrupted")
            raise typer.Exit(stop.status) from None
        if failed:
            raise typer.Exit(1)

    parameters: list[inspect.Parameter] = []
    if issubclass(kind, Parses):
        parameters += [
            _argument(
                "texts",
                list[str],
                typer.Argument(metavar=f"{kind.argument}...", help=f"The {kind.unit}."),
                default=None,
            ),
            _option(
                "file",
                list[Path],
                typer.Option(
                    "--file",
                    "-f",
                    metavar="FILE",
                    help=f"File of {kind.unit}, one per line (-: stdin); may be repeated.",
                ),
                None,
            ),
        ]
    else:
        endings = ", ".join(kind.suffixes)
        parameters.append(
            _argument(
                "paths",
                list[Path],
                typer.Argument(
                    metavar=f"{singular if not issubclass(kind, Opens) else 'FILE'}...",
                    help=f"Files ({endings}) and folders of them.",
                    show_default=False,
                ),
                # Studies may take their place.
                **({"default": None} if issubclass(kind, ReadsSeries) else {}),
            )
        )
    parameters += options(kind.Options)
    if issubclass(kind, Opens):
        parameters.append(
            _option(
                "chosen",
                str | None,
                typer.Option(
                    f"--{kind.unit}",
                    metavar="FIRST:STOP[:STEP]",
                    help=f"Process these {kind.unit} of each file, counted from 0: a Python slice "
                    "or a single number.",
                ),
                None,
            )
        )
    files = ", beside the files that the results are" if issubclass(kind, WritesFiles) else ""
    formats = ", ".join(dict.fromkeys([*kind.formats, ".csv", ".parquet"]))
    parameters.append(
        _option(
            "output",
            Path | None,
            typer.Option(
                "--output",
                "-o",
                metavar="PATH",
                help=f"Write results to a file ({formats}), or to a folder with a file for each "
                f"input{files}.",
            ),
            None,
        )
    )
    has_truth = issubclass(kind, HasTruth)
    if has_truth:
        also = "; with --plot, draw it" if issubclass(kind, Draws) else ""
        parameters.append(
            _option(
                "truth",
                bool,
                typer.Option(
                    "--truth", help=f"Compare with the truth in the inputs, where known{also}."
                ),
                False,
            )
        )
    if issubclass(kind, Draws):
        parameters.append(
            _option(
                "plot",
                Path | None,
                typer.Option(
                    metavar="PATH",
                    help="Draw results to a picture (.png, .svg, .pdf), or to a folder with one "
                    f"picture for each of the {kind.unit}.",
                ),
                None,
            )
        )
        drawing = options(kind.DrawOptions)
        parameters += [one for one in drawing if one.name != "truth" or not has_truth]
    parameters += _server(kind)
    if issubclass(kind, ReadsSeries):
        parameters += options(StudyOptions)
    return _made(infer, parameters, _help(kind))


def process_command(kind: Kind) -> Command | None:
    """Make ``naiad process NAME``, for applications whose units are in files."""
    if not kind.suffixes:
        return None
    from naiad.cli.process import command_of
    from naiad.tasks.bulk import TaskBulk
    from naiad.tasks.study_bulk import StudyBulk

    reads_series = issubclass(kind, ReadsSeries)
    return command_of(
        kind,
        kind.Options,
        lambda options: TaskBulk(kind(), options),
        TaskBulk(kind(), None).suffixes,
        kind.example,
        (lambda *given: StudyBulk(kind(), *given)) if reads_series else None,
    )


def simulate_command(kind: Kind) -> Command | None:
    """Make ``naiad simulate NAME``."""
    if not issubclass(kind, Simulates):
        return None
    made = str(kind.simulated)

    def simulate(**given: Any) -> None:
        number, path = given["number"] or kind.simulated_number, given["output"]
        if given["perf_analyzer"] is not None:
            apart = [p for p in (output, *own) if given[p.name] != p.default]
            if apart:
                raise typer.BadParameter(
                    "--perf-analyzer takes none of " + ", ".join(f"--{p.name}" for p in apart)
                )
            write(
                kind,
                given["perf_analyzer"],
                number=given["number"] or NUMBER,
                seed=given["seed"],
                force=given["force"],
            )
            return
        refuse_existing(path, given["force"])
        task: Any = kind()
        units = task.simulate(number, given["seed"], build(kind.SimulateOptions, given))
        to_file = bool(Path(kind.simulated_output).suffix)
        draft = partial_path(path) if to_file else path
        draft.parent.mkdir(parents=True, exist_ok=True)
        try:
            with progress_bar("simulating", number, unit=made) as advance:
                task.save(units, draft, advance)
            if to_file:
                draft.replace(path)
        except OSError as error:
            raise NaiadError(f"{path} cannot be written: {error.strerror or error}") from None
        say(f"wrote {number:,} {made} to ", (str(path), "bold"))

    own = options(kind.SimulateOptions)
    output = _option(
        "output",
        Path,
        typer.Option("--output", "-o", metavar="PATH", help="File or folder to write."),
        Path(kind.simulated_output),
    )
    parameters = [
        _option(
            "number",
            int | None,
            typer.Option(
                "-n",
                min=1,
                help=f"Number of {made}, or of requests with --perf-analyzer.",
                show_default=f"{kind.simulated_number}; {NUMBER} requests",
            ),
            None,
        ),
        output,
        _option(
            "seed",
            int,
            typer.Option(min=0, help=f"Random seed; the same seed gives the same {made}."),
            0,
        ),
        *own,
        _option("perf_analyzer", Path | None, OPTION, None),
        _option("force", bool, None, False, annotation=Force),
    ]
    return _made(simulate, parameters, inspect.getdoc(kind.simulate) or "")


def train_command(kind: Kind) -> Command | None:
    """Make ``naiad train NAME``."""
    if not issubclass(kind, Trains):
        return None

    def train(**given: Any) -> None:
        output = given["output"]
        refuse_existing(output, given["force"])
        task: Any = kind()
        chosen = build(kind.TrainOptions, given)
        with progress_bar("training", None, unit="steps") as advance:
            command = shlex.join(["naiad", *sys.argv[1:]])
            lines = list(task.train(output, chosen, command, advance))
        for line in lines:
            say(line)
        _say_weights(kind.name, output)

    parameters = [
        _folder("output", "Folder for the weights."),
        *options(kind.TrainOptions),
        _option("force", bool, None, False, annotation=Force),
    ]
    return _made(train, parameters, inspect.getdoc(kind.train) or "")


def import_command(kind: Kind) -> Command | None:
    """Make ``naiad weights import NAME``."""
    if not issubclass(kind, ImportsWeights):
        return None

    def import_weights(**given: Any) -> None:
        output = given["output"]
        refuse_existing(output, given["force"])
        task: Any = kind()
        chosen = build(kind.ImportOptions, given)
        for line in task.import_weights(given["source"], output, chosen):
            say(line)
        _say_weights(task.served_as(output, chosen), output)

    parameters = [
        _argument("source", Path, typer.Argument(help="Weights to import.", show_default=False)),
        _folder("output", "Folder for the weights."),
        *options(kind.ImportOptions),
        _option("force", bool, None, False, annotation=Force),
    ]
    return _made(import_weights, parameters, inspect.getdoc(kind.import_weights) or "")


def watch_command(kind: Kind) -> Command | None:
    """Make ``naiad watch NAME``, for applications whose units are scans."""
    if not issubclass(kind, ReadsSeries):
        return None
    from naiad.cli.watch import command_of

    return command_of(kind)


BUILDERS: Mapping[str, Callable[[Kind], Command | None]] = {
    "infer": infer_command,
    "process": process_command,
    "simulate": simulate_command,
    "train": train_command,
    "import_weights": import_command,
    "watch": watch_command,
}


def parse_slice(text: str | None, unit: str) -> slice:
    """Return the slice that a user typed.

    Raises:
        typer.BadParameter: it is not a slice.
    """
    if text is None:
        return slice(None)
    try:
        parts = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        parts = []
    step = parts[2] if len(parts) == 3 else 1
    if parts in ([], [None]) or len(parts) > 3 or (step is not None and step < 1):
        raise typer.BadParameter(
            f"{text!r} does not select {unit}; give FIRST:STOP such as 0:10, FIRST:STOP:STEP with "
            "a step of 1 or more, or one number",
            param_hint=f"--{unit}",
        )
    if len(parts) == 1:
        (only,) = parts
        return slice(only, None if only == -1 else (only or 0) + 1)
    return slice(*parts)


def _server(kind: Kind) -> list[inspect.Parameter]:
    unit = kind.unit
    return [
        _option("url", str, None, "localhost:8001", annotation=Url),
        _option("local", bool, None, False, annotation=Local),
        _option("weights", Path, None, None, annotation=Weights),
        _option("model", str, None, None, annotation=ModelName),
        _option(
            "concurrency",
            int,
            typer.Option(
                min=1,
                help=f"Number of {unit if kind.group == 1 else 'requests'} sent to the server at "
                "once.",
            ),
            kind.concurrency,
        ),
        _option(
            "timeout",
            float,
            None,
            Seconds(kind.timeout),
            annotation=Annotated[float, time_option("Maximum time for a request.")],
        ),
        _option("force", bool, None, False, annotation=Force),
    ]


def _option(
    name: str, kind: Any, option: Any, default: Any, *, annotation: Any = None
) -> inspect.Parameter:
    return inspect.Parameter(
        name, _KEYWORD, default=default, annotation=annotation or Annotated[kind, option]
    )


def _argument(
    name: str, kind: Any, argument: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name, _POSITIONAL, default=default, annotation=Annotated[kind, argument]
    )


def _folder(name: str, about: str) -> inspect.Parameter:
    option = typer.Option(f"--{name}", "-o", metavar="DIR", help=about)
    return _option(name, Path, option, inspect.Parameter.empty)


def _made(command: Command, parameters: list[inspect.Parameter], about: str) -> Command:
    arguments = [p for p in parameters if p.kind is _POSITIONAL]
    required = [
        p for p in parameters if p.kind is _KEYWORD and p.default is inspect.Parameter.empty
    ]
    others = [p for p in parameters if p not in arguments and p not in required]
    command = reshaped(command, [*arguments, *required, *others])
    command.__doc__ = about
    return command


def _help(kind: Kind) -> str:
    return f"""{inspect.getdoc(kind) or kind.summary}

Units that cannot be read, or that the model refuses, are reported and do not stop the others; the
exit status is then 1.
"""


def _say_weights(name: str, folder: Path) -> None:
    where = shlex.quote(str(folder))
    say("wrote ", (str(folder), "bold"), f"; serve it: naiad serve {name} --weights {where}")
    from naiad.card import ModelCard, read_card

    with contextlib.suppress(NaiadError):
        say_notice(read_card(folder, ModelCard).notice)
