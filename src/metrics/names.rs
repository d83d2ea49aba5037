//! Every metric: name, help, type.

use prometheus::proto::MetricType;

/// A family of series.
pub(super) struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricType,
}

pub(super) const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, kind: MetricType::GAUGE }
}

pub(super) const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, kind: MetricType::COUNTER }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, kind: MetricType::HISTOGRAM }
}

macro_rules! metrics {
    ($($id:ident = $make:ident($name:literal, $help:literal);)*) => { $(pub(super) const $id: Metric = $make($name, $help);)* };
}

metrics! {
    BUILD_INFO = gauge("kubgp_build_info", "Always 1; the labels say what runs.");
    START_TIME = gauge("kubgp_start_time_seconds", "When the daemon started, in seconds since 1970.");
    RELOAD_SUCCESSFUL = gauge("kubgp_config_last_reload_successful", "1 if the newest configuration was accepted.");
    RELOAD_TIMESTAMP = gauge("kubgp_config_last_reload_timestamp_seconds", "When the running configuration was loaded.");
    CONFIG_STALE = gauge("kubgp_config_stale", "1 while what runs is older than what was asked for.");
    SESSION_UP = gauge("kubgp_session_up", "1 if the session is Established.");
    SESSION_STATE = gauge("kubgp_session_state", "1 for the state that the session is in, 0 for the others.");
    SESSION_ADMIN_UP = gauge("kubgp_session_admin_up", "1 if the session should be up.");
    SESSION_UPTIME = gauge("kubgp_session_uptime_seconds", "Time since Established; 0 while down.");
    SESSION_LAST_CHANGE = gauge("kubgp_session_last_change_timestamp_seconds", "When the state changed last.");
    SESSION_TRANSITIONS = counter("kubgp_session_transitions_total", "Changes to and from Established.");
    SESSION_DOWN = counter("kubgp_session_down_total", "Ended sessions by reason.");
    MESSAGES = counter("kubgp_messages_total", "BGP messages.");
    NOTIFICATIONS = counter("kubgp_notifications_total", "NOTIFICATION messages by error code and subcode.");
    BYTES = counter("kubgp_bytes_total", "Octets of BGP messages.");
    PREFIXES = gauge("kubgp_prefixes", "Prefixes of a peer by view.");
    PREFIX_LIMIT = gauge("kubgp_prefix_limit", "Configured prefix limit.");
    PREFIX_LIMIT_HIT = gauge("kubgp_prefix_limit_hit", "1 while the prefix limit is reached.");
    UPDATE_ERRORS = counter("kubgp_update_errors_total", "Malformed UPDATE messages by what was done (RFC 7606).");
    OUT_QUEUE_MESSAGES = gauge("kubgp_out_queue_messages", "Messages that wait for the socket.");
    OUT_QUEUE_BYTES = gauge("kubgp_out_queue_bytes", "Octets that wait for the socket.");
    SEND_BLOCKED = counter("kubgp_send_blocked_seconds_total", "Time in which the peer took no data although there was some.");
    BFD_UP = gauge("kubgp_bfd_session_up", "1 if BFD says that the path to the peer is up.");
    BFD_TRANSITIONS = counter("kubgp_bfd_transitions_total", "Changes of BFD sessions to and from Up.");
    BFD_PACKETS = counter("kubgp_bfd_packets_total", "BFD control packets of sessions.");
    BFD_DISCARDED = counter("kubgp_bfd_discarded_total", "BFD control packets that were dropped, by reason.");
    RIB_PREFIXES = gauge("kubgp_rib_prefixes", "Prefixes in the RIB.");
    RIB_PATHS = gauge("kubgp_rib_paths", "Paths in the RIB.");
    RIB_ATTRIBUTE_SETS = gauge("kubgp_rib_attribute_sets", "Different sets of path attributes; both families share them.");
    RIB_MEMORY = gauge("kubgp_rib_memory_bytes", "Memory of the RIB's tables.");
    GROUP_MEMBERS = gauge("kubgp_update_group_members", "Peers that share one update group.");
    GROUP_ROUTES = gauge("kubgp_update_group_routes", "Routes that an update group advertises.");
    GROUP_MESSAGES = counter("kubgp_update_group_messages_encoded_total", "UPDATE messages encoded for a group, however many members read them.");
    GROUP_BYTES = counter("kubgp_update_group_bytes_encoded_total", "Octets encoded for a group, however many members read them.");
    GROUP_MEMORY = gauge("kubgp_update_group_memory_bytes", "Memory of an update group, journal included.");
    GROUP_JOURNAL = gauge("kubgp_update_group_journal_bytes", "Octets of encoded messages that an update group keeps for its members.");
    GROUP_JOURNAL_DEAD = gauge("kubgp_update_group_journal_dead_bytes", "Those of them that nobody needs any more: at most as many as the others, and 1 MiB.");
    CONVERGENCE = histogram("kubgp_convergence_seconds", "From an UPDATE read until what follows from it is handed to the sending side, the oldest of each RIB turn.");
    RIB_BATCH = histogram("kubgp_rib_batch_seconds", "Time of one RIB turn.");
    FIB_ROUTES = gauge("kubgp_fib_routes", "Routes that we installed in the kernel.");
    FIB_PENDING = gauge("kubgp_fib_pending", "Routes that wait for the kernel, failed ones included.");
    FIB_OPERATIONS = counter("kubgp_fib_operations_total", "Route operations of the kernel.");
    FIB_RESYNCS = counter("kubgp_fib_resyncs_total", "Complete comparisons with the kernel table by cause.");
    FIB_RIVALS = counter("kubgp_fib_rival_writes_total", "Routes that the daemon that we took over from wrote beside us: more than 0 says that it was not ended.");
    FIB_SYNC = histogram("kubgp_fib_sync_seconds", "Time of one batch of kernel operations.");
    DRAIN_STATE = gauge("kubgp_drain_state", "0 serving, 1 our prefixes carry GRACEFUL_SHUTDOWN, 2 they are withdrawn.");
    K8S_CONNECTED = gauge("kubgp_k8s_connected", "1 while every watch is in contact with the API server.");
    K8S_OBJECTS = gauge("kubgp_k8s_objects", "Objects that are known, by kind.");
    K8S_WATCH_RESTARTS = counter("kubgp_k8s_watch_restarts_total", "Watches and lists that failed or were cut, by kind.");
    K8S_FAULTY_OBJECTS = gauge("kubgp_k8s_faulty_objects", "Objects that are not, or not entirely, in effect, by kind and severity.");
    LEADER = gauge("kubgp_leader", "1 while this process gives addresses to Services; others with this role stand by.");
    IPAM_ADDRESSES = gauge("kubgp_ipam_addresses", "Addresses of pools: all that can be given, those in use, and the rest. A shared one counts once.");
    IPAM_FAILURES = counter("kubgp_ipam_allocation_failures_total", "Times that a Service got no address, by pool and reason.");
    IPAM_WRITE_FAILURES = counter("kubgp_ipam_write_failures_total", "Attempts to write the status of a Service that failed.");
    SERVICES_ADVERTISED = gauge("kubgp_services_advertised", "Services whose addresses this node announces.");
    SERVICES_BLOCKED = gauge("kubgp_services_blocked", "Services that this node does not announce, by the first reason.");
    VIP_HEALTHY = gauge("kubgp_vip_healthy", "1 while the check of a VIP of the file succeeds here, or it has none.");
    VIP_ANNOUNCED = gauge("kubgp_vip_announced", "1 while a VIP of the file is announced from here, but for a drain.");
    VIP_CHECKS = counter("kubgp_vip_checks_total", "Health checks of VIPs of the file by result.");
    PROCESS_CPU = counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
    PROCESS_RESIDENT = gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
    PROCESS_VIRTUAL = gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
    PROCESS_OPEN_FDS = gauge("process_open_fds", "Number of open file descriptors.");
    PROCESS_MAX_FDS = gauge("process_max_fds", "Maximum number of open file descriptors.");
    PROCESS_THREADS = gauge("process_threads", "Number of OS threads in the process.");
    PROCESS_START_TIME = gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.");
}
