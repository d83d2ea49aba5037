//! What RFC 7606 makes of malformed path attributes. A verdict that resets the session is a `Notification`, not a fault.

use std::fmt;

/// One attribute of an UPDATE that was not taken as it stood.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AttributeFault {
    /// Type of the attribute; 0 where the fault concerns none in particular.
    pub code: u8,
    pub action: FaultAction,
    pub why: FaultKind,
}

/// What was done, from the weakest to the strongest (RFC 7606 2 and 3 h).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FaultAction {
    /// Legal, but not for us: NLRI of a family that is not negotiated.
    Ignored,
    /// Attribute discard: the route counts without it.
    Discard,
    /// Treat-as-withdraw: all reachable NLRI of the UPDATE are withdrawn.
    TreatAsWithdraw,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// The attribute, or its header, does not fit into Total Path Attribute Length.
    Framing,
    /// Optional and Transitive are not as the type requires.
    Flags,
    /// A length that the type does not allow.
    Length,
    /// A value that the type does not allow.
    Value,
    /// AS_PATH or AS4_PATH segments that do not add up.
    Segments,
    /// AS 0 (RFC 7607).
    AsZero,
    /// AS_SET (RFC 9774).
    AsSet,
    /// Confederation segments from a peer outside of any confederation of ours (RFC 5065 5).
    Confederation,
    /// The first AS is not the peer's (RFC 4271 6.3).
    FirstAs,
    /// A mandatory attribute is missing.
    Missing,
    /// The same attribute again.
    Duplicate,
    /// An attribute that this kind of peer has no business to send, or that we never take.
    Unexpected,
    /// An unknown attribute that claims to be well-known.
    Unrecognized,
    /// A next hop that can be nobody's address.
    NextHop,
    /// A family that is not negotiated.
    Family,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Framing => "attribute exceeds the attribute block",
            Self::Flags => "wrong attribute flags",
            Self::Length => "wrong attribute length",
            Self::Value => "value not allowed",
            Self::Segments => "malformed path segments",
            Self::AsZero => "AS 0",
            Self::AsSet => "AS_SET",
            Self::Confederation => "confederation segment from outside",
            Self::FirstAs => "first AS is not the peer's",
            Self::Missing => "mandatory attribute missing",
            Self::Duplicate => "attribute repeated",
            Self::Unexpected => "attribute not expected from this peer",
            Self::Unrecognized => "unrecognized well-known attribute",
            Self::NextHop => "unusable next hop",
            Self::Family => "family not negotiated",
        })
    }
}
