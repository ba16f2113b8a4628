"""Stack traces of the shop's services, as their runtimes print them; each a list of lines."""

from __future__ import annotations

_SPRING = [
    "\tat org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)",
    "\tat org.apache.tomcat.util.threads.TaskThread$WrappingRunnable.run(TaskThread.java:63)",
    "\tat java.base/java.lang.Thread.run(Thread.java:1583)",
]


def hikari(waited_ms: int, caller: str, line: int, active: int, waiting: int) -> list[str]:
    """Java: no connection came free in the pool."""
    pool = f"(total={active}, active={active}, idle=0, waiting={waiting})"
    return [
        "org.springframework.jdbc.CannotGetJdbcConnectionException: Failed to obtain JDBC "
        "Connection",
        "\tat org.springframework.jdbc.datasource.DataSourceUtils.getConnection("
        "DataSourceUtils.java:84)",
        "\tat org.springframework.jdbc.core.JdbcTemplate.query(JdbcTemplate.java:723)",
        f"\tat com.fernstreet.catalogue.ProductRepository.{caller}(ProductRepository.java:{line})",
        *_SPRING,
        "Caused by: java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not "
        f"available, request timed out after {waited_ms}ms {pool}",
        "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:686)",
        "\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:179)",
        "\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:99)",
        "\t... 7 more",
    ]


def price_timeout() -> list[str]:
    """Java: the checkout waited in vain for a price."""
    return [
        "org.springframework.web.client.ResourceAccessException: I/O error on GET request for "
        '"http://catalogue:8080/prices": Read timed out',
        "\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:905)",
        "\tat com.fernstreet.checkout.pricing.PriceClient.priceOf(PriceClient.java:61)",
        "\tat com.fernstreet.checkout.OrderService.place(OrderService.java:118)",
        *_SPRING,
        "Caused by: java.net.SocketTimeoutException: Read timed out",
        "\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)",
        "\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:1099)",
        "\t... 5 more",
    ]


def breaker_open() -> list[str]:
    """Java: the circuit breaker lets no call through."""
    return [
        "io.github.resilience4j.circuitbreaker.CallNotPermittedException: CircuitBreaker "
        "'catalogue-prices' is OPEN and does not permit further calls",
        "\tat com.fernstreet.checkout.pricing.PriceClient.priceOf(PriceClient.java:55)",
        "\tat com.fernstreet.checkout.OrderService.place(OrderService.java:118)",
    ]


def out_of_memory() -> list[str]:
    """Java: the heap of the checkout is full."""
    return [
        "java.lang.OutOfMemoryError: Java heap space",
        "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3541)",
        "\tat com.fernstreet.checkout.retry.OrderRetryBuffer.grow(OrderRetryBuffer.java:77)",
        "\tat com.fernstreet.checkout.retry.OrderRetryBuffer.add(OrderRetryBuffer.java:49)",
        "\tat com.fernstreet.checkout.OrderService.park(OrderService.java:164)",
        "\tat java.base/java.lang.Thread.run(Thread.java:1583)",
    ]


def gateway_timeout(cluster: str, seconds: int) -> list[str]:
    """.NET: a call to a service took too long."""
    return [
        "System.Threading.Tasks.TaskCanceledException: The request was canceled due to the "
        f"configured HttpClient.Timeout of {seconds} seconds elapsing.",
        " ---> System.TimeoutException: A task was canceled.",
        "   at System.Net.Http.HttpClient.HandleFailure(Exception e, Boolean telemetryStarted)",
        "   --- End of inner exception stack trace ---",
        "   at Fernstreet.Gateway.Proxy.ClusterClient.SendAsync(HttpRequestMessage request) in "
        "/src/Proxy/ClusterClient.cs:line 94",
        f"   at Fernstreet.Gateway.Routes.{cluster}Route.InvokeAsync(HttpContext context) in "
        f"/src/Routes/{cluster}Route.cs:line 41",
    ]


def gateway_refused(cluster: str) -> list[str]:
    """.NET: nobody listens at the service's address."""
    return [
        f"System.Net.Http.HttpRequestException: Connection refused ({cluster.lower()}:8080)",
        " ---> System.Net.Sockets.SocketException (111): Connection refused",
        "   at System.Net.Sockets.Socket.AwaitableSocketAsyncEventArgs.ThrowException("
        "SocketError e)",
        "   --- End of inner exception stack trace ---",
        "   at Fernstreet.Gateway.Proxy.ClusterClient.SendAsync(HttpRequestMessage request) in "
        "/src/Proxy/ClusterClient.cs:line 94",
        f"   at Fernstreet.Gateway.Routes.{cluster}Route.InvokeAsync(HttpContext context) in "
        f"/src/Routes/{cluster}Route.cs:line 41",
    ]


def gateway_ended(cluster: str) -> list[str]:
    """.NET: the service closed the connection before it answered."""
    return [
        "System.Net.Http.HttpIOException: The response ended prematurely. (ResponseEnded)",
        "   at System.Net.Http.HttpConnection.SendAsync(HttpRequestMessage request, Boolean async)",
        f"   at Fernstreet.Gateway.Routes.{cluster}Route.InvokeAsync(HttpContext context) in "
        f"/src/Routes/{cluster}Route.cs:line 41",
    ]


def provider_timeout() -> list[str]:
    """Python: the card provider does not answer."""
    pool = "HTTPSConnectionPool(host='api.cardhaven.example', port=443)"
    return [
        "Traceback (most recent call last):",
        '  File "/app/.venv/lib/python3.12/site-packages/urllib3/connectionpool.py", line 534, '
        "in _make_request",
        "    response = conn.getresponse()",
        '  File "/usr/lib/python3.12/ssl.py", line 1103, in read',
        "    return self._sslobj.read(len, buffer)",
        "TimeoutError: The read operation timed out",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        '  File "/app/payments/provider.py", line 72, in charge',
        "    answer = self.session.post(url, json=body, timeout=3.0)",
        '  File "/app/.venv/lib/python3.12/site-packages/requests/adapters.py", line 713, in send',
        "    raise ReadTimeout(e, request=request)",
        f"requests.exceptions.ReadTimeout: {pool}: Read timed out. (read timeout=3.0)",
    ]


def deadlock(waiting: int, holding: int) -> list[str]:
    """Python: PostgreSQL broke a deadlock between two ledger transactions."""
    return [
        "Traceback (most recent call last):",
        '  File "/app/payments/ledger.py", line 131, in post_entry',
        '    cursor.execute("UPDATE balance SET amount = amount + %s WHERE account = %s", entry)',
        "psycopg2.errors.DeadlockDetected: deadlock detected",
        f"DETAIL:  Process {waiting} waits for ShareLock on transaction 918{waiting}; blocked by "
        f"process {holding}.",
        "HINT:  See server log for query details.",
    ]


def redis_reset(peer: str) -> list[str]:
    """Node.js: the session store dropped the connection."""
    return [
        "Error: read ECONNRESET",
        "    at TCP.onStreamRead (node:internal/stream_base_commons:218:20)",
        "    at TCP.callbackTrampoline (node:internal/async_hooks:130:17)",
        "    at async SessionStore.get (/app/src/sessions/store.js:48:17)",
        "    at async authenticate (/app/src/routes/sessions.js:21:19) {",
        "  errno: -104,",
        "  code: 'ECONNRESET',",
        "  syscall: 'read',",
        f"  peer: '{peer}'",
        "}",
    ]


def pack_deadline(sku: int) -> list[str]:
    """Go: an error that each layer wrapped, with the stack the logger adds."""
    return [
        f'\terror="reserve sku {sku}: pack size: Get \\"http://catalogue:8080/packs/{sku}\\": '
        'context deadline exceeded"',
        "\tgithub.com/fernstreet/inventory/internal/stock.(*Reserver).packSize",
        "\t\t/src/internal/stock/reserver.go:88",
        "\tgithub.com/fernstreet/inventory/internal/httpapi.(*Handler).PostReservation",
        "\t\t/src/internal/httpapi/reservations.go:52",
    ]


def missing_address() -> list[str]:
    """Ruby: an order without an address."""
    return [
        "/app/lib/notifier/templates/confirmation.rb:37:in `postcode_line': undefined method "
        "`upcase' for nil (NoMethodError)",
        "",
        "    order.address.postcode.upcase",
        "                          ^^^^^^^",
        "\tfrom /app/lib/notifier/templates/confirmation.rb:19:in `render'",
        "\tfrom /app/lib/notifier/consumer.rb:64:in `handle'",
        "\tfrom /app/lib/notifier/consumer.rb:31:in `block in run'",
    ]


def char_boundary(index: int, query: str) -> list[str]:
    """Rust: a cut through the bytes of one character."""
    return [
        f"byte index {index} is not a char boundary; it is inside '\N{POT OF FOOD}' of `{query}`",
        "stack backtrace:",
        "   0: rust_begin_unwind",
        "             at /rustc/4d91de4/library/std/src/panicking.rs:681:5",
        "   1: core::str::slice_error_fail",
        "   2: search::query::shorten",
        "             at ./src/query.rs:57:22",
        "   3: search::http::handle_search",
        "             at ./src/http.rs:113:21",
        "note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.",
    ]
