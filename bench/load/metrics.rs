//! The daemon's own account of its work, from its metrics endpoint.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Samples by metric name; those that differ only in their labels are added up.
pub type Samples = BTreeMap<String, f64>;

/// Asks for everything once.
pub fn scrape(endpoint: SocketAddr) -> io::Result<Samples> {
    let mut stream = TcpStream::connect_timeout(&endpoint, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let mut samples = Samples::new();
    // A sample is `name{labels} value`; header lines and the sizes of a chunked body are no such thing.
    for line in text.lines().filter(|line| line.starts_with("kubgp_")) {
        let Some((what, value)) = line.rsplit_once(' ') else { continue };
        let name = what.split('{').next().unwrap_or(what);
        *samples.entry(name.to_owned()).or_default() += value.parse::<f64>().unwrap_or_default();
    }
    Ok(samples)
}

const PATIENCE: Duration = Duration::from_secs(10);
