//! What a configuration would do on this machine, without doing it.

use super::inputs::{InputHost, Inputs};
use super::kernel;
use crate::config::file::Install;
use crate::config::{self, Diagnostics, Plan};
use crate::fib::preview::{Expected, Forecast, preview as forecast};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct Preview {
    pub plan: Plan,
    /// What would become of kernel routes; `None` where it was not asked for, or none would be touched.
    pub routes: Option<Vec<Forecast>>,
}

/// Why there is none.
#[derive(Debug)]
pub enum PreviewError {
    Config(Box<Diagnostics>),
    /// The kernel cannot be read.
    Kernel(io::Error),
}

impl fmt::Display for PreviewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(diagnostics) => f.write_str(&diagnostics.render(false)),
            Self::Kernel(e) => write!(f, "kernel routes cannot be read: {e}"),
        }
    }
}

impl std::error::Error for PreviewError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Kernel(e) => Some(e),
        }
    }
}

/// What a file with these inputs would do. Kernel routes are looked at with the routes that neighbors are expected to announce, where
/// those are given.
///
/// # Errors
/// The configuration is not good, or the kernel does not answer.
pub async fn preview(path: &Path, inputs: &Inputs, expected: Option<&BTreeMap<IpNet, Expected>>) -> Result<Preview, PreviewError> {
    let host = InputHost { local: super::local_host().await, inputs };
    let (plan, _) = config::load(path, &inputs.fragments, &host).map_err(|d| PreviewError::Config(Box::new(d)))?;
    let policy = inputs.kernel_policy(&plan).filter(|_| plan.fib.install != Install::None);
    let routes = match (expected, policy) {
        (Some(expected), Some(policy)) => {
            let nobody = BTreeMap::new();
            let has_sessions = !plan.peers.is_empty() || !plan.dynamic.is_empty();
            let expected = if has_sessions { expected } else { &nobody };
            Some(forecast(&kernel::params(&plan.fib), &policy, expected).await.map_err(PreviewError::Kernel)?)
        }
        _ => None,
    };
    Ok(Preview { plan, routes })
}
