//! Which addresses a Service gets: what it asks for, or the first that suit it.

use super::book::Book;
use super::facts::{Facts, FamilyPolicy};
use crate::kube::metallb::model::Pool;
use crate::kube::metallb::ranges::Family;
use crate::kube::metallb::reason::Reason;
use crate::kube::metallb::selector::Labels;
use crate::kube::objects::Key;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses, all of one pool unless each family comes from another.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub pool: String,
    pub addresses: Vec<IpAddr>,
}

/// Why there is no address, and what each pool says to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    pub reason: Reason,
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<(String, Reason)>,
}

impl Refusal {
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), pools: Vec::new() }
    }

    /// What each pool says to it; an empty name where no pool was asked.
    pub fn by_pool(&self) -> Vec<(&str, Reason)> {
        let of_pools: Vec<_> = self.pools.iter().map(|(pool, reason)| (pool.as_str(), *reason)).collect();
        if of_pools.is_empty() { vec![("", self.reason)] } else { of_pools }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        for (i, (pool, reason)) in self.pools.iter().enumerate() {
            f.write_str(if i == 0 { " (" } else { ", " })?;
            write!(f, "pool {pool}: {reason}")?;
        }
        f.write_str(if self.pools.is_empty() { "" } else { ")" })
    }
}

/// One search on behalf of one Service; what it holds itself does not stand in its way where it asks for addresses.
pub struct Search<'a> {
    pub book: &'a mut Book,
    pub broken: &'a BTreeSet<String>,
    pub key: &'a Key,
    pub facts: &'a Facts,
    pub namespace_labels: &'a Labels,
}

impl Search<'_> {
    pub fn choose(&mut self) -> Result<Choice, Refusal> {
        match &self.facts.wish {
            Err(why) => Err(Refusal::new(Reason::WishInvalid, why.clone())),
            Ok(Some(wish)) => self.wanted(wish),
            Ok(None) => {
                let pools = self.candidates()?;
                self.first_of(&pools)
            }
        }
    }

    /// One more address of a pool.
    pub fn add(&mut self, pool: &Arc<Pool>, family: Family) -> Result<IpAddr, Refusal> {
        self.take(pool, family).map_err(|reason| {
            let text = format!("no available IPs in pool \"{}\" for {} IPFamily", pool.name, family.name());
            Refusal { pools: vec![(pool.name.clone(), reason)], ..Refusal::new(reason, text) }
        })
    }

    fn take(&mut self, pool: &Arc<Pool>, family: Family) -> Result<IpAddr, Reason> {
        if !pool.has(family) {
            return Err(Reason::PoolLacksFamily);
        }
        self.book.first(pool, family, self.key, &self.facts.claim).ok_or(Reason::PoolExhausted)
    }

    fn wanted(&self, wish: &[IpAddr]) -> Result<Choice, Refusal> {
        let families: BTreeSet<Family> = wish.iter().map(Family::of).collect();
        let list = wish.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        if families != self.facts.families {
            let text = format!("the IP versions of {list} are not those of the Service's clusterIPs");
            return Err(Refusal::new(Reason::FamilyMismatch, text));
        }
        let pool = wish.first().and_then(|first| self.book.pool_of(first)).filter(|pool| wish.iter().all(|ip| pool.contains(ip)));
        let Some(pool) = pool else {
            return Err(Refusal::new(Reason::AddressNotInPool, format!("{list} not in one pool")));
        };
        if let Some(other) = self.facts.pool_wish.as_ref().filter(|name| **name != pool.name) {
            let text = format!("{list} is of pool \"{}\", not of the wanted pool \"{other}\"", pool.name);
            return Err(Refusal::new(Reason::AddressNotInPool, text));
        }
        let refuse = |reason, text| Refusal { pools: vec![(pool.name.clone(), reason)], ..Refusal::new(reason, text) };
        if !self.admits(pool) {
            return Err(refuse(Reason::PoolNotAllowed, format!("pool \"{}\" is not for this Service", pool.name)));
        }
        for address in wish {
            if pool.avoids(address) {
                return Err(refuse(Reason::AddressAvoided, format!("{address} ends in .0 or .255, which the pool avoids")));
            }
            if let Err(reason) = self.book.may_hold(address, self.key, &self.facts.claim) {
                let names: Vec<String> = self.book.holders_of(address).filter(|k| *k != self.key).map(Key::to_string).collect();
                return Err(refuse(reason, format!("{address} is used by {}", names.join(", "))));
            }
        }
        Ok(Choice { pool: pool.name.clone(), addresses: wish.to_vec() })
    }

    fn admits(&self, pool: &Pool) -> bool {
        pool.admits(&self.key.namespace, self.namespace_labels, &self.facts.labels).is_ok()
    }

    fn candidates(&self) -> Result<Vec<Arc<Pool>>, Refusal> {
        let Some(wanted) = &self.facts.pool_wish else {
            return Ok(self.book.pools().iter().filter(|pool| pool.auto_assign && self.admits(pool)).cloned().collect());
        };
        match self.book.pool(wanted) {
            Some(pool) if self.admits(pool) => Ok(vec![pool.clone()]),
            Some(_) => {
                let refusal = Refusal::new(Reason::PoolNotAllowed, format!("pool \"{wanted}\" is not for this Service"));
                Err(Refusal { pools: vec![(wanted.clone(), Reason::PoolNotAllowed)], ..refusal })
            }
            None if self.broken.contains(wanted) => Err(Refusal::new(Reason::PoolInvalid, format!("pool \"{wanted}\" is not valid"))),
            None => Err(Refusal::new(Reason::PoolUnknown, format!("there is no pool \"{wanted}\""))),
        }
    }

    /// Both families from one pool where there are two. PreferDualStack is content with less.
    fn first_of(&mut self, pools: &[Arc<Pool>]) -> Result<Choice, Refusal> {
        let all: Vec<Family> = self.facts.families.iter().copied().collect();
        if let Some(choice) = pools.iter().find_map(|pool| self.all_of(pool, &all)) {
            return Ok(choice);
        }
        if self.facts.policy == FamilyPolicy::Prefer && all.len() > 1 {
            for family in self.facts.by_preference() {
                if let Some(choice) = pools.iter().find_map(|pool| self.all_of(pool, &[family])) {
                    return Ok(choice);
                }
            }
        }
        Err(self.refusal(&all))
    }

    fn all_of(&mut self, pool: &Arc<Pool>, families: &[Family]) -> Option<Choice> {
        let addresses = families.iter().map(|family| self.take(pool, *family)).collect::<Result<Vec<_>, _>>().ok()?;
        Some(Choice { pool: pool.name.clone(), addresses })
    }

    fn refusal(&mut self, families: &[Family]) -> Refusal {
        let pools = self.book.pools().to_vec();
        let relevant = pools.iter().filter(|pool| self.facts.pool_wish.as_ref().is_none_or(|wanted| *wanted == pool.name));
        let mut said = Vec::new();
        for pool in relevant {
            let reason = if !self.admits(pool) {
                Reason::PoolNotAllowed
            } else if !pool.auto_assign && self.facts.pool_wish.is_none() {
                Reason::PoolNotAutomatic
            } else {
                families.iter().find_map(|family| self.take(pool, *family).err()).unwrap_or(Reason::PoolExhausted)
            };
            said.push((pool.name.clone(), reason));
        }
        said.extend(self.broken.iter().map(|name| (name.clone(), Reason::PoolInvalid)));
        let text = match (&self.facts.pool_wish, families) {
            (Some(pool), [family]) => format!("no available IPs in pool \"{pool}\" for {} IPFamily", family.name()),
            (Some(pool), _) => format!("no available IPs in pool \"{pool}\""),
            (None, _) => "no available IPs".to_owned(),
        };
        let nearest = NEAREST.iter().find(|reason| said.iter().any(|(_, r)| r == *reason)).copied();
        Refusal { pools: said, ..Refusal::new(nearest.unwrap_or(Reason::NoPools), text) }
    }
}

/// Of what the pools say, that which is nearest to an address.
const NEAREST: [Reason; 5] =
    [Reason::PoolExhausted, Reason::PoolLacksFamily, Reason::PoolInvalid, Reason::PoolNotAutomatic, Reason::PoolNotAllowed];
