"""C++ header with a pipeline's request and answer as structs, for the library in clients/cpp."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from naiad import __version__
from naiad.core.schema import BYTES, REQUESTS, Schema, Tensor
from naiad.errors import SchemaError

if TYPE_CHECKING:
    from naiad.core.pipeline import Pipeline

_TYPES: Final = {
    # std::vector<bool> has no addressable elements.
    "bool": "std::uint8_t",
    **{f"{sign}int{bits}": f"std::{sign}int{bits}_t" for sign in ("u", "") for bits in (8, 16, 32)},
    **{f"{sign}int64": f"std::{sign}int64_t" for sign in ("u", "")},
    "float16": "Half",
    "float32": "float",
    "float64": "double",
    BYTES: "std::string",
}

_RESERVED: Final = frozenset(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
    class compl const const_cast constexpr continue decltype default delete do double dynamic_cast
    else enum explicit export extern false float for friend goto if inline int long mutable
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename union unsigned using virtual
    void volatile wchar_t while xor xor_eq
    from model schema tensors Array DataType Half Input Schema Tensor
    """.split()  # noqa: SIM905 - the last line has names that every struct has or uses
)


def header(pipeline: type[Pipeline], source: str) -> str:
    """Return the header of a pipeline, named ``source`` on the command line.

    Raises:
        SchemaError: the model's name cannot be made a C++ name.
    """
    name = struct_name(pipeline.name)
    about = " ".join((pipeline.__doc__ or "").split("\n\n")[0].split())
    return "\n".join(
        [
            f"// {about}" if about else f"// The model {pipeline.name}.",
            "//",
            f"// Written by `naiad codegen cpp {source}` of Naiad {__version__}. Do not edit.",
            "#pragma once",
            "",
            "#include <naiad/model.hpp>",
            "",
            "namespace naiad::models {",
            "",
            "/// Tensors of a request.",
            f"struct {name}Input {{",
            f'  static constexpr const char* model = "{pipeline.name}";',
            "",
            *_members(pipeline.inputs),
            *_schema(pipeline.inputs),
            "  std::vector<Input> tensors() const {",
            "    std::vector<Input> tensors;",
            *(
                f"    add_tensor(tensors, schema()[{number}], {field});"
                for number, field in enumerate(fields(pipeline.inputs).values())
            ),
            "    return tensors;",
            "  }",
            "};",
            "",
            "/// Tensors of an answer.",
            f"struct {name}Output {{",
            *_members(pipeline.outputs),
            *_schema(pipeline.outputs),
            f"  static {name}Output from(const std::vector<Tensor>& tensors) {{",
            f"    {name}Output output;",
            *(
                f'    read_tensor(tensors, "{tensor}", output.{field});'
                for tensor, field in fields(pipeline.outputs).items()
            ),
            "    return output;",
            "  }",
            "};",
            "",
            f"using {name} = Model<{name}Input, {name}Output>;",
            "",
            "}  // namespace naiad::models",
            "",
        ]
    )


def struct_name(model: str) -> str:
    """Return the name of a model's struct: ``MyModel`` for ``my_model``.

    Raises:
        SchemaError: nothing of the name is left, or it begins with a digit.
    """
    parts = re.findall("[A-Za-z0-9]+", model)
    name = "".join(part[0].upper() + part[1:] for part in parts)
    if not name or name[0].isdigit():
        raise SchemaError(
            f"the model name {model!r} cannot be made a C++ name; it must begin with a letter"
        )
    return name


def fields(schema: Schema) -> dict[str, str]:
    """Return the member name of each tensor: its name without characters invalid in C++."""
    taken: dict[str, str] = {}
    for name in schema:
        # Names with two underscores in a row are reserved.
        field = re.sub("_+", "_", re.sub("[^A-Za-z0-9]", "_", name)).strip("_") or "tensor"
        if field[0].isdigit() or field in _RESERVED:
            field = f"t_{field}"
        while field in taken.values():
            field += "_2"
        taken[name] = field
    return taken


def _members(schema: Schema) -> Iterator[str]:
    for name, field in fields(schema).items():
        yield from (f"  /// {line}" for line in _about(name, schema[name]))
        yield f"  {_type(schema[name])} {field};"
    yield ""


def _type(tensor: Tensor) -> str:
    element = _TYPES[tensor.dtype]
    flat = len(tensor.dims) == 1 and isinstance(tensor.dims[0], str)
    whole = f"std::vector<{element}>" if flat else f"Array<{element}>"
    return f"std::optional<{whole}>" if tensor.optional else whole


def _about(name: str, tensor: Tensor) -> Iterator[str]:
    yield from wrap(" ".join(_facts(name, tensor)), width=92)


def _facts(name: str, tensor: Tensor) -> Iterator[str]:
    facts = [f"`{name}`, {tensor.shape_text()}"]
    if tensor.unit:
        facts.append(f"in {tensor.unit}")
    yield ", ".join(facts) + (f": {tensor.doc}" if tensor.doc else "")
    rules = []
    if tensor.dtype == "bool":
        rules.append("0 or 1")
    if tensor.categories is not None:
        rules.append(", ".join(f"{value} {label}" for value, label in tensor.categories.items()))
    if tensor.minimum is not None:
        rules.append(f"at least {tensor.minimum:g}")
    if tensor.maximum is not None:
        rules.append(f"at most {tensor.maximum:g}")
    if tensor.unique:
        rules.append("no value twice")
    if targets := tensor.index_targets():
        rules.append(f"positions in {', '.join(targets)}")
    if tensor.optional:
        default = "" if tensor.default is None else f", by default {tensor.default!r}"
        rules.append(f"may be left out{default}")
    if rules:
        yield f"({'; '.join(rules)})"


def _schema(schema: Schema) -> Iterator[str]:
    yield "  static const Schema& schema() {"
    yield "    static const Schema schema{"
    for name, tensor in schema.items():
        dims = ", ".join(
            "1" if dim == REQUESTS else f'"{dim}"' if isinstance(dim, str) else str(dim)
            for dim in tensor.dims
        )
        optional = ", true" if tensor.optional else ""
        yield f'        {{"{name}", DataType::{tensor.triton}, {{{dims}}}{optional}}},'
    yield "    };"
    yield "    return schema;"
    yield "  }"
    yield ""
