"""The reference shows each method as callers meet it: with every key of its `**options: Unpack[…]`.

A griffe extension, named in zensical.toml. Names and order come from the package itself, as `help()` has them.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe

KEYWORD = griffe.ParameterKind.keyword_only


class PublicMethods(griffe.Extension):
    """Completes the methods of the client and of its resources."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        if pkg.name != "firsthandapi":
            return
        annotations = {
            name: member.annotation
            for typed_dict in pkg["types.options"].classes.values()
            if not typed_dict.is_alias
            for name, member in typed_dict.attributes.items()
            if member.docstring  # what is no TypedDict has none there
        }
        for module in [pkg["_sync.client"], *pkg["_sync.resources"].modules.values()]:
            for cls in module.classes.values():
                if cls.is_alias:
                    continue
                for name, function in cls.functions.items():
                    if name[0] != "_" and any(
                        p.kind is griffe.ParameterKind.var_keyword for p in function.parameters
                    ):
                        complete(function, annotations)


def complete(function: griffe.Function, annotations: dict[str, Any]) -> None:
    method = resolve(function.path)
    written = {parameter.name: parameter for parameter in function.parameters}
    function.parameters = griffe.Parameters(
        *(
            written.get(name)
            or griffe.Parameter(name, annotation=annotations[name], kind=KEYWORD, default="None")
            for name in inspect.signature(method).parameters
        )
    )


def resolve(path: str) -> Any:
    """The function at a dotted path, as it is in its class: with `self` or `cls`."""
    module, class_name, name = path.rsplit(".", 2)
    member = vars(getattr(import_module(module), class_name))[name]
    return member.__func__ if isinstance(member, classmethod) else member
