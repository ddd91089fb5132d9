//! A subscription over all links of a backend, those to come among them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::channel::Pattern;
use crate::ids::PeerId;
use crate::runtime::live::{Answered, Ending, Inbox, Link, listen};

/// One subscription, and its part in each link.
pub(super) struct Fan {
    pattern: Pattern,
    inbox: Arc<Inbox>,
    endings: Mutex<Vec<(PeerId, Ending)>>,
}

impl Fan {
    pub(super) fn new(pattern: Pattern) -> Arc<Self> {
        let (inbox, endings) = (Arc::default(), Mutex::default());
        Arc::new(Self { pattern, inbox, endings })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Listens on a link too, if anything of its agent can match. A link that is full of subscriptions is
    /// left out, and logged.
    pub(super) fn join(&self, link: &Link) -> Option<Answered> {
        let id = link.agent_id();
        let may_match = Pattern::agent(id, ">").is_ok_and(|all| all.intersects(&self.pattern));
        if !may_match {
            return None;
        }
        match listen(link.shared(), self.pattern.clone(), &self.inbox) {
            Ok((ending, answered)) => {
                let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
                endings.push((id.clone(), ending));
                Some(answered)
            }
            Err(error) => {
                tracing::warn!(agent = %id, %error, "not subscribed on this link");
                None
            }
        }
    }

    /// The link is forgotten.
    pub(super) fn leave(&self, id: &PeerId) {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = endings.extract_if(.., |(of, _)| of == id).collect();
        drop(endings);
        drop(gone);
    }
}
