//! From a decoded UPDATE to what the RIB stores: the import checks and policy run here, in the shard, in parallel.

use super::fault;
use super::message::Item;
use crate::policy::{Import, Outcome, PeerKind, Reason, RouteView};
use crate::wire::attr::AttrSet;
use crate::wire::nlri::Nlri;
use crate::wire::update::{Reach, Update};
use std::net::IpAddr;

/// Where the routes of a session come from, as policies see it.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub neighbor: IpAddr,
    pub kind: PeerKind,
}

/// Appends what `update` says to `items`, withdrawals first (RFC 4271 3.1: a prefix in both fields is announced).
pub fn import(update: Update, rules: &Import, origin: Origin, items: &mut Vec<Item>) {
    for (family, nlri) in update.withdrawn {
        items.push(Item::Withdraw { family, nlri });
    }
    for reach in update.reach {
        if rules.chain.depends_on_prefix() {
            import_each(&reach, rules, origin, items);
        } else if let Some(first) = reach.nlri.first() {
            let (attrs, filtered) = settle(apply(rules, first, &reach.attrs, origin), &reach.attrs);
            items.push(Item::Announce { family: reach.family, attrs, filtered, nlri: reach.nlri });
        }
    }
    if let Some(family) = update.end_of_rib {
        items.push(Item::EndOfRib(family));
    }
}

/// Prefix by prefix; neighbours with the same result stay together.
fn import_each(reach: &Reach, rules: &Import, origin: Origin, items: &mut Vec<Item>) {
    let mut open: Option<(AttrSet, Option<Reason>, Vec<Nlri>)> = None;
    for nlri in &reach.nlri {
        let (attrs, filtered) = settle(apply(rules, nlri, &reach.attrs, origin), &reach.attrs);
        match &mut open {
            Some((a, f, list)) if *a == attrs && *f == filtered => list.push(*nlri),
            _ => {
                if let Some((attrs, filtered, nlri)) = open.replace((attrs, filtered, vec![*nlri])) {
                    items.push(Item::Announce { family: reach.family, attrs, filtered, nlri });
                }
            }
        }
    }
    if let Some((attrs, filtered, nlri)) = open {
        items.push(Item::Announce { family: reach.family, attrs, filtered, nlri });
    }
}

fn apply(rules: &Import, nlri: &Nlri, attrs: &AttrSet, origin: Origin) -> Outcome {
    assert!(!fault::strikes(fault::PANIC_IN_IMPORT, nlri.prefix), "a panic on purpose");
    rules.apply(RouteView { prefix: &nlri.prefix, attrs, neighbor: Some(origin.neighbor), kind: origin.kind })
}

/// A rejected route is kept with its reason, as it arrived.
fn settle(outcome: Outcome, arrived: &AttrSet) -> (AttrSet, Option<Reason>) {
    match outcome {
        Outcome::Accept(attrs) => (attrs, None),
        Outcome::Reject(reason) => (arrived.clone(), Some(reason)),
    }
}
