//! How much one side lets the other send: totals of messages and bytes, for each class and each
//! subscription, counted from zero in each session. Knows no message.
//!
//! ```text
//!   Grant (receiver)                                        Allowance (sender)
//!   granted = window ───────────── CREDIT ────────────────► allowed
//!   arrived ≤ granted, else the peer broke it ◄── MSG ───── used ≤ allowed
//!   taken by the application: when half of the window is
//!   used up, granted = taken + window ── CREDIT ──────────► allowed
//! ```
//!
//! A consumer that takes nothing gets its window and then no more; nobody else's credit depends on
//! it. For that, what arrived counts as taken from its class when it was handed on to its
//! subscription, and as taken from its subscription when the subscriber took it.

use std::collections::BTreeMap;

use super::per_class::PerClass;
use crate::limits::{
    CLASS_WINDOW_BYTES, CLASS_WINDOW_MESSAGES, CREDIT_TOTAL_MAX, MESSAGE_BYTES,
    SUBSCRIPTION_WINDOW_BYTES, SUBSCRIPTION_WINDOW_MESSAGES,
};
use crate::priority::Class;

/// Messages and the bytes of their content.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Amount {
    pub messages: u64,
    pub bytes: u64,
}

impl Amount {
    /// What a class may have under way unless configured otherwise.
    pub(crate) const CLASS_WINDOW: Self =
        Self { messages: CLASS_WINDOW_MESSAGES, bytes: CLASS_WINDOW_BYTES };
    /// What a subscription may have under way unless configured otherwise.
    pub(crate) const SUBSCRIPTION_WINDOW: Self =
        Self { messages: SUBSCRIPTION_WINDOW_MESSAGES, bytes: SUBSCRIPTION_WINDOW_BYTES };

    /// One message.
    pub(crate) fn one(bytes: usize) -> Self {
        Self { messages: 1, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }
    }

    /// Whether neither is above `other`'s.
    fn is_within(self, other: Self) -> bool {
        self.messages <= other.messages && self.bytes <= other.bytes
    }

    fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// How a peer breaks the rules of credit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CreditError {
    /// It takes back what it granted.
    #[error("credit decreased")]
    Decreased,
    /// It grants more than can be counted.
    #[error("credit is too high")]
    Overflow,
    /// It sent more than it was granted.
    #[error("peer sent more than it was allowed")]
    FlowControl,
    /// It speaks of a subscription that it does not have.
    #[error("credit for an unknown subscription")]
    UnknownSubscription,
}

/// Whose credit it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Scope {
    Class(Class),
    Subscription(u32),
}

/// What the peer lets this side send.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Allowance {
    allowed: Amount,
    used: Amount,
}

impl Allowance {
    /// Begins with a grant.
    ///
    /// # Errors
    ///
    /// [`CreditError::Overflow`].
    pub(crate) fn new(total: Amount) -> Result<Self, CreditError> {
        let mut allowance = Self::default();
        allowance.grant(total)?;
        Ok(allowance)
    }

    /// The peer granted so much in total.
    ///
    /// # Errors
    ///
    /// [`CreditError::Decreased`], [`CreditError::Overflow`]; nothing is changed.
    pub(crate) fn grant(&mut self, total: Amount) -> Result<(), CreditError> {
        if !self.allowed.is_within(total) {
            return Err(CreditError::Decreased);
        }
        if total.messages > CREDIT_TOTAL_MAX || total.bytes > CREDIT_TOTAL_MAX {
            return Err(CreditError::Overflow);
        }
        self.allowed = total;
        Ok(())
    }

    /// What may still be sent.
    pub(crate) fn left(&self) -> Amount {
        self.allowed.minus(self.used)
    }

    /// Whether a message may be sent.
    #[inline]
    pub(crate) fn covers(&self, message: Amount) -> bool {
        self.used.plus(message).is_within(self.allowed)
    }

    fn spend(&mut self, message: Amount) {
        assert!(self.covers(message), "credit is spent that covers the message");
        self.used = self.used.plus(message);
    }
}

/// What the peer lets this side send, of each class and to each of its subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Allowances {
    classes: PerClass<Allowance>,
    subscriptions: BTreeMap<u32, Allowance>,
}

impl Allowances {
    /// The peer subscribed and granted so much. A known number begins anew.
    ///
    /// # Errors
    ///
    /// [`CreditError::Overflow`].
    pub(crate) fn subscribe(&mut self, id: u32, total: Amount) -> Result<(), CreditError> {
        self.subscriptions.insert(id, Allowance::new(total)?);
        Ok(())
    }

    /// The peer's subscription is gone.
    pub(crate) fn unsubscribe(&mut self, id: u32) {
        self.subscriptions.remove(&id);
    }

    /// The peer granted so much in total.
    ///
    /// # Errors
    ///
    /// [`CreditError`] of every kind but `FlowControl`; nothing is changed.
    pub(crate) fn grant(&mut self, scope: Scope, total: Amount) -> Result<(), CreditError> {
        let allowance = match scope {
            Scope::Class(class) => self.classes.get_mut(class),
            Scope::Subscription(id) => {
                self.subscriptions.get_mut(&id).ok_or(CreditError::UnknownSubscription)?
            }
        };
        allowance.grant(total)
    }

    /// What may still be sent; nothing to a subscription that is not known.
    pub(crate) fn left(&self, scope: Scope) -> Amount {
        match scope {
            Scope::Class(class) => self.classes.get(class).left(),
            Scope::Subscription(id) => {
                self.subscriptions.get(&id).map_or(Amount::default(), Allowance::left)
            }
        }
    }

    /// Spends the credit of one message that goes to these subscriptions, or to none.
    ///
    /// # Errors
    ///
    /// Whose credit does not cover it; nothing is spent. A subscription that is gone needs none.
    pub(crate) fn spend(
        &mut self,
        class: Class,
        subscriptions: &[u32],
        content_bytes: usize,
    ) -> Result<(), Scope> {
        let message = Amount::one(content_bytes);
        if !self.classes.get(class).covers(message) {
            return Err(Scope::Class(class));
        }
        let mut known =
            subscriptions.iter().filter_map(|id| Some((id, self.subscriptions.get(id)?)));
        if let Some((id, _)) = known.find(|(_, allowance)| !allowance.covers(message)) {
            return Err(Scope::Subscription(*id));
        }
        self.classes.get_mut(class).spend(message);
        for id in subscriptions {
            if let Some(allowance) = self.subscriptions.get_mut(id) {
                allowance.spend(message);
            }
        }
        Ok(())
    }

    /// The session is gone, and all credit with it.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// What this side lets the peer send in one scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Grant {
    window: Amount,
    /// Consumption since the last grant after which there is a new one.
    step: Amount,
    granted: Amount,
    arrived: Amount,
    taken: Amount,
}

impl Grant {
    /// Grants one window to begin with; the peer is told by the caller. A message of `largest` bytes
    /// always passes in the end, so the window has room for one.
    pub(crate) fn new(window: Amount, largest: usize) -> Self {
        let largest = Amount::one(largest);
        let window = Amount {
            messages: window.messages.clamp(largest.messages, CREDIT_TOTAL_MAX / 2),
            bytes: window.bytes.max(largest.bytes).min(CREDIT_TOTAL_MAX / 2),
        };
        // When the peer has sent all that fits, the application took all, and no step was reached,
        // the largest message must fit what is left, or both sides wait for ever.
        let spare = window.minus(largest);
        let step = Amount {
            messages: (window.messages / 2).min(spare.messages).max(1),
            bytes: (window.bytes / 2).min(spare.bytes).max(1),
        };
        Self { window, step, granted: window, arrived: Amount::default(), taken: Amount::default() }
    }

    /// What was granted in total.
    pub(crate) fn total(&self) -> Amount {
        self.granted
    }

    /// What arrived and was not taken.
    pub(crate) fn held(&self) -> Amount {
        self.arrived.minus(self.taken)
    }

    /// The peer sent a message, or began one of so many bytes.
    ///
    /// # Errors
    ///
    /// [`CreditError::FlowControl`] if it was not granted.
    pub(crate) fn arrive(&mut self, content_bytes: usize) -> Result<(), CreditError> {
        let arrived = self.arrived.plus(Amount::one(content_bytes));
        if !arrived.is_within(self.granted) {
            return Err(CreditError::FlowControl);
        }
        self.arrived = arrived;
        Ok(())
    }

    /// A message that arrived was taken.
    pub(crate) fn take(&mut self, content_bytes: usize) {
        let taken = self.taken.plus(Amount::one(content_bytes));
        assert!(taken.is_within(self.arrived), "a message arrives before it is taken");
        self.taken = taken;
    }

    /// The new totals, if it is time to tell the peer.
    #[must_use = "the peer has to be told"]
    pub(crate) fn renew(&mut self) -> Option<Amount> {
        let total = self.taken.plus(self.window);
        let more = total.minus(self.granted);
        let due = more.messages >= self.step.messages || more.bytes >= self.step.bytes;
        let countable = total.messages <= CREDIT_TOTAL_MAX && total.bytes <= CREDIT_TOTAL_MAX;
        (due && countable).then(|| {
            self.granted = total;
            total
        })
    }
}

/// What this side lets the peer send, of each class and to each of its own subscriptions.
#[derive(Debug)]
pub(crate) struct Grants {
    classes: PerClass<Grant>,
    subscriptions: BTreeMap<u32, Grant>,
    class_window: Amount,
    largest: usize,
}

impl Default for Grants {
    fn default() -> Self {
        Self::new(Amount::CLASS_WINDOW, MESSAGE_BYTES)
    }
}

impl Grants {
    /// Grants each class one window; `largest` is the content of one message at most.
    pub(crate) fn new(class_window: Amount, largest: usize) -> Self {
        Self {
            classes: PerClass::from_fn(|_| Grant::new(class_window, largest)),
            subscriptions: BTreeMap::new(),
            class_window,
            largest,
        }
    }

    /// This side subscribes. Returns what SUBSCRIBE has to grant.
    #[must_use = "SUBSCRIBE carries it"]
    pub(crate) fn subscribe(&mut self, id: u32, window: Amount) -> Amount {
        let grant = Grant::new(window, self.largest);
        self.subscriptions.insert(id, grant);
        grant.total()
    }

    /// This side's subscription is gone; what is still on its way to it is not counted.
    pub(crate) fn unsubscribe(&mut self, id: u32) {
        self.subscriptions.remove(&id);
    }

    /// What was granted in total; nothing to a subscription that is gone.
    pub(crate) fn total(&self, scope: Scope) -> Amount {
        match scope {
            Scope::Class(class) => self.classes.get(class).total(),
            Scope::Subscription(id) => {
                self.subscriptions.get(&id).map_or(Amount::default(), Grant::total)
            }
        }
    }

    /// The peer sent a message. A subscription that is gone counts nothing.
    ///
    /// # Errors
    ///
    /// [`CreditError::FlowControl`] if it was not granted.
    pub(crate) fn arrive(&mut self, scope: Scope, content_bytes: usize) -> Result<(), CreditError> {
        self.find(scope).map_or(Ok(()), |grant| grant.arrive(content_bytes))
    }

    /// A message that arrived was taken: from its class when it was handed on, from its
    /// subscription when the subscriber took it. Returns what CREDIT has to say, if it is time.
    #[must_use = "the peer has to be told"]
    pub(crate) fn take(&mut self, scope: Scope, content_bytes: usize) -> Option<Amount> {
        let grant = self.find(scope)?;
        grant.take(content_bytes);
        grant.renew()
    }

    /// The session is gone. The classes begin anew; subscriptions are to be made again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.class_window, self.largest);
    }

    fn find(&mut self, scope: Scope) -> Option<&mut Grant> {
        match scope {
            Scope::Class(class) => Some(self.classes.get_mut(class)),
            Scope::Subscription(id) => self.subscriptions.get_mut(&id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NORMAL: Scope = Scope::Class(Class::Normal);

    #[test]
    fn nothing_may_be_sent_before_a_grant() {
        let mut allowances = Allowances::default();
        assert_eq!(allowances.spend(Class::Normal, &[], 0), Err(NORMAL));
        allowances.grant(NORMAL, amount(1, 0)).unwrap();
        assert_eq!(allowances.spend(Class::Normal, &[], 0), Ok(()));
        assert_eq!(allowances.spend(Class::Normal, &[], 0), Err(NORMAL));
    }

    #[test]
    fn messages_and_bytes_are_both_bounds() {
        let mut allowances = Allowances::default();
        allowances.grant(NORMAL, amount(2, 100)).unwrap();
        assert_eq!(allowances.spend(Class::Normal, &[], 101), Err(NORMAL));
        assert_eq!(allowances.spend(Class::Normal, &[], 100), Ok(()));
        assert_eq!(allowances.spend(Class::Normal, &[], 1), Err(NORMAL));
        assert_eq!(allowances.spend(Class::Normal, &[], 0), Ok(()));
        assert_eq!(allowances.left(NORMAL), amount(0, 0));
    }

    /// PROTOCOL 8.58.
    #[test]
    fn a_grant_that_decreases_is_an_error() {
        for lower in [amount(9, 100), amount(10, 99), amount(9, 200), amount(0, 0)] {
            let mut allowance = Allowance::new(amount(10, 100)).unwrap();
            assert_eq!(allowance.grant(lower), Err(CreditError::Decreased));
            assert_eq!(allowance.left(), amount(10, 100));
            assert_eq!(allowance.grant(amount(10, 100)), Ok(()));
        }
    }

    #[test]
    fn a_grant_that_cannot_be_counted_is_an_error() {
        let top = 1 << 62;
        assert!(Allowance::new(amount(top, top)).is_ok());
        for above in [amount(top + 1, 0), amount(0, top + 1), amount(u64::MAX, u64::MAX)] {
            assert_eq!(Allowance::new(above), Err(CreditError::Overflow));
            let mut allowances = Allowances::default();
            assert_eq!(allowances.subscribe(1, above), Err(CreditError::Overflow));
            assert_eq!(allowances.grant(NORMAL, above), Err(CreditError::Overflow));
        }
    }

    #[test]
    fn no_message_is_too_large_to_be_judged() {
        let allowance = Allowance::new(amount(1 << 62, 1 << 62)).unwrap();
        assert!(!allowance.covers(Amount::one(usize::MAX)));
    }

    #[test]
    fn a_message_is_paid_by_its_class_and_every_subscription_or_by_none() {
        let mut allowances = Allowances::default();
        allowances.grant(NORMAL, amount(10, 1_000)).unwrap();
        allowances.subscribe(1, amount(5, 500)).unwrap();
        allowances.subscribe(2, amount(1, 500)).unwrap();
        assert_eq!(allowances.spend(Class::Normal, &[1, 2], 10), Ok(()));
        let blocked = allowances.spend(Class::Normal, &[1, 2], 10);
        assert_eq!(blocked, Err(Scope::Subscription(2)));
        assert_eq!(allowances.left(NORMAL), amount(9, 990));
        assert_eq!(allowances.left(Scope::Subscription(1)), amount(4, 490));
    }

    #[test]
    fn a_slow_subscription_stops_itself_alone() {
        let mut allowances = Allowances::default();
        allowances.grant(NORMAL, amount(10, 1_000)).unwrap();
        allowances.subscribe(1, amount(1, 100)).unwrap();
        allowances.subscribe(2, amount(5, 500)).unwrap();
        assert_eq!(allowances.spend(Class::Normal, &[1], 10), Ok(()));
        assert_eq!(allowances.spend(Class::Normal, &[1], 10), Err(Scope::Subscription(1)));
        assert_eq!(allowances.spend(Class::Normal, &[2], 10), Ok(()));
        assert_eq!(allowances.spend(Class::High, &[2], 10), Err(Scope::Class(Class::High)));
    }

    #[test]
    fn a_subscriber_that_takes_nothing_leaves_the_class_its_credit() {
        let mut grants = Grants::new(amount(4, 4_000), 1_000);
        let window = grants.subscribe(1, amount(1_000, 1_000_000));
        assert_eq!(window, amount(1_000, 1_000_000));
        let mut told = 0;
        for _ in 0..100 {
            grants.arrive(NORMAL, 10).unwrap();
            grants.arrive(Scope::Subscription(1), 10).unwrap();
            told += u32::from(grants.take(NORMAL, 10).is_some());
        }
        assert_eq!(told, 50);
        assert_eq!(grants.total(NORMAL), amount(104, 5_000));
        assert_eq!(grants.total(Scope::Subscription(1)), window);
    }

    #[test]
    fn a_subscription_that_is_gone_has_no_credit_and_needs_none() {
        let mut allowances = Allowances::default();
        allowances.grant(NORMAL, amount(10, 1_000)).unwrap();
        allowances.subscribe(1, amount(1, 100)).unwrap();
        allowances.unsubscribe(1);
        let late = allowances.grant(Scope::Subscription(1), amount(2, 200));
        assert_eq!(late, Err(CreditError::UnknownSubscription));
        assert_eq!(allowances.left(Scope::Subscription(1)), amount(0, 0));
        assert_eq!(allowances.spend(Class::Normal, &[1], 10), Ok(()));

        let mut grants = Grants::default();
        let _ = grants.subscribe(1, Amount::SUBSCRIPTION_WINDOW);
        grants.unsubscribe(1);
        assert_eq!(grants.arrive(Scope::Subscription(1), usize::MAX), Ok(()));
        assert_eq!(grants.take(Scope::Subscription(1), usize::MAX), None);
        assert_eq!(grants.total(Scope::Subscription(1)), amount(0, 0));
    }

    /// PROTOCOL 8.57.
    #[test]
    fn a_peer_that_sends_more_than_it_was_granted_is_caught() {
        for (fine, overrun) in [(&[10, 10][..], 0), (&[60][..], 41), (&[][..], usize::MAX)] {
            let mut grant = Grant::new(amount(2, 100), 100);
            fine.iter().for_each(|bytes| grant.arrive(*bytes).unwrap());
            let before = grant;
            assert_eq!(grant.arrive(overrun), Err(CreditError::FlowControl));
            assert_eq!(grant, before);
        }
    }

    #[test]
    fn credit_is_renewed_when_half_of_the_window_is_consumed() {
        let mut grant = Grant::new(amount(10, 1_000), 100);
        (0..10).for_each(|_| grant.arrive(10).unwrap());
        (0..4).for_each(|_| grant.take(10));
        assert_eq!(grant.renew(), None);
        grant.take(10);
        assert_eq!(grant.renew(), Some(amount(15, 1_050)));
        assert_eq!(grant.renew(), None);
        assert_eq!(grant.held(), amount(5, 50));

        let mut grant = Grant::new(amount(10, 1_000), 100);
        grant.arrive(499).unwrap();
        grant.arrive(1).unwrap();
        grant.take(499);
        assert_eq!(grant.renew(), None);
        grant.take(1);
        assert_eq!(grant.renew(), Some(amount(12, 1_500)));
    }

    #[test]
    fn a_window_has_room_for_the_largest_message() {
        let mut grant = Grant::new(amount(0, 0), 1_000);
        assert_eq!(grant.total(), amount(1, 1_000));
        grant.arrive(1_000).unwrap();
        grant.take(1_000);
        assert_eq!(grant.renew(), Some(amount(2, 2_000)));
    }

    #[test]
    #[should_panic(expected = "arrives before it is taken")]
    fn what_did_not_arrive_is_not_taken() {
        let mut grant = Grant::new(amount(10, 1_000), 100);
        grant.arrive(10).unwrap();
        grant.take(11);
    }

    #[test]
    fn a_new_session_counts_from_zero() {
        let mut allowances = Allowances::default();
        allowances.grant(NORMAL, amount(10, 1_000)).unwrap();
        allowances.subscribe(1, amount(10, 1_000)).unwrap();
        allowances.reset();
        assert_eq!(allowances.left(NORMAL), amount(0, 0));
        assert_eq!(allowances.grant(NORMAL, amount(1, 100)), Ok(()));

        let mut grants = Grants::new(amount(4, 4_000), 1_000);
        grants.arrive(NORMAL, 10).unwrap();
        let _ = grants.subscribe(1, Amount::SUBSCRIPTION_WINDOW);
        grants.reset();
        assert_eq!(grants.total(NORMAL), amount(4, 4_000));
        (0..4).for_each(|_| grants.arrive(NORMAL, 1_000).unwrap());
        assert_eq!(grants.total(Scope::Subscription(1)), amount(0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Both sides, CREDIT on its way for a while, and an application that takes when it likes:
        /// what is held never exceeds the window, an honest peer never overruns, and whatever
        /// the largest message is, it gets through.
        #[test]
        fn credit_holds_the_window_and_never_runs_dry(
            window in (1_u64..20, 1_u64..2_000),
            largest in 1_usize..1_500,
            steps in prop::collection::vec((0_u8..3, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut grant = Grant::new(amount(window.0, window.1), largest);
            let most = grant.total();
            let mut allowance = Allowance::new(most).unwrap();
            let (mut under_way, mut held, mut credits) = (vec![], vec![], vec![]);
            let end = (0..4_000_u32).map(|step| ((step % 3) as u8, None));
            let steps = steps.into_iter().map(|(what, size)| (what, Some(size)));
            let mut through = 0;
            for (what, size) in steps.chain(end) {
                match (what, size) {
                    (0, size) => {
                        let bytes = size.map_or(largest, |size| size.index(largest + 1));
                        if allowance.covers(Amount::one(bytes)) {
                            allowance.spend(Amount::one(bytes));
                            under_way.push(bytes);
                        }
                    }
                    (1, _) => {
                        for bytes in under_way.drain(..) {
                            prop_assert_eq!(grant.arrive(bytes), Ok(()));
                            held.push(bytes);
                        }
                        let sum = held.iter().sum::<usize>() as u64;
                        prop_assert_eq!(grant.held(), amount(held.len() as u64, sum));
                        prop_assert!(grant.held().is_within(most));
                        credits.drain(..).for_each(|total| allowance.grant(total).unwrap());
                    }
                    (_, size) => {
                        if let Some(bytes) = held.pop() {
                            grant.take(bytes);
                            credits.extend(grant.renew());
                            through += u32::from(size.is_none());
                        }
                    }
                }
            }
            prop_assert!(through > 500, "{} messages in 1300 turns", through);
        }
    }

    fn amount(messages: u64, bytes: u64) -> Amount {
        Amount { messages, bytes }
    }
}
