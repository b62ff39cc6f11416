"""Names and values in a file that people write: YAML, JSON, or TOML.

Stricter than its parsers, which silently take the last of two equal names and read some numbers as others: in such a
file stands what is paid.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from firsthandapi._base.host import replacing
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

# Aliases can turn a few lines into more values than fit into memory.
_MOST_VALUES = 100_000
# YAML 1.1 reads the price 050 as 40, the postal code 01067 as 567, and 1:30 as 90.
_OTHER_BASE = re.compile(r"[-+]?0_*[0-7]|.*:")


def read_spec(path: Path, example: str, prefix: str = "") -> dict[str, Any]:
    """What a file contains.

    Args:
        path: the file; its ending says which of the three it is, and YAML is what any other is taken for.
        example: a line of such a file, for errors.
        prefix: what errors begin with.

    Raises ConfigurationError: it cannot be read, or is not a mapping of names to values.
    """
    return parse_spec(_content(path, prefix), path, example, prefix)


def parse_spec(text: str, path: Path, example: str, prefix: str = "") -> dict[str, Any]:
    """What a file contains, of which `text` is the content.
    Raises ConfigurationError: it is not a mapping of names to values.
    """
    parsers: dict[str, tuple[str, Callable[[str], Any]]] = {
        ".json": ("JSON", _json),
        ".toml": ("TOML", _toml),
    }
    kind, parse = parsers.get(path.suffix.lower(), ("YAML", _yaml))
    try:
        value = parse(text)
    except RecursionError:
        raise ConfigurationError(f"{prefix}{path} is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"{prefix}{path} is not valid {kind}: {error}") from None
    except ImportError:
        raise _without_yaml(f"{prefix}{path}") from None
    fields: dict[Any, Any] = value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType] # checked below
    if not fields or not all(isinstance(name, str) for name in fields):
        raise ConfigurationError(f"{prefix}{path} must contain names and values, such as `{example}`")
    return fields


def write_spec(path: Path, fields: dict[str, Any]) -> None:
    """Write names and values into a file, in one step: JSON or YAML, by its ending.
    Raises InvalidArgumentError: it has neither ending.
    Raises ConfigurationError: it cannot be written.
    """
    ending = path.suffix.lower()
    if ending == ".json":
        text = json.dumps(fields, ensure_ascii=False, indent=2) + "\n"
    elif ending in (".yaml", ".yml"):
        text = _as_yaml(path, fields)
    else:
        raise InvalidArgumentError("path must end in .yaml, .yml, or .json", field="path")
    try:
        replacing.replace(path, text.encode())
    except OSError as error:
        raise ConfigurationError(f"could not write {path}: {error.strerror}") from None


def _as_yaml(path: Path, fields: dict[str, Any]) -> str:
    try:
        import yaml
    except ImportError:
        raise _without_yaml(f"{path}") from None
    text: str = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False)
    return text


def _without_yaml(file: str) -> ConfigurationError:
    return ConfigurationError(f"{file} is YAML, which needs an extra: pip install 'firsthandapi[cli]'")


def _content(path: Path, prefix: str) -> str:
    try:
        # Editors on Windows write a byte order mark first.
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # a NUL in a path is a ValueError, as is a text that is not UTF-8
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"{prefix}could not read {path}: {reason}") from None


def _json(text: str) -> Any:
    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_twice(name for name, _ in pairs)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=mapping)


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    import yaml

    try:
        loader: Any = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _check_yaml(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    except (LookupError, TypeError, AttributeError):  # PyYAML raises these for `!!bool maybe` and the like
        raise ValueError("a value does not match its tag") from None


def _check_yaml(root: Any) -> None:
    import yaml

    waiting, seen = [root], 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > _MOST_VALUES:  # a value that contains itself also ends here
            raise ValueError(f"with its aliases, it has more than {_MOST_VALUES:,} values")
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif node.tag.endswith(":int") and _OTHER_BASE.match(node.value):
            raise ValueError(
                f"line {node.start_mark.line + 1}: YAML does not read {node.value[:20]} as the decimal number that it "
                "looks like; quote it if it is text"
            )


def _refuse_twice(names: Iterable[str]) -> None:
    """Refuse a name that occurs twice: parsers silently use the last one, which may be the wrong price."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]} occurs twice")
