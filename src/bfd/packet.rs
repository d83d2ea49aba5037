//! BFD control packets (RFC 5880 4.1) and the checks that need no session (RFC 5880 6.8.6).

use std::fmt;
use std::time::Duration;

/// State of a session, as in the packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    AdminDown = 0,
    #[default]
    Down = 1,
    Init = 2,
    Up = 3,
}

impl State {
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why the state changed last, five bits on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Diagnostic(u8);

impl Diagnostic {
    pub const NONE: Self = Self(0);
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    pub const fn new(bits: u8) -> Self {
        Self(bits & 0x1f)
    }

    pub const fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            other => return write!(f, "reserved diagnostic {other}"),
        })
    }
}

/// A control packet without authentication section.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Packet {
    pub diagnostic: Diagnostic,
    pub state: State,
    pub poll: bool,
    pub is_final: bool,
    /// C: the sender's BFD survives a restart of its control plane (RFC 5882 4.3).
    pub independent: bool,
    /// A: an authentication section follows.
    pub authenticated: bool,
    pub demand: bool,
    /// Never 0.
    pub multiplier: u8,
    /// Never 0.
    pub my_discriminator: u32,
    pub your_discriminator: u32,
    pub desired_min_tx: Duration,
    pub required_min_rx: Duration,
    pub required_min_echo_rx: Duration,
}

/// Why a packet is dropped whatever the sessions are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    Version,
    /// The length field is too small, or larger than what came.
    Length,
    Multiplier,
    Multipoint,
    MyDiscriminator,
    /// It claims a session and does not say which.
    YourDiscriminator,
}

impl Packet {
    /// Octets of a packet without authentication.
    pub const LEN: usize = 24;

    /// Reads a packet; what follows its length is ignored.
    ///
    /// # Errors
    /// The first of the checks of RFC 5880 6.8.6 that fails, in its order.
    pub fn decode(payload: &[u8]) -> Result<Self, Fault> {
        let (head, flags, multiplier, length) = match payload {
            [head, flags, multiplier, length, ..] => (*head, *flags, *multiplier, usize::from(*length)),
            [head, ..] if head >> 5 != VERSION => return Err(Fault::Version),
            _ => return Err(Fault::Length),
        };
        if head >> 5 != VERSION {
            return Err(Fault::Version);
        }
        let authenticated = flags & AUTHENTICATION != 0;
        if length < if authenticated { Self::LEN + 2 } else { Self::LEN } || length > payload.len() {
            return Err(Fault::Length);
        }
        if multiplier == 0 {
            return Err(Fault::Multiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Fault::Multipoint);
        }
        let word = |at: usize| payload.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, u32::from_be_bytes);
        let interval = |at: usize| Duration::from_micros(word(at).into());
        let packet = Self {
            diagnostic: Diagnostic::new(head),
            state: State::from_bits(flags >> 6),
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            independent: flags & INDEPENDENT != 0,
            authenticated,
            demand: flags & DEMAND != 0,
            multiplier,
            my_discriminator: word(4),
            your_discriminator: word(8),
            desired_min_tx: interval(12),
            required_min_rx: interval(16),
            required_min_echo_rx: interval(20),
        };
        if packet.my_discriminator == 0 {
            return Err(Fault::MyDiscriminator);
        }
        if packet.your_discriminator == 0 && matches!(packet.state, State::Init | State::Up) {
            return Err(Fault::YourDiscriminator);
        }
        Ok(packet)
    }

    /// The octets to send; never an authentication section.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = ((self.state as u8) << 6)
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.independent, INDEPENDENT)
            | flag(self.demand, DEMAND);
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX).to_be_bytes();
        let mut octets = [0; Self::LEN];
        let head = [(VERSION << 5) | self.diagnostic.code(), flags, self.multiplier, Self::LEN as u8];
        let words = [
            head,
            self.my_discriminator.to_be_bytes(),
            self.your_discriminator.to_be_bytes(),
            micros(self.desired_min_tx),
            micros(self.required_min_rx),
            micros(self.required_min_echo_rx),
        ];
        for (place, word) in octets.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word);
        }
        octets
    }
}

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Down, multiplier 3, discriminators 0x11223344 and 0, 1 s and 300 ms, no echo.
    const DOWN: [u8; 24] = [0x20, 0x40, 3, 24, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 4, 0x93, 0xe0, 0, 0, 0, 0];

    fn with(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut octets = DOWN.to_vec();
        changes.iter().for_each(|(at, value)| octets[*at] = *value);
        octets
    }

    #[test]
    fn a_packet_is_read_and_written() {
        let packet = Packet::decode(&DOWN).unwrap();
        let expected = Packet {
            state: State::Down,
            multiplier: 3,
            my_discriminator: 0x1122_3344,
            desired_min_tx: Duration::from_secs(1),
            required_min_rx: Duration::from_millis(300),
            ..Packet::default()
        };
        assert_eq!(packet, expected);
        assert_eq!(packet.encode(), DOWN);
        assert_eq!(Packet::decode(&[&DOWN[..], &[0xff; 9]].concat()), Ok(packet), "octets behind the packet are nobody's");
    }

    /// conformance of RFC 5880 6.8.6: each fault alone, and the earlier of two.
    #[test]
    fn malformed_packets_are_dropped_in_the_order_of_the_checks() {
        let rows: &[(&[(usize, u8)], Fault)] = &[
            (&[(0, 0x00)], Fault::Version),
            (&[(0, 0x40), (3, 0)], Fault::Version),
            (&[(3, 23)], Fault::Length),
            (&[(3, 25), (2, 0)], Fault::Length),
            (&[(1, 0x44)], Fault::Length),
            (&[(2, 0), (1, 0x41)], Fault::Multiplier),
            (&[(1, 0x41), (4, 0), (5, 0), (6, 0), (7, 0)], Fault::Multipoint),
            (&[(1, 0xc0), (4, 0), (5, 0), (6, 0), (7, 0)], Fault::MyDiscriminator),
            (&[(1, 0x80)], Fault::YourDiscriminator),
            (&[(1, 0xc0)], Fault::YourDiscriminator),
        ];
        for (changes, fault) in rows {
            assert_eq!(Packet::decode(&with(changes)), Err(*fault), "{changes:x?}");
        }
        assert_eq!(Packet::decode(&[]), Err(Fault::Length));
        assert_eq!(Packet::decode(&DOWN[..23]), Err(Fault::Length));
        assert!(Packet::decode(&with(&[(1, 0x00)])).is_ok(), "AdminDown may come without our discriminator");
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = Packet::decode(&octets) && !packet.authenticated {
                prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
            }
        }
    }
}
