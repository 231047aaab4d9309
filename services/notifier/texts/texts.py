"""Templates: found, checked against the fields of their kind, and rendered; sandboxed, nothing undefined.

A template is a text file `<kind>.txt` in English with `{% trans %}`, or `<kind>.<language>.txt` for one language; its
first line is the title. A market's folder comes before the templates here, and its `<language>.po` adds to theirs.
"""

import traceback
from pathlib import Path
from typing import Any, Final

import msgspec
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notifier.policy.purposes import Kind
from services.notifier.texts.catalogue import BadCatalogue, Catalogue, read_catalogue
from services.notifier.texts.fields import SAMPLES, samples_of
from services.notifier.texts.money import money

LANGUAGES: Final = ("en", "zh")
TEXT_MAX_CHARS: Final = 64 * 1024
TITLE_MAX_CHARS: Final = 200
_OWN: Final = Path(__file__).with_name("templates")
_ALWAYS: Final = frozenset({"member"})


class BadTemplate(ValueError):
    """A template that cannot be used; the message names the template, the line and the field."""


class Text(msgspec.Struct, frozen=True):
    """What a message says."""

    title: str
    body: str


class Texts:
    """All templates of one market in all languages."""

    def __init__(self, folder: Path | None = None, language: str = "en") -> None:
        """Load and check every template. Raises BadTemplate naming what cannot be used."""
        self._folder = folder
        self._language = language
        if language not in LANGUAGES:
            raise BadTemplate(f"there are no texts in {language!r}: expected one of {', '.join(LANGUAGES)}")
        if folder is not None and not folder.is_dir():
            raise BadTemplate(f"the folder of templates {folder} is not there")
        self._environments = {each: self._environment(each) for each in LANGUAGES}
        self._templates = {(kind, each): self._load(kind, each) for kind in Kind for each in LANGUAGES}

    def language_of(self, wanted: str) -> str:
        """Return the language that comes nearest to a member's (`zh-CN`), else the market's."""
        base = wanted.replace("_", "-").partition("-")[0].lower()
        return base if base in LANGUAGES else self._language

    def render(self, kind: Kind, fields: dict[str, Any], member: str, language: str) -> Text:
        """Return what a member is told in a language. Raises BadTemplate when the template does not bear it."""
        path, template = self._templates[(kind, self.language_of(language))]
        try:
            return _text_in(template.render(**fields, member=member))
        # A template may raise anything; whatever it is, it is the template that must be looked at.
        except Exception as error:  # noqa: BLE001
            raise BadTemplate(f"{path}{_line_of(error, path)}: {_sentence(error)}") from None

    def snippet(self, source: str, where: str, kind: Kind, language: str) -> "Snippet":
        """Return a short template that stands in the configuration at `where`, checked. Raises BadTemplate."""
        environment = self._environments[self.language_of(language)]
        _check_names(environment, source, where, kind)
        snippet = Snippet(environment.from_string(source), where)
        for sample in samples_of(kind):
            snippet.render(sample, "m-1")
        return snippet

    def _environment(self, language: str) -> ImmutableSandboxedEnvironment:
        # These are texts, not pages: there is nothing to escape. What a channel forbids, the channel refuses.
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        messages: dict[str, str] = {}
        for folder in (_OWN, self._folder):
            path = folder / f"{language}.po" if folder is not None else None
            if path is not None and path.is_file():
                try:
                    messages |= read_catalogue(path)
                except BadCatalogue as error:
                    raise BadTemplate(str(error)) from None
        environment.install_gettext_translations(Catalogue(messages), newstyle=True)  # type: ignore[attr-defined]
        environment.policies["ext.i18n.trimmed"] = True
        environment.filters["money"] = lambda amount_minor, currency: money(amount_minor, currency, language)
        return environment

    def _load(self, kind: Kind, language: str) -> tuple[Path, Any]:
        path = self._path(kind, language)
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadTemplate(f"the template {path} cannot be read: {error}") from None
        environment = self._environments[language]
        _check_names(environment, source, str(path), kind)
        code = environment.compile(source, filename=str(path))
        template = environment.template_class.from_code(environment, code, environment.make_globals(None))
        for sample in samples_of(kind):
            try:
                _text_in(template.render(**sample, member="m-1"))
            # A template may raise anything; whatever it is, it must not be used.
            except Exception as error:  # noqa: BLE001
                raise BadTemplate(f"{path}{_line_of(error, path)}: {_sentence(error)}") from None
        return path, template

    def _path(self, kind: Kind, language: str) -> Path:
        names = (f"{kind}.{language}.txt", f"{kind}.txt")
        found = [self._folder / name for name in names] if self._folder is not None else []
        return next((path for path in found if path.is_file()), _OWN / f"{kind}.txt")


class Snippet:
    """A short template of the configuration."""

    def __init__(self, template: Any, where: str) -> None:
        self._template = template
        self._where = where

    def render(self, fields: dict[str, Any], member: str) -> str:
        """Return the text. Raises BadTemplate when the template does not bear the fields."""
        try:
            return str(self._template.render(**fields, member=member)).strip()
        # As for whole templates.
        except Exception as error:  # noqa: BLE001
            raise BadTemplate(f"{self._where}: {_sentence(error)}") from None


def _check_names(environment: ImmutableSandboxedEnvironment, source: str, where: str, kind: Kind) -> None:
    try:
        tree = environment.parse(source)
        # Compiling finds filters and tests that do not exist.
        environment.compile(source)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{where}, line {error.lineno}: {error.message}") from None
    unknown = meta.find_undeclared_variables(tree) - SAMPLES[kind].keys() - _ALWAYS - environment.globals.keys()
    if unknown:
        line, name = min((node.lineno, node.name) for node in tree.find_all(nodes.Name) if node.name in unknown)
        raise BadTemplate(
            f"{where}, line {line}: names the field {name!r}, which a notice {str(kind)!r} does not have; "
            f"it has {', '.join(sorted([*SAMPLES[kind], *_ALWAYS]))}"
        )


def _text_in(rendered: str) -> Text:
    title, _, body = rendered.strip().partition("\n")
    if not title.strip():
        raise BadTemplate("the first line, which is the title, is empty")
    if len(title) > TITLE_MAX_CHARS or len(body) > TEXT_MAX_CHARS:
        raise BadTemplate(f"longer than {TITLE_MAX_CHARS} characters of title or {TEXT_MAX_CHARS} of text")
    return Text(title.strip(), body.strip() + "\n")


def _line_of(error: Exception, path: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _sentence(error: Exception) -> str:
    if isinstance(error, UndefinedError):
        return f"names what is not there: {error.message}"
    if isinstance(error, TemplateError):
        return str(error.message)
    return f"{type(error).__name__}: {error}" if not isinstance(error, BadTemplate) else str(error)
