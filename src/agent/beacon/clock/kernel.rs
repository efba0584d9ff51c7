//! What the kernel's own account of its clock is worth. Pure.

use super::{Estimate, Source};
use crate::system::clock::KernelClock;

/// `None` from a kernel whose clock nobody steers: its offset of 0 says only that nobody told it another one.
pub(super) fn estimate(kernel: KernelClock) -> Option<Estimate> {
    kernel.is_synchronized.then(|| Estimate {
        // What is still to be added is missing.
        offset_ms: -(kernel.remaining_ns as f64) / 1e6,
        uncertainty_ms: kernel.max_error_us as f64 / 1e3,
        source: Source::Kernel,
    })
}
