"""Runs the shop and tells the story of the run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from . import noise
from .faults import FAULTS, PROCESSES
from .journal import DAY, Journal, clock
from .shop import BEGIN, END, Shop

_STORY_EVENTS = (
    ("deployer.config_change", "root cause: the rollout halves the pool of the catalogue"),
    ("catalogue.pool_config", "root cause at work: the catalogue starts with ten connections"),
    ("catalogue.slow_acquire", "first customers wait for a connection"),
    ("catalogue.pool_timeout", "first customer gets no connection"),
    ("gateway.retry", "the gateway tries reads again: more load on the catalogue"),
    ("checkout.price_failed", "the checkout tries prices again: more load on the catalogue"),
    ("inventory.reserve_failed", "reservations fail for want of pack sizes"),
    ("checkout.breaker", "the circuit breaker of the checkout opens"),
    ("checkout.order_parked", "orders without a price pile up in memory"),
    ("gateway.slots_full", "the gateway has no slot left for the catalogue"),
    ("checkout.out_of_memory", "parked orders have filled the heap: the checkout dies"),
    ("deployer.rollback", "the people on call take the change back"),
    ("checkout.parked_placed", "the orders that were parked are placed, the incident is over"),
)


def simulate(seed: int, faults: Iterable[str]) -> Journal:
    """Runs the shop from 11:36 to 12:14 with the named faults."""
    shop = Shop(seed)
    shop.open()
    noise.start(shop)
    for name in faults:
        shop.engine.spawn(PROCESSES[name](shop))
    shop.engine.run(END)
    return shop.journal


def truth_json(journal: Journal, seed: int, log_name: str) -> str:
    """The truth about a run as JSON, with one record a line."""
    records = journal.records()
    times = [entry.time for entry in journal.entries]
    faults = [item for fault in FAULTS if (item := _fault(fault, records, times))]
    head = {
        "log": log_name,
        "seed": seed,
        "begin": f"{DAY}T{clock(BEGIN)}Z",
        "end": f"{DAY}T{clock(END)}Z",
        "faults": faults,
        "timeline": _timeline(records, times),
    }
    text = json.dumps(head, indent=1, ensure_ascii=False)
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    return f'{text[:-2]},\n "records": [\n{lines}\n ]\n}}\n'


def _fault(fault: Any, records: list[dict[str, Any]], times: list[str]) -> dict[str, Any]:
    own = [record for record in records if record["fault"] == fault.name]
    if not own:
        return {}
    symptoms = [record for record in own if not record["is_root_cause"]]
    first = {}
    for record in symptoms:
        first.setdefault(record["event"], record["index"])
    return {
        "id": fault.name,
        "is_main": fault.is_main,
        "title": fault.title,
        "service": fault.service,
        "cause": fault.cause,
        "begin": times[own[0]["index"]],
        "end": times[own[-1]["index"]],
        "root_cause_records": [record["index"] for record in own if record["is_root_cause"]],
        "first_evidence": list(first.values()),
        "record_count": len(own),
        "services": sorted({record["service"] for record in own}),
    }


def _timeline(records: list[dict[str, Any]], times: list[str]) -> list[dict[str, Any]]:
    """The course of the main incident: the first record of each event in it."""
    main = next(fault.name for fault in FAULTS if fault.is_main)
    items = []
    for event, meaning in _STORY_EVENTS:
        found = (r["index"] for r in records if r["event"] == event and r["fault"] == main)
        index = next(found, None)
        if index is not None:
            items.append({"time": times[index], "index": index, "event": event, "what": meaning})
    return sorted(items, key=lambda item: item["index"])
