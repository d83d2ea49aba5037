//! The kinds that the server knows: a table, as custom resource definitions would be.

/// One kind. All its versions hold the same fields.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub group: &'static str,
    /// The first one is the preferred one.
    pub versions: &'static [&'static str],
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// Has a status subresource.
    pub status: bool,
    /// Defined by a CRD: its status subresource ignores changes of metadata.
    pub custom: bool,
}

impl Row {
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}

const fn built_in(group: &'static str, plural: &'static str, kind: &'static str, namespaced: bool, status: bool) -> Row {
    Row { group, versions: &["v1"], plural, kind, namespaced, status, custom: false }
}

const fn metallb(versions: &'static [&'static str], plural: &'static str, kind: &'static str, status: bool) -> Row {
    Row { group: "metallb.io", versions, plural, kind, namespaced: true, status, custom: true }
}

const fn calico_v1(plural: &'static str, kind: &'static str, status: bool) -> Row {
    Row { group: "crd.projectcalico.org", versions: &["v1"], plural, kind, namespaced: false, status, custom: true }
}

const fn calico_v3(plural: &'static str, kind: &'static str, status: bool) -> Row {
    Row { group: "projectcalico.org", versions: &["v3"], plural, kind, namespaced: false, status, custom: true }
}

pub const ROWS: &[Row] = &[
    built_in("", "namespaces", "Namespace", false, true),
    built_in("", "nodes", "Node", false, true),
    built_in("", "pods", "Pod", true, true),
    built_in("", "services", "Service", true, true),
    built_in("", "secrets", "Secret", true, false),
    built_in("", "configmaps", "ConfigMap", true, false),
    built_in("", "serviceaccounts", "ServiceAccount", true, false),
    built_in("", "events", "Event", true, false),
    built_in("apps", "deployments", "Deployment", true, true),
    built_in("apps", "daemonsets", "DaemonSet", true, true),
    built_in("coordination.k8s.io", "leases", "Lease", true, false),
    built_in("discovery.k8s.io", "endpointslices", "EndpointSlice", true, false),
    built_in("events.k8s.io", "events", "Event", true, false),
    built_in("scheduling.k8s.io", "priorityclasses", "PriorityClass", false, false),
    built_in("rbac.authorization.k8s.io", "roles", "Role", true, false),
    built_in("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", true, false),
    built_in("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false, false),
    built_in("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", false, false),
    built_in("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, true),
    metallb(&["v1beta1"], "ipaddresspools", "IPAddressPool", true),
    metallb(&["v1beta2", "v1beta1"], "bgppeers", "BGPPeer", true),
    metallb(&["v1beta1"], "bgpadvertisements", "BGPAdvertisement", true),
    metallb(&["v1beta1"], "l2advertisements", "L2Advertisement", true),
    metallb(&["v1beta1"], "bfdprofiles", "BFDProfile", true),
    metallb(&["v1beta1"], "communities", "Community", true),
    metallb(&["v1beta1"], "servicebgpstatuses", "ServiceBGPStatus", true),
    metallb(&["v1beta1"], "servicel2statuses", "ServiceL2Status", true),
    metallb(&["v1beta1"], "configurationstates", "ConfigurationState", true),
    calico_v1("bgpconfigurations", "BGPConfiguration", false),
    calico_v1("bgppeers", "BGPPeer", false),
    calico_v1("bgpfilters", "BGPFilter", false),
    calico_v1("ippools", "IPPool", false),
    calico_v1("blockaffinities", "BlockAffinity", false),
    calico_v1("ipamblocks", "IPAMBlock", false),
    calico_v1("ipamhandles", "IPAMHandle", false),
    calico_v1("ipamconfigs", "IPAMConfig", false),
    calico_v1("caliconodestatuses", "CalicoNodeStatus", true),
    calico_v1("felixconfigurations", "FelixConfiguration", false),
    calico_v1("clusterinformations", "ClusterInformation", false),
    calico_v3("bgpconfigurations", "BGPConfiguration", false),
    calico_v3("bgppeers", "BGPPeer", false),
    calico_v3("bgpfilters", "BGPFilter", false),
    calico_v3("ippools", "IPPool", true),
    calico_v3("blockaffinities", "BlockAffinity", false),
    calico_v3("ipamblocks", "IPAMBlock", false),
    calico_v3("ipamhandles", "IPAMHandle", false),
    calico_v3("ipamconfigurations", "IPAMConfiguration", false),
    calico_v3("caliconodestatuses", "CalicoNodeStatus", true),
    calico_v3("felixconfigurations", "FelixConfiguration", false),
    calico_v3("clusterinformations", "ClusterInformation", false),
];

/// By group, version and plural, as paths name it.
pub fn by_path(group: &str, version: &str, plural: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.group == group && row.plural == plural && row.versions.contains(&version))
}

/// By `apiVersion` and `kind`, as manifests name it.
pub fn by_kind(api_version: &str, kind: &str) -> Option<(&'static Row, &'static str)> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let row = ROWS.iter().find(|row| row.group == group && row.kind == kind && row.versions.contains(&version))?;
    Some((row, row.versions.iter().find(|v| **v == version)?))
}
