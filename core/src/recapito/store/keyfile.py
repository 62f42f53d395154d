"""Keys in a file that only its owner may read."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.secret import Secret
from recapito.store.files import make_private_folder
from recapito.store.location import key_file
from recapito.texts import Phrase

__all__ = ["KeyFile"]


class KeyFile:
    """Keys one a line, the newest first, in a file of mode 0600 (the configuration folder's, unless said)."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or key_file()

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    def read(self) -> Secret | None:
        """The file's content. Raises Misconfigured: KEY-FILE-OPEN where others have rights, KEY-SOURCE."""
        try:
            with self._path.open(encoding="ascii") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if os.name == "posix" and mode & 0o077:
                    raise Misconfigured(problem("KEY-FILE-OPEN", file=self._path, mode=f"{mode:04o}"))
                return Secret(file.read()) if os.fstat(file.fileno()).st_size else None
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise Misconfigured(
                problem("KEY-FORMAT", place=self.place, reason=Phrase("it is not plain text"))
            ) from None
        except OSError as exc:
            raise self._fault(exc) from exc

    def add(self, key: Secret, *, only_first: bool = False) -> bool:
        """Write the file anew and put it in the old one's place, so that it is whole at every moment."""
        try:
            make_private_folder(self._path.parent)
            with _locked(self._path):
                present = self.read()
                if not (only_first and present):
                    _replace(self._path, key, present)
        except OSError as exc:
            raise self._fault(exc) from exc
        return True

    def _fault(self, exc: OSError) -> Misconfigured:
        return Misconfigured(problem("KEY-SOURCE", place=self.place, reason=exc.strerror or str(exc)))


def _replace(path: Path, key: Secret, present: Secret | None) -> None:
    new = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.reveal() + "\n" + (present.reveal() if present else ""))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    if os.name == "posix":  # only there can a folder be opened, and must be, for its new entry to be durable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time change the file; where there is no flock, replacing it must be enough."""
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
