//! Who may use a channel. Judges by the identity that the handshake proved, never by what a message
//! says of itself; proves nothing itself, and knows no subscriber.
//!
//! Two questions, and both must be answered with yes. The first has one answer for everyone: the
//! border, which no rule moves.
//!
//! | who | publishes on | subscribes inside | manages |
//! |---|---|---|---|
//! | agent A | `agent.A.>` | `backend.A.>` | `agent.A.>` |
//! | backend, on A's link | `backend.A.>` | `agent.>` | `agent.A.>`, `backend.A.>` |
//!
//! The second is asked of the rules of this side, first match first.

use super::name::{ChannelName, word};
use super::pattern::Pattern;
use crate::ids::{PeerId, Role};

/// What someone wants of a channel.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Act {
    /// To publish on it.
    Publish,
    /// To receive what is published on it.
    Subscribe,
    /// To create, enable, disable or delete it.
    Manage,
}

/// A rule of this side for what its peer may do. Without a narrower word it is about every act of
/// every peer on the channels of its pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    verdict: Verdict,
    channels: Pattern,
    act: Option<Act>,
    peer: Option<PeerId>,
    label: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Allow,
    Deny,
}

impl Rule {
    /// Allows what the pattern matches, unless an earlier rule denies it.
    #[must_use]
    pub fn allow(channels: Pattern) -> Self {
        Self::new(Verdict::Allow, channels)
    }

    /// Denies what the pattern matches, unless an earlier rule allows it.
    #[must_use]
    pub fn deny(channels: Pattern) -> Self {
        Self::new(Verdict::Deny, channels)
    }

    fn new(verdict: Verdict, channels: Pattern) -> Self {
        Self { verdict, channels, act: None, peer: None, label: None }
    }

    /// Only for this act.
    #[must_use]
    pub fn on(mut self, act: Act) -> Self {
        self.act = Some(act);
        self
    }

    /// Only for this peer.
    #[must_use]
    pub fn for_peer(mut self, id: PeerId) -> Self {
        self.peer = Some(id);
        self
    }

    /// Only for peers whose credential has this label with this value.
    #[must_use]
    pub fn for_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.label = Some((key.into(), value.into()));
        self
    }

    fn concerns(&self, party: &Party<'_>, act: Act) -> bool {
        self.act.is_none_or(|only| only == act)
            && self.peer.as_ref().is_none_or(|only| only == party.id)
            && self.label.as_ref().is_none_or(|only| party.labels.contains(only))
    }
}

/// What this side lets its peer do, inside the border: an agent publishes only under
/// `agent.<own id>.` and receives only `backend.<own id>.`, whatever the rules say.
///
/// The first rule decides that is about the peer, the act and the channel; without one, the default.
/// A subscription is allowed only if every channel of its pattern is. Costs time in proportion to the
/// rules in front of the one that decides.
///
/// ```
/// use waxwire::{Act, Pattern, Policy, Rule};
///
/// let policy = Policy::allowing()
///     .with(Rule::allow(Pattern::new("agent.*.rollbacks")?).for_label("ring", "canary"))
///     .with(Rule::deny(Pattern::new("agent.*.rollbacks")?).on(Act::Publish));
/// # let _ = policy;
/// # Ok::<(), waxwire::BadChannel>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
    otherwise: Verdict,
}

impl Policy {
    /// Allows what no rule denies.
    #[must_use]
    pub fn allowing() -> Self {
        Self { rules: Vec::new(), otherwise: Verdict::Allow }
    }

    /// Denies what no rule allows.
    #[must_use]
    pub fn denying() -> Self {
        Self { rules: Vec::new(), otherwise: Verdict::Deny }
    }

    /// One more rule, behind the others.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Whether the party may publish on this channel.
    pub(crate) fn may_publish(
        &self,
        party: &Party<'_>,
        channel: &ChannelName,
    ) -> Result<(), Unauthorized> {
        self.judge(party, Act::Publish, channel)
    }

    /// Whether the party may create, enable, disable or delete this channel.
    pub(crate) fn may_manage(
        &self,
        party: &Party<'_>,
        channel: &ChannelName,
    ) -> Result<(), Unauthorized> {
        self.judge(party, Act::Manage, channel)
    }

    /// Whether the party may receive everything that the pattern matches.
    pub(crate) fn may_subscribe(
        &self,
        party: &Party<'_>,
        pattern: &Pattern,
    ) -> Result<(), Unauthorized> {
        let refused =
            |reason| Unauthorized { act: Act::Subscribe, channel: pattern.clone(), reason };
        if !party.may_ever_subscribe(pattern) {
            return Err(refused(Reason::Border));
        }
        for (place, rule) in self.rules.iter().enumerate() {
            if !rule.concerns(party, Act::Subscribe) || !rule.channels.intersects(pattern) {
                continue;
            }
            match rule.verdict {
                Verdict::Deny => return Err(refused(Reason::Rule(place))),
                Verdict::Allow if rule.channels.covers(pattern) => return Ok(()),
                // A part is allowed; later rules decide about the rest.
                Verdict::Allow => {}
            }
        }
        self.by_default().map_err(refused)
    }

    fn judge(
        &self,
        party: &Party<'_>,
        act: Act,
        channel: &ChannelName,
    ) -> Result<(), Unauthorized> {
        let refused = |reason| Unauthorized { act, channel: channel.into(), reason };
        if !party.may_ever(act, channel) {
            return Err(refused(Reason::Border));
        }
        let decides = |rule: &Rule| rule.concerns(party, act) && rule.channels.matches(channel);
        match self.rules.iter().enumerate().find(|(_, rule)| decides(rule)) {
            Some((place, Rule { verdict: Verdict::Deny, .. })) => Err(refused(Reason::Rule(place))),
            Some((_, Rule { verdict: Verdict::Allow, .. })) => Ok(()),
            None => self.by_default().map_err(refused),
        }
    }

    fn by_default(&self) -> Result<(), Reason> {
        match self.otherwise {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(Reason::Default),
        }
    }
}

/// [`allowing`](Policy::allowing), without a rule.
impl Default for Policy {
    fn default() -> Self {
        Self::allowing()
    }
}

/// One of the two parties of a link, as the handshake proved it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'a> {
    role: Role,
    id: &'a PeerId,
    /// The agent of this link.
    agent: &'a PeerId,
    labels: &'a [(String, String)],
}

impl<'a> Party<'a> {
    /// The agent of a link.
    pub(crate) fn agent(id: &'a PeerId, labels: &'a [(String, String)]) -> Self {
        Self { role: Role::Agent, id, agent: id, labels }
    }

    /// The backend of the link of this agent.
    pub(crate) fn backend(
        id: &'a PeerId,
        agent: &'a PeerId,
        labels: &'a [(String, String)],
    ) -> Self {
        Self { role: Role::Backend, id, agent, labels }
    }

    fn may_ever(&self, act: Act, channel: &ChannelName) -> bool {
        let Some((side, id, _)) = channel.parts() else { return false };
        let speaks = match (self.role, act) {
            (_, Act::Publish) => side == self.role,
            (_, Act::Subscribe) => side == self.role.opposite(),
            (Role::Agent, Act::Manage) => side == Role::Agent,
            (Role::Backend, Act::Manage) => true,
        };
        speaks && id == self.agent.as_str()
    }

    fn may_ever_subscribe(&self, pattern: &Pattern) -> bool {
        let mut tokens = pattern.tokens();
        let side = tokens.next() == Some(word(self.role.opposite()));
        match self.role {
            Role::Agent => {
                side && tokens.next() == Some(self.agent.as_str()) && tokens.next().is_some()
            }
            Role::Backend => side && tokens.next().is_some(),
        }
    }
}

/// A party may not do this. Nothing was done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not allowed to {} {channel}: {reason}", words(*act))]
pub struct Unauthorized {
    act: Act,
    channel: Pattern,
    reason: Reason,
}

impl Unauthorized {
    /// What was asked for.
    #[must_use]
    pub fn act(&self) -> Act {
        self.act
    }

    /// The channel, or the pattern of a subscription.
    #[must_use]
    pub fn channel(&self) -> &Pattern {
        &self.channel
    }

    /// What stands against it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

/// What stands against an act.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The channel is not of this party's own; no rule could allow it.
    #[error("it belongs to another party")]
    Border,
    /// The rule in this place, counted from zero.
    #[error("rule {0} denies it")]
    Rule(usize),
    /// No rule allows it, and the default denies.
    #[error("no rule allows it")]
    Default,
}

fn words(act: Act) -> &'static str {
    match act {
        Act::Publish => "publish on",
        Act::Subscribe => "subscribe to",
        Act::Manage => "manage",
    }
}
