//! The end of the task: what becomes of routes and addresses.

use super::{Task, now, sleep_until};
use crate::fib::Params;
use crate::fib::handle::Leave;
use crate::fib::netlink;
use crate::fib::plan::{Op, Outcome};
use crate::fib::socket::Requester;
use std::net::IpAddr;
use std::time::Duration;
use tracing::{info, warn};

impl Task {
    /// Ends the work; returns how many routes of ours are left in the kernel.
    pub(super) async fn stop(&mut self, leave: Leave, requester: &mut Requester) -> usize {
        self.take_pending();
        if leave == Leave::HandOver {
            self.hand_over(requester).await;
        }
        if leave != Leave::Remove {
            return self.plan.own_routes().count();
        }
        let deadline = now() + STOP;
        self.resync(requester).await;
        self.plan.clear();
        while self.plan.own_routes().count() > 0 && now() < deadline {
            self.step(requester).await;
            if self.plan.own_routes().count() > 0 && !self.plan.has_work(now()) {
                sleep_until(self.plan.poll_timeout().unwrap_or(deadline).min(deadline)).await;
            }
        }
        // Also where the kernel keeps no mark of ours.
        let mine: Vec<IpAddr> = self.bound.iter().filter(|(_, mine)| **mine).map(|(address, _)| *address).collect();
        for address in mine {
            if let Err(error) = self.unbind(address, requester).await {
                warn!(%address, %error, "cannot remove address");
            }
        }
        self.bound.clear();
        if let Err(error) = self.sweep_addresses(requester).await {
            warn!(%error, "cannot remove addresses");
        }
        self.plan.own_routes().count()
    }

    /// Puts the number of the program that we took over from on our routes, each in place.
    async fn hand_over(&mut self, requester: &mut Requester) {
        let Some(protocol) = self.params.adopt else { return };
        let theirs = Params { protocol, ..self.params.clone() };
        let requests: Vec<_> = self.plan.own_routes().map(|route| netlink::request(&Op::Replace(route.clone()), &theirs)).collect();
        let routes = requests.len();
        let mut refused = 0;
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let outcomes = self.send(requests.by_ref().take(HAND_OVER_BATCH).collect(), requester).await;
            refused += outcomes.iter().filter(|outcome| **outcome != Outcome::Done).count();
        }
        info!(routes, refused, protocol, "kernel routes handed over");
    }
}

/// How long a stop that removes the routes may take.
const STOP: Duration = Duration::from_secs(20);
/// Requests in one write, each of any size: the longest has 128 hops.
const HAND_OVER_BATCH: usize = 16;
