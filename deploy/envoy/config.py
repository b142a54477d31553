"""Envoy's configuration as Parley's public door: what comes in, how much of it, and what the server is told.

Each limit is here because of an attack that tests/edge makes, or of a call that lasts for hours. Figures are for one
Envoy; those that depend on the machine are flags of run.py.
"""

import pathlib

MIB = 1 << 20

# What a call needs of HTTP/2, and no more. The windows bound what Envoy holds of one stream: a client that does not
# read must be felt by the server, which ends such a call, so little is buffered towards it.
STREAMS_A_CONNECTION = 32
HEADERS_KIB = 16
HEADERS_COUNT = 64
BUFFER_BYTES = 32 << 10
CLIENT_STREAM_WINDOW = 256 << 10  # towards the server: video
CLIENT_CONNECTION_WINDOW = MIB
SERVER_STREAM_WINDOW = 64 << 10  # from the server: text
STREAMS_A_SERVER_CONNECTION = 1  # what goes wrong with one call's connection is no other call's matter

HEADERS_TIMEOUT = "5s"  # from the first byte of a request's headers to the last; of a TLS handshake, too
QUESTION_LIMIT = "10s"
SERVER_CONNECTION_IDLE = "5s"
NO_LIMIT = "0s"

HEAP = "envoy.resource_monitors.fixed_heap"

ADMIN = "admin.sock"  # from the folder that Envoy runs in: the path of a socket has at most 107 bytes

PEER_HEADER = "x-parley-peer"
CLIENT_SUBJECT_HEADER = "x-parley-client-subject"


def typed(kind, /, **fields):
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def address_of(text):
    """A server's or a listener's address: unix:PATH or HOST:PORT."""
    if text.startswith("unix:"):
        return {"pipe": {"path": text.removeprefix("unix:")}}
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def keepalive(seconds):
    """HTTP/2 pings: a peer that is gone without a word is noticed after twice this."""
    return {"interval": f"{seconds}s", "timeout": f"{min(seconds, 10)}s", "interval_jitter": {"value": 15}}


def set_header(name, value):
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def rate_limit(options):
    """New streams of an address, an IPv6 address by its /64 network."""
    bucket = {"max_tokens": 2 * options.streams_a_second, "tokens_per_fill": options.streams_a_second, "fill_interval": "1s"}
    everything = {"numerator": 100, "denominator": "HUNDRED"}
    return typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="streams_of_a_peer",
        # The filter wants a bucket for all, too.
        token_bucket={"max_tokens": 100_000, "tokens_per_fill": 100_000, "fill_interval": "1s"},
        filter_enabled={"default_value": everything},
        filter_enforced={"default_value": everything},
        rate_limited_as_resource_exhausted=True,
        descriptors=[{"entries": [{"key": "masked_remote_address"}], "token_bucket": bucket}],
        max_dynamic_descriptors=10_000,
        rate_limits=[{"actions": [{"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}]}],
    )


def lua(name, **constants):
    """The filter NAME.lua, with these constants before its text. Each thread has a state of its own."""
    values = "".join(f"local {constant} = {value}\n" for constant, value in constants.items())
    code = pathlib.Path(__file__).with_name(f"{name}.lua").read_text()
    return name, typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": values + code})


def streams_of_a_peer(options):
    """On one thread: the limit's share, but all streams of a connection in any case."""
    return max(STREAMS_A_CONNECTION, -(-options.max_streams_per_peer // options.threads))


# What a client may ask for. Each kind has streams of its own to the server, so that none can keep calls out.
CALLS, QUESTIONS, WATCHES = "calls", "questions", "watches"


def routes(options):
    """By path. Whatever else is asked for is UNIMPLEMENTED."""
    # A call lasts as long as the server lets it: no timeout, whatever the client asks for by grpc-timeout. The server
    # answers a question at once: one that lasts is half asked, or its answer is not read. A watch is never over by itself.
    idle = f"{options.idle_limit}s"
    limits = {CALLS: (NO_LIMIT, idle), QUESTIONS: (QUESTION_LIMIT, QUESTION_LIMIT), WATCHES: (idle, idle)}
    kinds = [("call", "/parley.v1.Parley/Converse", CALLS),
             ("capabilities", "/parley.v1.Parley/GetCapabilities", QUESTIONS),
             ("health", "/grpc.health.v1.Health/Check", QUESTIONS),
             ("health_watch", "/grpc.health.v1.Health/Watch", WATCHES)]
    if options.reflection:
        kinds.append(("reflection", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", WATCHES))
    return [{"name": name, "match": {"path": path, "grpc": {}},
             "route": {"cluster": kind, "timeout": NO_LIMIT, "max_stream_duration": {"max_stream_duration": limits[kind][0]},
                       "idle_timeout": limits[kind][1]}}
            for name, path, kind in kinds]


def access_log():
    """Who, how long, how it ended. Nothing that a client chose: the route's name stands for the path."""
    fields = {"time": "%START_TIME%", "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "route": "%ROUTE_NAME%",
              "http": "%RESPONSE_CODE%", "grpc": "%GRPC_STATUS_NUMBER%", "flags": "%RESPONSE_FLAGS%",
              "details": "%RESPONSE_CODE_DETAILS%", "ms": "%DURATION%", "bytes_in": "%BYTES_RECEIVED%",
              "bytes_out": "%BYTES_SENT%"}
    return [{"name": "stdout", "typed_config": typed(
        "extensions.access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": fields})}]


def connection_manager(options):
    filters = [("peer", typed("extensions.filters.http.header_mutation.v3.HeaderMutation", mutations={
        "request_mutations": [
            {"remove": PEER_HEADER}, {"remove": CLIENT_SUBJECT_HEADER},
            set_header(PEER_HEADER, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
            set_header(CLIENT_SUBJECT_HEADER, "%DOWNSTREAM_PEER_SUBJECT%"),
        ]}))]
    if options.streams_a_second > 0:
        filters.append(("rate_limit", rate_limit(options)))
    if options.max_streams_per_peer > 0:
        filters.append(lua("peer_limit", MAX_STREAMS_OF_A_PEER=streams_of_a_peer(options)))
    filters.append(lua("message_limit", MAX_MESSAGE_BYTES=options.max_message_bytes))
    filters.append(("router", typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)))
    manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="parley",
        codec_type="HTTP2",
        use_remote_address=True,
        normalize_path=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        server_header_transformation="PASS_THROUGH",
        max_request_headers_kb=HEADERS_KIB,
        request_headers_timeout=HEADERS_TIMEOUT,
        stream_idle_timeout=f"{options.idle_limit}s",
        drain_timeout="1s",
        common_http_protocol_options={
            "idle_timeout": f"{options.connection_idle_limit}s",
            "max_headers_count": HEADERS_COUNT,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        http2_protocol_options={
            "max_concurrent_streams": STREAMS_A_CONNECTION,
            "initial_stream_window_size": CLIENT_STREAM_WINDOW,
            "initial_connection_window_size": CLIENT_CONNECTION_WINDOW,
            "hpack_table_size": 4096,
            "max_outbound_frames": 1_000,
            "max_outbound_control_frames": 200,
            "max_consecutive_inbound_frames_with_empty_payload": 1,
            "max_inbound_priority_frames_per_stream": 10,
            "max_inbound_window_update_frames_per_data_frame_sent": 10,
            "connection_keepalive": keepalive(options.keepalive),
        },
        http_filters=[{"name": name, "typed_config": config} for name, config in filters],
        route_config={"virtual_hosts": [{"name": "parley", "domains": ["*"], "routes": routes(options)}]},
    )
    if options.access_log:
        manager["access_log"] = access_log()
    return manager


def tls(options, folder):
    def secret(name):
        return {"name": name, "sds_config": {"path_config_source": {"path": f"{folder}/{name}.json"}}}

    common = {"alpn_protocols": ["h2"], "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"}}
    if folder is None:
        common.update(files(options))
    else:
        common["tls_certificate_sds_secret_configs"] = [secret("certificate")]
        if options.client_ca:
            common["validation_context_sds_secret_config"] = secret("clients")
    context = typed("extensions.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=common,
                    require_client_certificate=bool(options.client_ca))
    return {"name": "tls", "typed_config": context}


def files(options):
    """The certificates as they are, read once. Envoy does not start with ones that it cannot use; with those of `secrets`
    it does, and then closes every connection."""
    found = {"tls_certificates": [{"certificate_chain": {"filename": str(options.tls_cert)},
                                   "private_key": {"filename": str(options.tls_key)}}]}
    if options.client_ca:
        found["validation_context"] = {"trusted_ca": {"filename": str(options.client_ca)}}
    return found


def secrets(options):
    """By name, each for a file NAME.json of its own: what is read again when a file in its folder is replaced, by a
    rename, as certbot and Kubernetes do."""
    def watched(path):
        return {"watched_directory": {"path": str(path.parent)}}

    def resource(name, **what):
        return {"resources": [typed("extensions.transport_sockets.tls.v3.Secret", name=name, **what)]}

    found = {}
    if options.tls_cert:
        found["certificate"] = resource("certificate", tls_certificate={
            "certificate_chain": {"filename": str(options.tls_cert)}, "private_key": {"filename": str(options.tls_key)},
            **watched(options.tls_cert)})
    if options.client_ca:
        found["clients"] = resource("clients", validation_context={
            "trusted_ca": {"filename": str(options.client_ca)}, **watched(options.client_ca)})
    return found


def listener(options, folder):
    chain = {"filters": [{"name": "http", "typed_config": connection_manager(options)}],
             "transport_socket_connect_timeout": HEADERS_TIMEOUT}
    if options.tls_cert:
        chain["transport_socket"] = tls(options, folder)
    return {
        "name": "public",
        "address": address_of(options.listen),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "tcp_backlog_size": 1024,
        # A connection that says nothing at all is not waited for.
        "filter_chains": [chain],
        "socket_options": [
            {"description": "SO_KEEPALIVE", "level": 1, "name": 9, "int_value": 1, "state": "STATE_PREBIND"},
            {"description": "TCP_USER_TIMEOUT", "level": 6, "name": 18, "state": "STATE_PREBIND",
             "int_value": 1000 * min(options.keepalive, 10)},
        ],
    }


def streams_at_once(options):
    """To the server, by kind."""
    others = max(1, options.max_streams // 4)
    return {CALLS: options.max_streams, QUESTIONS: others, WATCHES: others}


def cluster(options, kind, streams):
    protocol = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": {
            "max_concurrent_streams": STREAMS_A_SERVER_CONNECTION,
            "initial_stream_window_size": SERVER_STREAM_WINDOW,
            "initial_connection_window_size": MIB,
            # The server widens the window with each message that it takes, and one frame may hold a thousand small
            # ones: with Envoy's own limit of 10 a burst of them, as after a stall, cost the call.
            "max_inbound_window_update_frames_per_data_frame_sent": 100_000,
            "connection_keepalive": keepalive(options.keepalive),
        }},
        common_http_protocol_options={"idle_timeout": SERVER_CONNECTION_IDLE},
    )
    # A stream over the limit is UNAVAILABLE at once. With no more connections than streams it would wait for one of
    # them without end: it is looked at when it has a connection. Idle connections are a thread's own.
    most = {"max_requests": streams, "max_connections": (options.threads + 1) * streams, "max_pending_requests": streams,
            "max_retries": 0}
    found = {
        "name": kind,
        "type": "STATIC",
        "connect_timeout": "2s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": kind, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address_of(options.server)}}]}]},
    }
    if kind == CALLS:
        # The only server there is gets the calls even when it says NOT_SERVING: it tells the client why it takes none.
        found["health_checks"] = [{"timeout": "2s", "interval": "5s", "no_traffic_interval": "5s", "unhealthy_threshold": 2,
                                   "healthy_threshold": 1, "grpc_health_check": {}}]
    return found


def overload(options):
    """Near its limit of memory Envoy closes idle connections early, then ends the streams that hold most, then
    takes no new ones: calls that behave go on."""
    def at(value):
        return {"name": HEAP, "threshold": {"value": value}}

    def between(low, high):
        return {"name": HEAP, "scaled": {"scaling_threshold": low, "saturation_threshold": high}}

    def action(name, trigger, **more):
        return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger], **more}

    early = typed("config.overload.v3.ScaleTimersOverloadActionConfig", timer_scale_factors=[
        {"timer": timer, "min_timeout": "1s"}
        for timer in ("HTTP_DOWNSTREAM_CONNECTION_IDLE", "TRANSPORT_SOCKET_CONNECT")])
    return {
        "refresh_interval": "0.1s",
        "resource_monitors": [
            {"name": HEAP, "typed_config": typed(
                "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=options.memory_mib * MIB)},
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": typed(
                "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=options.max_connections)},
        ],
        "actions": [
            action("reduce_timeouts", between(.6, .9), typed_config=early),
            action("shrink_heap", at(.7)),
            action("reset_high_memory_stream", between(.85, .95)),
            action("stop_accepting_requests", at(.95)),
            action("reject_incoming_connections", at(.95)),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 16},
    }


def bootstrap(options, folder):
    """What Envoy is started with, in the folder of `secrets`. Without one: what it can check and not run with."""
    return {
        "node": {"id": "edge", "cluster": "parley"},
        "admin": {"address": {"pipe": {"path": ADMIN, "mode": 0o600}}},
        "static_resources": {"listeners": [listener(options, folder)], "clusters": [
            cluster(options, kind, streams) for kind, streams in streams_at_once(options).items()]},
        "overload_manager": overload(options),
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": {
            # A connection that has reset this many streams within a second of opening them, half of all, is closed.
            "overload": {"premature_reset_total_stream_count": 64, "premature_reset_min_stream_lifetime_seconds": 1},
            # One connection cannot keep a thread to itself.
            "http": {"max_requests_per_io_cycle": 4},
        }}]},
    }
