//! The grammar of `bgpctl`: options by clap, and OpenBGPD's positional words where users expect them.

mod import;

pub use import::{Import, ImportFormat, ImportPart};

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::api::query::{StateFilter, parse_prefix};
use crate::api::types::{Community, ConfigView, Family, LargeCommunity, NeighborType, Origin, PolicyTableView};

/// Look at and steer the BGP daemon kubgpd.
#[derive(Debug, Parser)]
#[command(name = "bgpctl", version, infer_subcommands = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed or refused, 2 usage, 3 daemon not reachable, 4 not found, 5 partial result, \
6 condition not met (healthcheck, --exit-status), 7 configuration invalid";

/// Options of every command.
#[derive(Args, Debug)]
pub struct Global {
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// Short for --output json
    #[arg(short, long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Go on and print changes as they happen
    #[arg(short, long, global = true)]
    pub watch: bool,
    /// Admin socket of the daemon
    #[arg(long, global = true, env = "BGPCTL_SOCKET", default_value = "/run/kubgp/kubgp.sock", value_name = "PATH")]
    pub socket: PathBuf,
    /// Leave out table headers
    #[arg(long, global = true)]
    pub no_headers: bool,
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,
    /// Print times in UTC instead of local time
    #[arg(long, global = true)]
    pub utc: bool,
    /// Print nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Only IPv4 unicast
    #[arg(short = '4', global = true, conflicts_with_all = ["v6", "family"])]
    pub v4: bool,
    /// Only IPv6 unicast
    #[arg(short = '6', global = true, conflicts_with = "family")]
    pub v6: bool,
    /// Only this address family: ipv4-unicast or ipv6-unicast
    #[arg(long, global = true)]
    pub family: Option<Family>,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Daemons of a Kubernetes cluster, reached with kubectl.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster (through kubectl)")]
pub struct Cluster {
    /// Ask the daemon of this node
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "all_nodes")]
    pub node: Option<String>,
    /// Ask the daemons of all nodes (kubectl-bgp does so by itself); exit 5 when some do not answer
    #[arg(long, global = true)]
    pub all_nodes: bool,
    /// Only pods of this namespace
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub kube_namespace: Option<String>,
    /// Context of kubectl
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Configuration of kubectl
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

impl Global {
    /// The family asked for by `-4`, `-6` or `--family`.
    pub fn family(&self) -> Option<Family> {
        match (self.v4, self.v6) {
            (true, _) => Some(Family::Ipv4Unicast),
            (_, true) => Some(Family::Ipv6Unicast),
            _ => self.family,
        }
    }

    pub const fn output(&self) -> Output {
        if self.json { Output::Json } else { self.output }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    /// More columns; neighbors one line per family
    Wide,
    Json,
    /// One JSON object a line
    Ndjson,
    Yaml,
    /// Only names or addresses
    Name,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show state; without a word: the summary
    Show {
        #[command(subcommand)]
        what: Option<Show>,
    },
    /// Say why a prefix, or a Service, is or is not used and sent, or why a neighbor is down
    Explain {
        #[arg(value_name = "PREFIX|svc/[NS/]NAME|neighbor PEER", required = true, num_args = 1..=2)]
        subject: Vec<String>,
        /// The neighbor that should have it
        #[arg(long, value_name = "PEER")]
        to: Option<String>,
    },
    /// Print changes as they happen
    Monitor {
        #[command(subcommand)]
        what: Monitor,
    },
    /// Clear PEER, `group G` or all: soft asks for routes again, hard ends the session
    Clear {
        #[arg(required = true, num_args = 1.., help = "PEER|all|group G [soft [in|out]] [hard]")]
        words: Vec<String>,
        /// Told to the neighbor on a hard clear
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Switch one neighbor up or down, clear it, or refresh its routes
    Neighbor {
        /// Address, name or description, `group G` or `all`
        peer: String,
        #[arg(value_enum)]
        action: NeighborAction,
        /// Told to the neighbor (RFC 9003) and logged
        #[arg(default_value = "")]
        reason: String,
    },
    /// Prefixes that we originate
    Network {
        #[command(subcommand)]
        action: Network,
    },
    /// Policies
    Policy {
        #[command(subcommand)]
        action: Policy,
    },
    /// Check a configuration file; needs no daemon
    CheckConfig {
        #[arg(required_unless_present = "schema")]
        file: Option<PathBuf>,
        /// Print the JSON Schema of the file instead, for editors
        #[arg(long, conflicts_with = "file")]
        schema: bool,
    },
    /// Say what the daemon would do here if it were started now: sessions and, with the kernel, routes; touches nothing, needs no daemon
    Diff {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "/etc/kubgp/kubgp.yaml")]
        config: PathBuf,
        /// Compare the routes of the kernel with those that would be there
        #[arg(long)]
        with_kernel: bool,
    },
    /// Let traffic leave this node: mark our prefixes with GRACEFUL_SHUTDOWN, then withdraw them (drain.gracePeriod)
    Drain {
        /// Come back when they are withdrawn
        #[arg(long)]
        wait: bool,
        /// How long to wait; exit 6 when it is not enough
        #[arg(long, requires = "wait", default_value = "5m", value_name = "DURATION", value_parser = duration)]
        timeout: Duration,
    },
    /// Announce our prefixes again
    Undrain,
    /// Print what an old configuration says as custom resources and as kubgp configuration; needs no daemon
    Import(Import),
    /// Load the configuration file again
    Reload {
        /// Only check and show what would change
        #[arg(long)]
        dry_run: bool,
        /// Go back after that time unless `bgpctl confirm` is given
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        confirm: Option<Duration>,
    },
    /// Keep the configuration of `reload --confirm`
    Confirm,
    /// Go back to the former configuration
    Rollback,
    /// Logging of the daemon
    Log {
        #[command(subcommand)]
        action: Log,
    },
    /// Exit 0 if the daemon is ready and the required sessions are established, else 6
    Healthcheck {
        /// A number of sessions, `all`, or neighbors
        #[arg(long, num_args = 1.., value_name = "N|all|PEER")]
        require_established: Vec<String>,
    },
    /// Neighbors, rates, tables, CPU and memory on one screen
    Top {
        /// Time between two looks
        #[arg(short, long, default_value = "2s", value_name = "DURATION", value_parser = duration)]
        interval: Duration,
    },
    /// Write an archive for support: state, configuration without secrets, events, log, kernel routes
    Bundle {
        /// The archive (.tar.gz), or `-` for the standard output; without, a file here named after host and time
        file: Option<PathBuf>,
    },
    /// Monitoring stations (RFC 7854)
    Bmp {
        #[command(subcommand)]
        action: Bmp,
    },
    /// Dumps of the tables in the format of route collectors
    Mrt {
        #[command(subcommand)]
        action: Mrt,
    },
    /// Print the manual page, or write those of all commands into a directory
    Man {
        #[arg(long, value_name = "DIRECTORY")]
        dir: Option<PathBuf>,
    },
    /// Pass the standard streams on to the admin socket
    #[command(hide = true)]
    Connect,
    /// Print a completion script
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum Show {
    /// The daemon in a few lines, and its neighbors
    Summary,
    /// What CalicoNodeStatus has about this node, as JSON or YAML
    Calico,
    /// Neighbors, one a line; with PEER everything about one
    #[command(visible_alias = "neighbor")]
    Neighbors(ShowNeighbors),
    /// Routes, filtered by words in any order
    #[command(after_help = RIB_FLAGS)]
    Rib {
        #[arg(help = RIB_WORDS)]
        words: Vec<String>,
    },
    /// One prefix: every path with the step that decided on it
    Route {
        #[arg(value_parser = parse_prefix)]
        prefix: IpNet,
    },
    /// Services with addresses that we announce, and what became of them
    #[command(visible_alias = "service")]
    Services {
        #[arg(value_name = "NS/NAME")]
        service: Option<String>,
        /// Only Services with addresses of this pool
        #[arg(long)]
        pool: Option<String>,
        /// Only Services with this reason, for example noEndpoints
        #[arg(long)]
        reason: Option<String>,
    },
    /// Pools of addresses, and how full they are
    Pools,
    /// Addresses in use, and by whom
    Allocations,
    /// Which pools go to which peers, with which attributes
    Advertisements,
    /// What happened to a prefix: the last changes of its best path
    History {
        #[arg(value_parser = parse_prefix)]
        prefix: IpNet,
        /// Also more specific prefixes
        #[arg(value_parser = ["longer"])]
        longer: Option<String>,
    },
    /// Kernel routes: ours, all of the table, or where wanted and installed differ
    Fib {
        #[arg(value_enum, default_value_t)]
        view: FibWord,
    },
    /// BGP next hops and how the kernel reaches them
    Nexthops,
    Interfaces,
    /// Paths that BFD watches
    Bfd,
    Policies,
    /// Reason codes, and what to do about each
    Reasons,
    /// The configuration, secrets masked
    Config(ShowConfig),
    /// Where the memory is
    Memory,
    /// Versions of bgpctl and of the daemon
    Version,
    /// The last events
    Events {
        /// Go on and print new ones
        #[arg(short, long)]
        follow: bool,
    },
}

const RIB_WORDS: &str = "[in|out|filtered] [PREFIX|ADDRESS] [longer|shorter] [neighbor PEER] [best|ecmp|stale|not-best|invalid] \
[community C] [large-community C] [as N] [source-as N] [peer-as N] [as-path REGEX] [origin O] [nexthop A] [detail|count] [limit N]";
const RIB_FLAGS: &str = "Flags: * valid, > best, = multipath, i internal, S stale, F filtered, A advertised, L local";

#[derive(Args, Debug)]
pub struct ShowNeighbors {
    #[arg(help = "[PEER [timers|messages|capabilities|history|terse]] or `group G`; PEER is an address, name or description")]
    pub words: Vec<String>,
    /// down, or a state: idle, connect, active, openSent, openConfirm, established
    #[arg(long, value_parser = state)]
    pub state: Option<StateFilter>,
    #[arg(long)]
    pub group: Option<String>,
    /// ebgp, ibgp or rr-client
    #[arg(long = "type", value_name = "TYPE", value_parser = neighbor_type)]
    pub kind: Option<NeighborType>,
    /// Exit 6 if a listed session is not established
    #[arg(long)]
    pub exit_status: bool,
}

#[derive(Args, Debug)]
pub struct ShowConfig {
    /// What runs, with every default filled in (this is what is shown without an option)
    #[arg(long, group = "view")]
    effective: bool,
    /// The text that was loaded
    #[arg(long, group = "view")]
    running: bool,
    /// The file as it is now
    #[arg(long, group = "view")]
    candidate: bool,
}

impl ShowConfig {
    pub const fn view(&self) -> ConfigView {
        if self.running {
            ConfigView::Running
        } else if self.candidate {
            ConfigView::Candidate
        } else {
            ConfigView::Effective
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum FibWord {
    #[default]
    Ours,
    All,
    Diff,
}

#[derive(Debug, Subcommand)]
pub enum Monitor {
    /// State changes of neighbors
    Neighbors {
        /// Also list what exists at the start
        #[arg(long)]
        current: bool,
    },
    /// Route changes, filtered by the words of `show rib`
    Rib {
        words: Vec<String>,
        #[arg(long)]
        current: bool,
    },
    Events {
        #[arg(long)]
        current: bool,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum NeighborAction {
    Up,
    Down,
    /// End the session and start again
    Clear,
    /// Ask for all routes again
    Refresh,
}

#[derive(Debug, Subcommand)]
pub enum Network {
    /// Originate a prefix until the daemon restarts
    Add {
        #[arg(value_parser = parse_prefix)]
        prefix: IpNet,
        #[arg(help = "[nexthop A] [localpref N] [med N] [community C]… [large-community C]…")]
        words: Vec<String>,
    },
    /// Withdraw a prefix that was added so
    Delete {
        #[arg(value_parser = parse_prefix)]
        prefix: IpNet,
    },
    List,
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Run a route through a policy
    Test(PolicyTest),
}

#[derive(Args, Debug)]
pub struct PolicyTest {
    pub policy: String,
    #[arg(long, value_parser = parse_prefix, required_unless_present = "rib")]
    pub prefix: Option<IpNet>,
    /// Instead of one route, those of a table: `in` as they are kept after import, `loc` the best paths
    #[arg(long, value_name = "in|loc", value_parser = table_view, conflicts_with = "prefix")]
    pub rib: Option<PolicyTableView>,
    /// Only routes of this neighbor
    #[arg(long, value_name = "PEER", requires = "rib")]
    pub neighbor: Option<String>,
    /// How many routes are listed; all are counted
    #[arg(long, value_name = "N", requires = "rib")]
    pub limit: Option<u32>,
    /// The neighbor that the route comes from
    #[arg(long, value_name = "PEER")]
    pub from: Option<String>,
    /// AS numbers, the nearest first
    #[arg(long, value_delimiter = ' ', num_args = 1.., value_name = "ASN")]
    pub as_path: Vec<u32>,
    #[arg(long, value_name = "C")]
    pub community: Vec<Community>,
    #[arg(long, value_name = "C")]
    pub large_community: Vec<LargeCommunity>,
    #[arg(long, value_name = "ADDRESS")]
    pub nexthop: Option<std::net::IpAddr>,
    #[arg(long)]
    pub origin: Option<Origin>,
    #[arg(long)]
    pub localpref: Option<u32>,
    #[arg(long)]
    pub med: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub enum Bmp {
    /// Whether stations are connected, and what they were sent
    Status,
}

#[derive(Debug, Subcommand)]
pub enum Mrt {
    /// Write all accepted routes as TABLE_DUMP_V2 (RFC 6396)
    Dump {
        /// The file, or `-` for the standard output
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Log {
    /// Set what is logged, for example `info,kubgp::session=debug`
    Level {
        directives: String,
        /// Go back after that time
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        period: Option<Duration>,
    },
}

/// What `explain` is asked about.
#[derive(Clone, Debug)]
pub enum Subject {
    Prefix(IpNet),
    /// `namespace/name`, or the name of a VIP of the file.
    Service(String),
    /// Address, name or description.
    Neighbor(String),
}

impl Subject {
    /// Reads a prefix, an address, `svc/NS/NAME`, or `svc/NAME` for a VIP of the file; `neighbor PEER` for a session.
    ///
    /// # Errors
    /// What can be written.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let text = match words {
            [word, peer] if "neighbor".starts_with(word.as_str()) => return Ok(Self::Neighbor(peer.clone())),
            [text] => text,
            _ => return Err("write a prefix, svc/NAMESPACE/NAME, or `neighbor PEER`".to_owned()),
        };
        if let Some(peer) = text.strip_prefix("neighbor/") {
            return Ok(Self::Neighbor(peer.to_owned()));
        }
        let service = ["svc/", "service/", "services/"].iter().find_map(|word| text.strip_prefix(word));
        match service.map(|name| (name, name.split('/').count(), name.split('/').all(|part| !part.is_empty()))) {
            Some((name, 1 | 2, true)) => Ok(Self::Service(name.to_owned())),
            Some(_) => Err("write a Service as svc/NAMESPACE/NAME, a VIP of the file as svc/NAME".to_owned()),
            None => parse_prefix(text)
                .map(Self::Prefix)
                .map_err(|why| format!("{why}; a Service is svc/NAMESPACE/NAME, a neighbor `neighbor {text}`")),
        }
    }
}

/// Reads `90s`, `300ms`, `10m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a duration as 90s, 300ms, 10m or 2h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a duration starts with a number".to_owned())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "the duration is too long".to_owned())
}

/// Reads a word as the API spells it, so that grammar and API cannot differ.
fn api_word<T: serde::de::DeserializeOwned>(text: &str, choices: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("use one of {choices}"))
}

fn state(text: &str) -> Result<StateFilter, String> {
    api_word(text, "down, idle, connect, active, openSent, openConfirm, established")
}

fn table_view(text: &str) -> Result<PolicyTableView, String> {
    api_word(text, "in, loc")
}

fn neighbor_type(text: &str) -> Result<NeighborType, String> {
    api_word(text, "ebgp, ibgp, rr-client")
}
