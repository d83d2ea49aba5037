//! Configuration that comes from elsewhere than the file, and what checking finds for it.

use crate::config::plan::{Secret, SecretSource};
use crate::config::{Host, Input, LocalHost};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Everything that is configured outside the file. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    pub fragments: Vec<Input>,
    /// The secrets that fragments and file name.
    pub secrets: BTreeMap<String, Secret>,
    /// Our Node takes no new work (`drain.onCordon`).
    pub is_cordoned: bool,
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
