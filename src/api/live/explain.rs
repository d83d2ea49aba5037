//! The way of a route, step by step, to the first that blocks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Daemon;
use super::reasons;
use super::route::{decision, destination};
use super::rows::{self, Names};
use super::walk::problem;
use crate::api::query::ExplainQuery;
use crate::api::session_trace;
use crate::api::types::{FibState, Problem, Step, Trace, Verdict};
use crate::policy::Reason;
use crate::rib::{PathView, PeerId, Verdict as Chosen};
use crate::speaker::RibState;
use crate::wire::Family;

/// # Errors
/// An unknown neighbor, or the daemon stops. A prefix that nobody announced is an answer.
pub(super) async fn explain(daemon: &Daemon, query: ExplainQuery) -> Result<Trace, Problem> {
    if let Some(neighbor) = &query.neighbor {
        return daemon.peer(neighbor).await.map(|(_, row)| session_trace::trace(&row));
    }
    let Some(asked) = query.prefix else {
        let service = query.service.unwrap_or_default();
        return super::services::explain(daemon, &service, query.to.as_deref()).await;
    };
    let to = match &query.to {
        Some(text) => Some(daemon.peer(text).await.map(|(peer, _)| (peer.id, peer.remote.ip()))?),
        None => None,
    };
    let names = daemon.names();
    let mut way = daemon.speaker().inspect(move |state| Way::walk(state, &names, &asked, to)).await.map_err(|e| problem(&e))?;
    if !way.is_blocked() && to.is_none() && way.learned {
        way.kernel(daemon).await?;
    }
    Ok(way.finish())
}

/// What a peer got of a prefix; `None` where there is no such route.
pub(super) fn told(state: &mut RibState, prefix: &IpNet, peer: PeerId) -> Option<Reason> {
    let reason = state.groups.explain(&state.rib, prefix, peer)?;
    let established = reason == Reason::NoSession && state.live.contains_key(&peer);
    Some(if established { Reason::FamilyNotNegotiated } else { reason })
}

/// A trace under way.
pub(super) struct Way {
    prefix: IpNet,
    to: Option<(PeerId, IpAddr)>,
    pub(super) steps: Vec<Step>,
    pub(super) blocked: Option<(String, Option<&'static str>)>,
    /// The best path came from a peer, so that the kernel may have it.
    learned: bool,
}

impl Way {
    pub(super) fn walk(state: &mut RibState, names: &Names, asked: &IpNet, to: Option<(PeerId, IpAddr)>) -> Self {
        let mut way = Self { prefix: *asked, to, steps: Vec::new(), blocked: None, learned: false };
        let Some(dest) = destination(state, asked) else {
            if state.withheld.contains(asked) {
                let remedy = "`bgpctl show summary` says why we drain; `bgpctl undrain` and `kubectl uncordon` end it";
                way.block("originated", "we drain: our prefixes are withdrawn", Reason::Draining.code(), Some(remedy));
                return way;
            }
            let remedy = "ask the neighbor that should announce it what it sends: `bgpctl show rib in PREFIX`";
            way.block("received", "no neighbor announces it, and we do not originate it", "notReceived", Some(remedy));
            return way;
        };
        way.prefix = dest.prefix();
        let mut views = dest.explain();
        views.sort_by_key(|view| matches!(view.verdict, Chosen::Ineligible(_)));
        let prefix = way.prefix;
        let label = |view: &PathView<'_>| {
            let row = rows::path(state, names, prefix, view);
            match (row.peer_name, row.peer) {
                (Some(name), Some(peer)) => format!("{peer} ({name})"),
                (None, Some(peer)) => peer.to_string(),
                (_, None) => "ourselves".to_owned(),
            }
        };
        way.pass("received", format!("from {}", views.iter().map(label).collect::<Vec<_>>().join(", ")));
        way.import(&views, label);
        if way.is_blocked() {
            return way;
        }
        let best = views.iter().find(|v| matches!(v.verdict, Chosen::Best(_)));
        let Some(best) = best else {
            way.undecided(&views);
            return way;
        };
        way.learned = best.path.source != PeerId::LOCAL;
        way.pass("decision", format!("path from {} is {}", label(best), decision(best, None)));
        let family = dest.family();
        match to {
            Some((peer, _)) => way.send(state, peer, family),
            None => way.audience(state),
        }
        way
    }

    fn import(&mut self, views: &[PathView<'_>], label: impl Fn(&PathView<'_>) -> String) {
        let rejected = |view: &&PathView<'_>| rows::is_filtered(view);
        let accepted = views.iter().any(|view| !rows::is_filtered(view));
        for view in views.iter().filter(rejected) {
            let Chosen::Ineligible(reason) = view.verdict else { continue };
            let text = format!("path from {}: {}", label(view), reasons::sentence(reason));
            if accepted {
                self.note("import", text, Some(reason.code()));
            } else {
                return self.block("import", &text, &reason.to_string(), reasons::remedy(reason));
            }
        }
        if accepted {
            self.pass("import", "accepted".to_owned());
        }
    }

    /// Nothing was selected: no usable next hop, or selection is held back.
    fn undecided(&mut self, views: &[PathView<'_>]) {
        let reason = views.iter().filter(|v| !rows::is_filtered(v)).find_map(|view| match view.verdict {
            Chosen::Ineligible(reason) => Some((reason, view.path.attrs.next_hop().address())),
            _ => None,
        });
        match reason {
            Some((reason, next_hop)) => {
                let text = format!("no path can be used: {} ({next_hop})", reasons::sentence(reason));
                self.block("decision", &text, &reason.to_string(), reasons::remedy(reason));
            }
            None => self.block("decision", "selection waits for the neighbors after a restart", "undecided", None),
        }
    }

    fn send(&mut self, state: &mut RibState, peer: PeerId, family: Family) {
        let prefix = self.prefix;
        let Some(reason) = told(state, &prefix, peer) else {
            return self.block("export", "the route has just gone", "notReceived", None);
        };
        match reason {
            Reason::Advertised | Reason::PendingSend => {
                self.pass("export", "export policy and rules let it pass".to_owned());
                if reason == Reason::Advertised {
                    self.pass("send", "sent".to_owned());
                } else {
                    self.block("send", &reasons::sentence(reason), reason.code(), reasons::remedy(reason));
                }
            }
            Reason::FamilyNotNegotiated | Reason::NoSession => {
                let text = match reason {
                    Reason::NoSession => "the session is not established".to_owned(),
                    _ => format!("the session does not carry {family}"),
                };
                self.block("export", &text, reason.code(), reasons::remedy(reason));
            }
            reason => self.block("export", &reasons::sentence(reason), &reason.to_string(), reasons::remedy(reason)),
        }
    }

    /// Nobody in particular was asked about: says who gets it.
    fn audience(&mut self, state: &mut RibState) {
        let peers: Vec<(PeerId, IpAddr)> = state.live.iter().map(|(id, live)| (*id, live.negotiated.remote_addr.ip())).collect();
        let prefix = self.prefix;
        let sent = peers.iter().filter(|(id, _)| {
            let reason = state.groups.explain(&state.rib, &prefix, *id);
            matches!(reason, Some(Reason::Advertised | Reason::PendingSend))
        });
        let sent = sent.count();
        self.note("export", format!("for {sent} of {} neighbors with a session; `--to PEER` says why", peers.len()), None);
    }

    async fn kernel(&mut self, daemon: &Daemon) -> Result<(), Problem> {
        if daemon.speaker().fib().is_none() {
            self.note("fib", "`fib.install` is `none`: nothing goes to the kernel".to_owned(), None);
            return Ok(());
        }
        match super::kernel::of_prefix(daemon, self.prefix).await? {
            Some(entry) if entry.state == FibState::Installed => self.pass("fib", "installed in the kernel".to_owned()),
            Some(entry) if entry.state == FibState::Failed => {
                let error = entry.error.unwrap_or_default();
                let remedy = "`bgpctl show fib diff` lists all routes that the kernel does not have";
                self.block("fib", &error, "kernelRefused", Some(remedy));
            }
            Some(entry) => self.block("fib", &format!("the kernel route is {}", entry.state.name()), "pendingInstall", None),
            None => self.note("fib", "not for the kernel".to_owned(), None),
        }
        Ok(())
    }

    fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    fn pass(&mut self, stage: &str, text: String) {
        self.steps.push(Step { stage: stage.to_owned(), verdict: Verdict::Pass, text, reason: None });
    }

    fn note(&mut self, stage: &str, text: String, reason: Option<&str>) {
        self.steps.push(Step { stage: stage.to_owned(), verdict: Verdict::Note, text, reason: reason.map(str::to_owned) });
    }

    fn block(&mut self, stage: &str, text: &str, reason: &str, remedy: Option<&'static str>) {
        let reason = reason.to_owned();
        self.steps.push(Step { stage: stage.to_owned(), verdict: Verdict::Block, text: text.to_owned(), reason: Some(reason.clone()) });
        self.blocked = Some((reason, remedy));
    }

    fn finish(self) -> Trace {
        let ok = self.blocked.is_none();
        let (reason, remedy) = self.blocked.unwrap_or_else(|| (Reason::Advertised.code().to_owned(), None));
        Trace {
            prefix: Some(self.prefix),
            service: None,
            neighbor: None,
            to: self.to.map(|(_, address)| address),
            steps: self.steps,
            ok,
            reason,
            remedy: remedy.map(str::to_owned),
        }
    }
}
