//! What is said about bad files. `INSTA_UPDATE=always` rewrites the expectations; the difference is reviewed.

use super::*;

fn lines(text: &str) -> String {
    match load_text("kubgp.yaml", text, &[], &TestHost) {
        Ok(_) => panic!("loads without complaint:\n{text}"),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

/// One snapshot a file: the file, then what is said about it.
macro_rules! bad {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let text = $text.trim_start();
            insta::assert_snapshot!(stringify!($name), format!("{text}\n---\n{}", lines(text)));
        }
    )*};
}

bad! {
    syntax_error: "router:\n  asn: [64512\nlisten: {}\n";
    tab_as_indent: "router:\n\tasn: 64512\n";
    empty_file: "# nothing yet\n";
    not_a_mapping: "- router\n";
    list_for_a_mapping: "router: [64512]\nneighbors: [[10.0.0.2]]\n";
    duplicate_key: "router: { asn: 64512 }\nneighbors: []\nrouter: { asn: 64513 }\nlog: { level: info, format: json, level: debug }\n";
    unknown_keys: "router: { asn: 64512, ids: 10.0.0.1 }\nneigbors: []\nneighbors:\n  - { address: 10.0.0.2, asn: 1, hold-time: 9s }\nfoo: 1\n";
    wrong_types: "
router: { asn: zero, id: 10.0.0 }
listen: { address: 10.0.0.1 }
neighbors:
  - { address: 10.0.0.300, asn: 0, port: 70000, passive: maybe, holdTime: 90, families: [ipv4, ipv6-unicast] }
  - { address: 10.0.0.2, asn: -1, name: 7, nextHop: me, addPath: { send: some }, export: { a: b } }
metrics: { listen: 7179 }
";
    looking_glass: "
router: { asn: 64512 }
api: { lookingGlass: { access: world, hosts: [] } }
";
    looking_glass_hosts: "
router: { asn: 64512 }
api: { lookingGlass: { access: all, hosts: ['https://lg.example.net', lg.example.net, 'lg:7179'] } }
";
    hold_times: "
router: { asn: 64512 }
groups: { fast: { holdTime: 2s } }
neighbors:
  - { address: 10.0.0.2, asn: 1, group: fast }
  - { address: 10.0.0.3, asn: 1, holdTime: 1s }
  - { address: 10.0.0.4, asn: 1, holdTime: 3500ms }
  - { address: 10.0.0.5, asn: 1, holdTime: 30s, keepaliveTime: 11s }
  - { address: 10.0.0.6, asn: 1, holdTime: 0s, keepaliveTime: 11s }
  - { address: 10.0.0.7, asn: 1, connectRetryTime: 10ms, sendHoldTime: 10s }
  - { address: 10.0.0.8, asn: 1, holdTime: 20h }
";
    duplicates: "
router: { asn: 64512 }
listen: [{ address: 10.0.0.1 }, { address: 10.0.0.1, port: 179 }, { port: 0, address: '::' }, {}]
neighbors:
  - { name: a, address: 10.0.0.2, asn: 1 }
  - { name: b, address: 10.0.0.2, asn: 1 }
  - { name: a, address: 10.0.0.3, asn: 1 }
  - { name: all, address: 10.0.0.4, asn: 1 }
originate: { networks: [{ prefix: 10.1.0.0/16 }, { prefix: 10.1.0.0/16 }] }
";
    missing: "
groups: { anonymous: { holdTime: 9s } }
neighbors:
  - { asn: 1 }
  - { address: 10.0.0.2 }
  - { address: 10.0.0.3, maxPrefixes: {}, asn: 1 }
dynamicNeighbors:
  - { range: 10.1.0.0/16 }
  - { group: anonymous }
originate: { networks: [{}] }
";
    internal_and_external: "
router: { asn: 64512 }
neighbors:
  - { address: 10.0.0.2, asn: 64500, routeReflectorClient: true }
  - { address: 10.0.0.3, asn: external, routeReflectorClient: true }
  - { address: 10.0.0.4, asn: 64512, role: peer }
  - { address: 10.0.0.5, asn: 64500, localAsn: internal }
";
    hops: "
router: { asn: 64512 }
neighbors:
  - { address: 10.0.0.2, asn: 1, ttlSecurity: 1, multihop: 2 }
  - { address: 10.0.0.3, asn: 1, ttlSecurity: 0 }
  - { address: 10.0.0.4, asn: 1, multihop: 0 }
  - { address: 10.0.0.5, asn: 1, localAddress: '::1', bindDevice: a-name-far-too-long }
";
    addresses: "
router: { asn: 64512, id: 0.0.0.0 }
neighbors:
  - { address: 0.0.0.0, asn: 1 }
  - { address: 224.0.0.5, asn: 1 }
  - { address: 'fe80::1', asn: 1 }
";
    families: "
router: { asn: 64512 }
neighbors:
  - { address: 10.0.0.2, asn: 1, families: [] }
  - { address: 10.0.0.3, asn: 1, families: [ipv4-unicast, ipv4-unicast] }
  - { address: '2001:db8::1', asn: 1, extendedNextHop: true }
  - { address: 10.0.0.4, asn: 1, addPath: { send: 0 } }
";
    passwords: "
router: { asn: 64512 }
neighbors:
  - { address: 10.0.0.2, asn: 1, password: { env: LONG } }
  - { address: 10.0.0.3, asn: 1, password: { env: EMPTY } }
  - { address: 10.0.0.4, asn: 1, password: { file: /etc/key } }
  - { address: 10.0.0.5, asn: 1, password: { file: /etc/key, env: KEY } }
  - { address: 10.0.0.6, asn: 1, password: plain }
";
    ranges: "
router: { asn: 64512 }
listen: []
groups: { nodes: { asn: internal, passive: true } }
neighbors: [{ address: 10.0.0.2, group: nodes }]
dynamicNeighbors:
  - { range: 10.0.0.0/16, group: nodes }
  - { range: 10.0.5.0/24, group: nodes }
  - { range: 10.1.0.1/16, group: nodes, max: 0 }
";
    unknown_names: "
router: { asn: 64512 }
groups: { nodes: { asn: 1 } }
policies: { tor-in: [{ action: accept }], broken: [{ match: { asPath: '(' }, action: accept }], own: [{ set: { nextHop: self } }] }
neighbors:
  - { address: 10.0.0.2, group: node }
  - { address: 10.0.0.3, group: nodes, import: [tor-in, tor-on, broken, own], export: something-else }
  - { address: 10.0.0.4, group: nodes, bfd: fast }
";
    policies: "
router: { asn: 64512 }
policies:
  prefixes:
    - { match: { prefixes: [10.0.0.1/8, { prefix: 10.0.0.0/8, ge: 4 }, { prefix: 10.0.0.0/8, ge: 20, le: 18 }, { ge: 3 }] }, action: accept }
    - { match: { prefixes: [{ prefix: 10.0.0.0/8, orLonger: true, le: 24 }, nonsense] }, action: accept }
  communities:
    - { match: { communities: ['64512:*', '1:2:3'], largeCommunities: ['1:2'], extCommunities: ['xx:1:1'] }, action: accept }
    - { set: { communities: { add: ['64512:*'], replace: ['1:1'] } } }
  paths:
    - { match: { asPath: ['[', '_64512_'] }, action: reject }
    - { set: { prepend: { times: 0 } } }
    - { set: { prepend: { asn: internal } } }
  other:
    - { set: { localPref: 1 }, action: reject }
    - {}
    - { match: { med: { min: 5, max: 1 }, neighbors: [10.0.0.1/8, tor-a] }, action: accept }
    - { set: { med: '+10' } }
    - { action: permit }
";
    networks: "
router: { asn: 64512 }
originate:
  networks:
    - { prefix: 203.0.113.7/24 }
    - { prefix: 203.0.114.0/24, communities: [no-exprt], nextHop: 0.0.0.0 }
    - { prefix: '2001:db8::/32', nextHop: 10.0.0.1 }
    - { prefix: 203.0.115.0/33 }
";
    limits_and_restart: "
router: { asn: 64512 }
neighbors:
  - { address: 10.0.0.2, asn: 1, maxPrefixes: { limit: 0 } }
  - { address: 10.0.0.3, asn: 1, maxPrefixes: { limit: 9, action: warn, restartAfter: 1m } }
  - { address: 10.0.0.4, asn: 1, gracefulRestart: { time: 5000s } }
  - { address: 10.0.0.5, asn: 1, gracefulRestart: { time: 60s, staleTime: 30s, mode: on } }
  - { address: 10.0.0.6, asn: 1, gracefulRestart: { mode: off }, longLivedGracefulRestart: { time: 1h } }
  - { address: 10.0.0.7, asn: 1, longLivedGracefulRestart: { time: 4700h } }
";
    bfd: "
router: { asn: 64512 }
bfd: { profiles: { fast: { transmit: 9ms, receive: 61s, multiplier: 0, minimumTtl: 0 }, usual: {} } }
neighbors:
  - { address: 10.0.0.3, asn: 1, bfd: fats }
";
    not_supported_yet: "
router: { asn: 64512 }
neighbors:
  - { interface: eth0, asn: external }
drain: { onCordon: true }
";
    vips: "
router: { asn: 64512 }
originate: { networks: [{ prefix: 10.0.50.21/32 }] }
vips:
  pools:
    - { name: cp, addresses: [10.0.50.16/28, 10.0.50.9-10.0.50.1, here] }
    - { name: cp, addresses: [10.0.60.0/28] }
    - { addresses: [10.0.70.0/28] }
    - { name: spare, addresses: [10.0.80.0/28] }
  advertise:
    - { pools: [cpp], communities: [a], localPref: 50 }
    - { pools: [cp] }
  services:
    - { name: a, addresses: [10.0.50.20], check: { type: https, target: 127.0.0.1:6443, interval: 10ms, timeout: 2s, rise: 0 } }
    - { name: a, addresses: [10.0.50.21, 10.0.50.20, 127.0.0.1, 10.9.9.9, 10.0.80.1] }
    - { name: b/c, addresses: [10.0.50.22] }
    - { name: d }
    - { name: e, addresses: [10.0.60.1], check: { type: http, target: 127.0.0.1:80, path: livez, host: '', status: [99], ca: /ca, command: [x] } }
    - { name: f, addresses: [10.0.60.2], check: { type: exec, command: [check], target: 127.0.0.1:80 } }
    - { name: g, addresses: [10.0.60.3], check: { type: tcp, target: 127.0.0.1:0 } }
    - { name: h, addresses: [10.0.60.4], check: { interval: 1s } }
    - { name: i, addresses: [10.0.60.5], check: { type: https, target: 127.0.0.1:1, skipVerify: true, ca: /ca } }
";
    other_sections: "
apiVersion: kubgp.io/v2
router: { asn: internal }
fib: { protocol: 2, metric: 0, table: 0, adopt: 4, tunnels: { device: a-name-of-many-octets } }
api: { socket: kubgp.sock }
log: { level: verbose, format: jsn }
";
}

#[test]
fn excerpts_point_at_the_place() {
    let text = "router: { asn: 64512 }\nneighbors:\n  - { address: 10.0.0.2, asn: 1, holdTime: 2s }\n";
    let diagnostics = load_text("kubgp.yaml", text, &[], &TestHost).unwrap_err();
    insta::assert_snapshot!("excerpt", diagnostics.render(false));
}
