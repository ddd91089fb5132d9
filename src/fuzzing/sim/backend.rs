//! Which connection carries each agent's link at the backend. A connection that a newer one took over
//! from ends late, and must not end its successor: attachments are numbered.

use std::collections::BTreeMap;

/// One connection as the carrier of one link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Attachment {
    pub(super) agent: usize,
    pub(super) number: u64,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The newest attachment of each agent.
    current: BTreeMap<usize, u64>,
    last: u64,
}

impl Registry {
    /// A connection carries an agent's link from here on.
    pub(super) fn attach(&mut self, agent: usize) -> Attachment {
        self.last += 1;
        self.current.insert(agent, self.last);
        Attachment { agent, number: self.last }
    }

    /// The connection of an attachment ended. Returns whether its link lost its transport by that.
    pub(super) fn release(&mut self, attachment: Attachment) -> bool {
        let is_current = self.current.get(&attachment.agent) == Some(&attachment.number);
        if is_current {
            self.current.remove(&attachment.agent);
        }
        is_current
    }
}
