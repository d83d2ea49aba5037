//! Configuration that comes from elsewhere than the file, and what checking finds for it.

use crate::config::file::Ipip;
use crate::config::plan::{Plan, Secret, SecretSource};
use crate::config::{Host, Input, LocalHost};
use crate::fib::Policy;
use crate::fib::rules::Way;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Everything that is configured outside the file. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    pub fragments: Vec<Input>,
    /// The secrets that fragments and file name.
    pub secrets: BTreeMap<String, Secret>,
    /// What decides about kernel routes, where it is decided outside the file.
    pub kernel: Option<Policy>,
    /// Our Node takes no new work (`drain.onCordon`).
    pub is_cordoned: bool,
}

impl Inputs {
    /// What decides about kernel routes; `None` as long as the objects have yet to tell. What the file says of tunnels counts.
    pub(super) fn kernel_policy(&self, plan: &Plan) -> Option<Policy> {
        let fib = &plan.fib;
        let way = fib.tunnels.ipip.map(|ipip| match ipip {
            Ipip::Never => Way::Direct,
            Ipip::Always => Way::Tunnel,
            Ipip::CrossSubnet => Way::TunnelUnlessConnected,
        });
        let mut policy = match &self.kernel {
            Some(policy) => policy.clone(),
            None if plan.follows_node_objects() => return None,
            None => Policy::plain(fib.metric),
        };
        if let Some(way) = way {
            let rules = &mut policy.rules;
            let ways = rules.classes.iter_mut().map(|class| class.way.as_mut()).filter_map(Result::ok);
            let all = ways.chain(self.kernel.is_none().then_some(&mut rules.otherwise));
            all.for_each(|own| *own = way);
        }
        if let Some(device) = &fib.tunnels.device {
            policy.rules.tunnel = device.as_str().into();
        }
        Some(policy)
    }
}

/// This machine, and the secrets that came with the inputs.
pub(super) struct InputHost<'a> {
    pub local: LocalHost,
    pub inputs: &'a Inputs,
}

impl Host for InputHost<'_> {
    fn secret(&self, source: &SecretSource) -> Result<Vec<u8>, String> {
        match source {
            SecretSource::Secret(name) => match self.inputs.secrets.get(name) {
                Some(secret) => Ok(secret.expose().to_vec()),
                None => self.local.secret(source),
            },
            SecretSource::File(_) | SecretSource::Env(_) => self.local.secret(source),
        }
    }

    fn router_id(&self) -> Option<Ipv4Addr> {
        self.local.router_id()
    }

    fn node_name(&self) -> Option<String> {
        self.local.node_name()
    }
}
