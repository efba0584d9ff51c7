//! What was said about the client, so that it is said once: a fault that lasts a day must not fill a log.

use std::collections::HashSet;

use tracing::{info, warn};

use super::ask::Failure;

#[derive(Debug, Default)]
pub(super) struct Said {
    /// Methods that give no value though the client answers.
    pub(super) lacking: HashSet<&'static str>,
    /// The client gives no head.
    pub(super) is_silent: bool,
}

impl Said {
    /// The value, if any. A method that is refused is named once, until it gives a value again. Not so where there is not
    /// even a head, which was said, and not where nobody answered: the client is slow for the moment.
    pub(super) fn keep<T>(
        &mut self,
        method: &'static str,
        answer: Result<T, Failure>,
    ) -> Option<T> {
        match answer {
            Ok(value) => {
                if self.lacking.remove(method) {
                    info!(method, "execution client answers this method again");
                }
                Some(value)
            }
            Err(Failure::Unanswered(_)) => None,
            Err(Failure::Refused(reason)) => {
                if !self.is_silent && self.lacking.insert(method) {
                    warn!(
                        method,
                        reason, "execution client refuses this method, its fields are left out"
                    );
                }
                None
            }
        }
    }

    /// Says when silence begins and when it ends.
    pub(super) fn head(&mut self, failure: Option<&str>) {
        match failure {
            Some(reason) if !self.is_silent => {
                warn!(reason, "cannot read the head of the execution client");
            }
            None if self.is_silent => info!("execution client answers again"),
            _ => {}
        }
        self.is_silent = failure.is_some();
    }
}
