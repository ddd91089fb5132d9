//! The queue against naive models, and its bounds.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const APP: [Class; 4] = [Class::Critical, Class::High, Class::Normal, Class::Low];
const QUANTUM: usize = 16 * 1024;

#[test]
fn control_goes_before_everything() {
    let mut queue = unbounded();
    for class in Class::ALL.into_iter().rev() {
        put(&mut queue, class, 10, 0);
    }
    assert_eq!(order(&mut queue), Class::ALL);
}

/// PROTOCOL 8.59: in the midst of 64 MiB of bulk, a critical message is next.
#[test]
fn a_critical_message_overtakes_bulk_that_went_in_part() {
    let mut queue = unbounded();
    put(&mut queue, Class::Low, 64 << 20, 1);
    for _ in 0..100 {
        let part = queue.pop(START, no_gate, |_, _, _| Verdict::Part(QUANTUM));
        assert!(matches!(part, Some(Popped::Part(Class::Low, _))));
    }
    put(&mut queue, Class::Critical, 64, 2);
    assert_eq!(take(&mut queue, START), Some((Class::Critical, 2)));
}

#[test]
fn waiting_classes_share_eight_four_two_one() {
    let mut queue = unbounded();
    for _ in 0..1_000 {
        APP.into_iter().for_each(|class| put(&mut queue, class, 1_024, 0));
    }
    let mut sent = PerClass::<usize>::default();
    for _ in 0..1_440 {
        let (class, _) = take(&mut queue, START).unwrap();
        *sent.get_mut(class) += 1;
    }
    assert_eq!(APP.map(|class| *sent.get(class)), [768, 384, 192, 96]);
}

#[test]
fn critical_has_its_whole_share_after_the_others_were_gone() {
    let mut queue = unbounded();
    for _ in 0..8 {
        put(&mut queue, Class::Critical, QUANTUM, 0);
        take(&mut queue, START);
    }
    put(&mut queue, Class::Low, QUANTUM, 1);
    put(&mut queue, Class::Critical, QUANTUM, 2);
    assert_eq!(take(&mut queue, START), Some((Class::Critical, 2)));
}

#[test]
fn an_old_message_goes_before_younger_ones_but_critical() {
    let mut queue = unbounded();
    put(&mut queue, Class::Low, 10, 1);
    let late = START.after(Duration::from_millis(999));
    for class in [Class::High, Class::Critical] {
        put_at(&mut queue, late, class, 10, 2);
        put_at(&mut queue, late, class, 10, 3);
    }
    assert_eq!(take(&mut queue, late), Some((Class::Critical, 2)));
    assert_eq!(take(&mut queue, late.after(ONE)), Some((Class::Critical, 3)));
    assert_eq!(take(&mut queue, late), Some((Class::High, 2)));
    assert_eq!(take(&mut queue, late.after(ONE)), Some((Class::Low, 1)));
    assert_eq!(take(&mut queue, late.after(ONE)), Some((Class::High, 3)));
}

#[test]
fn the_oldest_of_the_aged_goes_first() {
    let mut queue = unbounded();
    put_at(&mut queue, START.after(ONE), Class::High, 10, 1);
    put(&mut queue, Class::Low, 10, 2);
    put_at(&mut queue, START.after(ONE), Class::Normal, 10, 3);
    let late = START.after(Duration::from_secs(10));
    let order: Vec<_> = (0..3).map(|_| take(&mut queue, late).unwrap().1).collect();
    assert_eq!(order, [2, 1, 3]);
}

#[test]
fn age_gives_no_class_more_than_its_share() {
    let mut queue = unbounded();
    (0..100).for_each(|_| put(&mut queue, Class::Low, QUANTUM, 0));
    (0..100).for_each(|_| put_at(&mut queue, START.after(ONE), Class::High, QUANTUM, 0));
    let late = START.after(Duration::from_secs(100));
    let sent: Vec<_> = (0..100).map(|_| take(&mut queue, late).unwrap().0).collect();
    assert_eq!(sent.iter().filter(|class| **class == Class::Low).count(), 20);
}

#[test]
fn each_class_has_room_that_no_less_urgent_one_can_take() {
    let mut queue = Queue::new(Bounds { messages: 1_000, bytes: 1 << 20 });
    for (class, most) in
        [(Class::Low, 700), (Class::Normal, 800), (Class::High, 900), (Class::Critical, 1_000)]
    {
        let fill = || queue.push(START, entry(class, 1, 0)).is_ok();
        let accepted = std::iter::repeat_with(fill).take(2_000).filter(|ok| *ok).count();
        assert_eq!(accepted, most - if most == 700 { 0 } else { most - 100 }, "{class:?}");
        assert_eq!(queue.len(), most);
        assert!(
            matches!(queue.push(START, entry(class, 1, 7)), Err(Refused::Full(entry)) if entry.item == 7)
        );
    }
    assert!(queue.push(START, entry(Class::Control, 1, 0)).is_ok());
}

#[test]
fn bytes_are_bounded_as_messages_are() {
    let mut queue = Queue::new(Bounds { messages: 1_000, bytes: 1_000 });
    assert!(matches!(queue.push(START, entry(Class::Low, 701, 0)), Err(Refused::TooLarge(_))));
    put(&mut queue, Class::Low, 700, 0);
    assert!(matches!(queue.push(START, entry(Class::Low, 1, 0)), Err(Refused::Full(_))));
    put(&mut queue, Class::Critical, 300, 0);
    assert!(matches!(queue.push(START, entry(Class::Critical, 1, 0)), Err(Refused::Full(_))));
    take(&mut queue, START);
    put(&mut queue, Class::Critical, 300, 0);
}

#[test]
fn the_default_bound_is_a_thousand_messages_and_four_mebibytes() {
    let mut queue = Queue::new(Bounds::default());
    (0..1_000).for_each(|_| put(&mut queue, Class::Critical, 4_000, 0));
    assert!(matches!(queue.push(START, entry(Class::Critical, 1, 0)), Err(Refused::Full(_))));
    let mut queue = Queue::new(Bounds::default());
    (0..4).for_each(|_| put(&mut queue, Class::Critical, 1 << 20, 0));
    assert!(matches!(queue.push(START, entry(Class::Critical, 1, 0)), Err(Refused::Full(_))));
}

#[test]
fn control_is_bounded_by_itself() {
    let mut queue = Queue::new(Bounds::default());
    (0..256).for_each(|_| put(&mut queue, Class::Control, 256, 0));
    assert!(matches!(queue.push(START, entry(Class::Control, 0, 0)), Err(Refused::Full(_))));
    let large = queue.push(START, entry(Class::Control, 65_537, 0));
    assert!(matches!(large, Err(Refused::TooLarge(_))));
    assert!(queue.push(START, entry(Class::Low, 1, 0)).is_ok());
}

#[test]
fn a_part_holds_its_room_until_the_rest_went() {
    let mut queue = Queue::new(Bounds { messages: 10, bytes: 1_000 });
    put(&mut queue, Class::Critical, 1_000, 1);
    let mut left = Vec::new();
    let _ = queue.pop(START, no_gate, |_, _, bytes| {
        left.push(bytes);
        Verdict::Part(600)
    });
    assert_eq!(queue.load(Class::Critical), Load { messages: 1, bytes: 1_000 });
    let whole = queue.pop(START, no_gate, |_, _, bytes| {
        left.push(bytes);
        Verdict::Take
    });
    assert!(matches!(whole, Some(Popped::Whole(Class::Critical, 1))));
    assert_eq!(left, [1_000, 400]);
    assert_eq!(queue.load(Class::Critical), Load::default());
}

#[test]
fn what_went_in_part_is_finished_before_its_class_goes_on() {
    let mut queue = unbounded();
    put(&mut queue, Class::Low, 100, 1);
    put(&mut queue, Class::Low, 100, 2);
    for _ in 0..3 {
        let part = queue.pop(START, no_gate, |_, _, _| Verdict::Part(30));
        assert!(matches!(part, Some(Popped::Part(Class::Low, &mut 1))));
        let blocked = queue.pop(START, |_| Some(Gate(1)), |_, _, _| Verdict::Park);
        assert_eq!(blocked, None);
    }
    assert_eq!(take(&mut queue, START), Some((Class::Low, 1)));
    assert_eq!(take(&mut queue, START), Some((Class::Low, 2)));
}

#[test]
fn what_went_in_part_neither_expires_nor_can_be_taken_back() {
    let mut queue = unbounded();
    let soon = START.after(ONE);
    let expiring = Entry { expires: Some(soon), key: Some(Key(1)), ..entry(Class::Low, 100, 1) };
    let ticket = queue.push(START, expiring).unwrap();
    let _ = queue.pop(START, no_gate, |_, _, _| Verdict::Part(30));
    assert_eq!(queue.next_expiry(), None);
    assert_eq!(queue.expire(soon), None);
    assert_eq!(queue.remove(ticket), None);
    assert_eq!(queue.latest(Class::Low, Key(1)), None);
    assert_eq!(queue.oldest(Class::Low), None);
    assert_eq!(take(&mut queue, soon), Some((Class::Low, 1)));
}

#[test]
fn after_a_detach_a_part_begins_anew_and_may_expire() {
    let mut queue = unbounded();
    let soon = START.after(ONE);
    let expiring = Entry { expires: Some(soon), ..entry(Class::Low, 100, 1) };
    let ticket = queue.push(START, expiring).unwrap();
    let _ = queue.pop(START, no_gate, |_, _, _| Verdict::Part(30));
    let mut restarted = Vec::new();
    queue.detach(|class, item| restarted.push((class, *item)));
    assert_eq!(restarted, [(Class::Low, 1)]);
    let mut left = 0;
    let stopped = queue.pop(START, no_gate, |_, _, bytes| {
        left = bytes;
        Verdict::Stop
    });
    assert_eq!((stopped, left), (None, 100));
    assert_eq!(queue.next_expiry(), Some(soon));
    assert_eq!(queue.remove(ticket), Some(1));
}

#[test]
fn an_expired_entry_is_never_sent() {
    let mut queue = unbounded();
    let soon = START.after(ONE);
    put(&mut queue, Class::Control, 10, 1);
    let expiring = Entry { expires: Some(soon), ..entry(Class::Low, 10, 2) };
    let _ = queue.push(START, expiring).unwrap();
    assert_eq!(queue.next_expiry(), Some(soon));
    let popped = queue.pop(soon, no_gate, |_, _, _| Verdict::Take);
    assert_eq!(popped, Some(Popped::Expired(Class::Low, 2)));
    assert_eq!(queue.next_expiry(), None);
    assert_eq!(take(&mut queue, soon), Some((Class::Control, 1)));
}

#[test]
fn expiry_reaches_what_is_set_aside() {
    let mut queue = unbounded();
    let soon = START.after(ONE);
    let expiring = Entry { expires: Some(soon), ..entry(Class::Low, 10, 1) };
    let _ = queue.push(START, expiring).unwrap();
    put(&mut queue, Class::Low, 10, 2);
    assert_eq!(queue.pop(START, |_| Some(Gate(1)), |_, _, _| Verdict::Park), None);
    assert_eq!(queue.expire(soon), Some((Class::Low, 1)));
    assert_eq!(queue.expire(soon), None);
    queue.open(Gate(1));
    assert_eq!(take(&mut queue, soon), Some((Class::Low, 2)));
    assert_eq!(queue.lanes.count(), 1);
    assert_eq!(take(&mut queue, soon), None);
    assert_eq!(queue.lanes.count(), 0);
}

#[test]
fn a_ticket_stands_for_its_own_entry_only() {
    let mut queue = unbounded();
    let first = queue.push(START, entry(Class::Low, 10, 1)).unwrap();
    take(&mut queue, START);
    let second = queue.push(START, entry(Class::Low, 10, 2)).unwrap();
    assert_eq!(first.slot, second.slot);
    assert_eq!(queue.remove(first), None);
    assert_eq!(queue.remove(second), Some(2));
    assert!(queue.is_empty());
}

#[test]
fn a_replaced_entry_has_a_new_ticket_and_the_old_turn() {
    let mut queue = unbounded();
    let keyed = |item, key| Entry { key: Some(Key(key)), ..entry(Class::Low, 10, item) };
    let first = queue.push(START, keyed(1, 1)).unwrap();
    put(&mut queue, Class::Low, 10, 2);
    let (ticket, older) = queue.replace(first, keyed(3, 9)).unwrap();
    assert_eq!(older, 1);
    assert_eq!(queue.remove(first), None);
    assert_eq!(queue.latest(Class::Low, Key(1)), None);
    assert_eq!(queue.latest(Class::Low, Key(9)), Some(ticket));
    assert_eq!(take(&mut queue, START), Some((Class::Low, 3)));
    assert_eq!(queue.latest(Class::Low, Key(9)), None);
}

#[test]
fn an_idle_queue_gives_its_memory_back() {
    let mut queue = unbounded();
    (0..100).for_each(|item| put(&mut queue, Class::Low, 10, item));
    assert_eq!(queue.pop(START, |item| Some(Gate(*item)), |_, _, _| Verdict::Park), None);
    queue.shrink();
    (0..100).for_each(|item| queue.open(Gate(item)));
    assert!((0..100).all(|item| take(&mut queue, START) == Some((Class::Low, item))));
    assert_eq!(take(&mut queue, START), None);
    queue.shrink();
    put(&mut queue, Class::Low, 10, 1);
    assert_eq!(take(&mut queue, START), Some((Class::Low, 1)));
}

/// A gate without credit costs each entry one look, however many wait and however often others go.
#[test]
fn what_is_set_aside_is_not_looked_at_again() {
    let mut queue = unbounded();
    (0..10_000).for_each(|_| put(&mut queue, Class::Normal, 10, 1));
    let mut looks = 0;
    let mut pop = |queue: &mut Queue<u32>| {
        let judge = |_, item: &mut u32, _| {
            looks += 1;
            if *item == 1 { Verdict::Park } else { Verdict::Take }
        };
        queue.pop(START, gate_by_item, judge).is_some()
    };
    assert!(!pop(&mut queue));
    for _ in 0..1_000 {
        put(&mut queue, Class::Normal, 10, 2);
        assert!(pop(&mut queue));
        queue.open(Gate(1));
        assert!(!pop(&mut queue));
    }
    assert_eq!(looks, 1 + 1_000 + 1_000);
}

/// Who would have to wait that has to wait for nothing is not held back.
#[test]
fn a_closed_gate_holds_back_no_other() {
    let mut queue = unbounded();
    for item in [1, 2, 1, 0, 2] {
        put(&mut queue, Class::Normal, 10, item);
    }
    let judge = |_, item: &mut u32, _| if *item == 1 { Verdict::Park } else { Verdict::Take };
    let mut sent = Vec::new();
    while let Some(Popped::Whole(_, item)) = queue.pop(START, gate_by_item, judge) {
        sent.push(item);
    }
    assert_eq!(sent, [2, 0, 2]);
    assert_eq!(queue.len(), 2);
}

/// A gate with little credit lets no small entry go before the large one that waits there.
#[test]
fn nothing_overtakes_at_its_own_gate() {
    let mut queue = unbounded();
    put(&mut queue, Class::Normal, 1_000, 1);
    put(&mut queue, Class::Normal, 10, 1);
    put(&mut queue, Class::Normal, 10, 2);
    let judge = |_, _: &mut u32, bytes| if bytes > 100 { Verdict::Park } else { Verdict::Take };
    let popped = queue.pop(START, gate_by_item, judge);
    assert_eq!(popped, Some(Popped::Whole(Class::Normal, 2)));
    assert_eq!(queue.pop(START, gate_by_item, judge), None);
    queue.open(Gate(1));
    let first = queue.pop(START, gate_by_item, |_, _, bytes| {
        assert_eq!(bytes, 1_000);
        Verdict::Take
    });
    assert_eq!(first, Some(Popped::Whole(Class::Normal, 1)));
    assert_eq!(take(&mut queue, START), Some((Class::Normal, 1)));
}

#[test]
fn a_skipped_class_is_asked_again_at_the_next_pop() {
    let mut queue = unbounded();
    put(&mut queue, Class::High, 10, 1);
    put(&mut queue, Class::Low, 10, 2);
    let judge = |class, _: &mut u32, _| {
        if class == Class::High { Verdict::Skip } else { Verdict::Take }
    };
    assert_eq!(queue.pop(START, no_gate, judge), Some(Popped::Whole(Class::Low, 2)));
    assert_eq!(queue.pop(START, no_gate, judge), None);
    assert_eq!(take(&mut queue, START), Some((Class::High, 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    /// While others keep coming, the first of a class waits for less than the bound that the module
    /// states, whatever goes whole or in parts, and with ageing on or off.
    #[test]
    fn no_class_waits_for_more_bytes_than_its_bound(
        waiting in 0_usize..4,
        aged in any::<bool>(),
        before in prop::collection::vec((0_usize..4, 1_usize..=QUANTUM), 0..60),
        sizes in prop::collection::vec(1_usize..=3 * QUANTUM, 1..50),
    ) {
        let class = APP[waiting];
        let weight = [8, 4, 2, 1][waiting];
        let mut queue = unbounded();
        for (other, bytes) in before {
            put(&mut queue, APP[other], bytes, 1);
            pop_piece(&mut queue, START);
        }
        // A backlog of all, of which the one that will wait spends its share to any point.
        let mut sizes = sizes.into_iter().cycle();
        for other in APP {
            put(&mut queue, other, sizes.next().unwrap(), 1);
        }
        let spend = sizes.next().unwrap() % 12;
        for _ in 0..spend {
            put(&mut queue, class, sizes.next().unwrap() % QUANTUM + 1, 1);
            pop_piece(&mut queue, START);
        }
        let now = if aged { START.after(Duration::from_secs(9)) } else { START };
        let mut waited = 0;
        for _ in 0..300 {
            for other in APP {
                put_at(&mut queue, START.after(ONE), other, sizes.next().unwrap(), 1);
            }
            let (sent, bytes) = pop_piece(&mut queue, now).unwrap();
            waited = if sent == class { 0 } else { waited + bytes };
            let entries = if class == Class::Critical { 3 } else { 6 };
            let quanta = if class == Class::Critical { 7 } else { 2 * (15 - weight) };
            prop_assert!(waited < quanta * QUANTUM + entries * QUANTUM, "{:?} waited {}", class, waited);
        }
    }

    /// Against a list for each class.
    #[test]
    fn the_queue_does_what_lists_do(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let bounds = Bounds { messages: 40, bytes: 4_000 };
        let mut queue = Queue::new(bounds);
        let mut model: Vec<Waiting> = Vec::new();
        let mut now = START;
        for (serial, step) in steps.into_iter().enumerate() {
            let serial = serial as u32;
            match step {
                Step::Push { class, bytes, life } => {
                    let expires = life.map(|life| now.after(Duration::from_secs(life)));
                    let pushed = queue.push(now, Entry { class, bytes, expires, key: None, item: serial });
                    let (messages, sum) = load(&model, class);
                    let most = bounds.of(class);
                    let fits = messages < most.messages && sum + bytes <= most.bytes;
                    prop_assert_eq!(pushed.is_ok(), fits);
                    if let Ok(ticket) = pushed {
                        model.push(Waiting { class, bytes, expires, item: serial, ticket });
                    }
                }
                Step::Pop => {
                    let popped = queue.pop(now, no_gate, |_, _, _| Verdict::Take);
                    let Some(popped) = popped else {
                        prop_assert!(model.is_empty());
                        continue;
                    };
                    let is_over = |waiting: &Waiting| waiting.expires.is_some_and(|at| at <= now);
                    let (item, expected) = match popped {
                        Popped::Whole(class, item) => {
                            prop_assert!(!model.iter().any(is_over));
                            let control = model.iter().any(|other| other.class == Class::Control);
                            prop_assert!(!control || class == Class::Control);
                            (item, model.iter().position(|other| other.class == class))
                        }
                        Popped::Expired(_, item) => {
                            let first = model.iter().filter_map(|other| other.expires).min();
                            let found = model.iter().position(|other| other.item == item);
                            (item, found.filter(|at| is_over(&model[*at]) && model[*at].expires == first))
                        }
                        Popped::Part(..) => unreachable!("nothing goes in part here"),
                    };
                    let gone = model.remove(expected.unwrap());
                    prop_assert_eq!(gone.item, item);
                }
                Step::Remove(index) if !model.is_empty() => {
                    let gone = model.remove(index.index(model.len()));
                    prop_assert_eq!(queue.remove(gone.ticket), Some(gone.item));
                    prop_assert_eq!(queue.remove(gone.ticket), None);
                }
                Step::Remove(_) => {}
                Step::Replace(index, bytes) if !model.is_empty() => {
                    let index = index.index(model.len());
                    let Waiting { class, bytes: before, ticket, item, .. } = model[index];
                    let new = Entry { class, bytes, expires: None, key: None, item: serial };
                    let (_, sum) = load(&model, class);
                    let fits = bytes <= before || sum - before + bytes <= bounds.of(class).bytes;
                    match queue.replace(ticket, new) {
                        Ok((ticket, older)) => {
                            prop_assert!(fits);
                            prop_assert_eq!(older, item);
                            model[index] = Waiting { class, bytes, expires: None, item: serial, ticket };
                        }
                        Err(_) => prop_assert!(!fits),
                    }
                }
                Step::Replace(..) => {}
                Step::Pass(seconds) => now = now.after(Duration::from_secs(seconds)),
            }
            prop_assert_eq!(queue.next_expiry(), model.iter().filter_map(|other| other.expires).min());
            for class in Class::ALL {
                let of_class = || model.iter().filter(|other| other.class == class);
                let expected = Load { messages: of_class().count(), bytes: of_class().map(|other| other.bytes).sum() };
                prop_assert_eq!(queue.load(class), expected);
                prop_assert_eq!(queue.oldest(class), of_class().next().map(|other| other.ticket));
            }
        }
    }

    /// Against a list in which every look is taken anew.
    #[test]
    fn gates_keep_the_order_of_their_own_and_hold_back_nobody_else(
        steps in prop::collection::vec((0_u8..10, 0_u32..4, 0_usize..2, any::<prop::sample::Index>()), 1..400),
    ) {
        let mut queue = unbounded();
        // Class, gate and ticket of what waits; an item is ten times its serial and its gate.
        let mut model: Vec<(Class, u32, u32, Ticket)> = Vec::new();
        let mut closed = BTreeSet::new();
        let mut begun = PerClass::<Option<u32>>::default();
        for (serial, (what, gate, class, index)) in steps.into_iter().enumerate() {
            let class = [Class::High, Class::Low][class];
            match what {
                0..=3 => {
                    let item = serial as u32 * 10 + gate;
                    let ticket = queue.push(START, entry(class, 10, item)).unwrap();
                    model.push((class, gate, item, ticket));
                }
                4..=6 => {
                    let part = what == 6;
                    let judge = |_, item: &mut u32, _| match () {
                        () if closed.contains(&(*item % 10)) => Verdict::Park,
                        () if part => Verdict::Part(1),
                        () => Verdict::Take,
                    };
                    let popped = queue.pop(START, |item| (item % 10 > 0).then_some(Gate(item % 10)), judge);
                    let (class, item, whole) = match popped {
                        Some(Popped::Whole(class, item)) => (class, item, true),
                        Some(Popped::Part(class, item)) => (class, *item, false),
                        Some(Popped::Expired(..)) => unreachable!("nothing expires here"),
                        None => {
                            for (class, gate, ..) in &model {
                                let held = begun.get(*class).map_or(*gate, |item| item % 10);
                                prop_assert!(held > 0 && closed.contains(&held));
                            }
                            continue;
                        }
                    };
                    let gate = item % 10;
                    prop_assert!(!closed.contains(&gate));
                    prop_assert!(begun.get(class).is_none_or(|begun| begun == item));
                    let first = model.iter().position(|other| (other.0, other.1) == (class, gate)).unwrap();
                    prop_assert_eq!(model[first].2, item);
                    *begun.get_mut(class) = (!whole).then_some(item);
                    if whole {
                        model.remove(first);
                    }
                }
                7 if gate > 0 => {
                    if !closed.remove(&gate) {
                        closed.insert(gate);
                    } else {
                        queue.open(Gate(gate));
                    }
                }
                8 if !model.is_empty() => {
                    let at = index.index(model.len());
                    let (class, _, item, ticket) = model[at];
                    if *begun.get(class) == Some(item) {
                        prop_assert_eq!(queue.remove(ticket), None);
                    } else {
                        prop_assert_eq!(queue.remove(ticket), Some(item));
                        model.remove(at);
                    }
                }
                9 if gate == 0 => {
                    closed.clear();
                    begun = PerClass::default();
                    queue.detach(|_, _| {});
                }
                _ => {}
            }
            prop_assert!(queue.lanes.count() <= 6);
        }
        queue.detach(|_, _| {});
        for class in [Class::High, Class::Low] {
            for gate in 0..4 {
                let left: Vec<_> = model.iter().filter(|other| (other.0, other.1) == (class, gate)).map(|other| other.2).collect();
                let judge = |popped, item: &mut u32, _| match () {
                    () if popped != class => Verdict::Skip,
                    () if *item % 10 == gate => Verdict::Take,
                    () => Verdict::Park,
                };
                let mut sent = Vec::new();
                while let Some(Popped::Whole(_, item)) = queue.pop(START, |item| Some(Gate(item % 10)), judge) {
                    sent.push(item);
                }
                prop_assert_eq!(sent, left);
                (0..4).for_each(|gate| queue.open(Gate(gate)));
            }
        }
        prop_assert!(queue.is_empty());
    }
}

const START: Instant = Instant::from_nanos(1_000_000_000);
const ONE: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
struct Waiting {
    class: Class,
    bytes: usize,
    expires: Option<Instant>,
    item: u32,
    ticket: Ticket,
}

#[derive(Clone, Debug)]
enum Step {
    Push { class: Class, bytes: usize, life: Option<u64> },
    Pop,
    Remove(prop::sample::Index),
    Replace(prop::sample::Index, usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let push = (0_usize..5, 0_usize..500, prop::option::of(1_u64..20))
        .prop_map(|(class, bytes, life)| Step::Push { class: Class::ALL[class], bytes, life });
    prop_oneof![
        5 => push,
        3 => Just(Step::Pop),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (any::<prop::sample::Index>(), 0_usize..500).prop_map(|(at, bytes)| Step::Replace(at, bytes)),
        1 => (0_u64..5).prop_map(Step::Pass),
    ]
}

/// What counts in the bound of a class.
fn load(model: &[Waiting], class: Class) -> (usize, usize) {
    let control = class == Class::Control;
    let counted = model.iter().filter(|other| (other.class == Class::Control) == control);
    counted.fold((0, 0), |(count, sum), other| (count + 1, sum + other.bytes))
}

fn unbounded() -> Queue<u32> {
    Queue::new(Bounds { messages: 1 << 20, bytes: 1 << 40 })
}

fn entry(class: Class, bytes: usize, item: u32) -> Entry<u32> {
    Entry { class, bytes, expires: None, key: None, item }
}

fn put(queue: &mut Queue<u32>, class: Class, bytes: usize, item: u32) {
    put_at(queue, START, class, bytes, item);
}

fn put_at(queue: &mut Queue<u32>, now: Instant, class: Class, bytes: usize, item: u32) {
    assert!(queue.push(now, entry(class, bytes, item)).is_ok());
}

fn no_gate(_: &u32) -> Option<Gate> {
    None
}

fn gate_by_item(item: &u32) -> Option<Gate> {
    (*item > 0).then_some(Gate(*item))
}

fn take(queue: &mut Queue<u32>, now: Instant) -> Option<(Class, u32)> {
    match queue.pop(now, no_gate, |_, _, _| Verdict::Take)? {
        Popped::Whole(class, item) => Some((class, item)),
        other => panic!("{other:?}"),
    }
}

fn order(queue: &mut Queue<u32>) -> Vec<Class> {
    std::iter::from_fn(|| take(queue, START)).map(|(class, _)| class).collect()
}

/// Sends one quantum of what is next at most. Returns what went.
fn pop_piece(queue: &mut Queue<u32>, now: Instant) -> Option<(Class, usize)> {
    let mut sent = 0;
    let popped = queue.pop(now, no_gate, |_, _, left| {
        sent = left.min(QUANTUM);
        if left <= QUANTUM { Verdict::Take } else { Verdict::Part(QUANTUM) }
    });
    match popped? {
        Popped::Whole(class, _) => Some((class, sent)),
        Popped::Part(class, _) => Some((class, sent)),
        Popped::Expired(..) => None,
    }
}
