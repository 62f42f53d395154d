"""Where things lie on this machine: the database in the user's data folder, keys in the configuration folder."""

import os
from pathlib import Path

__all__ = ["config_folder", "data_folder", "default_database_file", "default_database_url", "key_file"]


def data_folder() -> Path:
    """The folder of the user's own database; it need not exist. ``RECAPITO_HOME`` moves both folders into it."""
    if home := os.environ.get("RECAPITO_HOME"):
        return Path(home).absolute() / "data"
    from platformdirs import user_data_path

    return user_data_path("recapito", appauthor=False)


def config_folder() -> Path:
    """The folder of ``recapito.toml`` and the key file; it need not exist, and never holds the database."""
    if home := os.environ.get("RECAPITO_HOME"):
        return Path(home).absolute() / "config"
    from platformdirs import user_config_path

    folder = user_config_path("recapito", appauthor=False)
    # macOS and Windows have one folder for both: who copies the database must not copy the keys with it.
    return folder if folder != data_folder() else folder / "config"


def default_database_file() -> Path:
    """The user's own SQLite file, which the command line makes."""
    return data_folder() / "recapito.db"


def default_database_url() -> str:
    """The URL of :func:`default_database_file`."""
    return f"sqlite:///{default_database_file()}"


def key_file() -> Path:
    """The file with the keys that encrypt secrets, one a line."""
    return config_folder() / "keys"
