//! Why Services have the addresses that they have, or none: from the allocator where this process is the one that gives addresses, else
//! worked out from the objects that a node sees.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Daemon;
use crate::api::types::{AddressRefusal, PoolAnswer, Step, Verdict};
use crate::operator::metallb::reason::Reason;
use crate::operator::{Allocated, Allocating, Foresight, Foresights, Key, Refusal, State};

/// What is known about the giving of addresses.
pub(super) struct Addresses {
    /// The allocator's, while this process leads.
    leading: Option<Arc<Allocating>>,
    foresights: Foresights,
}

impl Addresses {
    pub(super) async fn ask(daemon: &Daemon, state: &State) -> Self {
        let leading = leading(state);
        let lacking = |vips: &Arc<crate::operator::Vips>| vips.announcer.standings().any(|s| s.blocked == Some(Reason::NoAddress));
        let foresights = match leading.is_none() && state.vips.as_ref().is_some_and(lacking) {
            true => daemon.cluster().foresights().await,
            false => Foresights::default(),
        };
        Self { leading, foresights }
    }

    /// Whether this process gives the addresses itself.
    pub(super) fn leading(&self) -> Option<&Allocating> {
        self.leading.as_deref()
    }

    /// Why a Service has no address, or not the one that it wants.
    pub(super) fn refusal(&self, service: &Key) -> Option<&Refusal> {
        if let Some(leading) = &self.leading {
            return leading.of_service(service)?.refusal.as_ref();
        }
        match self.foresights.services.get(service)? {
            Foresight::Nothing(refusal) => Some(refusal),
            Foresight::Gets(..) => None,
        }
    }

    /// For a Service that has none: what it will have, in words.
    pub(super) fn prospect(&self, service: &Key) -> Option<String> {
        if let Some(Allocated { addresses, pool: Some(pool), .. }) = self.leading.as_ref().and_then(|leading| leading.of_service(service)) {
            return Some(format!("{} of pool `{pool}` will be written to its status", words(addresses)));
        }
        match self.foresights.services.get(service)? {
            Foresight::Gets(addresses, pool) => Some(format!("{} of pool `{pool}` would be free for it", words(addresses))),
            Foresight::Nothing(_) => None,
        }
    }

    /// How many Services each pool refused an address, by reason.
    pub(super) fn refused(&self) -> BTreeMap<&str, BTreeMap<String, u64>> {
        let of_leader = self.leading.iter().flat_map(|leading| &leading.services).filter_map(|service| service.refusal.as_ref());
        let foreseen = self.foresights.services.values().filter_map(|foresight| match foresight {
            Foresight::Nothing(refusal) => Some(refusal),
            Foresight::Gets(..) => None,
        });
        let mut all: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for (pool, reason) in of_leader.chain(foreseen).flat_map(|refusal| &refusal.pools) {
            *all.entry(pool).or_default().entry(reason.code().to_owned()).or_default() += 1;
        }
        all
    }

    /// The steps of a trace behind the one that says that there is no address, and what blocks.
    pub(super) fn steps(&self, service: &Key) -> (Vec<Step>, Option<(String, String)>) {
        let mut steps = Vec::new();
        let blocked = self.refusal(service).map(|refusal| {
            steps.extend(refusal.pools.iter().map(|(pool, reason)| note(format!("pool `{pool}`: {}", reason.remedy()), Some(*reason))));
            let (code, text) = (refusal.reason.code().to_owned(), refusal.text.clone());
            steps.push(Step { stage: STAGE.to_owned(), verdict: Verdict::Block, text, reason: Some(code.clone()) });
            (code, refusal.reason.remedy().to_owned())
        });
        let opaque =
            |pool: &String| note(format!("pool `{pool}` depends on the labels of namespaces, which only the allocator knows"), None);
        if self.prospect(service).is_some() || blocked.is_some() {
            steps.extend(self.foresights.opaque.iter().map(opaque));
        }
        let prospect = self.prospect(service).map(|text| {
            steps.push(note(text.clone(), None));
            (Reason::NoAddress.code().to_owned(), UNTOLD.to_owned())
        });
        (steps, blocked.or(prospect))
    }
}

/// The allocator's view, where this process is the one that gives addresses.
pub(super) fn leading(state: &State) -> Option<Arc<Allocating>> {
    state.allocator.clone().filter(|allocating| allocating.is_leader)
}

pub(super) fn note(text: String, reason: Option<Reason>) -> Step {
    Step { stage: STAGE.to_owned(), verdict: Verdict::Note, text, reason: reason.map(|reason| reason.code().to_owned()) }
}

pub(super) fn shown(refusal: &Refusal) -> AddressRefusal {
    let answer = |(pool, reason): &(String, Reason)| PoolAnswer { pool: pool.clone(), reason: reason.code().to_owned() };
    AddressRefusal {
        reason: refusal.reason.code().to_owned(),
        message: refusal.text.clone(),
        pools: refusal.pools.iter().map(answer).collect(),
    }
}

pub(super) fn words(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) const STAGE: &str = "allocation";
/// Nothing stands against an address, and yet there is none.
pub(super) const UNTOLD: &str = "see whether a process with the role `allocator` leads (`kubgp_leader`), and what its /readyz?verbose says";
