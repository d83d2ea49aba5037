//! The scenarios: when which client does what, and when the clock runs.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::latency::Latency;
use crate::metrics::{self, Samples};
use crate::plan::Shape;
use crate::{Churn, Common, Fib, Idle, Mesh, Rewrite, Table, kernel, process};

/// After convergence the tables are watched this long: a route that arrives late and is wrong must not be missed.
const AFTERMATH: Duration = Duration::from_millis(300);
/// One client in so many is slow, or stays away after a storm.
const ONE_IN: usize = 10;
/// A daemon that said nothing for so long has nothing more to say: what its receivers hold is its last word.
const LAST_WORD: Duration = Duration::from_secs(5);
/// UPDATE messages that a daemon may encode for one that it receives. Encoding for each group leaves it at a few: small chunks are
/// merged, and chunks with dead entries rebuilt for those who join. Encoding for each peer would make it the number of peers.
const ENCODED_FOR_ONE: f64 = 32.0;
/// Octets that a journal may have beyond twice what is live, and those that the withdrawal of one prefix takes at most.
const JOURNAL_SLACK: f64 = (1 << 20) as f64;
const WITHDRAWAL: f64 = 8.0;
/// Withdrawals that a journal keeps in any case for those who have not read them.
const WITHDRAWALS: f64 = 65536.0;
/// How often the kernel's table is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// A run in progress: clock and daemon account started together.
struct Run<'a> {
    common: &'a Common,
    engine: Engine,
    start: Instant,
    cpu: Option<Duration>,
    elapsed: Duration,
    cpu_used: Option<Duration>,
    converged: bool,
    /// What the daemon counted, and what was found wrong with it.
    counted: Samples,
    broken: Vec<String>,
}

pub fn mesh(mesh: &Mesh) -> io::Result<Value> {
    let mut run = Run::established(&mesh.common, mesh.shape(), |_| {})?;
    run.announce_all();
    run.until_done(|_| true)?;
    run.report("mesh", json!({"clients": mesh.clients, "each": mesh.each}))
}

pub fn cold(mesh: &Mesh) -> io::Result<Value> {
    let mut run = Run::new(&mesh.common, mesh.shape())?;
    run.start_clock();
    run.connect_all(|_| true);
    run.until_done(|_| true)?;
    run.report("cold", json!({"clients": mesh.clients, "each": mesh.each}))
}

pub fn table(table: &Table) -> io::Result<Value> {
    let shape = Shape::Table { prefixes: table.prefixes, senders: table.senders, receivers: table.receivers, ebgp: table.ebgp };
    let mut run = Run::established(&table.common, shape, |_| {})?;
    run.announce_all();
    run.until_done(|_| true)?;
    let kind = if table.ebgp { "ebgp" } else { "ibgp" };
    run.report("table", json!({"prefixes": table.prefixes, "senders": table.senders, "receivers": table.receivers, "kind": kind}))
}

pub fn churn(churn: &Churn) -> io::Result<Value> {
    let mesh = &churn.mesh;
    let mut run = Run::established(&mesh.common, mesh.shape(), |_| {})?;
    run.announce_all();
    run.until_done(|_| true)?;
    run.wait(Duration::from_millis(mesh.common.settle))?;

    run.engine.latency = Some(Latency::new(mesh.clients));
    run.start_clock();
    let gap = Duration::from_secs(1) / churn.rate;
    // An odd number of changes, so that the prefix is announced in the end.
    let changes = (churn.rate * churn.seconds) | 1;
    let withdrawal: Arc<[u8]> = crate::wire::withdraw(&[crate::plan::prefix(run.engine.shape.prefixes())]).into();
    for change in 0..changes {
        let due = run.start + gap * change;
        while Instant::now() < due {
            run.engine.turn(due)?;
        }
        let message = if change % 2 == 0 { run.engine.shape.flap(0, change).into() } else { withdrawal.clone() };
        if let Some(latency) = &mut run.engine.latency {
            latency.sending(Instant::now());
        }
        run.engine.send(0, message);
        if change % 64 == 0 {
            run.engine.turn(Instant::now())?;
        }
    }
    run.until(|engine| engine.latency.as_ref().is_none_or(|latency| latency.behind(0) == 0))?;
    let latency = run.engine.latency.take().map(Latency::quantiles);
    let mut fields = json!({"clients": mesh.clients, "each": mesh.each, "rate": churn.rate, "seconds_of_churn": churn.seconds});
    for (name, times) in ["announce", "withdraw"].into_iter().zip(latency.iter().flatten()) {
        fields[name] = json!({"count": times.count, "p50_ms": times.p50, "p99_ms": times.p99, "max_ms": times.max});
    }
    run.report("churn", fields)
}

pub fn storm(mesh: &Mesh) -> io::Result<Value> {
    let mut run = Run::established(&mesh.common, mesh.shape(), |_| {})?;
    run.announce_all();
    run.until_done(|_| true)?;
    run.wait(Duration::from_millis(mesh.common.settle))?;

    let returns = |client: usize| !client.is_multiple_of(ONE_IN);
    run.start_clock();
    for client in 0..mesh.clients {
        run.engine.drop_session(client);
    }
    run.engine.expect_from(returns);
    run.connect_all(returns);
    run.until_done(returns)?;
    // One for each client at the start and for each that came back, and the withdrawals in between.
    let announced = mesh.clients + (0..mesh.clients).filter(|&client| returns(client)).count();
    run.count()?;
    run.check_encodes(announced);
    run.report("storm", json!({"clients": mesh.clients, "each": mesh.each}))
}

pub fn rewrite(rewrite: &Rewrite) -> io::Result<Value> {
    let mesh = &rewrite.mesh;
    let is_slow = |client: usize| rewrite.slow && client.is_multiple_of(ONE_IN);
    let shape = Shape::Rewrite { clients: mesh.clients, each: mesh.each, rounds: rewrite.rounds };
    let mut run = Run::established(&mesh.common, shape, |engine| {
        (0..mesh.clients).filter(|&client| is_slow(client)).for_each(|client| engine.make_slow(client))
    })?;
    run.announce_all();
    run.until_done(|client| !is_slow(client))?;
    run.count()?;
    run.check_journal();
    run.report("rewrite", json!({"clients": mesh.clients, "each": mesh.each, "rounds": rewrite.rounds, "slow": rewrite.slow}))
}

pub fn fib(fib: &Fib) -> io::Result<Value> {
    let shape = Shape::Table { prefixes: fib.prefixes, senders: 1, receivers: 0, ebgp: false };
    let mut run = Run::established(&fib.common, shape, |_| {})?;
    let before = kernel::prefixes().ok_or_else(|| io::Error::other("the kernel shows no /proc/net/fib_triestat"))?;
    run.announce_all();
    run.until_kernel_has(before + fib.prefixes)?;
    let (elapsed, cpu_used, installed) = (run.elapsed, run.cpu_used, run.converged);
    run.wait(Duration::from_millis(fib.common.settle))?;
    run.count()?;
    let former = run.counted.clone();
    let mut fields = json!({"prefixes": fib.prefixes, "changes": fib.changes});
    for (name, is_announced) in [("removed_seconds", false), ("restored_seconds", true)] {
        let message = run.engine.shape.some(fib.changes, is_announced).into();
        run.start_clock();
        run.engine.send(0, message);
        run.until_kernel_has(before + fib.prefixes - if is_announced { 0 } else { fib.changes })?;
        fields[name] = rounded(run.elapsed).into();
    }
    run.count()?;
    run.check_kernel(&former, 2 * fib.changes);
    run.converged &= installed;
    (run.elapsed, run.cpu_used) = (elapsed, cpu_used);
    fields["routes_per_second"] = (fib.prefixes as f64 / elapsed.as_secs_f64()).round().into();
    run.report("fib", fields)
}

pub fn slow(mesh: &Mesh) -> io::Result<Value> {
    let is_slow = |client: usize| client.is_multiple_of(ONE_IN);
    let mut run = Run::established(&mesh.common, mesh.shape(), |engine| {
        (0..mesh.clients).filter(|&client| is_slow(client)).for_each(|client| engine.make_slow(client))
    })?;
    run.announce_all();
    run.until_done(|client| !is_slow(client))?;
    run.count()?;
    run.check_journal();
    run.report("slow", json!({"clients": mesh.clients, "each": mesh.each}))
}

pub fn idle(idle: &Idle) -> io::Result<Value> {
    let mesh = &idle.mesh;
    let mut run = Run::established(&mesh.common, mesh.shape(), |_| {})?;
    run.announce_all();
    run.until_done(|_| true)?;
    run.wait(Duration::from_millis(mesh.common.settle))?;
    run.start_clock();
    run.wait(Duration::from_secs(idle.seconds.into()))?;
    run.stop_clock();
    let minutes = run.elapsed.as_secs_f64() / 60.0;
    let cost = run.cpu_used.map(|used| used.as_secs_f64() / minutes);
    run.report("idle", json!({"clients": mesh.clients, "each": mesh.each, "cpu_seconds_per_minute": cost}))
}

impl Mesh {
    fn shape(&self) -> Shape {
        Shape::Mesh { clients: self.clients, each: self.each }
    }
}

impl<'a> Run<'a> {
    fn new(common: &'a Common, shape: Shape) -> io::Result<Self> {
        let engine = Engine::new(shape, common.target, common.hold)?;
        let (counted, broken) = (Samples::new(), Vec::new());
        let (elapsed, converged) = (Duration::ZERO, false);
        Ok(Self { common, engine, start: Instant::now(), cpu: None, elapsed, cpu_used: None, converged, counted, broken })
    }

    /// All sessions are up and everything has calmed down; the clock has not started.
    fn established(common: &'a Common, shape: Shape, prepare: impl Fn(&mut Engine)) -> io::Result<Self> {
        let mut run = Self::new(common, shape)?;
        prepare(&mut run.engine);
        let (clients, deadline) = (run.engine.shape.clients(), Instant::now() + run.timeout());
        let mut next = 0;
        while run.engine.established() < clients {
            while next < clients && run.engine.pending() < common.window {
                run.engine.connect(next, None);
                next += 1;
            }
            run.engine.turn(Instant::now() + Duration::from_millis(100))?;
            if Instant::now() > deadline {
                let (up, complaints) = (run.engine.established(), &run.engine.verifier.complaints);
                return Err(io::Error::other(format!("only {up} of {clients} sessions were established in time {complaints:?}")));
            }
        }
        run.wait(Duration::from_millis(common.settle))?;
        Ok(run)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.common.timeout)
    }

    fn start_clock(&mut self) {
        self.cpu = self.common.pid.and_then(process::cpu);
        self.start = Instant::now();
    }

    fn stop_clock(&mut self) {
        self.elapsed = self.start.elapsed();
        self.cpu_used = self.common.pid.and_then(process::cpu).zip(self.cpu).map(|(now, before)| now.saturating_sub(before));
    }

    /// Every sender announces everything at once.
    fn announce_all(&mut self) {
        let messages: Vec<Arc<[u8]>> =
            (0..self.engine.shape.clients()).map(|client| self.engine.shape.announcements(client).into()).collect();
        self.start_clock();
        for (client, bytes) in messages.into_iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            self.engine.send(client, bytes);
        }
    }

    /// Starts all sessions; each client announces as soon as its own is up.
    fn connect_all(&mut self, is_wanted: impl Fn(usize) -> bool) {
        for client in (0..self.engine.shape.clients()).filter(|&client| is_wanted(client)) {
            let greeting = self.engine.shape.announcements(client).into();
            self.engine.connect(client, Some(greeting));
        }
    }

    /// Until all receivers among these clients hold what they should.
    fn until_done(&mut self, counts: impl Fn(usize) -> bool) -> io::Result<()> {
        let receivers: Vec<usize> =
            (0..self.engine.shape.clients()).filter(|&client| self.engine.shape.is_receiver(client) && counts(client)).collect();
        let is_done = |engine: &Engine| receivers.iter().all(|&client| engine.is_done(client));
        self.until(is_done)?;
        self.wait(AFTERMATH)?;
        if self.converged && !is_done(&self.engine) {
            self.converged = false;
            self.engine.verifier.wrong += 1;
            self.engine.verifier.complaints.push("the table was complete and then changed".into());
        }
        if !self.converged
            && let Some(worst) =
                receivers.into_iter().filter(|&client| !self.engine.is_done(client)).min_by_key(|&client| self.engine.held(client))
        {
            let held = self.engine.held(worst);
            self.engine.verifier.complaints.push(format!("client {worst} holds {held} right routes"));
        }
        Ok(())
    }

    fn until(&mut self, mut is_over: impl FnMut(&Engine) -> bool) -> io::Result<()> {
        let deadline = self.start + self.timeout();
        // What is wrong once is a wrong run: no need to wait for more.
        while !is_over(&self.engine) && self.engine.verifier.wrong == 0 && Instant::now() < deadline {
            self.engine.turn(deadline.min(Instant::now() + Duration::from_millis(500)))?;
        }
        self.stop_clock();
        self.converged = is_over(&self.engine);
        Ok(())
    }

    /// Until the kernel holds that many prefixes.
    fn until_kernel_has(&mut self, wanted: usize) -> io::Result<()> {
        let deadline = self.start + self.timeout();
        self.converged = false;
        while !self.converged && Instant::now() < deadline {
            self.engine.turn(Instant::now() + GLANCE)?;
            self.converged = kernel::prefixes() == Some(wanted);
        }
        self.stop_clock();
        Ok(())
    }

    /// Takes what the daemon counted so far, where it says.
    fn count(&mut self) -> io::Result<()> {
        if let Some(endpoint) = self.common.metrics {
            self.counted = metrics::scrape(endpoint)?;
        }
        Ok(())
    }

    fn counted(&self, name: &str) -> Option<f64> {
        self.counted.get(name).copied()
    }

    /// Messages are encoded once for a group, not for each of its members.
    fn check_encodes(&mut self, announced: usize) {
        let Some(encoded) = self.counted("kubgp_update_group_messages_encoded_total") else { return };
        if encoded > ENCODED_FOR_ONE * announced as f64 {
            self.broken.push(format!("{encoded} messages were encoded for {announced} that came in"));
        }
    }

    /// Whoever is slow, the journals hold at most twice what is live.
    fn check_journal(&mut self) {
        let Some(bytes) = self.counted("kubgp_update_group_journal_bytes") else { return };
        let dead = self.counted("kubgp_update_group_journal_dead_bytes").unwrap_or_default();
        let routes = self.counted("kubgp_update_group_routes").unwrap_or_default();
        let bound = 2.0 * (bytes - dead) + JOURNAL_SLACK + WITHDRAWAL * routes.max(WITHDRAWALS);
        if bytes > bound {
            self.broken.push(format!("journals hold {bytes} octets, {dead} of them dead; the bound is {bound}"));
        }
    }

    /// A change of some routes costs one operation each, and no reading of the whole kernel table.
    fn check_kernel(&mut self, former: &Samples, changes: usize) {
        let since = |name: &str| Some(self.counted.get(name)? - former.get(name)?);
        let (operations, readings) = (since("kubgp_fib_operations_total"), since("kubgp_fib_resyncs_total"));
        if operations.is_some_and(|count| count != changes as f64) || readings.is_some_and(|count| count != 0.0) {
            self.broken.push(format!("{changes} changes took {operations:?} operations and {readings:?} readings of the kernel"));
        }
    }

    fn wait(&mut self, pause: Duration) -> io::Result<()> {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            self.engine.turn(end)?;
        }
        Ok(())
    }

    fn report(self, scenario: &str, mut fields: Value) -> io::Result<Value> {
        let engine = &self.engine;
        let is_last_word = engine.updates > 0 && engine.last_update.elapsed() > LAST_WORD;
        let verdict = match (engine.verifier.wrong, engine.lost, self.converged) {
            (1.., _, _) => "wrong",
            (_, 1.., _) => "lost sessions",
            (_, _, false) if is_last_word => "wrong",
            (_, _, false) => "timeout",
            _ if engine.late_keepalives > 0 => "late keepalives",
            _ if !self.broken.is_empty() => "broken bound",
            _ => "ok",
        };
        fields["scenario"] = scenario.into();
        fields["verdict"] = verdict.into();
        if verdict == "ok" {
            fields["seconds"] = rounded(self.elapsed).into();
        }
        fields["cpu_seconds"] = self.cpu_used.map(rounded).into();
        if let Some((peak, now)) = self.common.pid.and_then(process::memory) {
            fields["peak_rss_kib"] = peak.into();
            fields["rss_kib"] = now.into();
        }
        fields["updates"] = engine.updates.into();
        fields["bytes"] = engine.bytes.into();
        fields["longest_silence_seconds"] = rounded(engine.longest_silence).into();
        for (name, field) in COUNTED {
            if let Some(value) = self.counted(name) {
                fields[field] = value.into();
            }
        }
        fields["echoes"] = engine.echoes.into();
        fields["retries"] = engine.retries.into();
        fields["load_cpu_seconds"] = process::cpu(std::process::id()).map(rounded).into();
        let complaints: Vec<&String> = self.broken.iter().chain(&engine.verifier.complaints).take(5).collect();
        if !complaints.is_empty() {
            fields["complaints"] = json!(complaints);
        }
        Ok(fields)
    }
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10_000.0
}

/// What the daemon counts and the result shows.
const COUNTED: [(&str, &str); 6] = [
    ("kubgp_update_group_messages_encoded_total", "messages_encoded"),
    ("kubgp_update_group_bytes_encoded_total", "bytes_encoded"),
    ("kubgp_update_group_journal_bytes", "journal_bytes"),
    ("kubgp_update_group_journal_dead_bytes", "journal_dead_bytes"),
    ("kubgp_fib_operations_total", "kernel_operations"),
    ("kubgp_fib_resyncs_total", "kernel_readings"),
];
