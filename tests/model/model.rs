//! Resume, acknowledgement and deduplication, explored exhaustively: every order of submitting,
//! syncing, sending, overtaking, losing, copying, cutting and crashing that the budgets allow.
//!
//! The model knows numbers, sets and epochs; it knows no content, credit, time or attempts. RECEIVED
//! is left out: nothing rests on it but timers. A transport that keeps order is the case in which
//! nothing overtakes.
//!
//! Each mutated rule must be found wrong: a check that finds nothing might look at nothing.

mod side;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::side::{Doubt, Mutation, Store};
use crate::world::{DOUBT, Effect, Faults, GAP, LOST, Rules, STUCK, TWICE};

const DURABLE: [Store; 2] = [Store::Durable; 2];
const MEMORY: [Store; 2] = [Store::Memory; 2];
const CRASHES: Faults = Faults { crashes: [2, 2], cuts: 0, losses: 0, copies: 0 };
const NETWORK: Faults = Faults { crashes: [0, 1], cuts: 0, losses: 1, copies: 1 };
const EVERYTHING: Faults = Faults { crashes: [2, 2], cuts: 1, losses: 1, copies: 1 };
const FEW: Faults = Faults { crashes: [1, 1], cuts: 0, losses: 1, copies: 0 };
/// The side that submits each message.
const BOTH_WAYS: &[usize] = &[0, 0, 1];
const ONE_WAY: &[usize] = &[0, 0, 0];

#[test]
fn durable_sides_lose_and_repeat_nothing() {
    hold("durable, crashes", &Rules { origin: BOTH_WAYS, faults: CRASHES, ..rules(DURABLE) });
    hold("durable, network", &Rules { origin: ONE_WAY, faults: NETWORK, ..rules(DURABLE) });
    hold("durable, everything", &Rules { origin: &[0, 1], ..rules(DURABLE) });
}

#[test]
fn sides_without_a_disk_say_what_they_lost() {
    hold("memory, crashes", &Rules { origin: BOTH_WAYS, faults: CRASHES, ..rules(MEMORY) });
    hold("memory, network", &Rules { origin: ONE_WAY, faults: NETWORK, ..rules(MEMORY) });
    hold("memory, everything", &Rules { origin: &[0, 1], ..rules(MEMORY) });
}

#[test]
fn messages_in_doubt_may_be_surfaced_instead_of_sent_again() {
    let rules = Rules { doubt: Doubt::Surface, ..rules(MEMORY) };
    hold("memory, surface", &Rules { origin: BOTH_WAYS, faults: CRASHES, ..rules });
}

#[test]
fn one_side_may_have_a_disk_and_the_other_none() {
    let faults = Faults { crashes: [2, 2], ..FEW };
    let rules = Rules { origin: &[0, 1], faults, ..rules([Store::Durable, Store::Memory]) };
    hold("mixed", &rules);
    hold("mixed, surface", &Rules { doubt: Doubt::Surface, faults: CRASHES, ..rules });
}

#[test]
fn marks_that_a_crash_forgets_are_found() {
    find(Mutation::DedupNotDurable, DURABLE, TWICE);
}

#[test]
fn an_acknowledgement_before_the_handler_is_found() {
    find(Mutation::AckBeforeApply, DURABLE, LOST);
    find(Mutation::AckBeforeApply, MEMORY, LOST);
}

#[test]
fn an_acknowledgement_before_the_disk_is_found() {
    find(Mutation::AckBeforeFsync, DURABLE, LOST);
}

#[test]
fn a_number_used_again_after_a_crash_is_found() {
    find(Mutation::NumberReuse, DURABLE, LOST);
}

#[test]
fn a_message_sent_before_the_disk_is_found() {
    find(Mutation::SendBeforeFsync, DURABLE, LOST);
}

#[test]
fn a_message_sent_before_its_receiver_is_on_disk_is_found() {
    find(Mutation::PeerNotStored, [Store::Durable, Store::Memory], TWICE);
}

#[test]
fn a_lost_inbox_taken_for_the_old_one_is_found() {
    find(Mutation::InboxEpochIgnored, MEMORY, TWICE);
}

#[test]
fn a_lost_outbox_taken_for_the_old_one_is_found() {
    find(Mutation::OutboxEpochIgnored, MEMORY, GAP);
}

#[test]
fn marks_of_another_outbox_that_are_believed_are_found() {
    find(Mutation::ForeignMarks, MEMORY, LOST);
}

#[test]
fn a_session_that_sends_nothing_again_is_found() {
    find(Mutation::NoResend, DURABLE, STUCK);
}

#[test]
fn a_duplicate_that_is_not_acknowledged_again_is_found() {
    find(Mutation::SilentDuplicate, DURABLE, STUCK);
}

#[test]
fn a_doubt_that_names_too_few_is_found() {
    find(Mutation::NobodyInDoubt, MEMORY, DOUBT);
}

/// Why a handler whose effect is not in the store's transaction is given the message's key: a crash
/// between the effect and the mark repeats the effect.
#[test]
fn an_effect_outside_the_store_may_happen_twice() {
    let rules = Rules { effect: Effect::Outside, faults: FEW, ..rules(DURABLE) };
    found("effect outside", rules, TWICE);
}

fn rules(stores: [Store; 2]) -> Rules {
    Rules {
        stores,
        doubt: Doubt::Again,
        effect: Effect::WithMark,
        mutation: Mutation::None,
        origin: ONE_WAY,
        faults: EVERYTHING,
    }
}

/// Explores everything, and wants no counterexample.
fn hold(name: &str, rules: &Rules) {
    let start = Instant::now();
    let checker = rules.clone().checker().spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: {states} states, depth {depth}, {seconds:.1} s");
    checker.assert_properties();
}

/// Explores until a property fails under the mutation, and wants it to be this one.
fn find(mutation: Mutation, stores: [Store; 2], property: &'static str) {
    let rules = Rules { mutation, origin: &[0, 0], faults: FEW, ..rules(stores) };
    found(&format!("{mutation:?}"), rules, property);
}

fn found(name: &str, rules: Rules, property: &'static str) {
    let start = Instant::now();
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = rules.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    let (states, steps) = (checker.unique_state_count(), path.into_actions().len());
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}: not \"{property}\" after {steps} steps, {states} states, {seconds:.1} s");
}
