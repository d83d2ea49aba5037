//! The filters of a RIB query, resolved once and then asked for every path.

use std::net::IpAddr;

use ipnet::IpNet;

use super::neighbors::wire_family;
use super::rows;
use crate::api::query::{PrefixMatch, RibQuery, RibView};
use crate::api::types::{Origin, Problem};
use crate::policy::as_path::PathRegex;
use crate::rib::{PathView, PeerId, Verdict};
use crate::wire::Family;
use crate::wire::attr::as_path::PathView as AsPathView;
use crate::wire::attr::{AttrSet, Origin as WireOrigin};

/// A query that is known to make sense.
pub(super) struct Filter {
    pub view: RibView,
    /// The source, or the receiver in the view `out`.
    pub peer: Option<(PeerId, IpAddr)>,
    pub families: Vec<Family>,
    pub prefix: Option<(IpNet, PrefixMatch)>,
    as_path: Option<PathRegex>,
    query: RibQuery,
}

impl Filter {
    /// `peer` is what the neighbor of the query turned out to be.
    ///
    /// # Errors
    /// An AS path expression that does not compile, or the view `out` without a neighbor.
    pub fn new(query: RibQuery, peer: Option<(PeerId, IpAddr)>) -> Result<Self, Problem> {
        if query.view == RibView::Out && peer.is_none() {
            return Err(Problem::usage("the view `out` is that of one neighbor").with_detail("name it: `show rib out neighbor PEER`"));
        }
        let compile = |text: &String| PathRegex::new(text);
        let as_path = query.as_path.as_ref().map(compile).transpose();
        let as_path = as_path.map_err(|e| Problem::usage("`asPath` is no regular expression").with_detail(e.to_string()))?;
        let prefix = query.prefix.map(|prefix| (prefix, query.matching.unwrap_or_default()));
        let wanted = |family: &Family| {
            prefix.is_none_or(|(prefix, _)| Family::of(&prefix) == *family) && query.family.is_none_or(|f| wire_family(f) == *family)
        };
        let families = Family::ALL.into_iter().filter(wanted).collect();
        Ok(Self { view: query.view, peer, families, prefix, as_path, query })
    }

    /// Whether a path of the tables is a row.
    pub fn admits(&self, view: &PathView<'_>) -> bool {
        let (query, path) = (&self.query, &view.path);
        let eligible = !matches!(view.verdict, Verdict::Ineligible(_));
        let in_view = match self.view {
            RibView::Loc => eligible || (query.invalid && !rows::is_filtered(view)),
            RibView::In => path.source != PeerId::LOCAL,
            RibView::Filtered => rows::is_filtered(view),
            // Comes from the update groups, not from paths.
            RibView::Out => false,
        };
        in_view
            && self.peer.is_none_or(|(peer, _)| path.source == peer)
            && query.best.is_none_or(|best| matches!(view.verdict, Verdict::Best(_)) == best)
            && (!query.ecmp || matches!(view.verdict, Verdict::Best(_) | Verdict::Multipath(_)))
            && (!query.stale || path.stale)
            && (!query.invalid || !eligible)
            && self.admits_attributes(path.attrs)
    }

    /// The filters that look at the attributes only.
    pub fn admits_attributes(&self, attrs: &AttrSet) -> bool {
        let query = &self.query;
        let path = AsPathView::of(attrs);
        let large = |wanted: crate::api::types::LargeCommunity| attrs.large_communities().any(|c| c == [wanted.0, wanted.1, wanted.2]);
        query.community.is_none_or(|wanted| attrs.communities().any(|c| c == wanted.0))
            && query.large_community.is_none_or(large)
            && query.transit_as.is_none_or(|asn| path.contains(asn))
            && query.source_as.is_none_or(|asn| path.origin_as() == Some(asn))
            && query.peer_as.is_none_or(|asn| path.neighbor_as().map(crate::wire::Asn::get) == Some(asn))
            && query.next_hop.is_none_or(|wanted| rows::next_hop(attrs) == Some(wanted))
            && query.origin.is_none_or(|wanted| is_origin(attrs, wanted))
            && self.as_path.as_ref().is_none_or(|expression| expression.is_match(&path.to_string()))
    }

    /// Whether the prefix can be among the rows at all.
    pub fn reaches(&self, prefix: &IpNet) -> bool {
        let matches = |(wanted, how): (IpNet, PrefixMatch)| match how {
            PrefixMatch::Exact => wanted == *prefix,
            PrefixMatch::Longer => wanted.contains(prefix),
            PrefixMatch::Shorter | PrefixMatch::Longest => prefix.contains(&wanted),
        };
        self.families.contains(&Family::of(prefix)) && self.prefix.is_none_or(matches)
    }

    /// Whether a walk over everything passes this prefix on.
    pub fn admits_prefix(&self, prefix: &IpNet) -> bool {
        self.prefix.is_none_or(|(wanted, _)| wanted.contains(prefix))
    }
}

fn is_origin(attrs: &AttrSet, wanted: Origin) -> bool {
    let wanted = match wanted {
        Origin::Igp => WireOrigin::Igp,
        Origin::Egp => WireOrigin::Egp,
        Origin::Incomplete => WireOrigin::Incomplete,
    };
    attrs.head().origin == wanted
}
