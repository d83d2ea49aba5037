//! MetalLB's custom resources (`metallb.io`) as they are written: every field of the published versions. What a newer version adds
//! lands in `unknown` and is reported, so that nothing is ignored silently.

use crate::kube::objects::{ApiVersion, Kind, Metadata, Object, object};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
#[cfg(test)]
mod tests;

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

/// Defines a spec: camelCase, everything optional, absent or empty keys not printed. Limits of values are for the schema of the custom
/// resource definition only; what an API server lets through is checked again.
macro_rules! spec {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
        #[cfg_attr(test, derive(JsonSchema))]
        $(#[$doc])*
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
    #[cfg_attr(test, schemars(extend("required" = ["addresses"])))]
    pub struct IPAddressPoolSpec {
        /// CIDRs and `first-last`.
        #[cfg_attr(test, schemars(length(min = 1)))]
        addresses: Vec<String>,
        #[cfg_attr(test, schemars(extend("x-default" = true)))]
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
    #[cfg_attr(test, schemars(extend("required" = ["key", "operator"])))]
    pub struct Requirement {
        key: String,
        /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
        #[cfg_attr(test, schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"])))]
        operator: String,
        values: Vec<String>,
    }
}

kind! {
    /// A router, and which nodes have a session with it.
    BGPPeer, BGPPeerSpec
}

spec! {
    #[cfg_attr(test, schemars(extend("required" = ["myASN"])))]
    #[cfg_attr(test, schemars(extend("x-kubernetes-validations" = PEER_RULES)))]
    pub struct BGPPeerSpec {
        #[cfg_attr(test, schemars(range(min = 1)))]
        #[serde(rename = "myASN")]
        my_asn: u32,
        #[serde(rename = "peerASN")]
        peer_asn: u32,
        /// `internal` or `external`.
        #[cfg_attr(test, schemars(extend("enum" = ["internal", "external"])))]
        #[serde(rename = "dynamicASN")]
        dynamic_asn: String,
        #[cfg_attr(test, schemars(range(min = 1)))]
        #[serde(rename = "localASN")]
        local_asn: Option<u32>,
        peer_address: String,
        interface: String,
        source_address: String,
        #[cfg_attr(test, schemars(range(min = 1, max = 65535), extend("x-default" = 179)))]
        peer_port: Option<u32>,
        hold_time: Option<String>,
        keepalive_time: Option<String>,
        #[cfg_attr(test, schemars(extend("x-kubernetes-validations" = CONNECT_RULES)))]
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
    #[cfg_attr(test, schemars(extend("x-kubernetes-validations" = ADVERTISEMENT_RULES)))]
    pub struct BGPAdvertisementSpec {
        #[cfg_attr(test, schemars(range(min = 1, max = 32), extend("x-default" = 32)))]
        aggregation_length: Option<i32>,
        #[cfg_attr(test, schemars(range(min = 1, max = 128), extend("x-default" = 128)))]
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
        #[cfg_attr(test, schemars(range(min = 10, max = 60000)))]
        receive_interval: Option<u32>,
        /// Milliseconds.
        #[cfg_attr(test, schemars(range(min = 10, max = 60000)))]
        transmit_interval: Option<u32>,
        #[cfg_attr(test, schemars(range(min = 2, max = 255)))]
        detect_multiplier: Option<u32>,
        /// Milliseconds.
        #[cfg_attr(test, schemars(range(min = 10, max = 60000)))]
        echo_interval: Option<u32>,
        echo_mode: bool,
        passive_mode: bool,
        #[cfg_attr(test, schemars(range(min = 1, max = 254)))]
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
        service_selectors: Vec<LabelSelector>,
        preferred_node_selectors: Vec<PreferredNodes>,
    }
}

spec! {
    /// Nodes that should rather announce than others.
    pub struct PreferredNodes {
        #[cfg_attr(test, schemars(range(min = 1, max = 100)))]
        weight: i32,
        preference: LabelSelector,
    }
}

#[cfg(test)]
use tests::{ADVERTISEMENT_RULES, CONNECT_RULES, PEER_RULES};

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
