"""The injected faults: what breaks, when, and why."""

from __future__ import annotations

from dataclasses import dataclass

from .backends import PANIC_FAULT, POISON_FAULT, REDIS_FAULT
from .catalogue import FULL_POOL, POOL_FAULT
from .engine import Process
from .journal import Blame, at
from .payments import LEDGER_FAULT, PROVIDER_FAULT
from .shop import Shop


@dataclass(frozen=True)
class Fault:
    """One fault and its explanation."""

    name: str
    service: str
    title: str
    cause: str
    is_main: bool = False


FAULTS = (
    Fault(
        POOL_FAULT, "catalogue", "Shop pages and orders fail between 12:00 and 12:06",
        "The rollout of catalogue revision 312 at 11:52 lowers maximumPoolSize from 20 to 10. "
        "Nothing happens until the price refresh at 12:00 takes its usual eight connections: two "
        "are left for customers. The refresh at 11:40, with 20 connections, hurt nobody.",
        is_main=True,
    ),
    Fault(
        PROVIDER_FAULT, "payments", "Card payments time out between 11:45 and 11:48:30",
        "The outside card provider answers after more than three seconds.",
    ),
    Fault(
        LEDGER_FAULT, "payments", "Ledger entries deadlock between 11:49 and 11:52",
        "The reconciliation batch locks balances in another order than the charges do.",
    ),
    Fault(
        POISON_FAULT, "notifications", "Two order messages end in the dead letters",
        "The partner import at 11:54 writes orders without an address.",
    ),
    Fault(
        PANIC_FAULT, "search", "Some searches with emoji end in status 502",
        "Search 2.9.1, rolled out at 11:43, cuts long queries at a byte instead of a character.",
    ),
    Fault(
        REDIS_FAULT, "redis", "Sessions are lost for twelve seconds at 12:10:30",
        "The primary of the session store fails and a replica takes over.",
    ),
)


def pool_halved(shop: Shop) -> Process:
    """The main incident: rollout of the small pool, and its withdrawal."""
    write, root = shop.journal.write, Blame(POOL_FAULT, "")
    yield at("11:52:04") - shop.engine.now
    write(
        "INFO", "deployer", "rollout", "rollout catalogue configRevision=311->312 by=ci "
        'note="right-size connection pools"', blame=root, is_root_cause=True,
    )
    write(
        "INFO", "deployer", "config_change", "catalogue configRevision=312 changed "
        "spring.datasource.hikari.maximum-pool-size: 20 -> 10", blame=root, is_root_cause=True,
    )
    yield 21_000
    shop.catalogue.restart(312, FULL_POOL // 2, root)
    yield at("12:06:20") - shop.engine.now
    write(
        "WARN", "deployer", "rollback", "rollback catalogue configRevision=312->311 by=oncall "
        'note="pool exhausted, back to 20 connections"',
        blame=Blame(POOL_FAULT, "catalogue.pool_exhausted"),
    )
    yield 18_000
    shop.catalogue.restart(311, FULL_POOL, None)


def provider_slow(shop: Shop) -> Process:
    """The card provider answers late."""
    yield at("11:45:00") - shop.engine.now
    shop.payments.provider_slow = True
    yield 20_000
    shop.journal.write(
        "WARN", "payments", "provider_status", "provider cardhaven reports state=degraded "
        "component=authorisations", blame=Blame(PROVIDER_FAULT, ""), is_root_cause=True,
    )
    yield 190_000
    shop.payments.provider_slow = False
    shop.journal.write(
        "INFO", "payments", "provider_status", "provider cardhaven reports state=operational",
        blame=Blame(PROVIDER_FAULT, "payments.provider_status"),
    )


def ledger_deadlock(shop: Shop) -> Process:
    """A batch that takes locks in its own order."""
    yield at("11:49:00") - shop.engine.now
    shop.journal.write(
        "INFO", "payments", "reconciliation", "reconciliation batch started accounts=5120 "
        "order=updated_at", blame=Blame(LEDGER_FAULT, ""), is_root_cause=True,
    )
    shop.payments.reconciling = True
    yield 180_000
    shop.payments.reconciling = False
    shop.journal.write(
        "INFO", "payments", "reconciled",
        "reconciliation batch finished accounts=5120 differences=0",
    )


def poison_messages(shop: Shop) -> Process:
    """Two imported orders without an address."""
    yield at("11:54:10") - shop.engine.now
    shop.journal.write(
        "INFO", "checkout", "partner_import", "partner import batch=leaflet-41 orders=2 accepted=2 "
        "fields missing: address", blame=Blame(POISON_FAULT, ""), is_root_cause=True,
    )
    for offset, order in ((88123, 910441), (88131, 910442)):
        yield 3_000
        shop.engine.spawn(shop.notifications.poison(offset, order))


def search_panic(shop: Shop) -> Process:
    """A release that cannot cut emoji, and the four searches that meet it."""
    yield at("11:43:12") - shop.engine.now
    shop.journal.write(
        "INFO", "deployer", "release", "rollout search version=2.9.0->2.9.1 by=ci "
        'note="shorten long queries to 24 bytes"', blame=Blame(PANIC_FAULT, ""),
        is_root_cause=True,
    )
    pot = "\N{POT OF FOOD}"
    for moment, query in (
        ("11:47:33", f"enamel soup pot large {pot} red"),
        ("11:56:50", f"cast iron pan for two {pot}"),
        ("12:08:14", f"clay baker with cover {pot} gift"),
        ("12:12:02", f"slow cooker 6 l silver {pot}"),
    ):
        yield at(moment) - shop.engine.now
        yield from shop.search_with_panic(query)


def redis_failover(shop: Shop) -> Process:
    """Twelve seconds without a session store."""
    yield at("12:10:30") - shop.engine.now
    write = shop.journal.write
    write(
        "ERROR", "redis", "primary_lost", "sentinel: +odown primary sessions 10.20.4.17 6379 "
        "#quorum 2/2", blame=Blame(REDIS_FAULT, ""), is_root_cause=True,
    )
    shop.users.redis_down = True
    yield 9_300
    write(
        "WARN", "redis", "failover", "sentinel: +switch-master sessions 10.20.4.17 6379 10.20.4.18 "
        "6379", blame=Blame(REDIS_FAULT, "redis.primary_lost"),
    )
    yield 2_700
    shop.users.redis_down = False
    write(
        "INFO", "users", "redis_ready", "session store ready peer=10.20.4.18:6379 reconnects=7",
        blame=Blame(REDIS_FAULT, "redis.failover"),
    )


PROCESSES = {
    POOL_FAULT: pool_halved,
    PROVIDER_FAULT: provider_slow,
    LEDGER_FAULT: ledger_deadlock,
    POISON_FAULT: poison_messages,
    PANIC_FAULT: search_panic,
    REDIS_FAULT: redis_failover,
}
