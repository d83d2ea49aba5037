//! The fixed codes that say why a Service has no address, or is not announced from a node. Where MetalLB has a code, this is it.

use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $remedy:literal;)*) => {
        /// Why something stops here.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it stands in JSON, metric labels, conditions and Events.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What to do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    /// Not of type LoadBalancer, or of another class.
    NotOurs = "notOurs", "set type: LoadBalancer and the loadBalancerClass that kubgp is responsible for";
    NoAddress = "noAddress", "see the Events of the Service for why no address was assigned";
    NoClusterIps = "noClusterIPs", "wait until Kubernetes has assigned clusterIPs";
    /// RequireDualStack with clusterIPs of one family only.
    NotEnoughClusterIps = "notEnoughClusterIPs", "the cluster must have both IP versions for RequireDualStack";
    NoPools = "noPools", "create an IPAddressPool";
    PoolUnknown = "poolUnknown", "create the pool, or correct the annotation address-pool";
    /// The object of the pool cannot be read.
    PoolInvalid = "poolInvalid", "correct the pool; its condition says what is wrong";
    PoolExhausted = "poolExhausted", "add addresses to the pool, or delete Services";
    PoolNotAllowed = "poolNotAllowed", "correct serviceAllocation of the pool, or use another pool";
    /// autoAssign is off.
    PoolNotAutomatic = "poolNotAutomatic", "ask for the pool by the annotation address-pool, or set autoAssign: true";
    /// The pool has no address of a family that is needed.
    PoolLacksFamily = "poolLacksFamily", "add addresses of this IP version to the pool";
    /// The wish names an address outside of all pools, or of a pool other than the wanted one.
    AddressNotInPool = "addressNotInPool", "use an address of a pool, all of one and the same";
    /// The pool avoids addresses ending in .0 and .255.
    AddressAvoided = "addressAvoided", "use another address, or set avoidBuggyIPs: false";
    AddressInUse = "addressInUse", "use another address, or share it with the annotation allow-shared-ip";
    SharingKeyMismatch = "sharingKeyMismatch", "use the same allow-shared-ip value, other ports, and the same externalTrafficPolicy (with Local: the same selector)";
    /// The families of the wish are not those of clusterIPs.
    FamilyMismatch = "familyMismatch", "ask for one address of each IP version that the Service has";
    /// A wish that cannot be read.
    WishInvalid = "wishInvalid", "write one or two addresses into the annotation loadBalancerIPs, or one into spec.loadBalancerIP, but not both";
    /// An address of the status is in no pool.
    IpNotAllowed = "ipNotAllowed", "the address must be in a pool; the allocator replaces it";
    NotOwner = "notOwner", "create a BGPAdvertisement for the pool whose nodeSelectors select this node";
    NoMatchingAdvertisement = "noMatchingAdvertisement", "correct serviceSelectors of the BGPAdvertisement, or the labels of the Service";
    ConflictingAdvertisements = "conflictingAdvertisements", "give the advertisements the same localPref, or other peers, nodes or lengths";
    NodeNetworkUnavailable = "nodeNetworkUnavailable", "wait until the network of the node is set up (condition NetworkUnavailable)";
    NodeLabeledExcludeBalancers = "nodeLabeledExcludeBalancers", "remove the label node.kubernetes.io/exclude-from-external-load-balancers from the node";
    NoLocalEndpoints = "noLocalEndpoints", "run a ready pod of the Service on this node, or use externalTrafficPolicy: Cluster";
    NoEndpoints = "noEndpoints", "run at least one ready pod of the Service";
    /// No peer that the advertisements name has a session on this node.
    NoPeer = "noPeer", "name a BGPPeer that selects this node in peers of the BGPAdvertisement";
    /// The peers that are to get the prefix have no established session, or did not read it yet.
    NoSession = "noSession", "bgpctl show neighbors tells why the sessions are down";
    /// Nothing blocks here: the prefix is handed to BGP.
    Announced = "announced", "bgpctl explain PREFIX --to PEER follows it from here";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
