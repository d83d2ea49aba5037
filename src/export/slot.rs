//! What a group remembers for each thing that it can advertise: 8 octets.

use super::route::RouteId;

/// The state of one key (a destination, or a path of a destination with add-path) in one group: nothing, a route, or the
/// tombstone of a route whose withdraw somebody may still have to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot {
    route: u32,
    /// The low bits of the chunk number, and the flags below.
    place: u32,
}

const TOMBSTONE: u32 = 1 << 31;
const OWES: [u32; 2] = [1 << 29, 1 << 30];
const NUMBER: u32 = SPAN as u32 - 1;

/// All chunks in which something is live have numbers that are less than this apart, so that their low bits tell them apart.
pub(super) const SPAN: u64 = 1 << 29;

impl Slot {
    pub const VACANT: Self = Self { route: u32::MAX, place: 0 };

    pub fn route(route: RouteId, chunk: u64, owes: [bool; 2]) -> Self {
        Self { route: route.0, place: flags(owes) }.at(chunk)
    }

    /// `shadow` names the peers that the route was not for, and nothing else.
    pub fn tombstone(shadow: RouteId, chunk: u64, owes: [bool; 2]) -> Self {
        Self { route: shadow.0, place: flags(owes) | TOMBSTONE }.at(chunk)
    }

    /// The same, live in another chunk.
    pub fn at(self, chunk: u64) -> Self {
        Self { place: self.place & !NUMBER | chunk as u32 & NUMBER, ..self }
    }

    pub fn is_vacant(self) -> bool {
        self.route == u32::MAX
    }

    pub fn is_tombstone(self) -> bool {
        self.place & TOMBSTONE != 0
    }

    pub fn advertises(self) -> bool {
        !self.is_vacant() && !self.is_tombstone()
    }

    /// Must not be asked of a vacant slot.
    pub fn route_id(self) -> RouteId {
        debug_assert!(!self.is_vacant());
        RouteId(self.route)
    }

    /// The chunk in which this state is live, where `newest` is the highest number that a chunk may have.
    pub fn chunk(self, newest: u64) -> u64 {
        let behind = (newest as u32).wrapping_sub(self.place) & NUMBER;
        newest - u64::from(behind)
    }

    /// Whether the chunk also owes a withdraw to the peers that the route is not for, in the order of [`super::route::Route::but`].
    pub fn owes(self) -> [bool; 2] {
        OWES.map(|bit| self.place & bit != 0)
    }
}

fn flags(owes: [bool; 2]) -> u32 {
    let bit = |i: usize| if owes[i] { OWES[i] } else { 0 };
    bit(0) | bit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_takes_8_octets_and_keeps_what_it_is_given() {
        assert_eq!(size_of::<Slot>(), 8);
        let big = 7 * SPAN + 5;
        for newest in [big, big + 1, big + SPAN - 1] {
            let slot = Slot::route(RouteId(9), big, [true, false]);
            assert_eq!((slot.route_id(), slot.chunk(newest), slot.owes(), slot.advertises()), (RouteId(9), big, [true, false], true));
            let tomb = Slot::tombstone(RouteId(3), 4, [false, true]).at(big);
            assert_eq!((tomb.route_id(), tomb.chunk(newest), tomb.owes(), tomb.is_tombstone()), (RouteId(3), big, [false, true], true));
        }
        assert!(Slot::VACANT.is_vacant() && !Slot::VACANT.advertises() && !Slot::VACANT.is_tombstone());
    }
}
