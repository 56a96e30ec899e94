//! The receiver's own ledger of one-time permissions, as the real function keeps it (`grants.js`): an estimate
//! that never decides whether to send. How many there really are is known to `send` alone.

use std::collections::HashMap;

/// What is left, by openid and template.
#[derive(Debug, Default)]
pub(crate) struct Grants(HashMap<(String, String), u32>);

impl Grants {
    /// The mini program has reported.
    pub(crate) fn report(&mut self, openid: &str, template_id: &str, left: u32) {
        let page = (openid.to_owned(), template_id.to_owned());
        self.0.insert(page, left);
    }

    /// One less, after a message was accepted. What is left then.
    pub(crate) fn spend(&mut self, openid: &str, template_id: &str) -> Option<u32> {
        let page = (openid.to_owned(), template_id.to_owned());
        let left = self.0.get_mut(&page)?;
        *left = left.saturating_sub(1);
        Some(*left)
    }

    /// WeChat says that none is left, of those that were there before the send: a tap since then is a new one.
    pub(crate) fn exhaust(
        &mut self,
        openid: &str,
        template_id: &str,
        had: Option<u32>,
    ) -> Option<u32> {
        if self.left(openid, template_id) == had {
            self.report(openid, template_id, 0);
        }
        self.left(openid, template_id)
    }

    /// Nothing where nobody ever counted.
    pub(crate) fn left(&self, openid: &str, template_id: &str) -> Option<u32> {
        let page = (openid.to_owned(), template_id.to_owned());
        self.0.get(&page).copied()
    }
}
