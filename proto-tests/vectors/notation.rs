//! How vectors are written: one a line, with name, options, class and message. `vectors.rs` says what the words mean.

#![allow(dead_code, reason = "each user of this module needs another part of it")]

use kubgp::wire::*;

/// One line of a file of vectors.
pub struct Line<'a> {
    pub name: &'a str,
    pub options: Vec<&'a str>,
    pub class: &'a str,
    pub message: &'a str,
}

/// The vectors of a file; comments and empty lines are left out.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let lines = text.lines().map(|l| l.split('#').next().unwrap_or_default().trim()).filter(|l| !l.is_empty());
    lines.map(|line| {
        let (name, rest) = line.split_once(char::is_whitespace).expect(line);
        let (class, message) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let (name, options) = name.split_once('@').unwrap_or((name, ""));
        Line { name, options: options.split(',').filter(|o| !o.is_empty()).collect(), class, message: message.trim() }
    })
}

/// A session as far as its messages depend on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session {
    pub name: &'static str,
    pub four_octet_as: bool,
    pub ebgp: bool,
    pub extended_next_hop: bool,
    pub add_path: bool,
    pub extended: bool,
    pub families: FamilySet,
}

impl Session {
    /// The sessions in which a vector of these options is tried.
    pub fn chosen(options: &[&str]) -> Vec<Self> {
        let named = [("e4", true, true), ("e2", false, true), ("i4", true, false)];
        let any = !options.iter().any(|o| named.iter().any(|(name, ..)| name == o));
        let chosen = named.into_iter().filter(|(name, ..)| any || options.contains(name));
        let flag = |option| options.contains(&option);
        chosen
            .map(|(name, four_octet_as, ebgp)| Self {
                name,
                four_octet_as,
                ebgp,
                extended_next_hop: flag("nh"),
                add_path: flag("ap"),
                extended: flag("ext"),
                families: if flag("v4") { FamilySet::from_iter([Family::Ipv4Unicast]) } else { FamilySet::ALL },
            })
            .collect()
    }

    /// The class that is meant in this session.
    pub fn class(&self, class: &str) -> String {
        match class.strip_prefix('R') {
            Some(_) => class.to_owned(),
            None => class.split_once('/').map_or(class, |(ebgp, ibgp)| if self.ebgp { ebgp } else { ibgp }).to_owned(),
        }
    }

    /// The octets of a message as it is written.
    pub fn expand(&self, message: &str) -> Vec<u8> {
        let (body, overrides) = match message.rsplit_once(']') {
            Some((body, overrides)) => (body, overrides),
            None => return self.octets(message),
        };
        let (kind, fields) = body.split_once('[').expect(message);
        let fields: Vec<Vec<u8>> = fields.split('|').map(|f| self.octets(f)).collect();
        let mut out = vec![0xFF; 16];
        let (kind, body) = match (kind, fields.as_slice()) {
            ("M", [kind, body]) => (kind[0], body.clone()),
            ("U", [withdrawn, attributes, nlri]) => {
                let given = |name: &str| overrides.split_whitespace().find_map(|o| Some(unhex(o.strip_prefix(name)?)));
                let len = |name, field: &[u8]| given(name).unwrap_or_else(|| (field.len() as u16).to_be_bytes().to_vec());
                (2, [&len("wl=", withdrawn)[..], withdrawn, &len("al=", attributes), attributes, nlri].concat())
            }
            _ => panic!("not a message: {message}"),
        };
        out.extend((19 + body.len() as u16).to_be_bytes());
        out.push(kind);
        out.extend(body);
        out
    }

    fn octets(&self, text: &str) -> Vec<u8> {
        text.split_whitespace().flat_map(|word| self.block(word)).collect()
    }

    fn block(&self, word: &str) -> Vec<u8> {
        if let Some((word, times)) = word.split_once('*') {
            return self.block(word).repeat(times.parse().expect(word));
        }
        let path = match (self.ebgp, self.four_octet_as) {
            (false, _) => "400200",
            (true, true) => "40020602010000FDE9",
            (true, false) => "4002040201FDE9",
        };
        match word {
            "OE" => unhex("40010100"),
            "PP" => unhex(path),
            "NH" => unhex("4003040A000002"),
            "LP" if self.ebgp => Vec::new(),
            "LP" => unhex("40050400000064"),
            "BASE" => self.octets("OE PP NH LP"),
            "P4" => unhex("40020602010000FDE9"),
            "n1" => unhex("18CB0071"),
            "n2" => unhex("18C63364"),
            word => unhex(word),
        }
    }

    /// What the decoder knows of this session.
    pub fn context(&self) -> UpdateContext {
        let only = |flag: bool| if flag { FamilySet::ALL } else { FamilySet::NONE };
        UpdateContext {
            four_octet_as: self.four_octet_as,
            ebgp: self.ebgp,
            families: self.families,
            add_path_rx: only(self.add_path),
            extended_next_hop: only(self.extended_next_hop),
            enforce_first_as: Asn::new(65001).filter(|_| self.ebgp),
            allow_as_set: false,
            default_local_pref: None,
        }
    }
}

/// Octets of hexadecimal digits.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half an octet in {text}");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect(text)).collect()
}
