//! The in-memory API server as a program, for scripts: `apiserver [--listen ADDRESS:PORT] [--kubeconfig FILE] [MANIFEST..]`.
//! Prints its URL when it is ready and runs until it is killed; see `mod.rs` for how to drive it.

#[path = "mod.rs"]
mod apiserver;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Kubernetes API server in memory, for tests.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Writes a kubeconfig that leads here.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// YAML files to load at start.
    manifests: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let server = apiserver::ApiServer::start_at(arguments.listen).await?;
    for path in &arguments.manifests {
        let yaml = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        server.load(&yaml).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &arguments.kubeconfig {
        server.write_kubeconfig(path)?;
    }
    println!("{}", server.url());
    std::future::pending().await
}
