"""The state vector of an error and the windows of a stream, place by place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import stacklens
from stacklens import models

HALF_HOUR = 1_800_000
#: A Sunday, 06:00 UTC.
START = 1_763_877_600_000


@pytest.fixture(scope="module")
def flow() -> models.ErrorFlowLSTM:
    return models.ErrorFlowLSTM(hidden=8, layers=1)


def unit(rows: int) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(rows, 384)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_states_place_by_place(flow: models.ErrorFlowLSTM) -> None:
    embedding = unit(4)
    # Given out of order: the third came first.
    times = [START + 60_000, START + 61_000, START, START + 61_000 + HALF_HOUR + 1]
    x = flow.states(
        embedding, times, error_id=[5, 6, 4, 7],
        text=["Disk 3 full on /dev/sda1", "disk 44 full on /mnt/x/sda1", "ok", "disk 3 full on sda1"],
        source=["api", "db", "api", "api"], severity=[0, -100, 3, 1], category=[9, 0, -100, 4],
        confidence=[0.5, 0, 0, 1], isolation=[0.7, 0, 0, 0.4],
        conditions=[[0, 1, 2, 0, 1, 2]] + [[-100] * 6] * 3, own=np.arange(128).reshape(4, 32),
    )
    assert x.shape == (4, 512)
    np.testing.assert_array_equal(x[:, :384], embedding)
    assert x[:, 384:388].argmax(axis=1).tolist() == [0, 0, 3, 1] and not x[1, 384:388].any()
    assert x[:, 388:398].argmax(axis=1)[[0, 1, 3]].tolist() == [9, 0, 4] and not x[2, 388:398].any()
    np.testing.assert_allclose(x[0, 398:400], [0.5, 0.7], rtol=1e-6)
    full = math.log1p(1800)
    np.testing.assert_allclose(
        x[:, 400], [math.log1p(60) / full, math.log1p(1) / full, 0, 1], rtol=1e-5
    )
    np.testing.assert_allclose(
        x[:, 401], [math.log1p(60) / full, math.log1p(61) / full, 0, 0], rtol=1e-5
    )
    # The second repeats the first but for its particulars; the fourth comes too late.
    np.testing.assert_allclose(x[:, 402], [0, math.log1p(1) / math.log1p(1000), 0, 0], rtol=1e-5)
    np.testing.assert_allclose(x[:, 403], [0.2, 0.3, 0.1, 0.1], rtol=1e-6)
    angle = 2 * math.pi * 6 / 7
    np.testing.assert_allclose(x[2, 404:408], [1, 0, math.sin(angle), math.cos(angle)], atol=1e-5)
    assert x[0, 408:426].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1] * 2
    assert not x[1:, 408:426].any() and not x[:, 426:448].any()
    buckets = x[:, 448:480].argmax(axis=1)
    assert (x[:, 448:480].sum(axis=1) == 1).all()
    assert buckets[0] == buckets[2] == buckets[3] != buckets[1]
    np.testing.assert_array_equal(x[:, 480:], np.arange(128).reshape(4, 32))


def test_what_is_not_known_stays_zero(flow: models.ErrorFlowLSTM) -> None:
    x = flow.states(unit(2), [START, START])
    assert not x[:, 384:400].any() and not x[:, 408:].any()
    assert flow.states(unit(0), []).shape == (0, 512)
    with pytest.raises(stacklens.ShapeError, match="384"):
        flow.states(np.ones((2, 383)), [START, START])
    with pytest.raises(stacklens.ShapeError, match="source"):
        flow.states(unit(2), [START, START], source=["api"])
    with pytest.raises(stacklens.InvalidArgumentError, match="severity"):
        flow.states(unit(2), [START, START], severity=[0, 4])
    with pytest.raises(stacklens.InvalidArgumentError, match="twice"):
        flow.states(unit(2), [START, START], error_id=[3, 3])


def repeats(flow: models.ErrorFlowLSTM, one: str, other: str) -> bool:
    """Whether the second text counts as the first again."""
    return bool(flow.states(unit(2), [START, START + 1], text=[one, other])[1, 402] > 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("retry 3 of 5", "RETRY 12  of\t50"),
        ("at 0xdeadbeef", "at 0x1"),
        ("block blk_-1608999687919862906", "block blk_73"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id ffffffff-e89b-12d3-a456-426614174fff"),
        ("2026-11-22T03:04:05.678Z down", "2026-01-01 23:59:59,1 down"),
        ("from 10.0.0.7:8080", "from 192.168.100.200"),
        ("from fe80::1:2:3", "from 2001:db8:0:0:1:0:0:1"),
        ("open /usr/lib/x.py", "open /home/me/src/x.py"),
        ("open c:\\logs\\x.txt", "open d:\\a\\b\\x.txt"),
        ("commit 9fceb02d0a", "commit 1a2b3c4d5e6f"),
        ("took 1.5 s", "took -20 s"),
    ],
)
def test_particulars_do_not_count(flow: models.ErrorFlowLSTM, one: str, other: str) -> None:
    assert repeats(flow, one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("disk full", "disk fault"), ("open /a/x.py", "open /a/y.py"), ("utf8 text", "utf16 text"),
     ("", "x"), ("café", "cafe")],
)  # fmt: skip
def test_words_do(flow: models.ErrorFlowLSTM, one: str, other: str) -> None:
    assert not repeats(flow, one, other)


def test_windows_end_at_each_error(flow: models.ErrorFlowLSTM) -> None:
    x = np.eye(7, 512, dtype=np.float32)
    times = START + np.array([0, 60, 120, 130, 140, 5_000, 9_000]) * 1_000
    windows = flow.windows(
        x, times, ["a", "a", "b", "a", "b", "c", "c"], [1, 2, 3, 4, 5, -100, 7], longest=3
    )
    assert windows.x.shape == (7, 3, 512)
    assert windows.lengths.tolist() == [1, 2, 3, 3, 3, 1, 1]
    assert [row[: count].argmax(axis=1).tolist() for row, count in zip(windows.x, windows.lengths)] == [
        [0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [5], [6]]  # fmt: skip
    assert not windows.x[0, 1:].any()
    # The pause after the fifth is over half an hour, so is the one after the sixth.
    assert windows.next_class.tolist() == [2, 3, 4, 5, -100, -100, -100]
    assert windows.time_to_next.tolist() == [60, 60, 10, 10, 0, 0, 0]
    assert windows.next_x.argmax(axis=1)[:4].tolist() == [1, 2, 3, 4]
    assert not windows.next_x[4:].any()
    # Three errors of two sources: after the first (a b a) and the second (b a b), no other.
    assert windows.cascade.tolist() == [1, 1, 0, 0, 0, 0, 0]
    strict = flow.windows(
        x, times, ["a", "a", "b", "a", "b", "c", "c"], [0] * 7, cascade_gap=30
    )
    assert strict.cascade.sum() == 0
    assert set(windows.rows(slice(2, 5))) == {
        "x", "lengths", "next_class", "next_x", "time_to_next", "cascade"}  # fmt: skip


def test_windows_follow_time_not_place(flow: models.ErrorFlowLSTM) -> None:
    random = np.random.default_rng(5)
    count = 400
    times = START + np.cumsum(random.integers(0, 700, count)) * 1_000
    sources = random.choice(["a", "b"], count, p=[0.9, 0.1])
    categories = random.integers(0, 10, count)
    x = random.normal(size=(count, 512)).astype(np.float32)
    ordered = flow.windows(x, times, sources, categories, np.arange(1, count + 1))
    mixed = random.permutation(count)
    again = flow.windows(
        x[mixed], times[mixed], sources[mixed], categories[mixed], np.arange(1, count + 1)[mixed]
    )
    for name, array in ordered.rows(slice(None)).items():
        np.testing.assert_array_equal(array, getattr(again, name))
    np.testing.assert_array_equal(mixed[again.error], ordered.error)
    for place in range(count):
        following = [
            later for later in range(place + 1, count) if times[later] - times[place] <= 1_800_000
        ]
        run = []
        for later in following:
            if times[later] - times[later - 1] > 300_000:
                break
            run.append(later)
        expected = any(
            len(run[:size]) >= 3 and len({str(sources[one]) for one in run[:size]}) >= 2
            for size in range(len(run) + 1)
        )
        assert ordered.cascade[place] == expected, place


def test_learns_a_rhythm(flow: models.ErrorFlowLSTM) -> None:
    """Errors of four classes in turn, ten seconds apart: what comes next is plain to see."""
    count = 600
    category = np.arange(count) % 4
    x = np.eye(4, 16, dtype=np.float32)[category]
    model = models.ErrorFlowLSTM(16, 16, 1, 4)
    windows = model.windows(
        x, START + np.arange(count) * 10_000, ["a"] * count, category, longest=4
    )
    model.fit(**windows.rows(slice(0, 500)), epochs=30, learning_rate=5e-3)
    held = windows.rows(slice(500, count - 1))
    forecast = model.predict(held["x"], held["lengths"])
    assert (forecast.class_logits.argmax(axis=1) == held["next_class"]).mean() > 0.95
    assert np.abs(forecast.time_to_next - 10).mean() < 2
    assert (forecast.next_sequence.argmax(axis=1) == held["next_class"]).mean() > 0.95
    assert forecast.cascade_prob.max() < 0.5
