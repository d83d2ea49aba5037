//! A peer's own code (framing, decoding, import) is pure and shares nothing half-written: a panic there costs that peer's session only.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a peer's own code; `None` after a panic.
pub fn contain<T>(code: impl FnOnce() -> T) -> Option<T> {
    CONTAINED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(code));
    CONTAINED.set(false);
    outcome.ok()
}

/// Whether the code that runs on this thread is some peer's own.
pub fn is_contained() -> bool {
    CONTAINED.get()
}
