//! Import of one peer: the checks that the protocols ask for, then the peer's chain.

use super::chain::{Chain, Outcome};
use super::role::{self, Leak};
use super::{NEXT_HOP_SELF, NEXT_HOP_UNCHANGED, Reason, RouteView};
use crate::wire::attr::as_path::PathView;
use crate::wire::attr::{AttrSet, Marks, PathAttributes, Tags};
use crate::wire::{Asn, ClusterId, Role, RouterId};

/// What the import of one established session needs to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Import {
    /// Our AS number on this session.
    pub local_as: Asn,
    /// Our AS number elsewhere; differs from `local_as` where the session overrides it (RFC 7705). Both mean a loop.
    pub router_as: Asn,
    pub remote_as: Asn,
    pub router_id: RouterId,
    /// `None` where we do not reflect.
    pub cluster_id: Option<ClusterId>,
    /// How often our own AS may stand in AS_PATH.
    pub allow_own_as: u8,
    pub ebgp: bool,
    /// Our role on this session (RFC 9234), the negotiated or the configured one.
    pub role: Option<Role>,
    pub chain: Chain,
}

impl Import {
    /// Loops first (RFC 4271 9.1.2, RFC 4456 8), then leaks (RFC 9234 5), then the chain; last GRACEFUL_SHUTDOWN, so that no rule
    /// undoes it by setting LOCAL_PREF, while a rule that removes the community opts out (RFC 8326 4.2).
    pub fn apply(&self, route: RouteView<'_>) -> Outcome {
        if self.is_loop(route.attrs) {
            return Outcome::Reject(Reason::RejectedByLoop);
        }
        let marked = match self.role.filter(|_| self.ebgp).map(|role| role::ingress(role, self.remote_as, route.attrs)) {
            Some(Err(Leak)) => return Outcome::Reject(Reason::RouteLeak),
            Some(Ok(marked)) => marked,
            None => None,
        };
        match self.chain.apply(route.with(marked.as_ref())) {
            Outcome::Accept(attrs) => Outcome::Accept(self.finish(attrs)),
            rejected => rejected,
        }
    }

    /// What holds whatever the rules say: GRACEFUL_SHUTDOWN of an external peer makes the route the last resort (RFC 8326 4.2), and
    /// the next hop that import sets is no order to the sessions that export the route.
    fn finish(&self, attrs: AttrSet) -> AttrSet {
        let head = attrs.head();
        let last_resort = self.ebgp && head.marks.contains(Marks::GRACEFUL_SHUTDOWN) && head.local_pref() != Some(0);
        let tags = Tags(head.tags.0 & !(NEXT_HOP_SELF.0 | NEXT_HOP_UNCHANGED.0));
        if !last_resort && tags == head.tags {
            return attrs;
        }
        let mut edited = PathAttributes::from(&attrs);
        edited.tags = tags;
        if last_resort {
            edited.local_pref = Some(0);
        }
        AttrSet::from(&edited)
    }

    fn is_loop(&self, attrs: &AttrSet) -> bool {
        let head = attrs.head();
        let times = |own: Asn| PathView::of(attrs).count(own.get());
        let allowed = usize::from(self.allow_own_as);
        times(self.local_as) > allowed
            || (self.router_as != self.local_as && times(self.router_as) > allowed)
            || head.originator_id == Some(self.router_id)
            || (head.cluster_len > 0 && self.cluster_id.is_some_and(|own| attrs.cluster_list().any(|id| id == own.0)))
    }
}
