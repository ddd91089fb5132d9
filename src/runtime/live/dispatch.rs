//! Hands what the machine says to whoever waits for it. Runs under the lock of the link, and calls
//! nothing of the application's.

use std::sync::{Arc, Weak};

use super::link::Life;
use super::news::{Level, LinkEvent, Recovery};
use super::serve::{Job, Kind, start};
use super::shared::{Confirm, Core, Return, Shared};
use super::subscription::Message;
use crate::call::{
    AnswerEvent, CommandId, ErrorCode, Executed, ExecutorEvent, Failure, IssuerEvent, RequestEvent,
    Status, Stop,
};
use crate::channel::ChannelName;
use crate::delivery::inbox::PeerOutbox;
use crate::error::Undelivered;
use crate::ids::SessionId;
use crate::link::{DetachCause, Event, Fate, MessageId, Resumption, State, result};
use crate::session;

/// What an event asks of the driver.
pub(super) enum Wish {
    /// The session is gone: with it goes the transport.
    Part(DetachCause),
    /// Fresh entropy.
    Seed,
    /// The peer proved to have the session's keys.
    Confirmed,
}

/// Hands on one event. Returns what the driver has to do.
pub(super) fn dispatch(
    shared: &Arc<Shared>,
    life: &Weak<Life>,
    core: &mut Core,
    session: Option<SessionId>,
    event: Event,
) -> Option<Wish> {
    match event {
        Event::State(state) => enter(shared, core, state),
        Event::Resumed(resumption) => resumed(shared, core, session, &resumption),
        Event::Detached(cause) => {
            // The answers are gone with the session.
            core.managing.clear();
            shared.tell(core, LinkEvent::detached(cause));
            return Some(Wish::Part(cause));
        }
        Event::Session(event) => return heed(core, event),
        Event::Stored(id) => reached(core, id, Level::Stored),
        Event::Delivered(id) => reached(core, id, Level::Delivered),
        Event::Settled(id, fate) => settled(shared, core, id, fate),
        Event::Message(delivery) => {
            let now = shared.turn();
            if !core.counting.passes(&shared.channels, now, &delivery) {
                core.link.refused_as(delivery.id, result::DISABLED);
                return None;
            }
            Message::deliver(shared, delivery, &core.listeners, &mut core.unclaimed);
        }
        Event::Request(event) => requested(core, event),
        Event::Call { channel, event } => called(shared, life, core, channel, event),
        Event::Command(IssuerEvent::Changed { id, status, effect }) => {
            // Nothing follows most ends: who has the command keeps its last state.
            let is_final = status.is_settled() && status != Status::Unknown;
            if let Some(following) = core.commands.get(&id) {
                following.state.send_replace((status, effect));
            }
            if is_final
                && core.commands.get(&id).is_some_and(|following| following.stored.is_none())
            {
                core.commands.remove(&id);
            }
        }
        Event::Run { channel, event } => commanded(shared, life, core, channel, event),
        Event::Subscribed { subscription, code } => {
            if let Some(listener) = core.listeners.get(&subscription) {
                let answer = if code.is_done() { Ok(()) } else { Err(code.to_u16()) };
                listener.answer.send_replace(Some(answer));
            }
        }
        Event::Manage { request, change, channel } => {
            let by = shared.sides.role.opposite();
            let code = shared.channels.change_for_peer(by, change, &channel);
            core.link.managed(request, code);
        }
        Event::Managed { request, code } => {
            if let Some(told) = core.managing.remove(&request) {
                // Whoever asked may be gone.
                let _ = told.send(code.to_u16());
            }
        }
        Event::Datagram(_) => tracing::trace!("a datagram, which nobody reads"),
    }
    None
}

fn enter(shared: &Arc<Shared>, core: &mut Core, state: State) {
    shared.enter(state.into());
    match state {
        State::Draining => shared.tell(core, LinkEvent::Draining),
        State::Closed => {
            // Nobody answers any more; whoever waits hears it by the end of its channel.
            core.confirms.clear();
            core.requests.clear();
            core.commands.clear();
            core.managing.clear();
            core.calls.values().for_each(super::serve::Running::stop);
            core.listeners.values().for_each(|listener| listener.inbox.close());
            shared.room.notify_waiters();
            shared.tell(core, LinkEvent::Closed);
        }
        State::Detached | State::Connecting | State::Connected => {}
    }
}

fn resumed(
    shared: &Arc<Shared>,
    core: &mut Core,
    session: Option<SessionId>,
    resumption: &Resumption,
) {
    let Some(session) = session else { return };
    let recovery = Recovery::from(&resumption.outcome);
    let peer_outbox_reset = resumption.peer_outbox == PeerOutbox::Reset;
    if peer_outbox_reset {
        core.unclaimed.clear();
    }
    shared.tell(core, LinkEvent::Connected { session, recovery, peer_outbox_reset });
}

fn heed(core: &mut Core, event: session::Event) -> Option<Wish> {
    match event {
        session::Event::WantsSeed => Some(Wish::Seed),
        session::Event::Confirmed => Some(Wish::Confirmed),
        session::Event::GoAway { retry_after, spread } => {
            core.go_away = Some((retry_after, spread));
            None
        }
        _ => None,
    }
}

fn reached(core: &mut Core, id: MessageId, level: Level) {
    if core.confirms.get(&id).is_some_and(|confirm| confirm.level <= level) {
        confirm(core, id, Ok(level));
    }
}

fn settled(shared: &Arc<Shared>, core: &mut Core, id: MessageId, fate: Fate) {
    core.is_settling = true;
    match (fate, Undelivered::from_fate(fate)) {
        (Fate::Sent, _) => {}
        (_, None) => {
            confirm(core, id, Ok(Level::Processed));
        }
        (_, Some(why)) => {
            if !confirm(core, id, Err(why)) {
                shared.tell(core, LinkEvent::Undelivered { message: id.0, why });
            }
        }
    }
}

/// Tells whoever waits for a message. Returns whether somebody did.
fn confirm(core: &mut Core, id: MessageId, outcome: Result<Level, Undelivered>) -> bool {
    match core.confirms.remove(&id) {
        Some(Confirm { told, .. }) => told.send(outcome).is_ok(),
        None => false,
    }
}

fn requested(core: &mut Core, event: RequestEvent) {
    match event {
        RequestEvent::Item { correlation, payload, .. } => {
            if let Some(asking) = core.requests.get(&correlation) {
                asking.item(payload);
            }
        }
        RequestEvent::Progress { correlation, progress } => {
            if let Some(asking) = core.requests.get(&correlation) {
                asking.progress(progress);
            }
        }
        RequestEvent::Ended { correlation, outcome } => {
            if let Some(asking) = core.requests.remove(&correlation) {
                asking.end(outcome);
            }
        }
    }
}

fn called(
    shared: &Arc<Shared>,
    life: &Weak<Life>,
    core: &mut Core,
    channel: Option<ChannelName>,
    event: AnswerEvent,
) {
    match event {
        AnswerEvent::Opened { correlation, class, deadline, payload, .. } => {
            let kind = Kind::Call(correlation);
            let deadline = Some(deadline);
            let job = channel.map(|channel| Job {
                kind,
                channel,
                class,
                deadline,
                payload,
                is_again: false,
            });
            let peer = core.peer.clone();
            match job.and_then(|job| start(shared, life, peer, job)) {
                Some(running) => {
                    core.calls.insert(correlation, running);
                }
                None => {
                    let failure = Failure::new(ErrorCode::NoHandler);
                    // It was opened just now.
                    let _ = core.link.fail(shared.now(), correlation, &failure);
                }
            }
        }
        AnswerEvent::Stop { correlation, stop } => {
            // Those that owe no answer are forgotten; the others when they give it.
            let running = match stop {
                Stop::Withdrawn(_) => core.calls.get(&correlation),
                Stop::Deadline | Stop::Detached | Stop::CallerLost => {
                    core.calls.remove(&correlation).inspect(super::serve::Running::stop);
                    None
                }
            };
            if let Some(running) = running {
                running.stop();
            }
        }
        AnswerEvent::Room { correlation } => {
            if let Some(running) = core.calls.get(&correlation) {
                running.room();
            }
        }
    }
}

fn commanded(
    shared: &Arc<Shared>,
    life: &Weak<Life>,
    core: &mut Core,
    channel: Option<ChannelName>,
    event: ExecutorEvent,
) {
    match event {
        ExecutorEvent::Run { id, class, payload, is_again } => {
            let kind = Kind::Command(id);
            let job = channel.map(|channel| Job {
                kind,
                channel,
                class,
                deadline: None,
                payload,
                is_again,
            });
            let peer = core.peer.clone();
            match job.and_then(|job| start(shared, life, peer, job)) {
                Some(running) => {
                    core.running.insert(id, running);
                }
                None => {
                    let failed = Executed::Failed(Failure::new(ErrorCode::NoHandler));
                    // It was begun just now.
                    let _ = core.link.finish(shared.now(), id, failed);
                }
            }
        }
        ExecutorEvent::Stop { id } => {
            if let Some(running) = core.running.get(&id) {
                running.stop();
            }
        }
    }
}

/// Does what subscribers said of messages. Returns whether there was anything.
pub(super) fn settle(shared: &Shared, core: &mut Core, returns: &mut Vec<Return>) {
    shared.take_returns(returns);
    let now = shared.now();
    for word in returns.drain(..) {
        match word {
            Return::Taken(id, subscription) => core.link.taken(id, subscription),
            Return::Handled(id) => {
                core.link.handled(now, id);
            }
            Return::Refused(id, detail) => core.link.refused(id, detail),
        }
    }
}

/// A command that survives a crash from here on.
pub(super) fn stored(core: &mut Core, id: CommandId) {
    if let Some(told) = core.commands.get_mut(&id).and_then(|following| following.stored.take()) {
        // Whoever issued it may be gone.
        let _ = told.send(());
    }
}
