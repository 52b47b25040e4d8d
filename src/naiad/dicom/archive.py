"""A DICOMweb archive: QIDO-RS finds studies, WADO-RS fetches them, STOW-RS stores results."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from naiad.backoff import Backoff
from naiad.dicom.access import ArchiveAccess
from naiad.dicom.headers import best, choose, smaller, takes_one
from naiad.dicom.rules import About, LeftOut, Rules
from naiad.dicom.sink import Reference, is_report_on
from naiad.dicom.source import Fetched, Query, SeriesFolder, Study
from naiad.errors import InvalidInput, MissingExtra, NaiadError, NotAllowed, Unavailable

try:
    import requests
    from dicomweb_client.web import DICOMwebClient
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset
    from pydicom.errors import InvalidDicomError
    from requests.auth import AuthBase
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "dicomweb_client") from error

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")

_PAGE: Final = 100  # studies or series per request
_CHUNK: Final = 1 << 20  # bytes that are read, or sent, at once
_BACKOFF: Final = Backoff(0.5, 30.0, jitter=0.25)
_LATER: Final = (408, 425, 429, 500, 502, 503, 504, 507)  # statuses of which later may be better
_FEW: Final = 8  # instances of a series that may have many frames each
_DUPLICATE: Final = 0x0111  # failure reason: the instance is stored already
_ANY: Final = (("application/dicom", "*"),)  # as stored, not decompressed by the archive
_SAID: Final = 200  # characters of an archive's answer in messages

_ADVICE: Final = {
    401: "give credentials in NAIAD_PACS_USER, NAIAD_PACS_TOKEN or --pacs-auth",
    403: "its administrator must allow this user to do so",
    404: "check the URL, which ends in the DICOMweb root such as /dicom-web, and the UID",
    409: "it refuses what was sent; its log says why",
    413: "it takes no instance of this size; its administrator can raise the limit",
    507: "it is full",
}


class Archive:
    """A `Source` and a `Sink` at a DICOMweb URL."""

    def __init__(self, url: str, access: ArchiveAccess | None = None) -> None:
        """Connect to nothing yet.

        Args:
            url: of the DICOMweb root, such as ``https://host/dicom-web``.
            access: credentials and limits.

        Raises:
            InvalidInput: the URL has a password in it, the file of an authority is missing, or
                credentials would travel unencrypted.
        """
        access = access or ArchiveAccess()
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise InvalidInput(
                f"{parts.scheme}://...@{parts.hostname}: other users of this machine can see a "
                "password in a URL; put it into NAIAD_PACS_USER or a file (--pacs-auth)"
            )
        if not parts.hostname:
            raise InvalidInput(f"{url} has no host; a URL is as https://host/dicom-web")
        if access.pacs_ca is not None and not access.pacs_ca.is_file():
            raise InvalidInput(f"--pacs-ca {access.pacs_ca}: no such file")
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/dicom+json"
        headers = access.headers_to(self.url)
        if headers:
            self._session.auth = _Header(headers)  # or requests may take another from ~/.netrc
        if access.pacs_ca is not None:
            self._session.verify = str(access.pacs_ca)
        try:
            self._web = DICOMwebClient(
                self.url,
                session=self._session,
                chunk_size=_CHUNK,
                timeout=(min(access.pacs_timeout, 30.0), access.pacs_timeout),
            )
        except ValueError as error:
            raise InvalidInput(f"{url}: {error}; a URL is as https://host/dicom-web") from None
        self._web.set_http_retry_params(retry=False)  # `_asked` tries again
        self._retries = access.pacs_retries

    def studies(self, query: Query) -> Iterator[Study]:
        """Yield the studies that match; errors as of `Source.studies`."""
        filters = dict(query.filters)
        for name in filters:
            if tag_for_keyword(name) is None:  # archives leave out what they do not know
                raise InvalidInput(
                    f"{name} is no attribute of DICOM's; give its keyword, as PatientID"
                )
        if query.study is not None:
            filters["StudyInstanceUID"] = query.study
        if query.modality is not None:
            filters["ModalitiesInStudy"] = query.modality
        if query.dates is not None:
            filters["StudyDate"] = query.dates
        fields = ["ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
        pages = self._pages(
            "studies",
            lambda **page: self._web.search_for_studies(
                search_filters=filters, fields=fields, **page
            ),
        )
        for one in islice(pages, query.most):
            uid = str(one.get("StudyInstanceUID", ""))
            if not uid:
                raise InvalidInput(f"{self.url}/studies lists a study without a StudyInstanceUID")
            if query.study not in (None, uid):  # an archive that leaves out a filter
                continue
            yield Study(
                uid,
                str(one.get("StudyDate") or ""),
                _texts(one.get("ModalitiesInStudy")),
                int(one.get("NumberOfStudyRelatedInstances") or 0),
            )

    def series(self, study: Study) -> list[About]:
        """Return the series of a study.

        Raises:
            NaiadError: as of `Source.fetch`.
        """
        fields = ["SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesNumber"]
        found = self._pages(
            f"studies/{study.uid}/series",
            lambda **page: self._web.search_for_series(study.uid, fields=fields, **page),
            missing=[],
        )
        return [_about(one) for one in found]

    def fetch(self, study: Study, folder: Path, rules: Rules) -> Fetched:
        """Fetch the chosen series; errors as of `Source.fetch`."""
        known = self.series(study)
        if not known:
            raise InvalidInput(f"{self.url} has no study {study.uid}, or none of its series")
        taken: list[SeriesFolder] = []
        left: list[LeftOut] = []
        # The largest first: a smaller one need not be fetched.
        for number, about in enumerate(sorted(known, key=lambda one: -one.images)):
            if reason := rules.refuses(about):
                left.append(LeftOut(about, reason))
                continue
            most = max((one.about for one in taken), key=lambda one: one.images, default=None)
            if takes_one(rules) and most and _FEW < about.images <= most.images:
                left.append(smaller(about, most))
                continue
            place = folder / f"series{number:03}"
            files = self._asked(
                f"studies/{study.uid}/series/{about.uid}",
                lambda about=about, place=place: self.download(study.uid, about, place),
            )
            found = choose(place, files, about, rules)
            if isinstance(found, SeriesFolder):
                taken.append(found)
            else:
                left.append(found)
        taken, others = best(taken, rules)
        return Fetched(study, tuple(taken), (*left, *others))

    def send(self, instances: Sequence[Dataset]) -> None:
        """Store those instances that are not stored; errors as of `Sink.send`."""
        for one in instances:
            study, uid = str(one.StudyInstanceUID), str(one.SOPInstanceUID)
            if self.has(study, uid):
                continue
            if not getattr(one, "preamble", None):
                one.preamble = b"\0" * 128  # of each file, which dicomweb-client leaves out
            answer = self._asked(
                f"studies/{study}",
                lambda one=one, study=study: self._web.store_instances([one], study),
            )
            self._check_stored(answer, study, uid)

    def has(self, study: str, instance: str) -> bool:
        """Return whether an instance is stored; errors as of `Sink.has`."""
        path = f"studies/{study}/instances"
        found = self._asked(
            path,
            lambda: self._web.search_for_instances(
                study, search_filters={"SOPInstanceUID": instance}
            ),
            missing=[],
        )
        # Not bool(found): an archive may leave out a filter.
        return any(self._parsed(path, one).get("SOPInstanceUID") == instance for one in found)

    def reports(self, study: str, series: str) -> list[Reference]:
        """Return Naiad's reports on a series; errors as of `Sink.reports`."""
        reports: list[Reference] = []
        for about in self.series(Study(study)):
            if about.modality != "SR":
                continue
            path = f"studies/{study}/series/{about.uid}/metadata"
            found = self._asked(
                path,
                lambda about=about: self._web.retrieve_series_metadata(study, about.uid),
                missing=[],
            )
            whole = (self._parsed(path, one) for one in found)
            reports += [Reference.to(one) for one in whole if is_report_on(one, series)]
        return reports

    def close(self) -> None:
        """Close connections."""
        self._session.close()

    def download(self, study: str, about: About, place: Path) -> list[Path]:
        """Write each instance of a series to a file as it arrives.

        Raises:
            Unavailable: instances are missing.
        """
        place.mkdir(parents=True, exist_ok=True)
        for before in place.iterdir():  # of a try that failed
            before.unlink()
        files: list[Path] = []
        url = f"{self.url}/studies/{study}/series/{about.uid}"
        try:
            for one in self._web.iter_series(study, about.uid, media_types=_ANY):
                if not _is_whole(one):
                    raise Unavailable(f"{url} broke off in instance {len(files) + 1:,}")
                path = place / f"{len(files):05}.dcm"
                one.save_as(path, enforce_file_format=True)
                files.append(path)
        except (ValueError, EOFError, InvalidDicomError) as error:
            if not files:
                raise
            raise Unavailable(
                f"{url} broke off after {len(files):,} instances: {_short(error)}"
            ) from error
        if len(files) < about.images:
            raise Unavailable(f"{url} sent {len(files):,} of {about.images:,} instances")
        return files

    def _check_stored(self, answer: Dataset, study: str, uid: str) -> None:
        for failed in answer.get("FailedSOPSequence") or ():
            reason = int(failed.get("FailureReason") or 0)
            if reason != _DUPLICATE:
                raise InvalidInput(
                    f"{self.url}/studies/{study} refused the instance {uid}, with failure reason "
                    f"0x{reason:04X}; its log says why"
                )
        stored = {
            str(one.get("ReferencedSOPInstanceUID"))
            for one in answer.get("ReferencedSOPSequence") or ()
        }
        if uid not in stored and not self.has(study, uid):
            raise Unavailable(f"{self.url}/studies/{study} did not store the instance {uid}")

    def _pages(
        self,
        path: str,
        search: Callable[..., list[dict[str, dict[str, Any]]]],
        missing: list[dict[str, dict[str, Any]]] | None = None,
    ) -> Iterator[Dataset]:
        """Yield what a search finds, page by page, each once; or ``missing`` if there is none."""
        seen: set[str] = set()
        while True:
            page = self._asked(path, lambda: search(limit=_PAGE, offset=len(seen)), missing=missing)
            before = len(seen)
            for one in page:
                found = self._parsed(path, one)
                key = str(found.get("SeriesInstanceUID") or found.get("StudyInstanceUID") or one)
                if key not in seen:
                    seen.add(key)
                    yield found
            # Archives may send fewer than asked for. One that knows no offset sends the same again.
            if len(seen) == before:
                return

    def _parsed(self, path: str, one: Any) -> Dataset:
        try:
            return Dataset.from_json(one)
        except Exception as error:  # pydicom raises nearly anything for JSON that is not DICOM's
            raise InvalidInput(
                f"{self.url}/{path} answers JSON that is not DICOM's: {_short(error)}"
            ) from error

    def _asked(self, path: str, ask: Callable[[], T], *, missing: T | None = None) -> T:
        """Ask, and ask again after a while as long as later may be better.

        Args:
            path: of the resource, for messages.
            ask: makes the request.
            missing: to return if there is no such resource.
        """
        for failures in range(1, self._retries + 2):
            try:
                with self._errors(path):
                    return ask()
            except _NotFound:  # noqa: PERF203
                if missing is None:
                    raise
                return missing
            except Unavailable:
                if failures > self._retries:
                    raise
                time.sleep(_BACKOFF.wait(failures))
        raise AssertionError

    @contextmanager
    def _errors(self, path: str) -> Generator[None]:
        """Raise the errors of libraries as Naiad's, with the URL and what to do."""
        url = f"{self.url}/{path}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except NaiadError:
            raise
        except requests.HTTPError as error:
            raise self._refused(url, cast("Response", error.response)) from None
        except requests.exceptions.SSLError as error:
            raise InvalidInput(
                f"{url}: the archive's certificate is not trusted ({_short(error)}); give its "
                "authority with --pacs-ca"
            ) from None
        except requests.Timeout:
            raise Unavailable(
                f"{url} did not answer in time; raise --pacs-timeout if it is slow"
            ) from None
        except requests.JSONDecodeError:
            raise InvalidInput(
                f"{url} answers no JSON; is it the root of a DICOMweb archive, such as /dicom-web?"
            ) from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise Unavailable(f"{url} cannot be reached, or broke off: {_cause(error)}") from None
        except requests.RequestException as error:
            raise InvalidInput(f"{url}: {_short(error)}") from None
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise NaiadError(f"{url} cannot be written here: {error.strerror}") from error
            raise InvalidInput(f"{url} answers what is not DICOMweb: {_short(error)}") from error
        except InvalidDicomError as error:
            raise InvalidInput(f"{url} answers what is not DICOM: {_short(error)}") from error

    def _refused(self, url: str, response: Response) -> NaiadError:
        status = response.status_code
        said = " ".join(response.text[: 4 * _SAID].split())[:_SAID]
        said = "" if said.startswith("<") else said
        advice = _ADVICE.get(status, "try later" if status in _LATER else "")
        message = f"{url} answers {status} {response.reason}"
        message += f": {said}" if said else ""
        message += f"; {advice}" if advice else ""
        if status in (401, 403):
            return NotAllowed(message)
        if status in _LATER:
            return Unavailable(message)
        return _NotFound(message) if status == 404 else InvalidInput(message)


class _NotFound(InvalidInput):
    """There is no such resource."""


class _Header(AuthBase):
    """Credentials of each request."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, r: Any) -> Any:
        """Set the header."""
        r.headers.update(self._headers)
        return r


def _about(one: Dataset) -> About:
    number = one.get("SeriesNumber")
    return About(
        uid=str(one.get("SeriesInstanceUID", "")),
        modality=str(one.get("Modality") or ""),
        description=str(one.get("SeriesDescription") or ""),
        number=None if number is None else int(number),
        images=int(one.get("NumberOfSeriesRelatedInstances") or 0),
    )


def _is_whole(one: Dataset) -> bool:
    """Return whether pixels that are not compressed are all there."""
    if "PixelData" not in one or one.file_meta.TransferSyntaxUID.is_compressed:
        return True
    bits = int(one.get("BitsAllocated") or 0) * int(one.get("SamplesPerPixel") or 1)
    pixels = int(one.get("Rows") or 0) * int(one.get("Columns") or 0)
    pixels *= int(one.get("NumberOfFrames") or 1)
    subsampled = str(one.get("PhotometricInterpretation", "")).endswith("_422")
    return len(one.PixelData) >= bits * pixels // (16 if subsampled else 8)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _cause(error: requests.RequestException) -> str:
    """Return the reason in the errors that urllib3 wraps."""
    inner: Any = error
    while (deeper := getattr(inner, "reason", None) or next(iter(inner.args), None)) is not None:
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return _short(inner).rpartition(": ")[2]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:_SAID] or type(error).__name__
