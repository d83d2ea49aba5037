//! A BGP codec of the load generator's own, for exactly the messages it sends and expects.
//!
//! It shares nothing with the daemon's codec on purpose: a mistake in one of them shows up as a difference here.
//! UPDATE messages are laid out in one fixed order (ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES), which is what
//! lets [`reflect`] and [`export_ebgp`] rewrite a message with two copies, the least work a relay could possibly do.

use std::net::Ipv4Addr;

/// Octets before a message's body (RFC 4271 4.1).
pub const HEADER: usize = 19;
/// Message types (RFC 4271 4.1).
pub const OPEN: u8 = 1;
pub const UPDATE: u8 = 2;
pub const NOTIFICATION: u8 = 3;
pub const KEEPALIVE: u8 = 4;
/// Every prefix of the load generator is an IPv4 /24.
pub const PREFIX_BITS: u8 = 24;

/// What an UPDATE says about its prefixes; `None` or empty means the attribute is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Route {
    pub as_path: Vec<u32>,
    pub next_hop: u32,
    pub med: Option<u32>,
    pub local_pref: Option<u32>,
    pub communities: Vec<u32>,
    pub originator: Option<u32>,
    pub clusters: Vec<u32>,
}

/// One decoded UPDATE: /24 prefixes as the upper 24 bits of their address.
#[derive(Debug, Default)]
pub struct Update {
    pub withdrawn: Vec<u32>,
    pub announced: Vec<u32>,
    pub route: Route,
}

/// An OPEN message with the capabilities IPv4 unicast, route refresh and 4-octet AS numbers.
pub fn open(asn: u32, id: Ipv4Addr, hold: u16) -> Vec<u8> {
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 2, 0, 65, 4];
    capabilities.extend(asn.to_be_bytes());
    let short = u16::try_from(asn).unwrap_or(23456);
    let mut body = vec![4];
    body.extend(short.to_be_bytes());
    body.extend(hold.to_be_bytes());
    body.extend(id.octets());
    body.extend([capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
    body.extend(capabilities);
    message(OPEN, &body)
}

pub fn keepalive() -> Vec<u8> {
    message(KEEPALIVE, &[])
}

/// An UPDATE that announces `prefixes` with `route`.
pub fn announce(route: &Route, prefixes: &[u32]) -> Vec<u8> {
    let mut attrs = vec![0x40, 1, 1, 0];
    let path_len = if route.as_path.is_empty() { 0 } else { 2 + 4 * route.as_path.len() };
    attrs.extend([0x40, 2, path_len as u8]);
    if path_len > 0 {
        attrs.extend([2, route.as_path.len() as u8]);
        attrs.extend(route.as_path.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    attrs.extend([0x40, 3, 4]);
    attrs.extend(route.next_hop.to_be_bytes());
    if let Some(med) = route.med {
        attrs.extend([0x80, 4, 4]);
        attrs.extend(med.to_be_bytes());
    }
    if let Some(local_pref) = route.local_pref {
        attrs.extend([0x40, 5, 4]);
        attrs.extend(local_pref.to_be_bytes());
    }
    if !route.communities.is_empty() {
        attrs.extend([0xc0, 8, 4 * route.communities.len() as u8]);
        attrs.extend(route.communities.iter().flat_map(|community| community.to_be_bytes()));
    }
    let mut body = vec![0, 0];
    body.extend((attrs.len() as u16).to_be_bytes());
    body.extend(attrs);
    put_prefixes(prefixes, &mut body);
    message(UPDATE, &body)
}

/// An UPDATE that withdraws `prefixes`.
pub fn withdraw(prefixes: &[u32]) -> Vec<u8> {
    let mut nlri = Vec::new();
    put_prefixes(prefixes, &mut nlri);
    let mut body = (nlri.len() as u16).to_be_bytes().to_vec();
    body.extend(nlri);
    body.extend([0, 0]);
    message(UPDATE, &body)
}

/// What a route reflector makes of a client's message: ORIGINATOR_ID and CLUSTER_LIST at the end of the attributes (RFC 4456 8).
pub fn reflect(message: &[u8], originator: u32, cluster: u32, out: &mut Vec<u8>) {
    let Some(attrs) = attributes(message) else {
        out.extend_from_slice(message);
        return;
    };
    let mut added = vec![0x80, 9, 4];
    added.extend(originator.to_be_bytes());
    added.extend([0x80, 10, 4]);
    added.extend(cluster.to_be_bytes());
    splice(message, attrs.end, &added, out);
}

/// What an eBGP speaker makes of it: `asn` prepended to AS_PATH, NEXT_HOP replaced (RFC 4271 5.1.2, 5.1.3).
pub fn export_ebgp(message: &[u8], asn: u32, next_hop: u32, out: &mut Vec<u8>) {
    let Some(attrs) = attributes(message) else {
        out.extend_from_slice(message);
        return;
    };
    let start = out.len();
    let path = attrs.start + 4; // behind ORIGIN
    splice(message, path + 5, &asn.to_be_bytes(), out);
    let copy = &mut out[start..];
    copy[path + 2] += 4;
    copy[path + 4] += 1;
    let hop = path + 3 + usize::from(copy[path + 2]) + 3;
    copy[hop..hop + 4].copy_from_slice(&next_hop.to_be_bytes());
}

/// The first announced prefix of a message in our own layout.
pub fn first_prefix(message: &[u8]) -> Option<u32> {
    let nlri = message.get(attributes(message)?.end..)?;
    Some(u32::from_be_bytes([0, *nlri.get(1)?, *nlri.get(2)?, *nlri.get(3)?]))
}

/// Decodes the body of an UPDATE; anything the generator never caused is an error in words.
pub fn decode(body: &[u8]) -> Result<Update, String> {
    let (withdrawn, rest) = take_counted(body)?;
    let (attrs, nlri) = take_counted(rest)?;
    let mut update = Update { withdrawn: take_prefixes(withdrawn)?, announced: take_prefixes(nlri)?, route: Route::default() };
    let mut rest = attrs;
    while let [flags, code, tail @ ..] = rest {
        let (len, tail) = match (flags & 0x10 != 0, tail) {
            (true, [high, low, tail @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), tail),
            (false, [len, tail @ ..]) => (usize::from(*len), tail),
            _ => return Err("attribute header is cut short".into()),
        };
        let Some((value, tail)) = tail.split_at_checked(len) else { return Err(format!("attribute {code} is cut short")) };
        put_attribute(*code, value, &mut update.route)?;
        rest = tail;
    }
    Ok(update)
}

fn put_attribute(code: u8, value: &[u8], route: &mut Route) -> Result<(), String> {
    match code {
        1 if value == [0] => {}
        2 => route.as_path = as_path(value)?,
        3 => route.next_hop = one_word(code, value)?,
        4 => route.med = Some(one_word(code, value)?),
        5 => route.local_pref = Some(one_word(code, value)?),
        8 => route.communities = words(code, value)?,
        9 => route.originator = Some(one_word(code, value)?),
        10 => route.clusters = words(code, value)?,
        _ => return Err(format!("unexpected attribute {code} with {value:?}")),
    }
    Ok(())
}

fn as_path(value: &[u8]) -> Result<Vec<u32>, String> {
    match value {
        [] => Ok(Vec::new()),
        [2, count, asns @ ..] if asns.len() == 4 * usize::from(*count) => words(2, asns),
        _ => Err(format!("unexpected AS_PATH {value:?}")),
    }
}

fn words(code: u8, value: &[u8]) -> Result<Vec<u32>, String> {
    if !value.len().is_multiple_of(4) {
        return Err(format!("attribute {code} has {} octets", value.len()));
    }
    Ok(value.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect())
}

fn one_word(code: u8, value: &[u8]) -> Result<u32, String> {
    match words(code, value)?[..] {
        [word] => Ok(word),
        _ => Err(format!("attribute {code} has {} octets", value.len())),
    }
}

fn take_counted(input: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let [high, low, rest @ ..] = input else { return Err("UPDATE is cut short".into()) };
    rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))).ok_or_else(|| "UPDATE is cut short".into())
}

fn take_prefixes(input: &[u8]) -> Result<Vec<u32>, String> {
    let mut prefixes = Vec::with_capacity(input.len() / 4);
    let mut rest = input;
    while let [bits, tail @ ..] = rest {
        let ([a, b, c, tail @ ..], &PREFIX_BITS) = (tail, bits) else { return Err(format!("prefix of {bits} bits")) };
        prefixes.push(u32::from_be_bytes([0, *a, *b, *c]));
        rest = tail;
    }
    Ok(prefixes)
}

/// Where the attributes of a whole message are; `None` for anything but an announcement without withdrawn routes.
fn attributes(message: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = HEADER + 4;
    let len = usize::from(u16::from_be_bytes([*message.get(HEADER + 2)?, *message.get(HEADER + 3)?]));
    (message[HEADER..HEADER + 2] == [0, 0] && len > 0).then_some(start..start + len)
}

/// Copies `message` with `added` inserted at `at` inside its attributes; both length fields follow.
fn splice(message: &[u8], at: usize, added: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&message[..at]);
    out.extend_from_slice(added);
    out.extend_from_slice(&message[at..]);
    for field in [start + 16, start + HEADER + 2] {
        let len = u16::from_be_bytes([out[field], out[field + 1]]) + added.len() as u16;
        out[field..field + 2].copy_from_slice(&len.to_be_bytes());
    }
}

fn put_prefixes(prefixes: &[u32], out: &mut Vec<u8>) {
    for prefix in prefixes {
        out.push(PREFIX_BITS);
        out.extend_from_slice(&prefix.to_be_bytes()[1..]);
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(((HEADER + body.len()) as u16).to_be_bytes());
    message.push(kind);
    message.extend_from_slice(body);
    message
}
