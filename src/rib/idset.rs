//! A set of dense `u32` ids in about one bit per id where ids lie close together, and a few bytes per id where they do not.

/// Ids per block.
const BLOCK: u32 = 4096;
/// A list with more entries than this becomes a bitmap (256 octets against 512, and no more moving on insertion).
const DENSE_ABOVE: usize = 128;
/// A bitmap with fewer entries than this becomes a list again; well below [`DENSE_ABOVE`], so that a flap does not convert.
const SPARSE_BELOW: u16 = 48;

#[derive(Debug, Default)]
pub(super) struct IdSet {
    /// Sorted by block number; no block is empty.
    blocks: Vec<(u32, Block)>,
}

#[derive(Debug)]
enum Block {
    /// Sorted offsets.
    Sparse(Vec<u16>),
    Dense(Box<[u64; BLOCK as usize / 64]>, u16),
}

impl IdSet {
    /// Adds `id`; `false` if it was there.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let (number, offset) = (id / BLOCK, (id % BLOCK) as u16);
        match self.position(number) {
            Ok(at) => self.blocks[at].1.insert(offset),
            Err(at) => {
                self.blocks.insert(at, (number, Block::Sparse(vec![offset])));
                true
            }
        }
    }

    /// Removes `id`; `false` if it was not there.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let Ok(at) = self.position(id / BLOCK) else { return false };
        let block = &mut self.blocks[at].1;
        let removed = block.remove((id % BLOCK) as u16);
        if block.is_empty() {
            self.blocks.remove(at);
        }
        removed
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.position(id / BLOCK).is_ok_and(|at| self.blocks[at].1.contains((id % BLOCK) as u16))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The smallest id that is at least `from`: iteration that stays valid while the set changes.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        let (number, offset) = (from / BLOCK, (from % BLOCK) as u16);
        let at = match self.position(number) {
            Ok(at) => match self.blocks[at].1.next(offset) {
                Some(found) => return Some(number * BLOCK + u32::from(found)),
                None => at + 1,
            },
            Err(at) => at,
        };
        let (number, block) = self.blocks.get(at)?;
        Some(number * BLOCK + u32::from(block.next(0)?))
    }

    /// The ids, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let found = self.next(from?)?;
            from = found.checked_add(1);
            Some(found)
        })
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        let inner: usize = self.blocks.iter().map(|(_, b)| b.memory()).sum();
        self.blocks.capacity() * size_of::<(u32, Block)>() + inner
    }

    fn position(&self, number: u32) -> Result<usize, usize> {
        match self.blocks.last() {
            // New destinations come at the end.
            Some((last, _)) if *last == number => Ok(self.blocks.len() - 1),
            Some((last, _)) if *last < number => Err(self.blocks.len()),
            _ => self.blocks.binary_search_by_key(&number, |(n, _)| *n),
        }
    }
}

impl Block {
    fn insert(&mut self, offset: u16) -> bool {
        match self {
            Self::Sparse(list) => {
                let Err(at) = list.binary_search(&offset) else { return false };
                list.insert(at, offset);
                if list.len() > DENSE_ABOVE {
                    let mut bits = Box::new([0; BLOCK as usize / 64]);
                    list.iter().for_each(|o| bits[usize::from(o / 64)] |= 1 << (o % 64));
                    *self = Self::Dense(bits, list.len() as u16);
                }
                true
            }
            Self::Dense(bits, count) => {
                let (word, bit) = (&mut bits[usize::from(offset / 64)], 1 << (offset % 64));
                let new = *word & bit == 0;
                *word |= bit;
                *count += u16::from(new);
                new
            }
        }
    }

    fn remove(&mut self, offset: u16) -> bool {
        match self {
            Self::Sparse(list) => {
                let Ok(at) = list.binary_search(&offset) else { return false };
                list.remove(at);
                true
            }
            Self::Dense(bits, count) => {
                let (word, bit) = (&mut bits[usize::from(offset / 64)], 1 << (offset % 64));
                if *word & bit == 0 {
                    return false;
                }
                *word &= !bit;
                *count -= 1;
                if *count < SPARSE_BELOW {
                    let mut list = Vec::with_capacity(usize::from(*count));
                    let mut from = 0;
                    while let Some(found) = next_bit(&bits[..], from) {
                        list.push(found);
                        from = found + 1;
                    }
                    *self = Self::Sparse(list);
                }
                true
            }
        }
    }

    fn contains(&self, offset: u16) -> bool {
        match self {
            Self::Sparse(list) => list.binary_search(&offset).is_ok(),
            Self::Dense(bits, _) => bits[usize::from(offset / 64)] & (1 << (offset % 64)) != 0,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Sparse(list) if list.is_empty())
    }

    fn next(&self, from: u16) -> Option<u16> {
        match self {
            Self::Sparse(list) => list.get(list.partition_point(|o| *o < from)).copied(),
            Self::Dense(bits, _) => next_bit(&bits[..], from),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Sparse(list) => list.capacity() * size_of::<u16>(),
            Self::Dense(bits, _) => size_of_val(&**bits),
        }
    }
}

fn next_bit(bits: &[u64], from: u16) -> Option<u16> {
    let first = usize::from(from / 64);
    let head = bits.get(first)? & (u64::MAX << (from % 64));
    let (word, bits) = std::iter::once(head).chain(bits[first + 1..].iter().copied()).enumerate().find(|(_, w)| *w != 0)?;
    Some(((first + word) * 64) as u16 + bits.trailing_zeros() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(ops in prop::collection::vec((any::<bool>(), prop_oneof![0u32..300, 4000u32..4300, any::<u32>()]), 0..2000)) {
            let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
            for (add, id) in ops {
                if add {
                    prop_assert_eq!(set.insert(id), model.insert(id));
                } else {
                    prop_assert_eq!(set.remove(id), model.remove(&id));
                }
                prop_assert_eq!(set.contains(id), model.contains(&id));
            }
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn grows_dense_and_back() {
        let mut set = IdSet::default();
        (0..10_000).for_each(|id| assert!(set.insert(id)));
        assert!(set.memory() < 10_000, "{} bytes for 10,000 ids", set.memory());
        (5..10_000).for_each(|id| assert!(set.remove(id)));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
