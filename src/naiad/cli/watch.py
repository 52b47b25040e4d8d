"""``naiad watch NAME``: ask about new studies in an archive as they arrive; send results back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from naiad.application import application
from naiad.cli import verbs
from naiad.cli.connect import connected
from naiad.cli.fields import build, options, reshaped
from naiad.cli.options import Local, ModelName, Seconds, Url, Weights, server_asked, time_option
from naiad.cli.stopping import Stopped, finishing
from naiad.console import complain, errors, say, say_notice
from naiad.core.fields import setting
from naiad.dicom.places import is_url, open_sink, open_source
from naiad.errors import InvalidInput
from naiad.tasks.studies import StudyCall
from naiad.tasks.study_options import PANEL, StudyOptions
from naiad.watch.settings import WatchSettings

if TYPE_CHECKING:
    from naiad.tasks.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """Options of a watch that are not of the model."""

    settings: WatchSettings = setting(WatchSettings(), "How to watch.")
    studies: StudyOptions = setting(StudyOptions(), "Which studies.", panel=PANEL)


def command_of(kind: type[Task[Any, Any]]) -> Callable[..., None]:
    """Make ``naiad watch NAME`` for an application whose units are scans."""

    def watch(**given: Any) -> None:
        chosen, asked = build(_Options, given), build(kind.Options, given)
        server = server_asked(given["url"], local=given["local"], weights=given["weights"])
        source, sink = _places(chosen.studies)
        served = kind.name if application(kind.name) is kind else kind.pipeline
        try:
            with (
                finishing(_say_stopping) as stop,
                connected(
                    served,
                    server,
                    timeout=given["timeout"],
                    weights=given["weights"],
                    supervised=True,
                ) as client,
            ):
                name = given["model"] or kind.model_on(client)
                work = {"task": kind.name, "model": name, "--from": source, "--to": sink}

                def call() -> StudyCall:
                    return StudyCall(
                        kind.client_of(client.model(name)), asked, timeout=given["timeout"]
                    )

                whole = _watch(call, work, chosen, stop)
        except Stopped as stopped:
            complain("Stopped. The same command goes on with the study that was in hand.")
            raise typer.Exit(stopped.status) from None
        if chosen.settings.once and not whole:
            raise typer.Exit(1)

    watch.__doc__ = f"""Ask {kind.name} about each new study in an archive; send the results back.

    Studies that the rules take are fetched once they are complete, asked about
    one after the other, and answered by a segmentation, a report and a picture
    in DICOM, which refer to the images. Each study is answered exactly once,
    across restarts and crashes: the journal remembers what was done. Ctrl-C
    ends after the study in hand.

    [bold]Examples[/]

      naiad watch {kind.name} --from https://pacs/dicom-web --to https://ai/dicom-web
      naiad watch {kind.name} --from URL --to URL --journal ct.db --every 10s --local
      naiad watch {kind.name} --from URL --to research/ --deidentify --once
    """
    shown = Annotated[float, time_option("Maximum time for a request.")]
    model = [
        _option("url", Url, "localhost:8001"),
        _option("local", Local, False),
        _option("weights", Weights, None),
        _option("model", ModelName, None),
        _option("timeout", shown, Seconds(kind.timeout)),
    ]
    return reshaped(watch, [*options(_Options), *options(kind.Options), *model])


def _watch(
    call: Callable[[], StudyCall], work: Mapping[str, str], chosen: _Options, stop: Event
) -> bool:
    """Watch until ``stop`` is set; return whether nothing failed."""
    from naiad.watch.audit_log import AuditLog
    from naiad.watch.journal import Journal
    from naiad.watch.watching import Watch

    settings, studies = chosen.settings, chosen.studies
    source, sink = work["--from"], work["--to"]
    work = {**work, "--deidentify": str(studies.privacy.deidentify).lower()}
    with ExitStack() as stack:
        audit = AuditLog(settings.audit_file)
        journal = stack.enter_context(closing(Journal(settings.journal, audit, work)))
        watch = Watch(
            stack.enter_context(closing(open_source(source, studies.access))),
            call,
            stack.enter_context(closing(open_sink(sink, studies.access))),
            journal,
            settings,
            rules=studies.rules,
            queries=studies.queries(),
            kinds=studies.kinds,
            privacy=studies.privacy.opened(journal.secret),
            images=studies.privacy.deidentified_images,
            say=_say_line,
        )
        say_notice(call().model.notice())
        say(f"watching {source}; journal ", (str(settings.journal), "bold"))
        status = stack.enter_context(errors.status("looking for studies"))
        watch.on_round = lambda: status.update(_counted(journal))
        try:
            return watch.run(stop)
        finally:
            say(_counted(journal))


def _places(studies: StudyOptions) -> tuple[str, str]:
    """Return the archive to watch, and where results go.

    Raises:
        InvalidInput: one is missing, or the options do not fit each other.
    """
    if studies.source is None or studies.to is None:
        raise InvalidInput(
            "give the archive to watch with --from, and a place for results with --to"
        )
    studies.check(paths=False)
    if not is_url(studies.source):
        raise InvalidInput(
            f"--from {studies.source}: only a DICOMweb archive can be watched, such as "
            "https://host/dicom-web; for a folder there is naiad infer --from"
        )
    if studies.privacy.deidentified_images and studies.source.rstrip("/") == studies.to.rstrip("/"):
        raise InvalidInput(
            f"{studies.source} would get the de-identified images as new studies, to be watched in "
            "turn; send them elsewhere with --to"
        )
    return studies.source, studies.to


def _counted(journal: Any) -> str:
    """Return the number of studies in each state, in words."""
    counts = journal.counts()
    waiting = sum(counts.pop(state, 0) for state in ("found", "fetched", "answered", "sending"))
    parts = [f"{counts[state]:,} {state}" for state in ("sent", "left out") if state in counts]
    parts += [f"{waiting:,} waiting"] if waiting else []
    parts += [f"{counts['failed']:,} failed"] if "failed" in counts else []
    return f"studies: {', '.join(parts) or 'none yet'}"


def _say_line(text: str, failed: bool) -> None:
    complain(text) if failed else say(text)


def _say_stopping() -> None:
    complain("Stopping after the study in hand; press Ctrl-C again to stop at once.")


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


app = verbs.group("watch", "Ask about new studies in an archive as they arrive; send results back.")
