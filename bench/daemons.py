"""How each BGP implementation is configured, started and asked for its version."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ASN, CLUSTER, RANGE = 64512, "10.0.0.1", "127.1.0.0/16"

# What "policy on every route" looks at: a list of prefixes, a community and an AS that no route has, and a value that each has.
FOREIGN = [f"30.0.{number}.0/24" for number in range(200)]


class Daemon:
    """One implementation. `root` is a folder with a system of its own, where it is not installed in this one."""

    warm_up = 1.0
    # Milliseconds between the last session's Established and the start of the clock.
    settle = 1000
    # Whether it installs routes in the kernel by itself, and where its metrics are, as an offset to its port.
    installs = False
    metrics = None

    def __init__(self, name, path, root=None):
        self.name, self.path, self.root = name, path, root

    def enter(self):
        return ["chroot", self.root] if self.root else []

    def version(self):
        run = subprocess.run([*self.enter(), self.path, "--version"], capture_output=True, text=True)
        first = (run.stdout + run.stderr).strip().splitlines()[0]
        return re.sub(r"^(bird|bgpd|gobgpd|kubgpd) (version )?", "", first, flags=re.I)

    def command(self, folder, port, case):
        """Writes the configuration to `folder/…` and says how to start; paths are as the daemon sees them."""
        raise NotImplementedError

    def write(self, folder, name, text):
        pathlib.Path(f"{self.root or ''}{folder}/{name}").write_text(text)


class Floor(Daemon):
    warm_up = 0.2

    def version(self):
        return "plain epoll"

    def command(self, folder, port, case):
        senders = case.senders if case.kind == "table" else 0
        return [self.path, "floor", "--listen", f"127.0.0.1:{port}", "--senders", str(senders)] + ["--ebgp"] * case.ebgp


class Kubgpd(Daemon):
    installs, metrics = True, 1000

    def __init__(self, name, path, root=None, shards=None):
        super().__init__(name, path, root)
        self.shards = shards

    def command(self, folder, port, case):
        asn, client = ("external", "false") if case.ebgp else ("internal", "true")
        policy = "import: [all], export: [all], multihop: 255, " if case.ebgp else ""
        if case.policy:
            policy = "import: [look], export: [look], "
        look = f"""
  look:
    - match: {{ prefixes: [{", ".join(FOREIGN)}] }}
      action: reject
    - match: {{ communities: ["64999:*"] }}
      action: reject
    - match: {{ asPath: "_65000_" }}
      action: reject
    - set: {{ localPref: 100 }}
      action: accept"""
        self.write(
            folder,
            "kubgp.yaml",
            f"""apiVersion: kubgp.io/v1
router: {{ asn: {ASN}, id: {CLUSTER}, clusterId: {CLUSTER} }}
listen: [{{ address: 127.0.0.1, port: {port} }}]
policies:
  all: [{{ action: accept }}]{look if case.policy else ""}
groups:
  clients: {{ asn: {asn}, {policy}routeReflectorClient: {client}, passive: true, holdTime: 90s }}
dynamicNeighbors: [{{ range: {RANGE}, group: clients, max: 10000 }}]
fib: {{ install: {"best" if case.kind == "fib" else "none"} }}
api: {{ socket: {folder}/kubgp.sock }}
metrics: {{ listen: "127.0.0.1:{port + self.metrics}" }}
log: {{ level: warn }}
""",
        )
        return [self.path, "--config", f"{folder}/kubgp.yaml"] + (["--shards", str(self.shards)] if self.shards else [])


class Bird(Daemon):
    installs = True

    def command(self, folder, port, case):
        side = "external" if case.ebgp else "internal"
        reflect = "" if case.ebgp else f"rr client; rr cluster id {CLUSTER};"
        accept, look, kernel = "all", "", ""
        if case.policy:
            accept = "filter look"
            look = f"""define FOREIGN = [ {", ".join(prefix + "+" for prefix in FOREIGN)} ];
filter look {{
  if source != RTS_BGP then reject;
  if net ~ FOREIGN then reject;
  if bgp_community ~ [(64999, *)] then reject;
  if bgp_path ~ [= * 65000 * =] then reject;
  bgp_local_pref = 100;
  accept;
}}
"""
        if case.kind == "fib":
            kernel = "protocol direct { ipv4; }\nprotocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }\n"
        else:
            kernel = 'protocol static { ipv4; route 10.1.0.0/16 via "lo"; }\n'
        self.write(
            folder,
            "bird.conf",
            f"""router id {CLUSTER};
log "{folder}/bird.log" {{ warning, error, fatal, bug }};
{look}protocol device {{ }}
{kernel}protocol bgp clients {{
  local 127.0.0.1 port {port} as {ASN};
  neighbor range {RANGE} {side};
  dynamic name "client"; dynamic name digits 5;
  multihop; passive; hold time 90; {reflect}
  ipv4 {{ import {accept}; export {accept if case.policy else "where source = RTS_BGP"}; }};
}}
""",
        )
        return [self.path, "-f", "-c", f"{folder}/bird.conf", "-s", f"{folder}/bird.ctl", "-P", f"{folder}/bird.pid"]


class Frr(Daemon):
    # It gathers changes for up to 10 s after sessions come up; measured is what it does when that is over.
    settle = 12000

    def command(self, folder, port, case):
        side = "external" if case.ebgp else ASN
        reflect = "" if case.ebgp else "  neighbor CLIENTS route-reflector-client\n"
        look = ""
        if case.policy:
            reflect += "  neighbor CLIENTS route-map look in\n  neighbor CLIENTS route-map look out\n"
            look = "".join(f"ip prefix-list foreign permit {prefix} le 32\n" for prefix in FOREIGN)
            look += "bgp community-list expanded foreign permit 64999:.*\nbgp as-path access-list foreign permit _65000_\n"
            for number, match in enumerate(("ip address prefix-list foreign", "community foreign", "as-path foreign"), 1):
                look += f"route-map look deny {number}\n match {match}\n"
            look += "route-map look permit 9\n set local-preference 100\n"
        # Configured one by one: peers from a range can get stuck when they all reconnect at once.
        passive = "\n ".join(f"neighbor {address} peer-group CLIENTS\n neighbor {address} passive" for address in case.addresses())
        self.write(
            folder,
            "bgpd.conf",
            f"""{look}router bgp {ASN}
 bgp router-id {CLUSTER}
 bgp cluster-id {CLUSTER}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor CLIENTS peer-group
 neighbor CLIENTS remote-as {side}
 neighbor CLIENTS timers 30 90
 neighbor CLIENTS advertisement-interval 0
 {"neighbor CLIENTS ebgp-multihop 255" if case.ebgp else "!"}
 {passive}
 address-family ipv4 unicast
  neighbor CLIENTS activate
{reflect} exit-address-family
""",
        )
        options = ["-Z", "-S", "-n", "-f", f"{folder}/bgpd.conf", "-i", f"{folder}/bgpd.pid", "--vty_socket", folder, "-P", "0"]
        return [self.path, *options, "-l", "127.0.0.1", "-p", str(port), "--log", f"file:{folder}/bgpd.log"]


class GoBgp(Daemon):
    def command(self, folder, port, case):
        config = f'[global.config]\nas = {ASN}\nrouter-id = "{CLUSTER}"\nport = {port}\nlocal-address-list = ["127.0.0.1"]\n'
        if case.ebgp:
            for client, address in enumerate(case.addresses()):
                config += f'[[neighbors]]\n[neighbors.config]\nneighbor-address = "{address}"\npeer-as = {64600 + client}\n'
                config += "[neighbors.transport.config]\npassive-mode = true\n[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = 255\n"
        else:
            config += f'[[peer-groups]]\n[peer-groups.config]\npeer-group-name = "clients"\npeer-as = {ASN}\n'
            config += f'[peer-groups.route-reflector.config]\nroute-reflector-client = true\nroute-reflector-cluster-id = "{CLUSTER}"\n'
            config += "[peer-groups.timers.config]\nhold-time = 90\n"
            config += '[[peer-groups.afi-safis]]\n[peer-groups.afi-safis.config]\nafi-safi-name = "ipv4-unicast"\n'
            config += f'[[dynamic-neighbors]]\n[dynamic-neighbors.config]\nprefix = "{RANGE}"\npeer-group = "clients"\n'
        if case.policy:
            config += self.policy()
        self.write(folder, "gobgpd.toml", config)
        api = f"127.0.0.1:{port + 1000}"
        return [self.path, "-f", f"{folder}/gobgpd.toml", "-t", "toml", "--api-hosts", api, "--pprof-disable", "-l", "warn"]

    @staticmethod
    def policy():
        text = "[global.apply-policy.config]\n"
        text += "".join(f'{way}-policy-list = ["look"]\ndefault-{way}-policy = "accept-route"\n' for way in ("import", "export"))
        text += '[[defined-sets.prefix-sets]]\nprefix-set-name = "foreign"\n'
        text += "".join(f'[[defined-sets.prefix-sets.prefix-list]]\nip-prefix = "{prefix}"\nmasklength-range = "24..32"\n' for prefix in FOREIGN)
        text += '[[defined-sets.bgp-defined-sets.community-sets]]\ncommunity-set-name = "foreign"\ncommunity-list = ["^64999:.*$"]\n'
        text += '[[defined-sets.bgp-defined-sets.as-path-sets]]\nas-path-set-name = "foreign"\nas-path-list = ["_65000_"]\n'
        text += '[[policy-definitions]]\nname = "look"\n'
        conditions = (
            ("prefix", '[policy-definitions.statements.conditions.match-prefix-set]\nprefix-set = "foreign"\n'),
            ("community", '[policy-definitions.statements.conditions.bgp-conditions.match-community-set]\ncommunity-set = "foreign"\n'),
            ("as-path", '[policy-definitions.statements.conditions.bgp-conditions.match-as-path-set]\nas-path-set = "foreign"\n'),
        )
        for name, condition in conditions:
            text += f'[[policy-definitions.statements]]\nname = "{name}"\n{condition}'
            text += '[policy-definitions.statements.actions]\nroute-disposition = "reject-route"\n'
        text += '[[policy-definitions.statements]]\nname = "rest"\n[policy-definitions.statements.actions]\nroute-disposition = "accept-route"\n'
        return text + "[policy-definitions.statements.actions.bgp-actions]\nset-local-pref = 100\n"


def find(wanted, load, build):
    """The daemons of these names that there are, in this order."""

    def of(kind, variable, *places):
        """By environment: VARIABLE=/path/to/binary, VARIABLE_ROOT=/folder with a whole system, or both; else where it is installed."""

        def make(name):
            root, path = os.environ.get(f"{variable}_ROOT"), os.environ.get(variable)
            if root and not path:
                path = next((place for place in places if os.path.exists(root + place)), None)
            elif not path:
                path = next(filter(None, map(shutil.which, places)), None)
            return path and kind(name, path, root)

        return make

    kubgpd = lambda shards: lambda name: Kubgpd(name, os.environ.get("KUBGPD") or build("--bin", "kubgpd", "kubgpd"), shards=shards)
    known = {
        "floor": lambda name: Floor(name, load),
        "kubgpd": kubgpd(None),
        "kubgpd-1": kubgpd(1),
        "kubgpd-2": kubgpd(2),
        "bird2": of(Bird, "BIRD2", "/usr/sbin/bird"),
        "frr": of(Frr, "FRR", "/usr/lib/frr/bgpd"),
        "gobgp": of(GoBgp, "GOBGP", "/usr/bin/gobgpd"),
        "bird3": lambda name: any(key.startswith("BIRD3") for key in os.environ) and of(Bird, "BIRD3", "/usr/sbin/bird")(name),
        "frr10": lambda name: any(key.startswith("FRR10") for key in os.environ) and of(Frr, "FRR10", "/usr/lib/frr/bgpd")(name),
    }
    daemons = []
    for name in wanted:
        if name not in known:
            sys.exit(f"bench/compare: no such daemon: {name} (known: {', '.join(known)})")
        if daemon := known[name](name):
            daemons.append(daemon)
        elif name not in ("bird3", "frr10"):
            print(f"  {name} is not installed and left out", file=sys.stderr)
    return daemons
