//! What `bgpctl import` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
#[command(after_help = "What is not taken over stands in comments at the top; exit code 5 if it leaves something unusable")]
pub struct Import {
    #[arg(value_enum)]
    pub format: ImportFormat,
    /// The file, or `-` for the standard input
    pub file: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub what: ImportPart,
    /// Namespace of the custom resources
    #[arg(short, long, default_value = "metallb-system")]
    pub namespace: String,
}

/// What is imported.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ImportFormat {
    /// MetalLB's configuration before 0.13: the document, its ConfigMap, or Helm values
    Metallb,
    /// cluster.yaml of Konvoy, with the addon metallb
    Konvoy,
    /// frr.conf, or the output of `vtysh -c 'show running-config'`
    Frr,
    /// bird.conf of BIRD 2, or of 1.6
    Bird,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ImportPart {
    /// Custom resources, for `kubectl apply -f -`
    Crs,
    /// Configuration of kubgpd
    Config,
    #[default]
    All,
}
