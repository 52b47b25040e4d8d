"""Requests to a DICOMweb archive: asked again where that may help; errors say what to do."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from naiad.backoff import Backoff
from naiad.dicom.access import ArchiveAccess
from naiad.errors import InvalidInput, MissingExtra, NaiadError, NotAllowed, Unavailable

try:
    import requests
    from dicomweb_client.web import DICOMwebClient
    from pydicom.dataset import Dataset
    from pydicom.errors import InvalidDicomError
    from requests.adapters import HTTPAdapter
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
_SAID: Final = 200  # characters of an archive's answer in messages
_ADVICE: Final = {
    401: "give credentials in NAIAD_PACS_USER, NAIAD_PACS_TOKEN or --pacs-auth",
    403: "its administrator must allow this user to do so",
    404: "check the URL, which ends in the DICOMweb root such as /dicom-web, and the UID",
    409: "it refuses what was sent; its log says why",
    413: "it takes no instance of this size; its administrator can raise the limit",
    507: "it is full",
}


class Web:
    """A session with an archive.

    Attributes:
        client: of dicomweb-client, whose calls are made by :meth:`asked`.
    """

    def __init__(self, url: str, access: ArchiveAccess) -> None:
        """Connect to nothing yet; errors as of `naiad.dicom.archive.Archive`."""
        self.url = url
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
        # Even without credentials, as requests would take others from ~/.netrc.
        self._session.auth = _Prepared(access.headers_to(self.url))
        if access.pacs_ca is not None:
            self._session.mount("https://", _Trusting(access.pacs_ca))
        try:
            self.client = DICOMwebClient(
                self.url,
                session=self._session,
                chunk_size=_CHUNK,
                timeout=(min(access.pacs_timeout, 30.0), access.pacs_timeout),
            )
        except ValueError as error:
            raise InvalidInput(f"{url}: {error}; a URL is as https://host/dicom-web") from None
        self.client.set_http_retry_params(retry=False)  # `asked` tries again
        self._retries = access.pacs_retries

    def close(self) -> None:
        """Close connections."""
        self._session.close()

    def pages(
        self,
        path: str,
        search: Callable[..., list[dict[str, dict[str, Any]]]],
        missing: list[dict[str, dict[str, Any]]] | None = None,
    ) -> Iterator[Dataset]:
        """Yield what a search finds, page by page, each once; or ``missing`` if there is none."""
        seen: set[str] = set()
        while True:
            page = self.asked(path, lambda: search(limit=_PAGE, offset=len(seen)), missing=missing)
            before = len(seen)
            for one in page:
                found = self.parsed(path, one)
                key = str(found.get("SeriesInstanceUID") or found.get("StudyInstanceUID") or one)
                if key not in seen:
                    seen.add(key)
                    yield found
            # Archives may send fewer than asked for. One that knows no offset sends the same again.
            if len(seen) == before:
                return

    def parsed(self, path: str, one: Any) -> Dataset:
        """Return an entry of an answer.

        Raises:
            InvalidInput: it is not DICOM's JSON.
        """
        try:
            return Dataset.from_json(one)
        except Exception as error:  # pydicom raises nearly anything for JSON that is not DICOM's
            raise InvalidInput(
                f"{self.url}/{path} answers JSON that is not DICOM's: {short(error)}"
            ) from error

    def asked(self, path: str, ask: Callable[[], T], *, missing: T | None = None) -> T:
        """Ask, and ask again after a while as long as later may be better.

        Args:
            path: of the resource, for messages.
            ask: makes the request.
            missing: to return if there is no such resource.

        Raises:
            Unavailable, NotAllowed, InvalidInput: as of `naiad.dicom.source.Source`.
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
                f"{url}: the archive's certificate is not trusted ({short(error)}); give its "
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
            raise InvalidInput(f"{url}: {short(error)}") from None
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise NaiadError(f"{url} cannot be written here: {error.strerror}") from error
            raise InvalidInput(f"{url} answers what is not DICOMweb: {short(error)}") from error
        except InvalidDicomError as error:
            raise InvalidInput(f"{url} answers what is not DICOM: {short(error)}") from error

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


class _Trusting(HTTPAdapter):
    """Connections that trust one authority.

    A session's ``verify`` would not do: the environment's REQUESTS_CA_BUNDLE goes before it.
    """

    def __init__(self, authority: Path) -> None:
        super().__init__()
        self._authority = str(authority)

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        """Send a request; verify by the authority."""
        return super().send(request, *args, **(options | {"verify": self._authority}))


class _Prepared(AuthBase):
    """The last touch to each request: credentials, and wild cards as they are.

    Orthanc's plugin 1.7 takes ``%2A`` for these three characters.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, r: Any) -> Any:
        """Change the request."""
        path, mark, query = str(r.url).partition("?")
        r.url = path + mark + query.replace("%2A", "*").replace("%3F", "?")
        r.headers.update(self._headers)
        return r


def _cause(error: requests.RequestException) -> str:
    """Return the reason in the errors that urllib3 wraps."""
    inner: Any = error
    while (deeper := getattr(inner, "reason", None) or next(iter(inner.args), None)) is not None:
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return short(inner).rpartition(": ")[2]


def short(error: BaseException) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split())[:_SAID] or type(error).__name__
