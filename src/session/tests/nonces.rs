//! No key ever sees a nonce twice, whatever the order of events.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;

use super::rig::{Ends, at, ends, seed};
use crate::header::Header;
use crate::session::sealed::Session;
use crate::session::{Event, Order};
use crate::time::Instant;

#[derive(Clone, Copy, Debug)]
enum Step {
    Seal(u16),
    /// Many records, so that epochs step by their count.
    Burst,
    /// A record that is begun and dropped.
    Drop,
    /// A record that is too large for the peer.
    TooLarge,
    Control,
    Deliver,
    Lose,
    Wait(u8),
    Rekey,
    Attach,
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        8 => (0..2_000_u16).prop_map(Step::Seal),
        1 => Just(Step::Burst),
        2 => Just(Step::Drop),
        1 => Just(Step::TooLarge),
        4 => Just(Step::Control),
        8 => Just(Step::Deliver),
        2 => Just(Step::Lose),
        2 => (0..90_u8).prop_map(Step::Wait),
        2 => Just(Step::Rekey),
        1 => Just(Step::Attach),
    ];
    (any::<bool>(), step)
}

/// One end, what it sealed and has not been delivered, and every (key, position) it used.
struct Sender {
    queue: Vec<BytesMut>,
    used: BTreeSet<([u8; 32], u64)>,
    next: u64,
}

impl Sender {
    fn note(&mut self, session: &Session, record: BytesMut) {
        let header = Header::of_record(&record).unwrap();
        assert_eq!(header.seq, self.next, "positions rise by one");
        assert_eq!(header.epoch, session.sending.epoch());
        let key = *session.sending.dangerous_secret().bytes();
        assert!(self.used.insert((key, header.seq)), "a nonce was used twice");
        self.next += 1;
        self.queue.push(record);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    /// proto-spec: positions count through epochs, rekeys, attachments and records that were
    /// begun in vain, and so no (key, nonce) pair comes twice.
    #[test]
    fn a_nonce_never_comes_twice_under_a_key(steps in prop::collection::vec(step(), 1..100)) {
        let mut ends = ends();
        let mut now = at(1);
        let mut senders = [&ends.agent, &ends.backend].map(|session| Sender {
            queue: Vec::new(),
            used: BTreeSet::new(),
            next: session.sending.dangerous_seq(),
        });
        for (from_agent, step) in steps {
            act(&mut ends, &mut senders, from_agent, step, &mut now);
        }
    }
}

fn act(
    ends: &mut Ends,
    senders: &mut [Sender; 2],
    from_agent: bool,
    step: Step,
    now: &mut Instant,
) {
    let Ends { agent, backend } = ends;
    let [of_agent, of_backend] = senders;
    let (from, to, sender) = match from_agent {
        true => (agent, backend, of_agent),
        false => (backend, agent, of_backend),
    };
    let mut record = BytesMut::new();
    match step {
        Step::Seal(bytes) => {
            if from.seal_datagram(*now, &vec![1; bytes.into()], &mut record).is_ok() {
                sender.note(from, record);
            }
        }
        Step::Burst => {
            for _ in 0..1_500 {
                let mut record = BytesMut::new();
                if from.seal_datagram(*now, b"burst", &mut record).is_ok() {
                    sender.note(from, record);
                }
            }
            sender.queue.drain(..sender.queue.len().saturating_sub(1_000));
        }
        Step::Drop => {
            if let Ok(mut writer) = from.record(*now, &mut record) {
                writer.datagram(b"never").unwrap();
            }
            assert!(record.is_empty());
        }
        Step::TooLarge => {
            from.seal_datagram(*now, &[0; 16_381], &mut record).unwrap_err();
            assert!(record.is_empty());
        }
        Step::Control => {
            from.ping(1);
            while from.poll_transmit(*now, &mut record) {
                sender.note(from, record.split());
            }
        }
        Step::Deliver => {
            for mut record in sender.queue.drain(..) {
                let opened = to.open(*now, &mut record);
                assert!(opened.is_ok() || !to.is_closed(), "{opened:?}");
            }
        }
        Step::Lose => {
            sender.queue.clear();
            to.attach(Order::Window);
        }
        Step::Wait(seconds) => {
            *now = now.after(Duration::from_secs(seconds.into()));
            from.handle_timeout(*now);
            to.handle_timeout(*now);
        }
        Step::Rekey => {
            from.request_rekey();
            while let Some(event) = from.poll_event() {
                if event == Event::WantsSeed {
                    from.provide_seed(*now, &seed(100 + u8::from(from_agent)));
                }
            }
        }
        Step::Attach => from.attach(Order::Window),
    }
}
