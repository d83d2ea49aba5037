//! AS_PATH (RFC 4271 4.3 b and 5.1.2): views of the canonical bytes, prepending, and the 2-octet forms of RFC 6793.

use super::{AsPath, AttrSet, Segment, SegmentKind, code};
use crate::wire::Asn;
use crate::wire::verdict::FaultKind;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;
use nom::{IResult, Parser};
use std::fmt;

/// AS_TRANS, which stands for an AS number that does not fit two octets (RFC 6793 9).
pub const AS_TRANS: u16 = 23456;

/// The value of an AS_PATH with 4-octet numbers, as an [`AttrSet`] holds it; it is well-formed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathView<'a>(&'a [u8]);

impl<'a> PathView<'a> {
    /// The path of a set of attributes.
    pub fn of(attrs: &'a AttrSet) -> Self {
        Self(attrs.value(code::AS_PATH).unwrap_or_default())
    }

    /// `value` must be well-formed, with 4-octet numbers.
    pub const fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// The value as it stands on the wire of a 4-octet-AS session.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The segments in order.
    pub fn segments(self) -> Segments<'a> {
        Segments(self.0)
    }

    /// All AS numbers in order, sets and confederation segments included.
    pub fn asns(self) -> impl Iterator<Item = u32> + 'a {
        self.segments().flat_map(SegmentView::asns)
    }

    /// How often `asn` is in the path, for loop checks.
    pub fn count(self, asn: u32) -> usize {
        self.asns().filter(|a| *a == asn).count()
    }

    pub fn contains(self, asn: u32) -> bool {
        self.asns().any(|a| a == asn)
    }

    /// Length as the decision process counts it: a set is 1, a confederation segment 0 (RFC 4271 9.1.2.2 a, RFC 5065 5.3).
    pub fn length(self) -> usize {
        self.segments().map(SegmentView::length).sum()
    }

    /// The AS that sent the route into ours: the first number, confederation segments left out; `None` for an empty path or a
    /// leading set.
    pub fn neighbor_as(self) -> Option<Asn> {
        let first = self.segments().find(|s| matches!(s.kind, SegmentKind::Set | SegmentKind::Sequence))?;
        first.first_of_sequence().and_then(Asn::new)
    }

    /// The AS that originated the route: the last number, unless the path is empty or ends in a set.
    pub fn origin_as(self) -> Option<u32> {
        let last = self.segments().last().filter(|s| s.kind == SegmentKind::Sequence)?;
        last.asns().last()
    }

    /// Appends the value of the path with `asn` put `times` in front, in segments of at most 255 (RFC 4271 5.1.2).
    pub fn prepend(self, asn: u32, times: usize, out: &mut Vec<u8>) {
        let mut segments = self.segments();
        let first = segments.clone().next().filter(|s| s.kind == SegmentKind::Sequence);
        let old = first.map_or(0, |s| s.asns.len() / 4);
        let total = old + times;
        // What does not fit beside the old numbers goes into segments of its own, before them.
        let mut before = if old == 0 { total } else { total.saturating_sub(MAX_SEGMENT) };
        let beside = times - before;
        while before > 0 {
            let here = before.min(MAX_SEGMENT);
            put_segment(SegmentKind::Sequence, here, std::iter::repeat_n(asn, here), out);
            before -= here;
        }
        if let Some(first) = first {
            segments.next();
            put_segment(SegmentKind::Sequence, beside + old, std::iter::repeat_n(asn, beside).chain(first.asns()), out);
        }
        out.extend_from_slice(segments.0);
    }

    /// Appends the 2-octet form (RFC 6793 4.2.2); true when AS_TRANS stands in for a number, so that an AS4_PATH is due, whose
    /// value is [`Self::bytes`].
    pub fn narrow(self, out: &mut Vec<u8>) -> bool {
        let mut replaced = false;
        for segment in self.segments() {
            out.extend_from_slice(&[segment.kind as u8, (segment.asns.len() / 4) as u8]);
            for asn in segment.asns() {
                let narrow = u16::try_from(asn).unwrap_or(AS_TRANS);
                replaced |= u32::from(narrow) != asn;
                out.extend_from_slice(&narrow.to_be_bytes());
            }
        }
        replaced
    }

    pub(super) fn to_owned(self) -> AsPath {
        AsPath(self.segments().map(|s| Segment { kind: s.kind, asns: s.asns().collect() }).collect())
    }
}

impl fmt::Display for PathView<'_> {
    /// `65001 {65002 65003} (65010)`: sets in braces, confederation sequences in parentheses, confederation sets in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            let (open, close) = match segment.kind {
                SegmentKind::Sequence => ("", ""),
                SegmentKind::Set => ("{", "}"),
                SegmentKind::ConfedSequence => ("(", ")"),
                SegmentKind::ConfedSet => ("[", "]"),
            };
            f.write_str(open)?;
            for (j, asn) in segment.asns().enumerate() {
                if j > 0 {
                    f.write_str(" ")?;
                }
                write!(f, "{asn}")?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

/// One segment of a well-formed path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentView<'a> {
    pub kind: SegmentKind,
    asns: &'a [u8],
}

impl<'a> SegmentView<'a> {
    pub fn asns(self) -> impl Iterator<Item = u32> + 'a {
        self.asns.as_chunks().0.iter().map(|a| u32::from_be_bytes(*a))
    }

    fn length(self) -> usize {
        match self.kind {
            SegmentKind::Sequence => self.asns.len() / 4,
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        }
    }

    fn first_of_sequence(self) -> Option<u32> {
        self.asns().next().filter(|_| self.kind == SegmentKind::Sequence)
    }
}

/// The segments of a well-formed path.
#[derive(Clone, Debug)]
pub struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = SegmentView<'a>;

    fn next(&mut self) -> Option<SegmentView<'a>> {
        let (rest, (kind, asns)) = segment(self.0, 4).ok()?;
        self.0 = rest;
        Some(SegmentView { kind: SegmentKind::from_octet(kind)?, asns })
    }
}

impl SegmentKind {
    const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }
}

impl AsPath {
    /// Appends the value with 4-octet numbers; long segments are split, empty ones left out.
    pub(in crate::wire) fn encode(&self, out: &mut Vec<u8>) {
        for segment in &self.0 {
            for asns in segment.asns.chunks(MAX_SEGMENT) {
                put_segment(segment.kind, asns.len(), asns.iter().copied(), out);
            }
        }
    }
}

/// What a well-formed path holds that a receiver may object to.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::wire) struct PathFacts {
    pub as_set: bool,
    pub confederation: bool,
    pub as_zero: bool,
}

/// Checks the form of a received path whose numbers have `width` octets (RFC 7606 7.2).
///
/// # Errors
/// [`FaultKind::Segments`]: unknown type, no numbers, or a length that does not add up.
pub(in crate::wire) fn check(mut value: &[u8], width: usize) -> Result<PathFacts, FaultKind> {
    let mut facts = PathFacts::default();
    while !value.is_empty() {
        let (rest, (kind, asns)) = segment(value, width).map_err(|_| FaultKind::Segments)?;
        if asns.is_empty() {
            return Err(FaultKind::Segments);
        }
        match SegmentKind::from_octet(kind).ok_or(FaultKind::Segments)? {
            SegmentKind::Sequence => (),
            SegmentKind::Set => facts.as_set = true,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => facts.confederation = true,
        }
        facts.as_zero |= asns.chunks_exact(width).any(|asn| asn.iter().all(|octet| *octet == 0));
        value = rest;
    }
    Ok(facts)
}

/// The 4-octet form of a well-formed path with 2-octet numbers.
pub(in crate::wire) fn widen(mut value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 2);
    while let Ok((rest, (kind, asns))) = segment(value, 2) {
        out.extend_from_slice(&[kind, (asns.len() / 2) as u8]);
        asns.as_chunks::<2>().0.iter().for_each(|asn| out.extend_from_slice(&[[0; 2], *asn].concat()));
        value = rest;
    }
    out
}

/// Merges AS4_PATH into a widened AS_PATH (RFC 6793 4.2.3): the leading numbers that AS4_PATH lacks, then AS4_PATH without
/// confederation segments. An AS4_PATH that is longer than the AS_PATH is ignored: `None`.
pub(in crate::wire) fn merge_as4(as_path: PathView<'_>, as4_path: PathView<'_>) -> Option<Vec<u8>> {
    let mut missing = as_path.length().checked_sub(as4_path.length())?;
    let mut merged: Vec<Segment> = Vec::new();
    for segment in as_path.segments() {
        if missing == 0 {
            break;
        }
        let taken = if segment.kind == SegmentKind::Sequence { missing } else { usize::MAX };
        merged.push(Segment { kind: segment.kind, asns: segment.asns().take(taken).collect() });
        missing -= segment.length().min(missing);
    }
    for segment in as4_path.segments() {
        match (segment.kind, merged.last_mut()) {
            (SegmentKind::ConfedSequence | SegmentKind::ConfedSet, _) => (),
            (SegmentKind::Sequence, Some(last)) if last.kind == SegmentKind::Sequence => last.asns.extend(segment.asns()),
            (kind, _) => merged.push(Segment { kind, asns: segment.asns().collect() }),
        }
    }
    let mut out = Vec::with_capacity(as_path.bytes().len() + as4_path.bytes().len());
    AsPath(merged).encode(&mut out);
    Some(out)
}

fn segment(input: &[u8], width: usize) -> IResult<&[u8], (u8, &[u8])> {
    let (input, (kind, count)) = (be_u8, be_u8).parse(input)?;
    let (input, asns) = take(usize::from(count) * width)(input)?;
    Ok((input, (kind, asns)))
}

/// `count` numbers, 255 at most.
fn put_segment(kind: SegmentKind, count: usize, asns: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind as u8, count as u8]);
    asns.for_each(|asn| out.extend_from_slice(&asn.to_be_bytes()));
}

const MAX_SEGMENT: usize = 255;
