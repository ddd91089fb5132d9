//! Each kind of row is read as it was written, and whatever else stands there is an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::rig::{key, message, now, peer};
use crate::call::{
    CommandId, Correlation, Effect, ErrorCode, ExecutedRow, Failure, IssuedRow, OnPeerLost, Stage,
    Status,
};
use crate::channel::ChannelName;
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::{self, Doubt, Fresh, Row};
use crate::delivery::per_class::PerClass;
use crate::delivery::ranges::Numbers;
use crate::delivery::word::{Epoch, Verdict};
use crate::ids::PeerId;
use crate::link::tests::pair::epoch;
use crate::link::{About, Batch, CallPart, ExecutedCommand, IssuedCommand, Kept, MessageId, Token};
use crate::priority::Class;
use crate::runtime::keep::commands::{
    decode_executed, decode_issued, encode_executed, encode_issued,
};
use crate::runtime::keep::ledger::{Epochs, Ledger};
use crate::runtime::keep::place::Pseudonym;
use crate::runtime::keep::rows::{
    ChainSide, Origin, Plain, decode_chain, decode_mark, decode_message, encode_chain, encode_mark,
    encode_message,
};
use crate::runtime::keep::seal::Changes;
use crate::store::Key;
use crate::time::{Instant, Now, UnixTime};
use crate::wire::Malformed;

#[test]
fn an_origin_stands_as_the_page_draws_it() {
    let origin = Origin {
        peer: PeerId::new("e7").unwrap(),
        outbox: Epoch::from_bytes([1; 16]).unwrap(),
        inbox: Epoch::from_bytes([2; 16]).unwrap(),
        peer_inbox: None,
        peer_outbox: Epoch::from_bytes([4; 16]),
        next: PerClass::from_fn(|class| if class == Class::Low { 0x0102 } else { 1 }),
    };
    let numbers = [[0, 0, 0, 0, 0, 0, 0, 1]; 4].concat();
    let expected = [
        &[1, 2, b'e', b'7'][..],
        &[1; 16],
        &[2; 16],
        &[0; 16],
        &[4; 16],
        &numbers,
        &[0, 0, 0, 0, 0, 0, 1, 2],
    ];
    assert_eq!(origin.encode()[..], expected.concat());
}

#[test]
fn a_message_stands_as_the_page_draws_it() {
    let mut fresh = message(7, "text");
    fresh.token.about = About::Call(Correlation::from_wire(9), CallPart::Answer);
    fresh.expires = Some(now().instant.after(Duration::from_millis(1_500)));
    let expires = (1_800_000_000_000_u64 + 1_500).to_be_bytes();
    let expected = [
        &[1, 1][..],
        &expires,
        &[1],
        &7_u64.to_be_bytes(),
        &[2],
        &9_u64.to_be_bytes(),
        &[2],
        b"text",
    ];
    assert_eq!(encode_message(now(), &fresh)[..], expected.concat());
}

/// The steady clock of another process began elsewhere: what is left of a message's time is counted on
/// the wall clock.
#[test]
fn time_to_live_passes_while_nobody_runs() {
    let written = now();
    let mut fresh = message(1, "text");
    fresh.expires = Some(written.instant.after(Duration::from_secs(60)));
    let row = encode_message(written, &fresh);
    let expires = |later: u64| {
        let unix = UnixTime::from_secs(written.unix.as_secs() + later);
        let now = Now { instant: Instant::from_nanos(77), unix };
        let row = decode_message(now, (Class::High, 3), &row).unwrap();
        row.message.expires.unwrap().since(now.instant)
    };
    assert_eq!(expires(0), Duration::from_secs(60));
    assert_eq!(expires(59), Duration::from_secs(1));
    assert_eq!(expires(60), Duration::ZERO);
    assert_eq!(expires(100_000), Duration::ZERO);
}

#[test]
fn a_row_of_another_version_is_not_read() {
    let origin = origin_of(&peer(1)).encode();
    let mut later = origin.to_vec();
    later[0] = 2;
    assert_eq!(Origin::decode(&later), Err(Malformed::Value("version")));
    assert_eq!(Origin::decode(&[]), Err(Malformed::Truncated));
    let cut = Origin::decode(&origin[..origin.len() - 1]);
    assert_eq!(cut, Err(Malformed::Truncated));
    let longer = Origin::decode(&[&origin[..], &[0]].concat());
    assert_eq!(longer, Err(Malformed::TrailingBytes));
}

#[test]
fn a_chain_says_which_side_it_is_of() {
    for side in [ChainSide::Dialled, ChainSide::Answered] {
        assert_eq!(decode_chain(&encode_chain(side, b"chain")), Ok((side, &b"chain"[..])));
    }
    assert_eq!(decode_chain(&[1, 3]), Err(Malformed::Value("side")));
}

/// Rows of commands come back with their peer, and leave with it.
#[test]
fn commands_belong_to_their_peer() {
    let naming = Arc::new(key(1).naming());
    let pseudonym = Pseudonym::of(&naming, &peer(1));
    let issued = IssuedRow {
        id: CommandId([3; 16]),
        status: Status::Sent,
        effect: Effect::None,
        class: Class::High,
        begin_by: UnixTime::from_secs(9),
        changed: UnixTime::from_secs(8),
        on_peer_lost: OnPeerLost::Redrive,
        payload: Some(Bytes::from_static(b"order")),
    };
    let stage = Stage::Begun(Bytes::from_static(b"work"));
    let (id, changed) = (CommandId([4; 16]), UnixTime::from_secs(7));
    let executed = ExecutedRow { id, version: 2, stage, class: Class::Low, changed };
    let rows = BTreeMap::from([
        (pseudonym.origin(), origin_of(&peer(1)).encode()),
        (pseudonym.issued(issued.id), encode_issued(&channel(), &issued)),
        (pseudonym.executed(executed.id), encode_executed(&channel(), &executed)),
    ]);
    let (mut ledger, read) = restored(&rows);
    let issued = IssuedCommand { channel: channel(), row: issued };
    assert_eq!(read.peers[0].kept.issued, [issued]);
    let executed = ExecutedCommand { channel: channel(), row: executed };
    assert_eq!(read.peers[0].kept.executed, [executed]);
    let mut changes = Changes::new();
    ledger.forget(&peer(1), &mut changes);
    assert_eq!(changes.keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn an_origin_is_read_as_it_was_written(
        epochs in (1_u64.., 1_u64.., option::of(1_u64..), option::of(1_u64..)),
        next in vec(any::<u64>(), 5),
    ) {
        let mut next = next.into_iter();
        let origin = Origin {
            peer: peer(epochs.0),
            outbox: epoch(epochs.0),
            inbox: epoch(epochs.1),
            peer_inbox: epochs.2.map(epoch),
            peer_outbox: epochs.3.map(epoch),
            next: PerClass::from_fn(|_| next.next().unwrap()),
        };
        prop_assert_eq!(Origin::decode(&origin.encode()), Ok(origin));
    }

    #[test]
    fn a_message_is_read_as_it_was_written(fresh in fresh(), number in any::<u64>()) {
        let read = decode_message(now(), (Class::Low, number), &encode_message(now(), &fresh));
        let written = Row { class: Class::Low, number, message: fresh };
        prop_assert_eq!(format!("{:?}", read.unwrap()), format!("{written:?}"));
    }

    #[test]
    fn a_mark_is_read_as_it_was_written(handled in numbers(), verdicts in verdicts()) {
        let read = decode_mark(Class::High, &encode_mark(&handled, &verdicts));
        prop_assert_eq!(read, Ok(InboxChange::Mark { class: Class::High, handled, verdicts }));
    }

    #[test]
    fn a_command_that_was_given_is_read_as_it_was_written(row in issued()) {
        let written = encode_issued(&channel(), &row);
        prop_assert_eq!(decode_issued(row.id, &written), Ok((channel(), row)));
    }

    #[test]
    fn a_command_that_was_run_is_read_as_it_was_written(row in executed()) {
        let written = encode_executed(&channel(), &row);
        prop_assert_eq!(decode_executed(row.id, &written), Ok((channel(), row)));
    }

    /// A value that someone with the key wrote wrongly stops nothing but the opening.
    #[test]
    fn what_is_no_row_is_an_error_and_no_panic(mut bytes in vec(any::<u8>(), 0..90)) {
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let place = (Class::Normal, 1);
        let _ = Origin::decode(&bytes);
        let _ = decode_message(now(), place, &bytes);
        let _ = decode_mark(Class::Normal, &bytes);
        let _ = decode_chain(&bytes);
        let _ = decode_issued(CommandId([1; 16]), &bytes);
        let _ = decode_executed(CommandId([1; 16]), &bytes);
    }

    /// Whatever batches two links hand over: what is read back is what a map of the rows says.
    #[test]
    fn what_is_restored_is_what_the_batches_left(
        batches in vec((0_u64..2, vec(step(), 1..6)), 0..12),
        restart in any::<prop::sample::Index>(),
    ) {
        let mut rows = BTreeMap::new();
        let mut ledger = restored(&rows).0;
        let mut models: BTreeMap<PeerId, Model> = BTreeMap::new();
        let restart = restart.index(batches.len() + 1);
        for (number, (whose, steps)) in batches.into_iter().enumerate() {
            if number == restart {
                ledger = restored(&rows).0;
            }
            let model = models.entry(peer(whose)).or_insert_with(|| Model::new(whose));
            let batch = model.batch(steps);
            let mut changes = Changes::new();
            ledger.apply((&peer(whose), model.epochs()), now(), batch, &mut changes);
            for (key, value) in changes {
                match value {
                    Some(value) => drop(rows.insert(key, value)),
                    None => drop(rows.remove(&key)),
                }
            }
        }
        let (mut ledger, read) = restored(&rows);
        let read: BTreeMap<_, _> =
            read.peers.into_iter().map(|read| (read.peer, format!("{:?}", read.kept))).collect();
        let expected: BTreeMap<_, _> =
            models.iter().map(|(peer, model)| (peer.clone(), format!("{:?}", model.kept()))).collect();
        prop_assert_eq!(read, expected);
        // What is known of a peer is enough to forget it.
        let mut changes = Changes::new();
        models.keys().for_each(|peer| ledger.forget(peer, &mut changes));
        prop_assert_eq!(changes.keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>());
        prop_assert!(changes.values().all(Option::is_none));
    }
}

fn restored(rows: &BTreeMap<Key, Plain>) -> (Ledger, crate::runtime::keep::ledger::Restored) {
    let naming = Arc::new(key(1).naming());
    let rows = rows.iter().map(|(key, value)| Ok((key.clone(), value.clone())));
    Ledger::restore(naming, now(), rows).unwrap()
}

/// What happens in a batch.
#[derive(Clone, Debug)]
enum Step {
    Put(Class, Fresh<Token>),
    DeleteOldest(Class),
    PeerInbox(u64),
    PeerOutbox(u64),
    Mark(Class, Numbers, Vec<(u64, Verdict)>),
}

/// One peer as plain maps.
struct Model {
    whose: u64,
    rows: BTreeMap<(Class, u64), Row<Token>>,
    next: PerClass<u64>,
    peer_inbox: Option<Epoch>,
    peer_outbox: Option<Epoch>,
    marks: BTreeMap<Class, InboxChange>,
}

impl Model {
    fn new(whose: u64) -> Self {
        Self {
            whose,
            rows: BTreeMap::new(),
            next: PerClass::from_fn(|_| 1),
            peer_inbox: None,
            peer_outbox: None,
            marks: BTreeMap::new(),
        }
    }

    fn epochs(&self) -> Epochs {
        Epochs { outbox: epoch(self.whose + 1), inbox: epoch(self.whose + 10) }
    }

    fn batch(&mut self, steps: Vec<Step>) -> Batch {
        let mut batch = Batch {
            number: 1,
            outbox: Vec::new(),
            inbox: Vec::new(),
            issued: Vec::new(),
            executed: Vec::new(),
        };
        for step in steps {
            match step {
                Step::Put(class, message) => {
                    let number = *self.next.get(class);
                    *self.next.get_mut(class) += 1;
                    let row = Row { class, number, message };
                    self.rows.insert((class, number), row.clone());
                    batch.outbox.push(outbox::Change::Put(row));
                }
                Step::DeleteOldest(class) => {
                    let oldest = self.rows.keys().find(|(of, _)| *of == class).copied();
                    let Some((class, number)) = oldest else { continue };
                    self.rows.remove(&(class, number));
                    batch.outbox.push(outbox::Change::Delete(class, number));
                }
                Step::PeerInbox(number) => {
                    self.peer_inbox = Some(epoch(number));
                    batch.outbox.push(outbox::Change::Peer(epoch(number)));
                }
                Step::PeerOutbox(number) => {
                    self.peer_outbox = Some(epoch(number));
                    self.marks.clear();
                    batch.inbox.push(InboxChange::Peer(epoch(number)));
                }
                Step::Mark(class, handled, verdicts) => {
                    let mark = InboxChange::Mark { class, handled, verdicts };
                    self.marks.insert(class, mark.clone());
                    batch.inbox.push(mark);
                }
            }
        }
        batch
    }

    fn kept(&self) -> Kept {
        Kept {
            outbox: self.epochs().outbox,
            inbox: self.epochs().inbox,
            peer_inbox: self.peer_inbox,
            next: self.next,
            rows: self.rows.values().cloned().collect(),
            peer_outbox: self.peer_outbox,
            marks: self.marks.values().cloned().collect(),
            issued: Vec::new(),
            executed: Vec::new(),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (class(), fresh()).prop_map(|(class, fresh)| Step::Put(class, fresh)),
        2 => class().prop_map(Step::DeleteOldest),
        1 => (1_u64..9).prop_map(Step::PeerInbox),
        1 => (1_u64..9).prop_map(Step::PeerOutbox),
        2 => (class(), numbers(), verdicts()).prop_map(|(class, numbers, verdicts)| {
            Step::Mark(class, numbers, verdicts)
        }),
    ]
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(&Class::ALL[..])
}

fn fresh() -> impl Strategy<Value = Fresh<Token>> {
    let expires = option::of((0_u64..100_000_000).prop_map(Duration::from_millis));
    let doubt = prop::sample::select(&[Doubt::SendAgain, Doubt::Surface][..]);
    let part = [CallPart::Request, CallPart::Answer, CallPart::Demand];
    let part = prop::sample::select(part.to_vec());
    let about = prop_oneof![
        Just(About::Event(channel())),
        (any::<u64>(), part).prop_map(|(it, part)| About::Call(Correlation::from_wire(it), part)),
    ];
    (bytes(), expires, doubt, any::<u64>(), about).prop_map(
        |(content, expires, doubt, id, about)| {
            let expires = expires.map(|span| now().instant.after(span));
            Fresh { content, expires, doubt, token: Token { id: MessageId(id), about } }
        },
    )
}

fn numbers() -> impl Strategy<Value = Numbers> {
    vec(1_u64..200, 0..40).prop_map(|all| {
        let mut numbers = Numbers::new();
        all.into_iter().for_each(|number| _ = numbers.insert(number));
        numbers
    })
}

fn verdicts() -> impl Strategy<Value = Vec<(u64, Verdict)>> {
    let verdict = (any::<u64>(), any::<u16>(), any::<u32>());
    vec(verdict.prop_map(|(number, code, detail)| (number, Verdict { code, detail })), 0..4)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn channel() -> ChannelName {
    ChannelName::new("backend.edge-7.policies").unwrap()
}

fn status() -> impl Strategy<Value = Status> {
    prop::sample::select(&Status::ALL[..])
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::None),
        bytes().prop_map(Effect::Result),
        (any::<u32>(), "[a-zé]{0,9}").prop_map(|(code, text)| {
            Effect::Failure(Failure::with_text(ErrorCode::Application(code), &text))
        }),
    ]
}

fn issued() -> impl Strategy<Value = IssuedRow> {
    let on_peer_lost = prop::sample::select(&[OnPeerLost::InDoubt, OnPeerLost::Redrive][..]);
    let times = (any::<u64>(), any::<u64>());
    (any::<[u8; 16]>(), status(), effect(), class(), times, on_peer_lost, option::of(bytes()))
        .prop_map(|(id, status, effect, class, times, on_peer_lost, payload)| IssuedRow {
            id: CommandId(id),
            status,
            effect,
            class,
            begin_by: UnixTime::from_secs(times.0),
            changed: UnixTime::from_secs(times.1),
            on_peer_lost,
            payload,
        })
}

fn executed() -> impl Strategy<Value = ExecutedRow> {
    let settled = (status(), effect(), any::<bool>());
    let stage = prop_oneof![
        bytes().prop_map(Stage::Begun),
        settled.prop_map(|(status, effect, is_told)| Stage::Settled { status, effect, is_told }),
    ];
    (any::<[u8; 16]>(), any::<u32>(), stage, class(), any::<u64>()).prop_map(
        |(id, version, stage, class, changed)| ExecutedRow {
            id: CommandId(id),
            version,
            stage,
            class,
            changed: UnixTime::from_secs(changed),
        },
    )
}

fn origin_of(peer: &PeerId) -> Origin {
    Origin {
        peer: peer.clone(),
        outbox: epoch(1),
        inbox: epoch(2),
        peer_inbox: None,
        peer_outbox: None,
        next: PerClass::from_fn(|_| 1),
    }
}
