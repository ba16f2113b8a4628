"""The forest that is timed: scikit-learn's, written by skl2onnx."""

from __future__ import annotations

from pathlib import Path


def write(path: Path) -> None:
    """A classifier of 100 trees on 30 features, grown on 5,000 rows."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = make_classification(
        n_samples=5000, n_features=30, n_informative=15, n_classes=3, random_state=7
    )
    forest = RandomForestClassifier(n_estimators=100, random_state=7).fit(rows, labels)
    model = to_onnx(
        forest, initial_types=[("x", FloatTensorType([None, 30]))], target_opset=17,
        options={"zipmap": False},
    )
    path.write_bytes(model.SerializeToString())
