"""The models of StackLens: each with ``fit``, its own questions, ``save``, ``load`` and
``export_onnx``. docs/models has a page for each.

>>> from stacklens import models
>>> vae = models.AnomalyVAE(width=8, hidden=(16,), latent=2)
>>> x = numpy.random.default_rng(0).normal(size=(200, 8)).astype("float32")
>>> history = vae.fit(x, epochs=3)
>>> scores, flags = vae.predict(x[:2])
>>> scores.shape
(2,)
"""

from __future__ import annotations

from ._estimator import Estimator, load
from .anomalies import AnomalyVAE
from .decisions import ResolutionDQN
from .entities import Entity, NerTagger, PieceWindows
from .errors import AttendedPieces, ErrorReport, StackLensTransformer
from .graphs import SystemEstimate, SystemGraphGNN
from .log_keys import Detection, LogKeyLSTM
from .sequences import ErrorFlowLSTM, ErrorWindows, Forecast
from .texts import SentimentClassifier, TicketClassifier, TicketLabels
from .translation import Seq2Seq, Translation
from .words import WordVectors

__all__ = [
    "AnomalyVAE",
    "AttendedPieces",
    "Detection",
    "Entity",
    "ErrorFlowLSTM",
    "ErrorReport",
    "ErrorWindows",
    "Estimator",
    "Forecast",
    "LogKeyLSTM",
    "NerTagger",
    "PieceWindows",
    "ResolutionDQN",
    "SentimentClassifier",
    "Seq2Seq",
    "StackLensTransformer",
    "SystemEstimate",
    "SystemGraphGNN",
    "TicketClassifier",
    "TicketLabels",
    "Translation",
    "WordVectors",
    "load",
]
