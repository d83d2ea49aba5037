//! The configuration of FRR or BIRD as kubgp configuration: the common subset. What has no counterpart is listed with its line, and
//! where that leaves a hole the result does less than the original, never more: a filter that is not understood passes nothing.

mod bird;
mod draft;
mod frr;
#[cfg(test)]
mod tests;

pub use bird::bird;
pub use draft::{Imported, Remark};
pub use frr::frr;
