//! The two digests that names and labels of Calico are made of: SHA-256 (FIPS 180-4) and SHA3-256 (FIPS 202).

use std::net::Ipv4Addr;

/// The router id that Calico derives from the name of a node: the first octets of its SHA-256, kept out of the multicast range.
pub fn router_id(node: &str) -> Ipv4Addr {
    let [first, b, c, d, ..] = sha256(node.as_bytes());
    Ipv4Addr::new(if first > 223 { first - 32 } else { first }, b, c, d)
}

/// The label of block affinities that names their node.
pub const AFFINITY_LABEL: &str = "projectcalico.org/hostname-hash";

/// The label selector for the block affinities of one node. Calico writes the label since it has virtual affinities; older ones have
/// none, so an empty answer means that all affinities have to be watched.
pub fn affinity_selector(node: &str) -> String {
    format!("{AFFINITY_LABEL}={}", base32(&sha3_256(node.as_bytes())))
}

fn sha256(data: &[u8]) -> [u8; 32] {
    let mut message = data.to_vec();
    message.push(0x80);
    message.resize(message.len().next_multiple_of(64), 0);
    if message.len() - data.len() < 9 {
        message.resize(message.len() + 64, 0);
    }
    let at = message.len() - 8;
    message.splice(at.., (data.len() as u64 * 8).to_be_bytes());
    let constants = fractions(64, 3);
    let mut state: Vec<u32> = fractions(8, 2);
    for block in message.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|word| word.iter().fold(0, |n, octet| n << 8 | u32::from(*octet))).collect();
        for i in 16..64 {
            let (a, b) = (w[i - 15], w[i - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3;
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ b >> 10;
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = state.clone();
        for (k, w) in constants.iter().zip(&w) {
            let (a, e) = (v[0], v[4]);
            let choice = e & v[5] ^ !e & v[6];
            let majority = a & v[1] ^ a & v[2] ^ v[1] & v[2];
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(*k).wrapping_add(*w);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(majority);
        }
        state.iter_mut().zip(v).for_each(|(s, v)| *s = s.wrapping_add(v));
    }
    let mut out = [0; 32];
    out.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())).for_each(|(o, octet)| *o = octet);
    out
}

/// The first 32 bits of the fractional parts of the square (2) or cube (3) roots of the first primes.
fn fractions(count: usize, root: u32) -> Vec<u32> {
    let primes = (2u128..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0));
    // floor(root(p) * 2^32), the whole part cut off; found bit by bit.
    let fraction = |prime: u128| {
        let scaled = prime << (32 * root);
        let found = (0..36).rev().fold(0u128, |low, bit| {
            let next = low | 1 << bit;
            if next.pow(root) <= scaled { next } else { low }
        });
        (found & 0xffff_ffff) as u32
    };
    primes.take(count).map(fraction).collect()
}

fn sha3_256(data: &[u8]) -> [u8; 32] {
    const RATE: usize = 136;
    let mut message = data.to_vec();
    message.push(0x06);
    message.resize(message.len().next_multiple_of(RATE), 0);
    if let Some(last) = message.last_mut() {
        *last |= 0x80;
    }
    let mut state = [0u64; 25];
    for block in message.chunks(RATE) {
        for (lane, octets) in state.iter_mut().zip(block.chunks(8)) {
            *lane ^= octets.iter().rev().fold(0, |n, octet| n << 8 | u64::from(*octet));
        }
        keccak(&mut state);
    }
    let mut out = [0; 32];
    out.iter_mut().zip(state.iter().flat_map(|lane| lane.to_le_bytes())).for_each(|(o, octet)| *o = octet);
    out
}

/// FIPS 202 3.3: 24 rounds of theta, rho and pi, chi, iota. The lane at x, y is at x + 5 y.
fn keccak(state: &mut [u64; 25]) {
    let mut feedback = 1u8;
    for _ in 0..24 {
        let columns: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |n, y| n ^ state[x + 5 * y]));
        for (i, lane) in state.iter_mut().enumerate() {
            *lane ^= columns[(i + 4) % 5] ^ columns[(i + 1) % 5].rotate_left(1);
        }
        let (mut x, mut y, mut carried) = (1, 0, state[1]);
        for t in 0..24u32 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            carried = std::mem::replace(&mut state[x + 5 * y], carried.rotate_left((t + 1) * (t + 2) / 2 % 64));
        }
        for row in state.chunks_mut(5) {
            let old = [row[0], row[1], row[2], row[3], row[4]];
            row.iter_mut().enumerate().for_each(|(x, lane)| *lane ^= !old[(x + 1) % 5] & old[(x + 2) % 5]);
        }
        // The round constants come from a shift register over x^8 + x^6 + x^5 + x^4 + 1 (FIPS 202 3.2.5).
        for j in 0..7 {
            if feedback & 1 == 1 {
                state[0] ^= 1 << ((1u32 << j) - 1);
            }
            feedback = feedback << 1 ^ if feedback & 0x80 == 0 { 0 } else { 0x71 };
        }
    }
}

/// RFC 4648 6, without padding.
fn base32(data: &[u8]) -> String {
    let group = |octets: &[u8]| {
        let bits = octets.iter().chain(std::iter::repeat(&0)).take(5).fold(0u64, |n, octet| n << 8 | u64::from(*octet));
        let symbol = |i: usize| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits >> (35 - 5 * i) & 31) as usize]);
        (0..(octets.len() * 8).div_ceil(5)).map(symbol).collect::<String>()
    };
    data.chunks(5).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|o| format!("{o:02x}")).collect()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hex(&sha256(b"")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(&sha256(two_blocks)), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        assert_eq!(hex(&sha3_256(b"")), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
        assert_eq!(hex(&sha3_256(b"abc")), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    }

    #[test]
    fn base32_has_no_padding() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base32(t.as_bytes())),
            ["", "MY", "MZXQ", "MZXW6", "MZXW6YQ", "MZXW6YTB", "MZXW6YTBOI"]
        );
    }

    #[test]
    fn router_ids_stay_out_of_the_multicast_range() {
        // sha256("abc") starts with ba 78 16 bf, sha256("") with e3.
        assert_eq!(router_id("abc"), Ipv4Addr::new(0xba, 0x78, 0x16, 0xbf));
        assert_eq!(router_id("").octets()[0], 0xe3 - 32);
    }
}
