//! A .tar.gz in memory: POSIX ustar headers, deflate (RFC 1951) with the fixed codes, gzip frame (RFC 1952).

/// Files on their way into an archive.
#[derive(Debug, Default)]
pub(super) struct Archive(Vec<u8>);

impl Archive {
    /// Adds a file; `name` is at most 100 octets of ASCII.
    pub fn file(&mut self, name: &str, content: &[u8], seconds_since_1970: i64) {
        let mut header = [0; BLOCK];
        let fields: [(usize, &str); 8] = [
            (0, name),
            (100, "0000600"),
            (108, "0000000"),
            (116, "0000000"),
            (124, &format!("{:011o}", content.len())),
            (136, &format!("{:011o}", seconds_since_1970.max(0))),
            (156, "0"),
            (257, "ustar\x0000"),
        ];
        for (at, text) in fields {
            put(&mut header, at, text);
        }
        // The sum is made with its own field blank.
        put(&mut header, SUM, "        ");
        let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
        put(&mut header, SUM, &format!("{sum:06o}\0 "));
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }

    /// The compressed archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        out.extend(deflate(&self.0));
        out.extend(crc32(&self.0).to_le_bytes());
        // Of the length only the last 32 bits count.
        out.extend((self.0.len() as u32).to_le_bytes());
        out
    }
}

fn put(header: &mut [u8; BLOCK], at: usize, text: &str) {
    for (to, from) in header.iter_mut().skip(at).zip(text.bytes()) {
        *to = from;
    }
}

const BLOCK: usize = 512;
/// Where a header has its sum.
const SUM: usize = 148;

fn crc32(octets: &[u8]) -> u32 {
    let step = |sum: u32, octet: &u8| (0..8).fold(sum ^ u32::from(*octet), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()));
    !octets.iter().fold(!0, step)
}

/// Bits from the lowest of each octet on.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, width: u32) {
        self.held |= u64::from(value) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.out.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Codes go from their highest bit on.
    fn code(&mut self, code: u32, width: u32) {
        self.put(code.reverse_bits() >> (32 - width), width);
    }

    /// A literal or length symbol (RFC 1951 3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    fn reference(&mut self, length: usize, distance: usize) {
        let (index, rest, extra) = bucket(LENGTHS, length);
        self.symbol(257 + index);
        self.put(rest, extra);
        let (index, rest, extra) = bucket(DISTANCES, distance);
        self.code(index, 5);
        self.put(rest, extra);
    }
}

/// The last bucket that begins at or before `value`: its number, what is left, in how many bits.
fn bucket(buckets: &[(u16, u8)], value: usize) -> (u32, u32, u32) {
    let index = buckets.partition_point(|(first, _)| usize::from(*first) <= value) - 1;
    let (first, extra) = buckets.get(index).copied().unwrap_or_default();
    (index as u32, (value - usize::from(first)) as u32, u32::from(extra))
}

/// One block; of the places with the same next three octets only the last is tried.
fn deflate(input: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    // The only block, with fixed codes.
    bits.put(0b011, 3);
    let mut last = vec![None; 1 << HASH_BITS];
    let mut at = 0;
    while let Some(octet) = input.get(at) {
        match repeat(input, at, &mut last) {
            Some((length, distance)) => {
                bits.reference(length, distance);
                at += length;
            }
            None => {
                bits.symbol(u32::from(*octet));
                at += 1;
            }
        }
    }
    bits.symbol(256);
    bits.put(0, 7);
    bits.out
}

/// How many octets were there before, and how far back.
fn repeat(input: &[u8], at: usize, last: &mut [Option<usize>]) -> Option<(usize, usize)> {
    let next = input.get(at..at + SHORTEST)?;
    let hash = next.iter().fold(0u32, |hash, octet| hash << 8 | u32::from(*octet)).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
    let before = last.get_mut(hash as usize)?.replace(at)?;
    let same = input.get(before..)?.iter().zip(input.get(at..)?).take(LONGEST).take_while(|(a, b)| a == b).count();
    (same >= SHORTEST && at - before <= FARTHEST).then_some((same, at - before))
}

const HASH_BITS: u32 = 15;
const SHORTEST: usize = 3;
const LONGEST: usize = 258;
const FARTHEST: usize = 32_768;

/// First length of each code, and how many bits follow it (RFC 1951 3.2.5).
const LENGTHS: &[(u16, u8)] = &[
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The same for distances.
const DISTANCES: &[(u16, u8)] = &[
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// What another implementation makes of it.
    fn unpacked(archive: &[u8], arguments: &[&str]) -> Vec<u8> {
        let mut child = Command::new("tar").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let octets = archive.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&octets));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    #[test]
    fn tar_reads_what_we_write() {
        let noise: Vec<u8> = (0u32..70_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let text = "{\"prefix\":\"10.0.0.0/24\",\"peer\":\"10.0.0.1\"}\n".repeat(5_000);
        let mut archive = Archive::default();
        archive.file("bundle/noise", &noise, 0);
        archive.file("bundle/empty", b"", 1_700_000_000);
        archive.file("bundle/text", text.as_bytes(), 1_700_000_000);
        let packed = archive.finish();
        assert!(packed.len() < 90_000, "text shrinks: {}", packed.len());
        assert_eq!(unpacked(&packed, &["-tzf", "-"]), b"bundle/noise\nbundle/empty\nbundle/text\n");
        assert_eq!(unpacked(&packed, &["-xzOf", "-", "bundle/noise"]), noise);
        assert_eq!(unpacked(&packed, &["-xzOf", "-", "bundle/text"]), text.as_bytes());
        assert!(unpacked(&packed, &["-xzOf", "-", "bundle/empty"]).is_empty());
    }
}
