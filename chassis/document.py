"""YAML text to plain data: duplicate keys found, `${NAME}` taken from the environment.

The environment is put into parsed scalars, so that no value can become YAML of its own. What comes from
there is text; fields for numbers, booleans, durations, sizes and percentages read text as well. An empty
variable counts as unset where there is a default. `$${` is a literal `${`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from chassis.shape import join

_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_]\w*)(?P<otherwise>:-(?P<default>[^}]*))?\}|\$\{", re.ASCII)


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong with a configuration: where, and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass
class Document:
    """What a text holds, and what is wrong with it before any model has seen it."""

    data: Any = None
    mistakes: list[Mistake] = field(default_factory=list)


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Parses `text`, then fills in the environment. Never raises: all mistakes are in the document."""
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _find_duplicates(node, "", document.mistakes, ())
            document.data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        document.mistakes.append(_syntax(error, text))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.mistakes.append(Mistake(f"line {line}", f"not valid YAML: {error.reason}"))
    except (ValueError, RecursionError) as error:  # an impossible date, nesting without end
        document.mistakes.append(Mistake("", f"not valid YAML: {error}"))
    if not document.mistakes or document.data is not None:
        document.data = _substitute(document.data, environ, "", document.mistakes)
    return document


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    problem = " ".join(part for part in (error.context, error.problem) if part)
    if mark is None:
        return Mistake("", f"not valid YAML: {problem}")
    lines = text.splitlines()[mark.line : mark.line + 1]
    hint = "; inside {} put ${NAME} into quotes" if any("${" in line for line in lines) else ""
    return Mistake(f"line {mark.line + 1}", f"not valid YAML: {problem}{hint}")


def _find_duplicates(node: yaml.Node, path: str, mistakes: list[Mistake], above: tuple[int, ...]) -> None:
    if id(node) in above:
        raise yaml.constructor.ConstructorError(None, None, "an alias refers to itself", node.start_mark)
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _find_duplicates(item, join(path, index), mistakes, above)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[tuple[str, str], tuple[int, yaml.Node]] = {}
        for key, value in node.value:
            below = join(path, key.value if isinstance(key.value, str) else "?")
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                first = seen.setdefault((key.tag, key.value), (line, key))
                if first[1] is not key:
                    mistakes.append(Mistake(below, f"given twice, in lines {first[0]} and {line}; keep one"))
            _find_duplicates(value, below, mistakes, above)


def _substitute(value: Any, environ: Mapping[str, str], path: str, mistakes: list[Mistake]) -> Any:
    if isinstance(value, dict):
        return {key: _substitute(each, environ, join(path, key), mistakes) for key, each in value.items()}
    if isinstance(value, list):
        return [_substitute(each, environ, join(path, i), mistakes) for i, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = match["name"]
        if name is None:
            mistakes.append(Mistake(path, "'${' begins no ${NAME} or ${NAME:-default}; a literal one is $${"))
        elif name in environ and (environ[name] or match["otherwise"] is None):
            return environ[name]
        elif match["otherwise"] is not None:
            return match["default"]
        else:
            mistakes.append(Mistake(path, f"the environment has no {name}; set it or write ${{{name}:-default}}"))
        return match[0]

    return _VARIABLE.sub(replace, value)
