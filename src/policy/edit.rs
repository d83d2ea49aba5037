//! What rules change: applied to the decoded form, stored again only when something differs.

use super::params::{Edit, MedSet, NextHopSet, Prepend, Sets};
use super::{NEXT_HOP_SELF, NEXT_HOP_UNCHANGED};
use crate::wire::attr::{AsPath, AttrSet, PathAttributes, Segment, SegmentKind, Tags};

impl Sets {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The attributes after this rule, or `None` when the rule changes nothing.
    pub(super) fn apply(&self, attrs: &AttrSet) -> Option<AttrSet> {
        if self.is_empty() {
            return None;
        }
        let before = PathAttributes::from(attrs);
        let mut after = before.clone();
        self.edit(&mut after);
        (after != before).then(|| AttrSet::from(&after))
    }

    fn edit(&self, a: &mut PathAttributes) {
        if let Some(value) = self.local_pref {
            a.local_pref = Some(value);
        }
        match self.med {
            Some(MedSet::To(value)) => a.med = Some(value),
            Some(MedSet::Add(value)) => a.med = Some(a.med.unwrap_or(0).saturating_add(value)),
            Some(MedSet::Subtract(value)) => a.med = Some(a.med.unwrap_or(0).saturating_sub(value)),
            Some(MedSet::Remove) => a.med = None,
            None => {}
        }
        self.communities.edit(&mut a.communities, |pattern, value| pattern.matches(*value));
        self.large_communities.edit(&mut a.large_communities, |pattern, value| pattern.matches(*value));
        self.ext_communities.edit(&mut a.ext_communities, |pattern, value| pattern.matches(*value));
        if let Some(prepend) = self.prepend {
            prepend.edit(&mut a.as_path);
        }
        if let Some(origin) = self.origin {
            a.origin = origin;
        }
        a.tags = Tags(a.tags.0 & !self.remove_tags.0 | self.add_tags.0);
        if let Some(next_hop) = self.next_hop {
            a.tags = Tags(a.tags.0 & !(NEXT_HOP_SELF.0 | NEXT_HOP_UNCHANGED.0));
            match next_hop {
                // The address stands as it is, also where the session would put its own.
                NextHopSet::Address(address) => {
                    a.next_hop = address.into();
                    a.tags.0 |= NEXT_HOP_UNCHANGED.0;
                }
                NextHopSet::Own => a.tags.0 |= NEXT_HOP_SELF.0,
                NextHopSet::Unchanged => a.tags.0 |= NEXT_HOP_UNCHANGED.0,
            }
        }
    }
}

impl<P, V: Copy + Ord> Edit<P, V> {
    fn edit(&self, values: &mut Vec<V>, matches: impl Fn(&P, &V) -> bool) {
        if self.is_empty() {
            return;
        }
        values.retain(|value| !self.remove.iter().any(|pattern| matches(pattern, value)));
        values.extend(&self.add);
        values.sort_unstable();
        values.dedup();
    }
}

impl Prepend {
    /// RFC 4271 5.1.2: into the leading sequence, or a new one where there is none or it would pass 255 numbers.
    fn edit(self, path: &mut AsPath) {
        let own = std::iter::repeat_n(self.asn.get(), usize::from(self.times));
        match path.0.first_mut() {
            Some(Segment { kind: SegmentKind::Sequence, asns }) if asns.len() + usize::from(self.times) <= 255 => {
                asns.splice(0..0, own);
            }
            _ if self.times > 0 => path.0.insert(0, Segment { kind: SegmentKind::Sequence, asns: own.collect() }),
            _ => {}
        }
    }
}
