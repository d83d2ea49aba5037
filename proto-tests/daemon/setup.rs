//! Real daemons on loopback addresses, and the real `bgpctl` to ask them.

#![allow(dead_code, reason = "each user of this module needs another part of it")]
#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The addresses of one test: `127.61.N.0/24`.
pub struct Net {
    pub number: u8,
    pub port: u16,
    pub directory: TempDir,
}

impl Net {
    pub fn new(number: u8) -> Self {
        let probe = TcpListener::bind((Ipv4Addr::new(127, 61, number, 1), 0)).unwrap();
        let port = probe.local_addr().unwrap().port();
        Self { number, port, directory: tempfile::tempdir().unwrap() }
    }

    pub fn ip(&self, host: u8) -> String {
        format!("127.61.{}.{host}", self.number)
    }

    pub fn neighbor(&self, name: &str, us: u8, them: u8, more: &str) -> String {
        let (us, them, port) = (self.ip(us), self.ip(them), self.port);
        format!("  - {{ name: {name}, address: {them}, port: {port}, localAddress: {us}, connectRetryTime: 1s, {more} }}\n")
    }

    /// A configuration of AS `asn` at address `host`.
    pub fn config(&self, host: u8, asn: u32, neighbors: &str, rest: &str) -> String {
        let (ip, port) = (self.ip(host), self.port);
        let socket = self.socket(host);
        format!(
            "apiVersion: kubgp.io/v1\nrouter: {{ asn: {asn}, id: 10.0.0.{host} }}\nlisten: [{{ address: {ip}, port: {port} }}]\n\
             neighbors:\n{neighbors}api: {{ socket: {} }}\nmetrics: {{ listen: \"{ip}:{}\" }}\n{rest}",
            socket.display(),
            self.http(),
        )
    }

    pub fn originate(networks: &str) -> String {
        format!("originate: {{ networks: [{networks}] }}\n")
    }

    pub fn socket(&self, host: u8) -> PathBuf {
        self.directory.path().join(format!("{host}/kubgp.sock"))
    }

    pub fn file(&self, host: u8) -> PathBuf {
        self.directory.path().join(format!("{host}.yaml"))
    }

    /// BGP and HTTP are on different addresses or ports: this one is free wherever the other is.
    pub fn http(&self) -> u16 {
        self.port ^ 1
    }

    pub fn start(&self, host: u8, config: &str) -> Daemon {
        self.start_in(host, config, &[], "")
    }

    /// As [`Self::start`], with more in the environment, and after shell commands that set limits or move the log.
    pub fn start_in(&self, host: u8, config: &str, environment: &[(&str, &str)], limits: &str) -> Daemon {
        std::fs::write(self.file(host), config).unwrap();
        let log = std::fs::File::create(self.directory.path().join(format!("{host}.log"))).unwrap();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{limits} exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_kubgpd"))
            .arg("--config")
            .arg(self.file(host));
        let child = command.envs(environment.iter().copied()).stderr(log).spawn().unwrap();
        let daemon = Daemon { child, socket: self.socket(host), file: self.file(host), http: format!("{}:{}", self.ip(host), self.http()) };
        eventually("the admin socket answers", || (daemon.run("show version").code == 0).then_some(()));
        daemon
    }
}

pub struct Daemon {
    pub child: Child,
    pub socket: PathBuf,
    pub file: PathBuf,
    pub http: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn bgpctl(socket: &Path, words: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_bgpctl")).arg("--socket").arg(socket).args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Daemon {
    pub fn run(&self, line: &str) -> Outcome {
        bgpctl(&self.socket, &line.split(' ').collect::<Vec<_>>())
    }

    /// The output of a command that must work.
    pub fn ok(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
        outcome.out
    }

    pub fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("-o json {line}"))).unwrap()
    }

    pub fn items(&self, line: &str) -> Vec<Value> {
        self.json(line)["items"].as_array().unwrap().clone()
    }

    pub fn neighbor(&self, name: &str) -> Value {
        self.json(&format!("show neighbor {name}"))
    }

    pub fn prefixes(&self, line: &str) -> Vec<String> {
        let mut prefixes: Vec<_> = self.items(line).iter().map(|row| row["prefix"].as_str().unwrap().to_owned()).collect();
        prefixes.sort();
        prefixes
    }

    pub fn established(&self, name: &str) {
        eventually(&format!("{name} is established"), || (self.neighbor(name)["state"] == "established").then_some(()));
    }

    pub fn has(&self, view: &str, prefix: &str) {
        eventually(&format!("{view} has {prefix}"), || self.prefixes(view).iter().any(|p| p == prefix).then_some(()));
    }

    pub fn lacks(&self, view: &str, prefix: &str) {
        eventually(&format!("{view} lacks {prefix}"), || (!self.prefixes(view).iter().any(|p| p == prefix)).then_some(()));
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn write(&self, config: &str) {
        std::fs::write(&self.file, config).unwrap();
    }

    /// Status line and body of a GET.
    pub fn get(&self, path: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect(&self.http).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: kubgp\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.lines().next()?.to_owned(), body.to_owned()))
    }

    pub fn metric(&self, line: &str) -> bool {
        self.get("/metrics").is_some_and(|(_, body)| body.lines().any(|l| l == line))
    }
}

/// Waits for something that has to come; the bound only ends a test that fails.
#[expect(clippy::disallowed_methods, reason = "daemons run in real time")]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
