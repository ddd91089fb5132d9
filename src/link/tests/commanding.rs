//! Commands over a link, one fact at a time, and every cut and crash on their way.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::disk::Disk;
use super::pair::{Two, all, channel, epoch, moment, who};
use crate::call::{
    Answering, Ask, Command, CommandBody, CommandId, CommandOp, Effect, ErrorCode, Executed,
    ExecutorError, ExecutorEvent, Failure, IssueError, IssuerEvent, OnCrash, OnDetach, OnPeerLost,
    Status, Violation,
};
use crate::channel::{Act, Policy, Rule};
use crate::delivery::credit::Amount;
use crate::delivery::outbox::Capacity;
use crate::delivery::word::Durability;
use crate::link::{
    About, CallPart, CommandError, CommandPart, Config, Event, Link, LinkError, State,
};
use crate::priority::Class;
use crate::session::CloseCode;
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::{Label, put_message};

const ID: CommandId = CommandId([7; 16]);
/// A report that it runs goes in front of the word that it is stored.
const WAY: [Status; 3] = [Status::Sent, Status::Running, Status::Succeeded];
/// Who commands, and who is commanded.
const BACKEND: usize = 1;
const AGENT: usize = 0;

#[test]
fn a_command_runs_on_its_channel_and_its_issuer_hears_each_step() {
    let mut post = Post::in_memory();
    post.order();
    post.finish_all();
    assert_eq!((post.runs, &post.way[..]), (1, &WAY[..]));
    assert_eq!(post.two.links.each_ref().map(Link::load), [(0, 0); 2]);
    assert!(post.two.links[BACKEND].poll_changes().is_none(), "there is no store");
    assert!(post.two.links[AGENT].poll_changes().is_none(), "there is no store");
}

/// proto-spec: the row of the command is stored, and that of the report that it runs is not.
#[test]
fn a_command_is_delivered_when_its_executor_has_stored_it() {
    let mut post = Post::durable(OnCrash::Report);
    post.order();
    let batch = post.two.links[BACKEND].poll_changes().unwrap();
    post.two.links[BACKEND].stored(post.two.now, batch.number);
    post.two.settle();
    post.tick(Duration::from_millis(50));
    post.two.settle();
    post.hear();
    assert_eq!((post.runs, post.status()), (0, Some(Status::Sent)));
    let batch = post.two.links[AGENT].poll_changes().unwrap();
    post.two.links[AGENT].stored(post.two.now, batch.number);
    post.two.settle();
    post.hear();
    assert_eq!((post.runs, post.status()), (1, Some(Status::Delivered)));
}

/// proto-spec: the last record before each cut is lost.
#[test]
fn a_command_runs_once_wherever_the_link_is_cut() {
    for steps in 0.. {
        let mut post = Post::durable(OnCrash::Report);
        post.order();
        let is_over = !post.take(steps);
        post.cut();
        post.finish_all();
        assert_eq!((post.runs, post.status()), (1, Some(Status::Succeeded)), "cut at {steps}");
        let ends = post.way.iter().filter(|status| status.is_settled()).count();
        assert_eq!(ends, 1, "cut at {steps}: {:?}", post.way);
        if is_over {
            assert!(steps > 8, "a command takes more than {steps} steps");
            break;
        }
    }
}

/// proto-spec
#[test]
fn a_command_that_was_stored_outlives_its_issuer_wherever_that_dies() {
    for steps in 0.. {
        let mut post = Post::durable(OnCrash::Report);
        post.order();
        let is_over = !post.take(steps);
        let is_kept = post.disks[BACKEND].issued(ID).is_some();
        post.restart(BACKEND);
        post.finish_all();
        let expected = is_kept.then_some(Status::Succeeded);
        assert_eq!((post.runs, post.status()), (u32::from(is_kept), expected), "dies at {steps}");
        if is_over {
            break;
        }
    }
}

/// proto-spec, [Q-23]
#[test]
fn a_command_runs_once_or_again_as_its_executor_says_wherever_that_dies() {
    for on_crash in [OnCrash::Report, OnCrash::Rerun] {
        let mut unknown = 0;
        for steps in 0.. {
            let mut post = Post::durable(on_crash);
            post.order();
            let is_over = !post.take(steps);
            let is_run = post.runs;
            post.restart(AGENT);
            post.finish_all();
            let status = post.status().unwrap();
            match on_crash {
                OnCrash::Report => {
                    assert!(post.runs <= 1, "it runs twice, dies at {steps}");
                    let ends = [Status::Succeeded, Status::Unknown];
                    assert!(ends.contains(&status), "{status:?}, dies at {steps}");
                    assert!(status == Status::Unknown || post.runs == 1, "dies at {steps}");
                }
                OnCrash::Rerun => {
                    assert_eq!(status, Status::Succeeded, "dies at {steps}");
                    assert!(post.runs >= 1 && post.runs <= is_run + 1, "dies at {steps}");
                }
            }
            unknown += u32::from(status == Status::Unknown);
            if is_over {
                break;
            }
        }
        assert_eq!(unknown > 0, on_crash == OnCrash::Report, "{on_crash:?} {unknown}");
    }
}

#[test]
fn a_command_waits_for_an_agent_that_is_offline() {
    let mut post = Post::offline(OnCrash::Report);
    post.order();
    post.sleep(60);
    post.restart_offline(BACKEND);
    assert_eq!(post.status(), Some(Status::Queued));
    post.sleep(30);
    post.two.attach();
    post.finish_all();
    assert_eq!((post.runs, &post.way[..]), (1, &WAY[..]));
}

#[test]
fn the_store_learns_what_each_message_is_about() {
    let mut post = Post::offline(OnCrash::Report);
    post.order();
    let ask = Ask {
        payload: "what?".into(),
        class: Class::Low,
        time: Duration::from_secs(10),
        answering: Answering::One,
        on_detach: OnDetach::Redrive,
        on_peer_lost: OnPeerLost::InDoubt,
    };
    let to = channel(BACKEND, "policies");
    let asked = post.two.links[BACKEND].request(post.two.now, to, ask).unwrap();
    post.settle();
    let request = About::Call(asked, CallPart::Request);
    assert_eq!(post.disks[BACKEND].abouts(), [About::Command(ID, CommandPart::Run), request]);
}

#[test]
fn a_command_that_expires_while_it_is_queued_is_never_sent() {
    let mut post = Post::offline(OnCrash::Report);
    post.order();
    post.sleep(99);
    assert_eq!(post.status(), Some(Status::Queued));
    post.sleep(1);
    post.two.attach();
    post.finish_all();
    assert_eq!((post.runs, &post.way[..]), (0, &[Status::Expired][..]));
    assert_eq!(post.disks[BACKEND].messages().count(), 0);
}

#[test]
fn a_command_that_is_withdrawn_while_it_is_queued_is_never_sent() {
    let mut post = Post::offline(OnCrash::Report);
    post.order();
    post.settle();
    post.cancel();
    assert_eq!(post.two.links[BACKEND].load(), (0, 0));
    post.two.attach();
    post.finish_all();
    assert_eq!((post.runs, &post.way[..]), (0, &[Status::Cancelled][..]));
    assert_eq!(post.disks[BACKEND].messages().count(), 0);
    post.two.links[BACKEND].forget_command(ID);
    post.finish_all();
    assert_eq!((post.status(), post.disks[BACKEND].issued(ID)), (None, None));
}

/// proto-spec, [Q-27]: what is withdrawn ends once, and what its issuer calls cancelled by itself never
/// runs; with a crash of the issuer in front of it, too.
#[test]
fn a_command_may_be_withdrawn_at_each_step() {
    let mut ends = std::collections::BTreeSet::new();
    for crashes in [false, true] {
        for steps in 0.. {
            let mut post = Post::durable(OnCrash::Report);
            post.stops = true;
            post.order();
            let is_over = !post.take(steps);
            if crashes && post.disks[BACKEND].issued(ID).is_some() {
                post.restart(BACKEND);
            }
            let was_queued = post.status() == Some(Status::Queued);
            post.cancel();
            post.finish_all();
            let status = post.status().unwrap();
            assert!(!was_queued || (post.runs, status) == (0, Status::Cancelled), "at {steps}");
            assert!(status.is_settled() && status != Status::Unknown, "{status:?} at {steps}");
            ends.insert((status, post.runs));
            if is_over {
                break;
            }
        }
    }
    for end in [(Status::Cancelled, 0), (Status::Cancelled, 1), (Status::Succeeded, 1)] {
        assert!(ends.contains(&end), "no {end:?} in {ends:?}");
    }
}

/// proto-spec: a message that was begun is finished, so it cannot be taken back.
#[test]
fn a_command_of_which_a_piece_went_has_left() {
    let mut post = Post::in_memory();
    let command = Command { payload: vec![7; 40_000].into(), ..command() };
    post.two.links[BACKEND].command(post.two.now, channel(BACKEND, "policies"), command).unwrap();
    let first = post.two.record(BACKEND).unwrap();
    post.two.give(AGENT, first).unwrap();
    assert_eq!(post.status(), Some(Status::Sent));
    post.two.links[BACKEND].cancel_command(post.two.now, ID);
    assert_eq!(post.status(), Some(Status::Sent), "its executor decides");
    post.stops = true;
    post.finish_all();
    assert_eq!((post.runs, post.status()), (1, Some(Status::Cancelled)));
}

/// proto-spec [N-5]: here and there.
#[test]
fn a_command_outside_the_border_or_a_policy_is_refused() {
    let mut post = Post::in_memory();
    let outside = channel(AGENT, "policies");
    let refused = post.two.links[BACKEND].command(post.two.now, outside, command());
    assert!(matches!(refused, Err(CommandError::Unauthorized(_))));

    let mut two = Two::with(|config| {
        let denied = Rule::deny(channel(BACKEND, "policies").into()).on(Act::Publish);
        config.policy = Policy::allowing().with(denied);
    });
    two.attach();
    let mut post = Post::over(two, OnCrash::Report);
    post.order();
    post.finish_all();
    assert_eq!((post.runs, &post.way[..]), (0, &[Status::Sent, Status::Failed][..]));
    assert_eq!(post.effect, Effect::Failure(Failure::new(ErrorCode::Refused)));
}

/// proto-spec: the issuer lost its memory, and with it the result.
#[test]
fn a_copy_gets_the_first_result() {
    let mut post = Post::durable(OnCrash::Report);
    post.order();
    post.finish_all();
    post.two.detach();
    post.disks[BACKEND] = Disk::new();
    post.two.links[BACKEND] = Link::new(config(BACKEND, OnCrash::Report), epoch(50), epoch(51), 3);
    post.way.clear();
    post.order();
    post.two.attach();
    post.finish_all();
    assert_eq!((post.runs, post.status()), (1, Some(Status::Succeeded)));
    assert_eq!(post.effect, Effect::Result("done".into()));
}

#[test]
fn an_executor_without_memory_puts_a_command_in_doubt_or_is_commanded_again() {
    for (on_peer_lost, runs, ends) in
        [(OnPeerLost::InDoubt, 1, Status::Unknown), (OnPeerLost::Redrive, 2, Status::Succeeded)]
    {
        for steps in [6, 7, 8, 9] {
            let mut post = Post::durable(OnCrash::Report);
            let command = Command { on_peer_lost, ..command() };
            let to = channel(BACKEND, "policies");
            post.two.links[BACKEND].command(post.two.now, to, command).unwrap();
            post.take(steps);
            if post.runs == 0 || post.status().is_some_and(Status::is_settled) {
                continue;
            }
            post.two.detach();
            post.disks[AGENT] = Disk::new();
            post.running.clear();
            post.two.links[AGENT] =
                Link::new(config(AGENT, OnCrash::Report), epoch(50), epoch(51), 3);
            post.two.attach();
            post.finish_all();
            assert_eq!((post.runs, post.status()), (runs, Some(ends)), "{steps}");
        }
    }
}

/// The new one knows nothing of it, and would call it cancelled.
#[test]
fn a_command_that_may_have_run_is_not_withdrawn_from_an_executor_without_memory() {
    let mut post = Post::durable(OnCrash::Report);
    post.order();
    while post.runs == 0 {
        assert!(post.step());
    }
    post.lose();
    post.cancel();
    post.disks[AGENT] = Disk::new();
    post.running.clear();
    post.two.links[AGENT] = Link::new(config(AGENT, OnCrash::Report), epoch(50), epoch(51), 3);
    post.two.attach();
    post.finish_all();
    assert_eq!((post.runs, post.status()), (1, Some(Status::Unknown)));
    assert_eq!(post.two.links[BACKEND].load(), (0, 0));
}

#[test]
fn a_command_is_refused_at_once_if_it_is_known_too_large_or_too_much() {
    let mut post = Post::over(
        Two::with(|config| {
            config.message_bytes = 1_000;
            config.outbox = Capacity { messages: 2, bytes: 10_000 };
        }),
        OnCrash::Report,
    );
    let to = || channel(BACKEND, "policies");
    let now = post.two.now;
    let link = &mut post.two.links[BACKEND];
    let room = 1_000 - 20 - to().as_str().len();
    let sized = |bytes: usize| Command { payload: vec![0; bytes].into(), ..command() };
    let large = link.command(now, to(), sized(room + 1));
    assert_eq!(large, Err(CommandError::TooLarge(1_001, 1_000)));
    assert_eq!(link.command(now, to(), sized(room)), Ok(()));
    assert_eq!(link.command(now, to(), sized(1)), Err(IssueError::Known.into()));
    let other = |number| Command { id: CommandId([number; 16]), ..command() };
    assert_eq!(link.command(now, to(), other(1)), Ok(()));
    assert_eq!(link.command(now, to(), other(2)), Err(IssueError::TooMany.into()));
    assert_eq!(link.command_status(CommandId([2; 16])), None);
    link.close(CloseCode::Normal);
    assert_eq!(link.command(now, to(), other(3)), Err(CommandError::Closed));
}

#[test]
fn a_result_that_no_message_holds_ends_a_command_as_failed() {
    let mut post = Post::in_memory();
    post.order();
    post.two.settle();
    post.hear();
    let large = Executed::Succeeded(vec![0; crate::limits::MESSAGE_BYTES].into());
    assert_eq!(post.two.links[AGENT].finish(post.two.now, ID, large), Ok(()));
    post.running.clear();
    post.finish_all();
    assert_eq!(post.status(), Some(Status::Failed));
    assert_eq!(post.effect, Effect::Failure(Failure::new(ErrorCode::TooLarge)));
    let again = post.two.links[AGENT].finish(post.two.now, ID, Executed::Cancelled);
    assert_eq!(again, Err(ExecutorError::NotRunning));
}

/// proto-spec
#[test]
fn a_command_without_a_number_ends_the_session() {
    let mut two = Two::connected();
    let read = forge(&mut two, None, None, ID);
    assert_eq!(read, Err(Violation::Misplaced.into()));
    two.assert_closes(BACKEND, CloseCode::ProtocolViolation);
}

#[test]
fn reports_that_the_peer_does_not_take_are_bounded() {
    let mut two = Two::with(|config| {
        config.outbox = Capacity { messages: 1, bytes: 100 };
    });
    two.attach();
    two.settle();
    let mut numbers = 1..1_000;
    let read = loop {
        let number = numbers.next().expect("it is bounded");
        let id = CommandId([u64::to_be_bytes(number); 2].concat().try_into().unwrap());
        // Each is late, and reported as expired.
        if let Err(error) = forge(&mut two, Some(number), Some(0), id) {
            break error;
        }
    };
    assert_eq!(read, LinkError::Flood);
    two.assert_closes(BACKEND, CloseCode::Busy);
}

#[test]
fn a_link_that_drains_waits_for_the_commands_that_run() {
    let mut post = Post::in_memory();
    post.order();
    post.two.settle();
    post.hear();
    let by = post.two.now.instant.after(Duration::from_secs(5));
    post.two.links[AGENT].drain(post.two.now, by, CloseCode::Normal);
    post.two.settle();
    assert_eq!(post.two.links[AGENT].state(), State::Draining);
    post.finish_all();
    assert_eq!(post.two.links[AGENT].state(), State::Closed);
    assert_eq!(post.status(), Some(Status::Succeeded));
}

fn command() -> Command {
    Command {
        id: ID,
        payload: Bytes::from("go"),
        class: Class::High,
        time: Duration::from_secs(100),
        on_peer_lost: OnPeerLost::InDoubt,
    }
}

/// A command that the agent sends under its own keys.
fn forge(
    two: &mut Two,
    number: Option<u64>,
    ttl_ms: Option<u32>,
    id: CommandId,
) -> Result<(), LinkError> {
    let payload = CommandBody { id, op: CommandOp::Run("go".into()) }.encode();
    let mut content = BytesMut::new();
    Content {
        kind: ContentKind::Command,
        channel: Some(ChannelRef::Name(b"agent.agent.threats")),
        correlation: None,
        headers: None,
        stream: false,
        payload: &payload,
    }
    .encode(&mut content);
    let label = Label { class: Class::Low, number, again: false, ttl_ms };
    two.forge(0, |out| put_message(&label, &content, out))
}

fn config(side: usize, on_crash: OnCrash) -> Config {
    let mut config = Config::new(who(side));
    config.durability = Durability::Durable;
    config.on_crash = on_crash;
    config
}

/// A backend that commands and an agent that obeys, each with a disk.
struct Post {
    two: Two,
    disks: [Disk; 2],
    on_crash: OnCrash,
    /// Commands that the agent works on.
    running: Vec<CommandId>,
    /// Whether the agent stops when it is asked to.
    stops: bool,
    runs: u32,
    /// What the backend heard.
    way: Vec<Status>,
    effect: Effect,
}

impl Post {
    fn over(two: Two, on_crash: OnCrash) -> Self {
        Self {
            two,
            disks: [Disk::new(), Disk::new()],
            on_crash,
            running: Vec::new(),
            stops: false,
            runs: 0,
            way: Vec::new(),
            effect: Effect::None,
        }
    }

    fn in_memory() -> Self {
        Self::over(Two::connected(), OnCrash::Report)
    }

    fn offline(on_crash: OnCrash) -> Self {
        let two = Two::with(|config| {
            config.durability = Durability::Durable;
            config.on_crash = on_crash;
        });
        Self::over(two, on_crash)
    }

    /// Both are connected, and have nothing to say.
    fn durable(on_crash: OnCrash) -> Self {
        let mut post = Self::offline(on_crash);
        post.two.attach();
        post.settle();
        post
    }

    fn order(&mut self) {
        let to = channel(BACKEND, "policies");
        self.two.links[BACKEND].command(self.two.now, to, command()).unwrap();
    }

    fn cancel(&mut self) {
        self.two.links[BACKEND].cancel_command(self.two.now, ID);
    }

    fn status(&self) -> Option<Status> {
        self.two.links[BACKEND].command_status(ID)
    }

    /// One thing happens: an application acts, a disk takes a batch, or a record arrives.
    fn step(&mut self) -> bool {
        self.hear();
        for side in [AGENT, BACKEND] {
            if let Some(batch) = self.two.links[side].poll_changes() {
                let number = batch.number;
                self.disks[side].apply(batch);
                self.two.links[side].stored(self.two.now, number);
                return true;
            }
            if let Some(record) = self.two.record(side) {
                // Its peer may be gone.
                let _ = self.two.give(1 - side, record);
                return true;
            }
        }
        let Some(id) = self.running.pop() else { return false };
        let done = Executed::Succeeded("done".into());
        self.two.links[AGENT].finish(self.two.now, id, done).unwrap();
        true
    }

    /// Takes so many steps. Returns whether there were as many.
    fn take(&mut self, steps: usize) -> bool {
        (0..steps).all(|_| self.step())
    }

    fn settle(&mut self) {
        let steps = (0..10_000).take_while(|_| self.step()).count();
        assert!(steps < 10_000, "the links never fall silent");
    }

    /// All that is under way comes to its end.
    fn finish_all(&mut self) {
        for _ in 0..5 {
            self.settle();
            self.tick(Duration::from_millis(50));
        }
        self.settle();
    }

    fn tick(&mut self, span: Duration) {
        self.two.now = moment(self.two.now.instant.after(span));
        let now = self.two.now;
        self.two.links.iter_mut().for_each(|link| link.handle_timeout(now));
    }

    fn sleep(&mut self, secs: u64) {
        for _ in 0..secs {
            self.tick(Duration::from_secs(1));
            self.settle();
        }
    }

    /// What is under way is lost.
    fn lose(&mut self) {
        for side in [AGENT, BACKEND] {
            while self.two.record(side).is_some() {}
        }
        self.two.detach();
    }

    fn cut(&mut self) {
        self.lose();
        self.two.attach();
    }

    /// The process of a side dies and begins again, with what its disk has.
    fn restart(&mut self, side: usize) {
        self.lose();
        self.restart_offline(side);
        self.two.attach();
    }

    fn restart_offline(&mut self, side: usize) {
        if side == AGENT {
            self.running.clear();
        }
        let number = 10 + side as u64 * 2;
        let kept = self.disks[side].kept(epoch(number), epoch(number + 1));
        let config = config(side, self.on_crash);
        let mut link = Link::restore(self.two.now, config, kept, 99).unwrap();
        link.subscribe(all(side), Amount::SUBSCRIPTION_WINDOW).unwrap();
        self.two.links[side] = link;
    }

    fn hear(&mut self) {
        for event in self.two.events(AGENT) {
            let Event::Run { channel: of, event } = event else { continue };
            match event {
                ExecutorEvent::Run { id, payload, is_again, .. } => {
                    assert_eq!(of, Some(channel(BACKEND, "policies")));
                    assert!(payload.len() > 2 || payload == "go", "{payload:?}");
                    assert!(!self.running.contains(&id), "it runs beside itself, {is_again}");
                    self.runs += 1;
                    self.running.push(id);
                }
                ExecutorEvent::Stop { id } => {
                    assert_eq!(of, None);
                    if self.stops {
                        self.running.retain(|running| *running != id);
                        let now = self.two.now;
                        self.two.links[AGENT].finish(now, id, Executed::Cancelled).unwrap();
                    }
                }
            }
        }
        for event in self.two.events(BACKEND) {
            if let Event::Command(IssuerEvent::Changed { id, status, effect }) = event {
                assert_eq!(id, ID);
                self.way.push(status);
                self.effect = effect;
            }
        }
    }
}
