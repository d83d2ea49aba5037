//! Kernel routes.

use super::{Checker, Fragment, Place, first};
use crate::config::file::{FibTable, Install, KubernetesRole, OnStop};
use crate::config::plan::{FibPlan, KubernetesPlan, TunnelPlan};

impl Checker<'_> {
    pub(super) fn fib(&mut self, fragments: &[Fragment], kubernetes: Option<&KubernetesPlan>) -> FibPlan {
        let (origin, fib) = first(fragments, |f| f.fib.clone()).unwrap_or_default();
        let place = Place::new(&origin, "fib");
        // Beside Calico on a node what is learned is there to be installed, and BIRD may have been here before.
        let on_node = kubernetes.is_some_and(|k| k.roles.contains(&KubernetesRole::Node));
        let protocol = fib.protocol.unwrap_or(PROTOCOL);
        if protocol <= 4 {
            self.complain(
                &place.key("protocol"),
                format!("{protocol} is reserved for routes of the kernel and of administrators; use 5..=255, such as 179"),
            );
        } else if protocol == FELIX && on_node {
            self.complain(&place.key("protocol"), "80 is Felix's: it removes what it did not program; use another, such as 179");
        }
        let metric = fib.metric.unwrap_or(METRIC);
        if metric == 0 {
            self.complain(&place.key("metric"), "metric 0 means 1024 for IPv6 and 0 for IPv4; use at least 1");
        }
        let adopt = fib.adopt.map_or(on_node.then_some(BIRD), |number| (number != 0).then_some(number));
        if adopt.is_some_and(|number| number <= 4 || number == protocol) {
            let message = "must be the number of another routing daemon, such as 12 (bird), or 0 for none";
            self.complain(&place.key("adopt"), message);
        }
        let on_stop = fib.on_stop.unwrap_or(OnStop::Auto);
        if on_stop == OnStop::HandOver && adopt.is_none() {
            self.complain(&place.key("onStop"), "there is nobody to hand over to; set fib.adopt, such as 12 (bird)");
        }
        let tunnels = fib.tunnels.unwrap_or_default();
        if tunnels.device.as_ref().is_some_and(|device| device.is_empty() || device.len() > MAX_DEVICE_NAME) {
            let message = format!("must be the name of an interface, of 1 to {MAX_DEVICE_NAME} octets, such as tunl0");
            self.complain(&place.key("tunnels").key("device"), message);
        }
        FibPlan {
            install: fib.install.unwrap_or(if on_node { Install::Ecmp } else { Install::None }),
            table: fib.table.unwrap_or(FibTable(MAIN_TABLE)).0,
            protocol,
            metric,
            adopt,
            on_stop,
            tunnels: TunnelPlan { ipip: tunnels.ipip, device: tunnels.device },
        }
    }
}

const PROTOCOL: u8 = 179;
const METRIC: u32 = 1024;
const MAIN_TABLE: u32 = 254;
/// Protocol numbers as /etc/iproute2/rt_protos and Felix have them.
const BIRD: u8 = 12;
const FELIX: u8 = 80;
/// IFNAMSIZ less the zero at the end.
const MAX_DEVICE_NAME: usize = 15;
