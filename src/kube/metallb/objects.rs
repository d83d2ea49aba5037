//! MetalLB's custom resources (`metallb.io`) as they are written: every field of the published versions. What a newer version adds
//! lands in `unknown` and is reported, so that nothing is ignored silently.

use crate::kube::objects::{ApiVersion, Kind, Metadata, Object, object};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The API group of MetalLB.
pub const GROUP: &str = "metallb.io";

/// Keys that no version known to us has.
pub type Unknown = BTreeMap<String, Value>;

/// Defines a kind whose only interesting part besides its metadata is the spec.
macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $spec:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq)]
        #[serde(default)]
        pub struct $name {
            pub metadata: Metadata,
            pub spec: $spec,
        }
    };
}

/// Defines a spec: camelCase, everything optional, absent or empty keys not printed.
macro_rules! spec {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$field_doc])*
            #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
            pub $field: $type,)*
            #[serde(flatten)]
            pub unknown: Unknown,
        }
    };
}

kind! {
    /// Which addresses may be given to Services.
    IPAddressPool, IPAddressPoolSpec
}

spec! {
    pub struct IPAddressPoolSpec {
        /// CIDRs and `first-last`.
        addresses: Vec<String>,
        auto_assign: Option<bool>,
        #[serde(rename = "avoidBuggyIPs")]
        avoid_buggy_ips: bool,
        service_allocation: Option<ServiceAllocation>,
    }
}

spec! {
    /// Who may use a pool, and how much it is preferred.
    pub struct ServiceAllocation {
        /// Lower is preferred; 0 is last.
        priority: i64,
        namespaces: Vec<String>,
        namespace_selectors: Vec<LabelSelector>,
        service_selectors: Vec<LabelSelector>,
    }
}

spec! {
    /// `metav1.LabelSelector`.
    pub struct LabelSelector {
        match_labels: BTreeMap<String, String>,
        match_expressions: Vec<Requirement>,
    }
}

spec! {
    pub struct Requirement {
        key: String,
        /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
        operator: String,
        values: Vec<String>,
    }
}

kind! {
    /// A router, and which nodes have a session with it.
    BGPPeer, BGPPeerSpec
}

spec! {
    pub struct BGPPeerSpec {
        #[serde(rename = "myASN")]
        my_asn: u32,
        #[serde(rename = "peerASN")]
        peer_asn: u32,
        /// `internal` or `external`.
        #[serde(rename = "dynamicASN")]
        dynamic_asn: String,
        #[serde(rename = "localASN")]
        local_asn: Option<u32>,
        peer_address: String,
        interface: String,
        source_address: String,
        peer_port: Option<u32>,
        hold_time: Option<String>,
        keepalive_time: Option<String>,
        connect_time: Option<String>,
        #[serde(rename = "routerID")]
        router_id: String,
        node_selectors: Vec<LabelSelector>,
        password: String,
        password_secret: Option<SecretReference>,
        bfd_profile: String,
        enable_graceful_restart: bool,
        ebgp_multi_hop: bool,
        vrf: String,
        #[serde(rename = "disableMP")]
        disable_mp: bool,
        dual_stack_address_family: bool,
    }
}

spec! {
    pub struct SecretReference {
        name: String,
        namespace: String,
    }
}

kind! {
    /// Binds pools to peers, nodes and attributes.
    BGPAdvertisement, BGPAdvertisementSpec
}

spec! {
    pub struct BGPAdvertisementSpec {
        aggregation_length: Option<i32>,
        aggregation_length_v6: Option<i32>,
        /// 0 is unset.
        local_pref: u32,
        communities: Vec<String>,
        ip_address_pools: Vec<String>,
        ip_address_pool_selectors: Vec<LabelSelector>,
        node_selectors: Vec<LabelSelector>,
        peers: Vec<String>,
        service_selectors: Vec<LabelSelector>,
    }
}

kind! {
    BFDProfile, BFDProfileSpec
}

spec! {
    pub struct BFDProfileSpec {
        /// Milliseconds.
        receive_interval: Option<u32>,
        /// Milliseconds.
        transmit_interval: Option<u32>,
        detect_multiplier: Option<u32>,
        /// Milliseconds.
        echo_interval: Option<u32>,
        echo_mode: bool,
        passive_mode: bool,
        minimum_ttl: Option<u32>,
    }
}

kind! {
    /// Names for communities.
    Community, CommunitySpec
}

spec! {
    pub struct CommunitySpec {
        communities: Vec<CommunityAlias>,
    }
}

spec! {
    pub struct CommunityAlias {
        name: String,
        /// `a:b` or `large:a:b:c`.
        value: String,
    }
}

kind! {
    /// Announcement by ARP and NDP, which kubgp does not do; read so that it can be said.
    L2Advertisement, L2AdvertisementSpec
}

spec! {
    pub struct L2AdvertisementSpec {
        ip_address_pools: Vec<String>,
        ip_address_pool_selectors: Vec<LabelSelector>,
        node_selectors: Vec<LabelSelector>,
        interfaces: Vec<String>,
    }
}

const V1BETA1: ApiVersion = ApiVersion { group: GROUP, version: "v1beta1" };
const V1BETA2: ApiVersion = ApiVersion { group: GROUP, version: "v1beta2" };

object!(IPAddressPool, "ipaddresspools", true, [("metallb.io", "v1beta1")], forget_annotations);
object!(BGPAdvertisement, "bgpadvertisements", true, [("metallb.io", "v1beta1")], forget_annotations);
object!(BFDProfile, "bfdprofiles", true, [("metallb.io", "v1beta1")], forget_annotations);
object!(Community, "communities", true, [("metallb.io", "v1beta1")], forget_annotations);
object!(L2Advertisement, "l2advertisements", true, [("metallb.io", "v1beta1")], forget_annotations);

impl Object for BGPPeer {
    const KIND: Kind = Kind { name: "BGPPeer", plural: "bgppeers", served_by: &[V1BETA2, V1BETA1], namespaced: true };

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn parse(api: &ApiVersion, value: Value) -> Result<Self, String> {
        let mut peer: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if *api == V1BETA1 {
            peer.spec.forget_zero_timers();
        }
        Ok(peer)
    }

    fn trim(&mut self) {
        forget_annotations(self);
    }
}

impl BGPPeerSpec {
    /// v1beta1 cannot tell an absent timer from a zero one and writes `0s`; there it means the default.
    fn forget_zero_timers(&mut self) {
        for timer in [&mut self.hold_time, &mut self.keepalive_time] {
            *timer = timer.take().filter(|text| super::values::duration(text).is_none_or(|time| !time.is_zero()));
        }
    }
}

fn forget_annotations<T: Object>(object: &mut T) {
    object.metadata_mut().annotations.clear();
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// API servers and hand-written manifests write `null` for what is absent.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
