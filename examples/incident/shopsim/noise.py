"""What a healthy shop logs as well: routine, harmless warnings, rare errors, odd single lines."""

from __future__ import annotations

from collections.abc import Callable

from .engine import Process, Stream
from .journal import at
from .shop import Shop

Message = Callable[[Stream], str]

# service, level, event, mean gap in seconds, message
_ROUTINE: tuple[tuple[str, str, str, int, Message], ...] = (
    ("postgres", "INFO", "checkpoint", 150,
     lambda s: f"checkpoint complete: wrote {s.between(180, 2400)} buffers, "
     f"write={s.between(3, 27)}.{s.between(100, 999)} s"),
    ("postgres", "INFO", "connections", 120,
     lambda s: f"monitor: connections used={s.between(31, 47)} max=200 cpu={s.between(11, 19)}%"),
    ("postgres", "INFO", "autovacuum", 300,
     lambda s: f'automatic vacuum of table "{s.pick(("cart", "order_line", "event"))}": '
     f"removed {s.between(90, 4200)} dead rows"),
    ("redis", "INFO", "saved", 160,
     lambda s: f"Background saving terminated with success, {s.between(2, 9)} MB copy-on-write"),
    ("kafka", "INFO", "segment", 190,
     lambda s: f"[Log partition=orders.placed-{s.below(6)}] Rolled new segment at offset "
     f"{s.between(80_000, 99_000)}"),
    ("kubelet", "INFO", "image_gc", 420,
     lambda s: f"image collection freed {s.between(120, 900)} MiB on node-{s.between(1, 4)}"),
    ("search", "INFO", "merge", 190,
     lambda s: f"merged {s.between(3, 9)} segments into one docs={s.between(8000, 60_000)}"),
    ("notifications", "INFO", "digest", 240,
     lambda s: f"newsletter digest batch={s.between(300, 900)} sent={s.between(180, 250)}"),
)

_WARNINGS: tuple[tuple[str, str, str, int, Message], ...] = (
    ("gateway", "WARN", "certificate", 480,
     lambda s: "TLS certificate for images.fernstreet.example expires in 13 days"),
    ("gateway", "WARN", "rate_limit", 75,
     lambda s: f"rate limit exceeded client=203.0.113.{s.between(4, 60)} rule=anonymous-search "
     "limit=60/min status=429"),
    ("catalogue", "WARN", "cache_miss", 110,
     lambda s: f"cache miss for category tree locale={s.pick(('en', 'de', 'fr', 'sv'))}, "
     f"rebuilt in {s.between(60, 140)}ms"),
    ("users", "WARN", "deprecation", 400,
     lambda s: "(node:1) [DEP0040] DeprecationWarning: The `punycode` module is deprecated"),
    ("payments", "WARN", "deprecation", 430,
     lambda s: "DeprecationWarning: datetime.datetime.utcnow() is deprecated, use "
     "datetime.datetime.now(datetime.UTC)"),
    ("users", "WARN", "expired_token", 80,
     lambda s: f"token expired user={s.between(20_000, 99_999)} age={s.between(3600, 9000)}s"),
    ("payments", "WARN", "declined", 90,
     lambda s: f"card declined order={s.between(604_000, 609_000)} reason="
     f"{s.pick(('insufficient_funds', 'do_not_honor', 'expired_card'))}"),
    ("notifications", "WARN", "greylisted", 170,
     lambda s: f"SMTP 451 greylisted by mx.post{s.between(1, 9)}.example, next try in 300s"),
    ("gateway", "WARN", "client_gone", 170,
     lambda s: f"client closed request early path=/images/{s.between(1000, 8999)}.webp status=499"),
    ("kafka", "WARN", "rebalance", 700,
     lambda s: f"group notifications rebalanced generation={s.between(40, 60)} members=3"),
)

# moment, level, service, event, message, stack
_RARE: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    ("11:38:41", "ERROR", "checkout", "bad_body", "POST /orders rejected: body is not JSON", (
        "com.fasterxml.jackson.core.JsonParseException: Unexpected character ('<' (code 60)): "
        "expected a valid value",
        "\tat com.fasterxml.jackson.core.JsonParser._constructError(JsonParser.java:2477)",
        "\tat com.fernstreet.checkout.web.OrderController.place(OrderController.java:44)",
    )),
    ("11:44:27", "ERROR", "users", "profile", "GET /profiles/40213 failed", (
        "TypeError: Cannot read properties of undefined (reading 'locale')",
        "    at renderProfile (/app/src/profiles/render.js:33:27)",
        "    at async handler (/app/src/routes/profiles.js:12:16)",
    )),
    ("11:51:19", "ERROR", "inventory", "panic", "http: panic serving 10.20.1.9:41822", (
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x7a41c6]",
        "",
        "goroutine 88214 [running]:",
        "github.com/fernstreet/inventory/internal/stock.(*Supplier).LeadTime(...)",
        "\t/src/internal/stock/supplier.go:29",
        "github.com/fernstreet/inventory/internal/httpapi.(*Handler).GetSupplier(0xc0001b20c0)",
        "\t/src/internal/httpapi/suppliers.go:61 +0x66",
    )),
    ("11:58:08", "ERROR", "payments", "import", "settlement row 871 skipped", (
        "Traceback (most recent call last):",
        '  File "/app/payments/settlement.py", line 58, in parse_row',
        "    cents = int(row[\"amount\"])",
        "ValueError: invalid literal for int() with base 10: '12,50'",
    )),
    ("12:09:12", "ERROR", "notifications", "smtp", "mail server mx.post4.example not reached", (
        "/usr/lib/ruby/3.3.0/net/protocol.rb:40:in `open_socket': execution expired "
        "(Net::OpenTimeout)",
        "\tfrom /app/lib/notifier/mailer.rb:52:in `deliver'",
    )),
    ("12:12:40", "ERROR", "catalogue", "stale_edit", "PUT /admin/products/2207 failed", (
        "org.springframework.orm.ObjectOptimisticLockingFailureException: Row was updated or "
        "deleted by another transaction : [com.fernstreet.catalogue.Product#2207]",
        "\tat com.fernstreet.catalogue.admin.ProductEditor.save(ProductEditor.java:71)",
    )),
)

_UNUSUAL: tuple[tuple[str, str, str, str, str], ...] = (
    ("11:39:17", "WARN", "kernel", "clock_step", "Clocksource tsc on node-3 stepped back by 1.7 s, "
     "time server changed stratum"),
    ("11:46:52", "WARN", "kernel", "memory_ecc", "EDAC MC0: 1 corrected memory error on DIMM_B2 "
     "(row 41120, column 72)"),
    ("11:50:36", "WARN", "inventory", "negative_stock", "count for sku 7741 is -3 after the "
     "stocktake of shelf 12, a person must look"),
    ("11:55:31", "INFO", "checkout", "zero_total", "order 606218 has a total of 0.00 EUR with 214 "
     "items and voucher BIRTHDAY used 214 times"),
    ("11:59:02", "WARN", "users", "travel", "user 20417 signed in from Lisbon and from Osaka 41 "
     "seconds apart"),
    ("12:07:45", "WARN", "kubelet", "fan", "node-2 chassis fan 4 stopped turning, inlet "
     "temperature 38 C"),
    ("12:11:23", "ERROR", "postgres", "checksum", "invalid page in block 90233 of relation "
     "base/16384/24711, checksum does not match"),
    ("12:13:05", "INFO", "search", "language", "query language guessed as Old Norse with "
     "confidence 0.97"),
)

_DECOYS: tuple[tuple[str, str, str], ...] = (
    ("11:57:10", "release", 'rollout users version=5.2.0->5.2.1 by=ci note="update packages"'),
    ("11:59:30", "config_change",
     "gateway configRevision=78 changed logging.console: true -> false"),
)


def start(shop: Shop) -> None:
    """Starts all background messages."""
    for kind, table in (("normal", _ROUTINE), ("noise", _WARNINGS)):
        for service, level, event, mean_s, message in table:
            stream = Stream(shop.seed, f"noise/{service}/{event}")
            shop.engine.spawn(_repeat(shop, stream, service, level, event, mean_s, message, kind))
    for moment, level, service, event, message, stack in _RARE:
        shop.engine.spawn(_once(shop, moment, level, service, event, message, stack, "rare"))
    for moment, level, service, event, message in _UNUSUAL:
        shop.engine.spawn(_once(shop, moment, level, service, event, message, (), "unusual"))
    for moment, event, message in _DECOYS:
        shop.engine.spawn(_once(shop, moment, "INFO", "deployer", event, message, (), "normal"))


def _repeat(
    shop: Shop, stream: Stream, service: str, level: str, event: str, mean_s: int,
    message: Message, kind: str,
) -> Process:
    yield stream.below(mean_s * 1000)
    while True:
        shop.journal.write(level, service, event, message(stream), kind=kind)
        yield int(mean_s * 1000 * (0.5 + stream.random()))


def _once(
    shop: Shop, moment: str, level: str, service: str, event: str, message: str,
    stack: tuple[str, ...], kind: str,
) -> Process:
    yield at(moment) - shop.engine.now + Stream(shop.seed, f"{service}/{event}").below(1000)
    shop.journal.write(level, service, event, message, stack=stack, kind=kind)
