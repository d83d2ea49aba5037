//! Sessions of BFD.

use super::{left, right};
use crate::api::types::{BfdKind, BfdSession, BfdState};
use crate::cli::output::{Column, Row, Style, Tabular, Tone};
use crate::cli::text::{or_dash, seconds, uptime};

impl Tabular for BfdSession {
    fn columns(wide: bool) -> &'static [Column] {
        const NARROW: &[Column] = &[
            left("NEIGHBOR"),
            left("NAME"),
            left("TYPE"),
            left("PROFILE"),
            left("STATE"),
            left("UP/DOWN"),
            right("TX"),
            right("RX"),
            right("DETECT"),
            right("FLAPS"),
            left("DIAGNOSTIC"),
        ];
        const WIDE: &[Column] = &[
            left("NEIGHBOR"),
            left("NAME"),
            left("TYPE"),
            left("PROFILE"),
            left("STATE"),
            left("UP/DOWN"),
            right("TX"),
            right("RX"),
            right("DETECT"),
            right("FLAPS"),
            right("MIN TTL"),
            left("REMOTE"),
            left("C BIT"),
            right("LOCAL ID"),
            right("REMOTE ID"),
            right("SENT"),
            right("RCVD"),
            left("DIAGNOSTIC"),
        ];
        if wide { WIDE } else { NARROW }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let kind = match self.kind {
            BfdKind::SingleHop => "single-hop",
            BfdKind::Multihop => "multihop",
        };
        let mut cells = vec![
            self.address.to_string(),
            or_dash(self.name.as_ref()),
            kind.to_owned(),
            self.profile.clone(),
            self.state.to_string(),
            uptime(self.state_for_seconds),
            seconds(self.transmit_seconds),
            seconds(self.receive_seconds),
            seconds(self.detection_seconds),
            self.down_count.to_string(),
        ];
        if style.wide {
            cells.extend([
                self.minimum_ttl.to_string(),
                or_dash(self.remote_state),
                if self.remote_independent { "yes" } else { "no" }.to_owned(),
                format!("{:#010x}", self.local_discriminator),
                or_dash(self.remote_discriminator.map(|id| format!("{id:#010x}"))),
                self.packets_sent.to_string(),
                self.packets_received.to_string(),
            ]);
        }
        cells.push(or_dash(self.diagnostic.as_ref().or(self.remote_diagnostic.as_ref())));
        // Down for no fault: the neighbor may not speak BFD, or has ended it on purpose.
        let tone = if self.state == BfdState::Up { Tone::Plain } else { Tone::Yellow };
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}
