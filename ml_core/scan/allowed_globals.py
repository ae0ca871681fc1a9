"""Which names a pickle may import: those needed to rebuild tensors, arrays and plain values.

An allow-list, because deny-lists lose: `DANGEROUS` only grades what is refused anyway.

Source: torch's own list for `weights_only=True` (torch/_weights_only_unpickler.py), numpy's
`__reduce__` forms, and plain value types of the standard library. What is listed here can be
called with any arguments without running code, importing modules or touching files.
"""

import _compat_pickle
import sys
from collections.abc import Mapping

from ml_core.scan.report import Severity

_STORAGES = tuple(
    f"{kind}Storage"
    for kind in (
        "Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double",
        "ComplexFloat", "ComplexDouble", "QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4",
    )
)  # fmt: skip
_TENSORS = tuple(
    f"{kind}Tensor"
    for kind in (
        "Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "BFloat16", "Float", "Double",
    )
)  # fmt: skip
_TORCH_DTYPES = (
    "float", "float16", "float32", "float64", "half", "double", "bfloat16", "int", "short",
    "long", "bool", "complex32", "complex64", "complex128", "qint8", "quint8", "qint32",
    "quint4x2", "quint2x4", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e8m0fnu", "float4_e2m1fn_x2", "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2",
    *(f"int{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64)),
    *(f"uint{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64)),
)  # fmt: skip
_QSCHEMES = (
    "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)  # fmt: skip
_REBUILDERS = (
    "_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_tensor",
    "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_sparse_tensor",
    "_rebuild_meta_tensor_no_storage", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass",
    "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor",
)  # fmt: skip
_PLAIN_TYPES = (
    "set", "frozenset", "bytearray", "bytes", "complex", "list", "dict", "tuple", "int", "float",
    "str", "bool", "object", "slice", "range",
)  # fmt: skip
_NUMPY_TYPES = (
    "dtype", "ndarray", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "float16", "float32", "float64", "complex64", "complex128", "str_", "bytes_",
    "datetime64", "timedelta64", "longlong", "ulonglong",
)  # fmt: skip
_NUMPY_DTYPES = tuple(
    f"{kind}DType"
    for kind in (
        "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
        "Float16", "Float32", "Float64", "Complex64", "Complex128", "Str", "Bytes", "DateTime64",
        "TimeDelta64", "Void", "Object", "LongLong", "ULongLong",
    )
)  # fmt: skip

ALLOWED: Mapping[str, frozenset[str]] = {
    module: frozenset(names)
    for module, names in {
        "collections": ("OrderedDict", "Counter", "defaultdict", "deque"),
        "builtins": _PLAIN_TYPES,
        "__builtin__": (*_PLAIN_TYPES, "long", "unicode", "xrange"),
        "_codecs": ("encode",),
        "copyreg": ("_reconstructor",),
        "copy_reg": ("_reconstructor",),
        "datetime": ("datetime", "date", "time", "timedelta", "timezone"),
        "decimal": ("Decimal",),
        "fractions": ("Fraction",),
        "argparse": ("Namespace",),
        "types": ("SimpleNamespace",),
        "uuid": ("UUID",),
        "torch": (
            "Size", "Tensor", "device", "dtype", *_STORAGES, *_TENSORS, *_TORCH_DTYPES, *_QSCHEMES,
        ),
        "torch.cuda": (*_STORAGES, *_TENSORS),
        "torch.cuda.sparse": _TENSORS,
        "torch.sparse": _TENSORS,
        "torch.storage": ("TypedStorage", "UntypedStorage"),
        "torch.nn.parameter": ("Parameter", "Buffer"),
        "torch._utils": _REBUILDERS,
        "torch._tensor": ("_rebuild_from_type_v2", "Tensor"),
        "torch.serialization": ("_get_layout",),
        "numpy": _NUMPY_TYPES,
        "numpy.dtypes": _NUMPY_DTYPES,
        "numpy.core.multiarray": ("_reconstruct", "scalar"),
        "numpy._core.multiarray": ("_reconstruct", "scalar"),
        "numpy.core.numeric": ("_frombuffer",),
        "numpy._core.numeric": ("_frombuffer",),
    }.items()
}  # fmt: skip

DANGEROUS: frozenset[str] = frozenset(
    {
        "__builtin__", "builtins", "commands", "nt", "posix", "pip", "setuptools", "distutils",
        "cloudpickle", "dill", "requests", "aiohttp", "httpx", "paramiko", "numpy.f2py",
        "numpy.testing", "numpy.distutils", "numpy.ctypeslib", "torch.utils.collect_env",
        "torch.utils.bottleneck", "torch.utils.cpp_extension", "torch.utils.data.datapipes",
        "torch.utils._config_module", "torch.hub", "torch._inductor", "torch._dynamo",
        "torch.fx", "torch.jit.unsupported_tensor_ops", "torch.package", "torch.distributed.run",
        "torch.multiprocessing", "torch.testing", "torch.ops", "torch.classes", "pandas.io",
        "pandas.core.computation", "sympy", "jinja2",
        "ctypes", "cffi", "fsspec", "huggingface_hub", "tensorflow", "keras",
    }
)  # fmt: skip
DANGEROUS_NAMES: Mapping[str, frozenset[str]] = {
    "torch": frozenset({"load", "compile", "hub", "ops", "classes", "jit", "os", "sys"}),
    "torch.serialization": frozenset({"load", "_load", "_legacy_load"}),
    "torch.storage": frozenset({"_load_from_bytes"}),
    "torch.jit": frozenset({"load", "script", "trace"}),
    "numpy": frozenset({"load", "save", "savez", "fromfile", "memmap", "genfromtxt", "loadtxt"}),
    "pandas": frozenset({"read_pickle", "eval"}),
    "joblib": frozenset({"load"}),
}


def is_allowed(module: str, name: str) -> bool:
    """Whether exactly this name of exactly this module is on the list."""
    return name in ALLOWED.get(module, frozenset())


def severity_of(module: str, name: str) -> Severity:
    """`INFO` for allowed names, `DANGER` for known ways to run code, else `WARNING`.

    Every name of the standard library that is not allowed counts as a way to run code, also in
    the spelling of Python 2, which unpickling translates.
    """
    if is_allowed(module, name):
        return Severity.INFO
    spellings = {
        (module, name),
        _compat_pickle.NAME_MAPPING.get((module, name), (module, name)),
        (_compat_pickle.IMPORT_MAPPING.get(module, module), name),
    }
    if any(_is_dangerous(*spelling) for spelling in spellings):
        return Severity.DANGER
    return Severity.WARNING


def _is_dangerous(module: str, name: str) -> bool:
    parts = module.split(".")
    parents = {".".join(parts[: n + 1]) for n in range(len(parts))}
    return (
        parts[0] in sys.stdlib_module_names
        or not parents.isdisjoint(DANGEROUS)
        or name.split(".", maxsplit=1)[0] in DANGEROUS_NAMES.get(module, frozenset())
        or not set(name.split(".")).isdisjoint(_CODE_NAMES)
    )


_CODE_NAMES = frozenset(
    {
        "eval", "exec", "execfile", "system", "popen", "Popen", "__import__", "import_module",
        "run_module", "__globals__", "__builtins__", "__subclasses__", "__class__", "__code__",
        "loads", "getattr", "runcode", "spawn",
    }
)  # fmt: skip
