"""An int8 ONNX model: weights in 8 bits, what flows through it quantised as it runs.

What that costs in score only a benchmark can say; the parity figures say how far the numbers move.
"""

from pathlib import Path

from ml_core.convert.to_onnx import FOLDER, compare, export, open_for_export
from ml_core.convert.working import Done, Work, count
from ml_core.errors import Code, UserError

FILE = "model_quantized.onnx"
QUANTISED = ("MatMul", "Gemm", "Gather")
IN_EIGHT_BITS = frozenset({"MatMulInteger", "DynamicQuantizeMatMul", "DequantizeLinear"})
COMPARED = "scores of torch in float32 against int8 in onnxruntime; told, not judged"


def convert(work: Work) -> Done:
    """Raises UserError: `unsupported_model`, `parity_failed`, …"""
    checkpoint = open_for_export(work)
    plain = work.scratch / "plain" / "model.onnx"
    made = export(work, checkpoint, plain)
    work.notes.append(
        f"before quantisation the ONNX model differed from torch by up to "
        f"{made.parity.max_difference:.3g}"
    )
    target = work.out / FOLDER / FILE
    target.parent.mkdir(parents=True)
    _quantise(plain, target)
    return Done(
        architecture=type(made.model).__name__,
        parameters=count(made.model),
        dtype="int8",
        source_format="safetensors",
        parity=compare(made.face, made.samples, target, COMPARED, relative=None),
        read=tuple(checkpoint.folder / name for name in checkpoint.weights.files),
        carry_from=(work.source,),
    )


def _quantise(plain: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]  # ships none
        QuantType,
        quantize_dynamic,
    )

    try:
        quantize_dynamic(
            plain, target, op_types_to_quantize=list(QUANTISED), weight_type=QuantType.QInt8
        )
    except Exception as error:  # of a graph that the quantiser was not written for
        text = " ".join(str(error).split())[:300]
        raise UserError(
            Code.UNSUPPORTED_MODEL, f"onnxruntime cannot quantise the model: {text}"
        ) from error
    nodes = onnx.load(target, load_external_data=False).graph.node
    if not any(node.op_type in IN_EIGHT_BITS for node in nodes):
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            "There is nothing in this model to quantise: it has no matrix products with weights.",
        )
