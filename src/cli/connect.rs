//! `bgpctl connect`: the standard streams become a connection to the admin socket, so that a client elsewhere can speak through any
//! way that runs a command here.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use super::failure::Failure;
use crate::api::client::Error;

/// Carries octets both ways until the daemon has nothing more to say.
pub(super) fn connect(socket: &Path) -> Result<(), Failure> {
    let unreachable = |source| Failure::Client(Error::Unreachable { place: socket.display().to_string(), source });
    let daemon = UnixStream::connect(socket).map_err(unreachable)?;
    let requests = daemon.try_clone()?;
    thread::spawn(move || {
        // Either end may go at any time; the other direction says so.
        let _ = copy(io::stdin().lock(), &requests);
        let _ = requests.shutdown(Shutdown::Write);
    });
    Ok(copy(&daemon, io::stdout().lock())?)
}

/// Passes on what is there at once: a watch must not wait for a full buffer.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let octets = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..octets).unwrap_or_default())?;
        to.flush()?;
    }
}

const BUFFER: usize = 64 * 1024;
