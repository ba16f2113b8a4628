/// Words of those who run software, which models look for unless they are given others.
enum TechnicalTerms {
  static let all: [String] = list.split { $0 == "," || $0 == "\n" }.map { part in
    String(part.drop { $0 == " " })
  }.filter { !$0.isEmpty }

  private static let list = """
    api, rest api, graphql, grpc, rpc, http, https, http 500, http 502, http 503, http 504,
    status code, endpoint, gateway, api gateway, load balancer, reverse proxy, proxy, nginx,
    envoy, service mesh, sidecar, microservice, service discovery, dns, name resolution, tcp,
    udp, ip address, port, socket, connection, connection pool, connection refused, connection
    reset, connection reset by peer, connection timed out, connection closed, broken pipe, no
    route to host, host unreachable, network unreachable, packet loss, latency, bandwidth,
    throughput, handshake, tls, ssl, certificate, certificate expired, firewall, vpn, subnet,
    vpc, timeout, timed out, read timeout, write timeout, connect timeout, deadline exceeded,
    request timeout, gateway timeout, retry, retries, backoff, circuit breaker, rate limit,
    throttling, quota, quota exceeded, database, sql, query, slow query, transaction, rollback,
    commit, deadlock, lock wait timeout, lock, mutex, race condition, replication, replica,
    primary, failover, shard, partition, index, table, schema, migration, foreign key,
    constraint violation, duplicate key, primary key, cursor, stored procedure, postgres,
    postgresql, mysql, mariadb, oracle, sqlite, mongodb, cassandra, redis, memcached,
    elasticsearch, hbase, zookeeper, kafka, rabbitmq, message queue, queue, topic, consumer,
    producer, broker, offset, memory, out of memory, oom, oom killer, heap, heap space, java
    heap space, stack overflow, garbage collection, gc overhead limit exceeded, memory leak,
    buffer overflow, segmentation fault, page fault, swap, allocation failed, cache, cache miss,
    buffer, cpu, cpu usage, cores, thread, thread pool, process, fork, kernel, kernel panic,
    interrupt, parity error, ecc, ddr, tlb, machine check, disk, disk full, no space left on
    device, filesystem, file system, block, block pool, volume, mount, inode, i/o error,
    input/output error, read error, write error, checksum, checksum error, corrupt, corruption,
    raid, nfs, hdfs, s3, object storage, backup, snapshot, namenode, datanode, file not found,
    no such file or directory, permission denied, access denied, authentication, authentication
    failure, authorization, unauthorized, forbidden, login, password, invalid user, user
    unknown, ssh, sshd, kerberos, oauth, token, expired token, jwt, credential, credentials,
    session, ldap, pam, root, sudo, acl, configuration, config, environment variable,
    misconfiguration, invalid argument, missing key, property, parameter, yaml, json, xml, parse
    error, syntax error, malformed, encoding, utf-8, import error, dependency, library, package,
    module, module not found, class not found, classnotfoundexception, noclassdeffounderror,
    version mismatch, incompatible, deprecated, linker, shared library, symbol not found,
    plugin, driver, container, docker, kubernetes, pod, node, cluster, deployment, rollout,
    image pull, crash loop, restart, scheduler, yarn, resource manager, node manager,
    application master, mapreduce, map task, reduce task, shuffle, spark, executor, driver
    program, stage, task, job, rdd, broadcast, null pointer, null pointer exception,
    nullpointerexception, index out of bounds, illegal argument, illegalargumentexception,
    illegal state, illegalstateexception, ioexception, runtimeexception, interruptedexception,
    type error, typeerror, value error, valueerror, key error, keyerror, attribute error,
    attributeerror, assertion, assertion failed, division by zero, undefined, nan, overflow,
    underflow, exception, unhandled exception, stack trace, traceback, core dump, panic, fatal,
    fatal error, crash, abort, sigsegv, sigkill, sigterm, exit code, shutdown, startup,
    heartbeat, health check, lease, leader election, quorum, split brain, election, epoch,
    instance, virtual machine, hypervisor, nova, libvirt, image, flavor, openstack, compute,
    hypervisor host, apache, mod_jk, worker, child process, servlet, tomcat, jvm, jar, ciod,
    ciodb, rts, torus, midplane, node card, bgl, ftpd, telnet, cron, syslog, named, rpc.statd,
    selinux, monitoring, alert, metric, trace, span, log, logger
    """
}
