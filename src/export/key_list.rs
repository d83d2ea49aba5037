//! The keys of a chunk, kept as small as they can be: there is one for each route that a group advertises.

/// Keys in order, each as its distance from the one before. What shares attributes was mostly announced together, and has
/// numbers that follow each other: one octet each.
#[derive(Debug, Default)]
pub(super) struct KeyList {
    count: u32,
    steps: Box<[u8]>,
}

impl KeyList {
    pub fn new(keys: &[u32]) -> Self {
        let mut steps = Vec::with_capacity(keys.len() + 8);
        let mut last = 0;
        for key in keys {
            let step = i64::from(*key) - last;
            last = i64::from(*key);
            // Small numbers for small steps of either sign.
            let mut rest = (step << 1 ^ step >> 63) as u64;
            while rest >= MORE.into() {
                steps.push(rest as u8 | MORE);
                rest >>= BITS;
            }
            steps.push(rest as u8);
        }
        Self { count: keys.len() as u32, steps: steps.into() }
    }

    pub fn len(&self) -> u32 {
        self.count
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let mut octets = self.steps.iter();
        let mut last = 0;
        std::iter::from_fn(move || {
            let (mut number, mut shift) = (0, 0);
            loop {
                let octet = octets.next()?;
                number |= u64::from(octet & !MORE) << shift;
                shift += BITS;
                if octet & MORE == 0 {
                    break;
                }
            }
            last += (number >> 1) as i64 ^ -((number & 1) as i64);
            Some(last as u32)
        })
    }

    /// Octets, about.
    pub fn memory(&self) -> usize {
        self.steps.len()
    }
}

/// Says that another octet of the same number follows.
const MORE: u8 = 0x80;
/// Bits of a number in each octet.
const BITS: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_back_its_keys_in_their_order() {
        let all: [&[u32]; 4] = [&[], &[0], &[7, 8, 9, 9, 3], &[u32::MAX, 0, u32::MAX, 1 << 31, 127, 128, 64, 63]];
        for keys in all {
            let list = KeyList::new(keys);
            assert_eq!((list.iter().collect::<Vec<_>>(), list.len() as usize), (keys.to_vec(), keys.len()));
        }
        assert_eq!(KeyList::new(&(1000..2000).collect::<Vec<_>>()).memory(), 1001, "neighbors take an octet each");
    }
}
