//! Why the kernel was read anew: the label of a metric.

/// Why the kernel was read anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    Start,
    Link,
    Address,
    /// A foreign route that matters to a next hop or to a prefix of ours.
    Route,
    /// The kernel had more events than room for them.
    Overrun,
    /// An answer of the kernel contradicted what we believed.
    Conflict,
    Periodic,
    /// Somebody asked for a view of the kernel.
    Asked,
}

impl Cause {
    pub const ALL: [Self; 8] =
        [Self::Start, Self::Link, Self::Address, Self::Route, Self::Overrun, Self::Conflict, Self::Periodic, Self::Asked];

    /// The label of the metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Link => "link",
            Self::Address => "address",
            Self::Route => "route",
            Self::Overrun => "overrun",
            Self::Conflict => "conflict",
            Self::Periodic => "periodic",
            Self::Asked => "asked",
        }
    }
}

/// How often the kernel was read, by [`Cause`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resyncs([u64; Cause::ALL.len()]);

impl Resyncs {
    pub const fn get(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    pub(crate) const fn count(&mut self, cause: Cause) {
        self.0[cause as usize] += 1;
    }
}
