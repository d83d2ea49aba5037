//! What would be put in force here if the daemon were started now: everything is listed once, and nothing is written.

use crate::config;
use crate::config::file::Install;
use crate::config::plan::Plan;
use crate::kube::calico::Report;
use crate::speaker::{self, Expected, Inputs, Preview, PreviewError};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Why there is no preview.
#[derive(Debug)]
pub enum Error {
    Speaker(PreviewError),
    /// The objects cannot be had, or say nothing yet.
    Objects(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speaker(e) => e.fmt(f),
            Self::Objects(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {}

/// What the objects of a cluster say.
#[derive(Default)]
struct Asked {
    inputs: Inputs,
    reports: Vec<Report>,
    /// Routes of other nodes, where kernel routes are of interest.
    expected: BTreeMap<IpNet, Expected>,
}

/// What the file, and the objects of the cluster that it names, would do on this machine, and what there is to say about the objects.
///
/// # Errors
/// See [`Error`].
pub async fn preview(path: &Path, with_kernel: bool) -> Result<(Preview, Vec<Report>), Error> {
    let host = speaker::local_host().await;
    let (plan, text) = config::load(path, &[], &host).map_err(|d| Error::Speaker(PreviewError::Config(Box::new(d))))?;
    let with_blocks = with_kernel && plan.fib.install != Install::None;
    let asked = ask(&plan, text.into(), with_blocks).await.map_err(Error::Objects)?;
    let expected = with_kernel.then_some(&asked.expected);
    let preview = speaker::preview(path, &asked.inputs, expected).await.map_err(Error::Speaker)?;
    Ok((preview, asked.reports))
}

/// Lists what the roles look at, with the blocks of all nodes where `with_blocks` says so.
#[cfg(feature = "kube")]
async fn ask(plan: &Plan, file: Arc<str>, with_blocks: bool) -> Result<Asked, String> {
    use super::task::{namespace, say};
    use super::translate::Translator;
    use crate::kube::client::Connection;
    use crate::kube::watch::{Options, Watch};

    let Some(cluster) = &plan.kubernetes else { return Ok(Asked::default()) };
    let connection = Connection::read(cluster.kubeconfig.as_deref()).await.map_err(|e| e.to_string())?;
    let mut translator = Translator::new(cluster, namespace(cluster, &connection));
    translator.handle_file(&file);
    if with_blocks {
        translator.look_at_all_blocks();
    }
    let client = connection.client().map_err(|e| e.to_string())?;
    let mut watch = Watch::start(&client, &translator.selections(), Options::default());
    let status = watch.status();
    let all = async {
        while !status.borrow().synced {
            watch.changed().await;
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        let reason = status.borrow().reason.clone().unwrap_or_else(|| "no answer".to_owned());
        return Err(format!("the API server at {} does not list everything: {reason}", connection.server()));
    }
    let held = |hold| say(hold, cluster);
    let translated = translator.translate(watch.store()).map_err(held)?;
    let expected = translator.expected(watch.store()).map_err(held)?;
    Ok(Asked { inputs: translated.inputs, reports: translated.reports, expected })
}

/// Without Kubernetes in the program there is no cluster to ask.
#[cfg(not(feature = "kube"))]
async fn ask(_: &Plan, _: Arc<str>, _: bool) -> Result<Asked, String> {
    Ok(Asked::default())
}

/// How long lists may take.
#[cfg(feature = "kube")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
