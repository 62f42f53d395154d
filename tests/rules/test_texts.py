"""Every code has its texts, every text both languages, and what is installed is what was written."""

import ast
import gettext
import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from recapito.catalogue import known_codes, problem

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "core/src", *sorted((ROOT / "plugins").glob("*/src"))]
USED = re.compile(r"""\b(?:problem|Problem|own_problem)\(\s*["']([A-Z][A-Z0-9-]+)["']""")
LITERAL = re.compile(r"""["']([A-Z][A-Z0-9]+(?:-[A-Z0-9]+)+)["']""")
NO_CODES = {"CRAM-MD5", "UTF-8", "ISO-8859-1", "AES-256-GCM", "SHA-256"}
CLAIMS = re.compile(r"\b(consegnat|recapitat|delivered\b)", re.IGNORECASE)
OUTBOX_ONLY = re.compile(
    r"riproviamo da soli|da soli|aspettano|restano in attesa|is waiting|we keep trying|by itself|wait here",
    re.IGNORECASE,
)


def load_texts() -> ModuleType:
    path = ROOT / "scripts/texts.py"
    spec = importlib.util.spec_from_file_location("recapito_texts_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


texts = load_texts()
CORE = texts.packages()["recapito"]


@pytest.fixture(params=texts.LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_nothing_is_missing_fuzzy_stale_or_filled_differently() -> None:
    assert texts.complaints() == []


def test_every_code_has_what_and_do(language: str) -> None:
    known = texts.load(texts.po_path(CORE, language))
    lacking = [
        f"{code} {part}" for code in known_codes() for part in ("what", "do") if (code, part) not in known
    ]
    assert lacking == []


def test_texts_belong_to_a_code_or_to_a_face(language: str) -> None:
    contexts = {context for context, _ in texts.load(texts.po_path(CORE, language))}
    assert contexts - {"", "who", "hint", "source"} <= set(known_codes())


def test_a_code_used_in_core_is_in_the_catalogue() -> None:
    used = {
        match[1]: str(source.relative_to(ROOT))
        for source in SOURCES[0].rglob("*.py")
        for match in USED.finditer(source.read_text(encoding="utf-8"))
    }
    assert {code: place for code, place in used.items() if code not in known_codes()} == {}


def test_a_code_used_in_a_plugin_is_in_the_catalogue_or_in_its_own_texts() -> None:
    for folder in (source for source in texts.packages().values() if source != CORE):
        own = {context for context, _ in texts.load(texts.po_path(folder, "en"))}
        used = {code for source in folder.rglob("*.py") for code in USED.findall(source.read_text("utf-8"))}
        assert used - set(known_codes()) - own == set()


def test_whatever_looks_like_a_code_in_the_sources_is_one() -> None:
    own = {
        context
        for folder in texts.packages().values()
        for context, _ in texts.load(texts.po_path(folder, "en"))
    }
    looks = {
        code
        for folder in texts.packages().values()
        for source in folder.rglob("*.py")
        for code in LITERAL.findall(source.read_text("utf-8"))
    }
    assert looks - set(known_codes()) - own - NO_CODES == set()


def test_a_problem_is_made_with_all_that_its_text_shows() -> None:
    shown = [
        f"{source.relative_to(ROOT)}:{call.lineno}: {code} shows {lacking}"
        for folder in texts.packages().values()
        for source in folder.rglob("*.py")
        if "testing" not in source.parts
        for call, code in calls_of_problem(source)
        if (lacking := holes(code) - given(call))
    ]
    assert shown == []


def calls_of_problem(source: Path) -> "list[tuple[ast.Call, str]]":
    """The calls ``problem("CODE", …)`` whose parameters are all written out."""
    calls = [node for node in ast.walk(ast.parse(source.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return [
        (call, call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "problem"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and all(keyword.arg for keyword in call.keywords)
    ]


@cache
def english() -> "dict[tuple[str, str], Any]":
    return dict(texts.load(texts.po_path(CORE, "en")))


def holes(code: str) -> set[str]:
    """What the texts of ``code`` show whatever happens: the parts in [[…]] are left out."""
    said = " ".join(text.said[0] for text in english().values() if text.context == code)
    return set(re.findall(r"\{(\w+)\}", re.sub(r"\[\[.*?\]\]", "", said)))


def given(call: ast.Call) -> set[str]:
    names = {str(keyword.arg) for keyword in call.keywords}
    return names | ({"t"} if "retry_at" in names else set())


def test_no_text_claims_more_than_accepted(language: str) -> None:
    for folder in texts.packages().values():
        for text in texts.load(texts.po_path(folder, language)).values():
            assert not CLAIMS.search(" ".join(text.said)), text


def test_only_the_outbox_says_that_mail_is_waiting(language: str) -> None:
    for text in texts.load(texts.po_path(CORE, language)).values():
        if text.context in known_codes() and text.message != "do-outbox":
            assert not OUTBOX_ONLY.search(" ".join(text.said)), text


def test_who_acts_is_said_in_words(language: str) -> None:
    explained = {problem(code).explain(language).who for code in known_codes()}
    assert explained.isdisjoint({"operator", "administrator", "recipient", "nobody"})


class TestTheCheckItself:
    """``scripts/texts.py check`` on a small workspace of its own, broken in one way at a time."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "core/src/recapito"
        folder.mkdir(parents=True)
        (folder / "face.py").write_text('print(_("Ready"))\n')
        self.write(folder, "en", "Ready", "It is {n}.")
        self.write(folder, "it", "Pronto", "Sono {n}.")
        return folder

    @staticmethod
    def write(folder: Path, language: str, plain: str, what: str, *, fuzzy: bool = False) -> None:
        entries = [
            texts.Text("", "Ready", said=(plain,)),
            texts.Text("A-B", "what", said=(what,), fuzzy=fuzzy),
        ]
        texts.store(texts.po_path(folder, language), language, {text.key: text for text in entries})

    def complaints(self, folder: Path) -> str:
        return "\n".join(texts.complaints(folder.parents[2]))

    def test_is_content_with_what_is_complete(self, folder: Path) -> None:
        assert self.complaints(folder) == ""

    def test_names_what_is_not_said(self, folder: Path) -> None:
        self.write(folder, "it", "", "Sono {n}.")
        assert "recapito (it): not said: Ready" in self.complaints(folder)

    def test_names_what_is_fuzzy(self, folder: Path) -> None:
        self.write(folder, "it", "Pronto", "Sono {n}.", fuzzy=True)
        assert "fuzzy: A-B what" in self.complaints(folder)

    def test_names_placeholders_that_differ(self, folder: Path) -> None:
        self.write(folder, "it", "Pronto", "Sono {m}.")
        assert "placeholders differ: A-B what" in self.complaints(folder)

    def test_names_a_stale_compilation(self, folder: Path) -> None:
        path = texts.po_path(folder, "it")
        path.write_text(path.read_text(encoding="utf-8").replace("Pronto", "Ecco"), encoding="utf-8")
        assert "stale recapito.mo" in self.complaints(folder)

    def test_names_a_string_that_was_not_collected(self, folder: Path) -> None:
        (folder / "face.py").write_text('print(_("Ready"), _("Done"))\n')
        assert "not collected: Done" in self.complaints(folder)

    def test_names_a_text_that_one_language_lacks(self, folder: Path) -> None:
        path = texts.po_path(folder, "it")
        texts.store(path, "it", {("", "Ready"): texts.Text("", "Ready", said=("Pronto",))})
        assert "only in en: A-B what" in self.complaints(folder)


class TestAddingACode:
    """``scripts/texts.py add`` on a copy of the texts."""

    GIVEN = (
        *("add", "PIGEON-LOST", "--outcome", "not_sent", "--who", "nobody", "--scope", "message"),
        *("--en-what", "The pigeon {name} is lost.", "--en-do", "Send again."),
        *("--it-what", "Il piccione {name} si è perso.", "--it-do", "Rimanda."),
    )

    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        (tmp_path / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/texts.py", tmp_path / "scripts")
        shutil.copytree(CORE / "locale", tmp_path / "core/src/recapito/locale")
        (tmp_path / "core/src/recapito/catalogue").mkdir()
        shutil.copy(CORE / "catalogue/codes.toml", tmp_path / "core/src/recapito/catalogue")
        return tmp_path

    @staticmethod
    def run(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(copy / "scripts/texts.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)

    def test_it_has_both_languages_and_the_row_at_once(self, copy: Path) -> None:
        assert self.run(copy, *self.GIVEN).returncode == 0
        folder = copy / "core/src/recapito"
        assert 'PIGEON-LOST = "not_sent nobody message"' in (folder / "catalogue/codes.toml").read_text(
            "utf-8"
        )
        italian = gettext.translation("recapito", str(folder / "locale"), languages=["it"])
        assert italian.pgettext("PIGEON-LOST", "what") == "Il piccione {name} si è perso."
        assert "PIGEON" not in self.run(copy, "check").stderr

    def test_the_others_stay_as_they_are(self, copy: Path) -> None:
        before = (CORE / "catalogue/codes.toml").read_text("utf-8").splitlines()
        self.run(copy, *self.GIVEN)
        after = (copy / "core/src/recapito/catalogue/codes.toml").read_text("utf-8").splitlines()
        assert [line for line in after if "PIGEON" not in line] == before

    def test_a_code_that_exists_keeps_its_meaning(self, copy: Path) -> None:
        self.run(copy, *self.GIVEN)
        again = self.run(copy, *(each.replace("not_sent", "held") for each in self.GIVEN))
        assert "exists already" in again.stdout
        codes = (copy / "core/src/recapito/catalogue/codes.toml").read_text("utf-8")
        assert 'PIGEON-LOST = "not_sent' in codes

    @pytest.mark.parametrize(("old", "new"), [("PIGEON-LOST", "pigeon"), ("Rimanda.", "")])
    def test_what_is_not_whole_is_refused(self, copy: Path, old: str, new: str) -> None:
        assert self.run(copy, *(new if each == old else each for each in self.GIVEN)).returncode != 0

    def test_a_string_of_a_face_is_said(self, copy: Path) -> None:
        assert self.run(copy, "say", "Coo", "Tubare").returncode == 0
        italian = gettext.translation("recapito", str(copy / "core/src/recapito/locale"), languages=["it"])
        assert italian.gettext("Coo") == "Tubare"
