"""Golden files: safetensors, written so that equal contents give equal bytes."""

import json
import struct

KINDS = {"float32": "F32", "float64": "F64", "int64": "I64", "int32": "I32", "bool": "BOOL",
         "uint8": "U8"}


def write_safetensors(path, arrays, metadata):
    """Writes NumPy arrays by name, in their order, behind a header of strings."""
    header = {"__metadata__": metadata}
    data = b""
    for name, array in arrays.items():
        content = array.tobytes()
        header[name] = {"dtype": KINDS[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
