//! What the slots of a group are numbered by: destinations, or with add-path the paths of destinations (RFC 7911 3).

use crate::rib::DestId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// Keys of paths, dense and reused. A destination without add-path is its own key and needs no table.
#[derive(Debug, Default)]
pub(super) struct PathKeys {
    of: Vec<(DestId, u32)>,
    free: Vec<u32>,
    by_dest: HashMap<DestId, SmallVec<[u32; 2]>, FixedState>,
}

impl PathKeys {
    pub fn find(&self, dest: DestId, path_id: u32) -> Option<u32> {
        self.of_dest(dest).iter().copied().find(|key| self.get(*key).1 == path_id)
    }

    /// The key of a path, a new one if it has none.
    pub fn insert(&mut self, dest: DestId, path_id: u32) -> u32 {
        if let Some(key) = self.find(dest, path_id) {
            return key;
        }
        let key = match self.free.pop() {
            Some(key) => {
                self.of[key as usize] = (dest, path_id);
                key
            }
            None => {
                self.of.push((dest, path_id));
                u32::try_from(self.of.len() - 1).expect("paths are numbered with 32 bits")
            }
        };
        self.by_dest.entry(dest).or_default().push(key);
        key
    }

    pub fn remove(&mut self, key: u32) {
        let (dest, _) = self.get(key);
        if let Some(keys) = self.by_dest.get_mut(&dest) {
            keys.retain(|k| *k != key);
            if keys.is_empty() {
                self.by_dest.remove(&dest);
            }
        }
        self.free.push(key);
    }

    /// The destination and path id of a key.
    pub fn get(&self, key: u32) -> (DestId, u32) {
        self.of[key as usize]
    }

    pub fn of_dest(&self, dest: DestId) -> &[u32] {
        self.by_dest.get(&dest).map_or(&[], |keys| keys)
    }

    /// Octets, about.
    pub fn memory(&self) -> usize {
        self.of.capacity() * size_of::<(DestId, u32)>() + self.by_dest.allocation_size()
    }
}
