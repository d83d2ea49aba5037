//! `bgpctl top` on a real terminal, which tmux is.

use std::process::Command;

use crate::setup::{Net, eventually};
use crate::{A, RR};

#[test]
fn top_runs_on_a_terminal_of_80_columns() {
    if Command::new("tmux").arg("-V").output().is_err() {
        eprintln!("SKIPPED: tmux is not installed");
        return;
    }
    let net = Net::new(20);
    let rr = net.start(RR, &net.config(RR, 64512, &net.neighbor("a", RR, A, "asn: internal"), ""));
    let _a = net.start(A, &net.config(A, 64512, &net.neighbor("rr", A, RR, "asn: internal"), ""));
    rr.established("a");
    let server = net.directory.path().join("tmux").display().to_string();
    let tmux = |words: &[&str]| Command::new("tmux").args(["-f", "/dev/null", "-S", &server]).args(words).output().unwrap();
    let top = format!("{} --socket {} top --interval 500ms", env!("CARGO_BIN_EXE_bgpctl"), rr.socket.display());
    let started = tmux(&["new-session", "-d", "-x", "80", "-y", "24", &top]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let screen = || String::from_utf8(tmux(&["capture-pane", "-p"]).stdout).unwrap();
    eventually("the neighbor is on the screen, with CPU from a second look", || {
        let text = screen();
        (text.contains("Neighbors 1: 1 up") && text.contains("Established") && text.contains("% ") && text.contains("q quit")).then_some(())
    });
    assert!(screen().lines().all(|line| line.chars().count() <= 80));
    tmux(&["send-keys", "d"]);
    eventually("only neighbors that are down, of which there is none", || screen().contains("no neighbors").then_some(()));
    tmux(&["send-keys", "q"]);
    eventually("the program has ended, and tmux with it", || (!tmux(&["has-session"]).status.success()).then_some(()));
}
