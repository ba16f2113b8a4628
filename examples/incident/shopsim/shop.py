"""The shop as a whole: its services, its customers, its daily routine."""

from __future__ import annotations

from .backends import Inventory, Notifications, Search, Users
from .catalogue import Catalogue
from .checkout import Checkout
from .engine import Engine, Process, Stream
from .gateway import Gateway
from .journal import Journal, at
from .payments import Payments
from .request import Request

BEGIN = at("11:36:00")
END = at("12:14:00")
MEAN_GAP_MS = 62
KEPT_SHARE = 1 / 84
KEPT_SHARE_FAILING = 1 / 26
FAILING_SHARE = 0.05

_MIX = (("product", 0.64), ("order", 0.80), ("search", 0.90), ("login", 0.95), ("stock", 1.0))


class Shop:
    """Wires the services; `open` starts customers, reports and the price refresh."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.engine = engine = Engine(BEGIN)
        self.journal = journal = Journal(engine)
        self._traffic = Stream(seed, "traffic")
        self._orders = 604_100
        self.catalogue = Catalogue(engine, journal, Stream(seed, "catalogue"))
        self.users = Users(Stream(seed, "users"))
        self.payments = Payments(engine, Stream(seed, "payments"))
        self.search = Search(Stream(seed, "search"))
        self.notifications = Notifications(journal, Stream(seed, "notifications"))
        inventory = Inventory(engine, Stream(seed, "inventory"), self.catalogue)
        self.checkout = Checkout(
            engine, journal, Stream(seed, "checkout"), self.catalogue, inventory, self.users,
            self.payments, self.notifications,
        )
        self.gateway = Gateway(
            engine, journal, self.catalogue, self.checkout, inventory, self.users, self.search
        )

    def open(self) -> None:
        """Starts everything that runs all day."""
        self.engine.spawn(self._customers())
        self.engine.spawn(self._refreshes())
        self.engine.spawn(self.catalogue.report(30_000))
        self.engine.spawn(self.checkout.report(45_000))
        self.engine.spawn(self.gateway.report(60_000))

    def search_with_panic(self, query: str) -> Process:
        """One search that is always logged."""
        request = self._request("search", kept=True)
        began = self.engine.now
        reply = yield from self.search.panic(request, query)
        self.gateway.search_failed(request, reply)
        self.gateway.access(request, reply, began)

    def _customers(self) -> Process:
        while True:
            yield self._traffic.gap(MEAN_GAP_MS)
            point = self._traffic.random()
            kind = next(kind for kind, upto in _MIX if point < upto)
            failing = self.gateway.failing_share > FAILING_SHARE
            kept = self._traffic.chance(KEPT_SHARE_FAILING if failing else KEPT_SHARE)
            request = self._request(kind, kept)
            self.engine.spawn(self.gateway.handle(request))

    def _request(self, kind: str, kept: bool) -> Request:
        traffic = self._traffic
        sku = traffic.between(1000, 8999)
        user = traffic.between(20_000, 99_999)
        self._orders += 1 if kind == "order" else 0
        path = {
            "product": f"/products/{sku}",
            "order": "/orders",
            "stock": f"/stock/{sku}",
            "login": "/sessions",
            "search": f"/search?page={1 + sku % 4}",
        }[kind]
        trace = traffic.hex(12) if kept else "-"
        return Request(self.journal, trace, kept, kind, path, sku, user, self._orders)

    def _refreshes(self) -> Process:
        for begin, rows in (("11:40:00", 184_220), ("12:00:00", 184_231)):
            yield at(begin) - self.engine.now
            left = 480_000
            while left:
                left = yield from self.catalogue.refresh(left, rows * left // 480_000)
                yield 6_000
