//! The objects of the cluster.

use crate::apiserver::ApiServer;
use serde_json::{Value, json};
use std::net::SocketAddr;

pub struct Cluster<'a> {
    pub server: &'a ApiServer,
}

impl Cluster<'_> {
    /// Everything that is there when the daemon starts.
    pub fn fill(&self, routers: &[SocketAddr], own: &str, services: usize) {
        self.server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
        self.metallb("IPAddressPool", "v1beta1", "pool", json!({"addresses": ["10.200.0.0/16"]}));
        self.metallb("BGPAdvertisement", "v1beta1", "all", json!({"communities": ["64512:100"]}));
        for (i, router) in routers.iter().enumerate() {
            let spec = json!({"myASN": 64512, "peerASN": 64512, "peerAddress": router.ip(), "peerPort": router.port(), "sourceAddress": own,
                "connectTime": "1s"});
            self.metallb("BGPPeer", "v1beta2", &format!("tor-{i:02}"), spec);
        }
        for number in 0..services as u32 {
            self.slice(number, true);
            self.service(number);
        }
    }

    fn metallb(&self, kind: &str, version: &str, name: &str, spec: Value) {
        let metadata = json!({"namespace": "default", "name": name});
        self.server.put(json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind, "metadata": metadata, "spec": spec}));
    }

    /// The Service with this number, and its address.
    pub fn service(&self, number: u32) {
        let ip = std::net::Ipv4Addr::from((10 << 24) + (200 << 16) + number);
        self.server.put(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": format!("s{number:05}")},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Local"},
            "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}}));
    }

    /// Its endpoint, ready or not.
    pub fn slice(&self, number: u32, ready: bool) {
        let name = format!("s{number:05}");
        self.server.put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": ["10.244.0.9"], "nodeName": "n1", "conditions": {"ready": ready}}]}));
    }
}
