//! Why a command did not succeed, as exit code and as text that says what to do.

use std::fmt;
use std::io;

use crate::api::client;
use crate::api::types::Problem;

/// A command that ends with another code than 0.
#[derive(Debug)]
pub enum Failure {
    /// No answer, or a refusal of the daemon.
    Client(client::Error),
    /// The command line is wrong in a way that the grammar cannot see.
    Usage(String),
    /// The daemon could do it for none of the neighbors.
    Refused(String),
    /// What was named does not exist.
    Missing(String),
    /// Something was done for some neighbors only.
    Partial(String),
    /// A condition that was asked for does not hold.
    Condition(String),
    /// The configuration file is wrong.
    Config(String),
    Output(io::Error),
    /// Of several nodes some or all failed: the code, and a line for each.
    Nodes(u8, Vec<String>),
}

impl Failure {
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The exit code; scripts rely on these numbers.
    pub fn code(&self) -> u8 {
        match self {
            // The reader of a pipe has seen enough: no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Client(client::Error::Broken(_)) | Self::Output(_) | Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Client(client::Error::Unreachable { .. }) => 3,
            Self::Client(client::Error::Problem(problem)) => problem.code.max(1),
            Self::Missing(_) => 4,
            Self::Partial(_) => 5,
            Self::Condition(_) => 6,
            Self::Config(_) => 7,
            Self::Nodes(code, _) => *code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error @ client::Error::Unreachable { source, .. }) => {
                let advice = match source.kind() {
                    // A command that leads to the daemon has said what is wrong.
                    io::ErrorKind::Other => return error.fmt(f),
                    io::ErrorKind::PermissionDenied => "run as root, or as a member of the group that owns the socket",
                    _ => {
                        "start it with `systemctl start kubgpd` or `kubgpd --config FILE`, or name its socket with --socket PATH or BGPCTL_SOCKET"
                    }
                };
                write!(f, "{error}\n  {advice}")
            }
            Self::Client(error) => error.fmt(f),
            Self::Usage(text) | Self::Refused(text) | Self::Missing(text) | Self::Partial(text) | Self::Condition(text) => {
                f.write_str(text)
            }
            Self::Config(diagnostics) => write!(f, "the configuration is invalid\n{diagnostics}"),
            Self::Nodes(_, lines) => f.write_str(&lines.join("\nbgpctl: ")),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Client(error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Client(client::Error::Problem(Box::new(problem)))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
