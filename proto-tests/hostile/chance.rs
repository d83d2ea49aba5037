//! Seeded chance, and the ways in which it changes octets.

/// SplitMix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// One change: a bit, an octet, a length that grows or shrinks, octets less, more, again, or from another input.
    pub fn change(&mut self, octets: &mut Vec<u8>, other: &[u8]) {
        if octets.is_empty() {
            return octets.extend_from_slice(other);
        }
        let at = self.below(octets.len());
        let end = (at + 1 + self.below(16)).min(octets.len());
        match self.below(8) {
            0 => octets[at] ^= 1 << self.below(8),
            1 => octets[at] = [0, 1, 2, 4, 0x7F, 0x80, 0xC0, 0xFE, 0xFF][self.below(9)],
            2 => octets[at] = octets[at].wrapping_add(1),
            3 => octets[at] = octets[at].wrapping_sub(1),
            4 => drop(octets.drain(at..end)),
            5 => {
                let again = octets[at..end].to_vec();
                octets.splice(at..at, again);
            }
            6 => {
                let from = self.below(other.len());
                let part = other[from..(from + 1 + self.below(32)).min(other.len())].to_vec();
                octets.splice(at..end, part);
            }
            _ => {
                let fresh: Vec<u8> = (0..=self.below(4)).map(|_| self.next() as u8).collect();
                octets.splice(at..at, fresh);
            }
        }
    }
}
