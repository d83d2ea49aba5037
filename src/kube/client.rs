//! The connection to the API server.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How to reach the API server, read once at start.
#[derive(Clone, Debug)]
pub struct Connection {
    config: Config,
}

impl Connection {
    /// Reads the kubeconfig, or without one what Kubernetes gives to a pod. Nothing is contacted yet.
    pub async fn read(kubeconfig: Option<&Path>) -> Result<Self, Error> {
        let mut config = match kubeconfig {
            Some(path) => from_file(path).await?,
            None if env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
                Config::incluster().map_err(|error| Error::InCluster(error.to_string()))?
            }
            None => return Err(Error::NotConfigured),
        };
        // Whoever asks retries with a backoff of its own, and wants to hear of each failure.
        config.default_retry = false;
        Ok(Self { config })
    }

    /// A client whose answers may take forever, as watches do.
    pub fn client(&self) -> Result<Client, Error> {
        make_client(self.config.clone())
    }

    /// A client whose requests fail when no answer comes in time.
    pub fn impatient_client(&self, patience: Duration) -> Result<Client, Error> {
        let mut config = self.config.clone();
        (config.read_timeout, config.reset_reader_on_write) = (Some(patience), true);
        config.connect_timeout = config.connect_timeout.map(|timeout| timeout.min(patience));
        make_client(config)
    }

    /// The address of the API server, for people.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// The namespace of the kubeconfig's context or of the pod.
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }
}

async fn from_file(path: &Path) -> Result<Config, Error> {
    let failed = |error: KubeconfigError| Error::Kubeconfig(path.to_owned(), error.to_string());
    let file = Kubeconfig::read_from(path).map_err(failed)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)
}

fn make_client(config: Config) -> Result<Client, Error> {
    // Without a default provider rustls panics as soon as more than one is compiled in; a second install is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = config.cluster_url.to_string();
    Client::try_from(config).map_err(|error| Error::Client(server, error.to_string()))
}

/// Why there is no client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    Kubeconfig(PathBuf, String),
    InCluster(String),
    NotConfigured,
    Client(String, String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig(path, why) => write!(f, "kubeconfig {}: {why}", path.display()),
            Self::InCluster(why) => write!(f, "in-cluster configuration: {why}"),
            Self::NotConfigured => f.write_str("not in a pod (KUBERNETES_SERVICE_HOST is unset): expected kubernetes.kubeconfig"),
            Self::Client(server, why) => write!(f, "client for {server}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
