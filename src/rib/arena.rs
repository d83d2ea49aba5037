//! A growing array that never moves its elements: a table that grows does not need its own size again to be copied.

/// Elements per chunk; a power of two.
const CHUNK: usize = 1024;

/// Dense storage addressed by `u32`.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Appends an element and returns its index.
    pub(crate) fn push(&mut self, value: T) -> u32 {
        let index = self.len();
        if self.chunks.last().is_none_or(|c| c.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut().expect("a chunk with room was just ensured").push(value);
        index
    }

    /// One more than the highest index in use.
    pub(crate) fn len(&self) -> u32 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        let count = full + self.chunks.last().map_or(0, Vec::len);
        u32::try_from(count).expect("fewer than 2^32 elements fit into memory")
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    /// Bytes allocated for the elements themselves.
    pub(crate) fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

impl<T> std::ops::Index<u32> for Arena<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}

impl<T> std::ops::IndexMut<u32> for Arena<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}
