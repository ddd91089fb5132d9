//! How long a session lasts, and how a credential makes it last longer.

use std::time::Duration;

use waxwire::limits::{CLOCK_SKEW, SESSION_IDLE_TIME};
use waxwire::session::{
    CloseCode, Config, Credential, Credentials, Event, Issuer, OpenError, Order, RefreshError,
    Roles, Roots, Session, Terms,
};
use waxwire::{Now, UnixTime};

use crate::support::{
    AGENT, BACKEND, Handshake, Pair, deliver, identity, opened, peer_id, realm, sealed, seed, start,
};
use crate::talk::{at, confirmed, events, exchange, refused, said};

const ROOT: u8 = 9;

/// proto-spec [S-16]: a session that hears nothing for 540 s ends, and says so.
#[test]
fn silence_ends_a_session_after_540_seconds() {
    let mut pair = confirmed();
    let heard = sealed(&mut pair.agent, at(50), b"");
    opened(&mut pair.backend, at(50), &heard);
    let end = at(50).after(SESSION_IDLE_TIME);
    assert_eq!(pair.backend.poll_timeout(), Some(end));
    pair.backend.handle_timeout(at(50 + 539));
    assert!(pair.backend.is_open());
    pair.backend.handle_timeout(end);
    assert_told(&mut pair.backend, &mut pair.agent, CloseCode::TimedOut);
}

/// proto-spec [S-16]: what this side seals, and what others forge, is not heard.
#[test]
fn only_what_opens_counts_as_heard() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let mut forged = sealed(&mut pair.agent, at(1), b"x");
    forged[30] ^= 1;
    sealed(&mut pair.backend, at(500), b"own");
    assert_eq!(refused(&mut pair.backend, at(500), &forged), OpenError::Forged);
    pair.backend.handle_timeout(at(540));
    assert_eq!(events(&mut pair.backend), [Event::Ended(CloseCode::TimedOut)]);
}

/// proto-spec [S-17]: a session ends 300 s after the credential that its peer proved.
#[test]
fn a_session_ends_with_its_peers_credential() {
    let mut pair = vouched_for(1_000, 5_000);
    let end = at(1_000).after(CLOCK_SKEW);
    keep_alive(&mut pair, 1_250);
    assert_eq!(pair.backend.poll_timeout(), Some(end));
    pair.backend.handle_timeout(at(1_299));
    assert!(pair.backend.is_open());
    pair.backend.handle_timeout(end);
    assert_told(&mut pair.backend, &mut pair.agent, CloseCode::CredentialExpired);
}

/// proto-spec [S-17]: the shortest life in a chain is the session's.
#[test]
fn a_session_ends_with_the_shortest_credential_of_a_chain() {
    let issuer = Issuer::new(identity(8), realm());
    let delegated = delegation(700);
    let leaf = issuer.issue(identity(AGENT).public_key(), &terms("agent", 9_000), &seed(61));
    let agent = Credentials::with_issuer(leaf.unwrap(), delegated);
    let mut pair = pair_with(agent, credentials(BACKEND, 9_000));
    keep_alive(&mut pair, 999);
    assert_eq!(pair.backend.poll_timeout(), Some(at(1_000)));
    pair.backend.handle_timeout(at(1_000));
    assert_eq!(events(&mut pair.backend), [Event::Ended(CloseCode::CredentialExpired)]);
}

/// proto-spec [S-17]: the end is fixed on the steady clock when the credential is accepted, so a
/// wall clock that jumped by a year does not move it.
#[test]
fn a_jump_of_the_wall_clock_moves_no_end() {
    let mut pair = vouched_for(1_000, 5_000);
    let end = at(1_300);
    keep_alive(&mut pair, 1_200);
    pair.backend.handle_timeout(at(1_231)); // the key before the one in use is erased
    assert_eq!(pair.backend.poll_timeout(), Some(end));
    // Nothing in a session takes a wall clock after the handshake. A credential that comes later
    // is judged by the wall clock of the handshake, moved on by the steady one.
    let longer = Credentials::new(credential(AGENT, 1_250));
    pair.agent.refresh(&longer).unwrap();
    deliver(&mut pair.agent, &mut pair.backend, at(1_200));
    assert_eq!(events(&mut pair.backend), [Event::CredentialRefreshed]);
    keep_alive(&mut pair, 1_500);
    pair.backend.handle_timeout(at(1_531));
    assert_eq!(pair.backend.poll_timeout(), Some(at(1_550)));
}

/// A new credential of the same identity makes the session last longer, as often as it comes.
#[test]
fn a_refreshed_credential_prolongs_the_session() {
    let mut pair = vouched_for(1_000, 20_000);
    for (now, until) in [(900, 2_000), (1_900, 3_000), (2_900, 4_000)] {
        keep_alive(&mut pair, now);
        pair.agent.refresh(&credentials(AGENT, until)).unwrap();
        deliver(&mut pair.agent, &mut pair.backend, at(now));
        assert_eq!(events(&mut pair.backend), [Event::CredentialRefreshed]);
    }
    keep_alive(&mut pair, 4_200);
    pair.backend.handle_timeout(at(4_299));
    assert!(pair.backend.is_open());
    pair.backend.handle_timeout(at(4_300));
    assert_eq!(events(&mut pair.backend), [Event::Ended(CloseCode::CredentialExpired)]);
}

/// Either side presents; the responder's keeps the initiator's session.
#[test]
fn a_responder_refreshes_too() {
    let mut pair = vouched_for(20_000, 1_000);
    keep_alive(&mut pair, 900);
    pair.backend.refresh(&credentials(BACKEND, 5_000)).unwrap();
    deliver(&mut pair.backend, &mut pair.agent, at(900));
    assert_eq!(events(&mut pair.agent), [Event::CredentialRefreshed]);
    keep_alive(&mut pair, 2_000);
    assert!(pair.agent.is_open());
}

/// proto-spec [S-17]: a shorter credential shortens: the one proved last counts.
#[test]
fn the_credential_proved_last_counts() {
    let mut pair = vouched_for(10_000, 20_000);
    pair.agent.refresh(&credentials(AGENT, 100)).unwrap();
    deliver(&mut pair.agent, &mut pair.backend, at(1));
    assert_eq!(pair.backend.poll_timeout(), Some(at(400)));
}

/// proto-spec [S-15]: an expired credential ends the session with Refused.
#[test]
fn an_expired_credential_is_refused() {
    let mut pair = vouched_for(10_000, 20_000);
    keep_alive(&mut pair, 500);
    pair.agent.refresh(&credentials(AGENT, 100)).unwrap();
    let record = said(&mut pair.agent, at(500)).unwrap();
    let cause = refused(&mut pair.backend, at(500), &record);
    let expired = RefreshError::Refused(waxwire::session::Refusal::Expired);
    assert_eq!(cause, OpenError::Credential(expired));
    assert_told(&mut pair.backend, &mut pair.agent, CloseCode::Refused);
}

/// A credential of another key is refused before it is sent.
#[test]
fn a_credential_of_another_key_is_not_presented() {
    let mut pair = vouched_for(10_000, 20_000);
    let refused = pair.agent.refresh(&credentials(BACKEND, 5_000));
    assert_eq!(refused, Err(RefreshError::OtherIdentity));
    assert!(said(&mut pair.agent, at(1)).is_none());
}

/// A session is woken when it must be, and waking it early or late is harmless.
#[test]
fn timers_may_be_early_or_late() {
    let mut pair = confirmed();
    for _ in 0..100 {
        let now = pair.backend.poll_timeout().unwrap();
        pair.backend.handle_timeout(at(0));
        assert_eq!(pair.backend.poll_timeout(), Some(now));
    }
    pair.backend.handle_timeout(at(1_000_000));
    assert_eq!(events(&mut pair.backend), [Event::Ended(CloseCode::TimedOut)]);
    pair.backend.handle_timeout(at(2_000_000));
    assert_eq!(events(&mut pair.backend), []);
    assert_eq!(pair.backend.poll_timeout(), None);
}

fn assert_told(ended: &mut Session, peer: &mut Session, code: CloseCode) {
    assert_eq!(events(ended), [Event::Ended(code)]);
    assert!(!ended.is_closed(), "CLOSE waits");
    let close = said(ended, at(2_000)).unwrap();
    assert!(ended.is_closed());
    events(peer);
    opened(peer, at(0), &close);
    assert_eq!(events(peer), [Event::ClosedByPeer { code, retry_after: Duration::ZERO }]);
}

fn keep_alive(pair: &mut Pair, until: u64) {
    for second in (0..=until).step_by(300).chain([until]) {
        pair.agent.ping(second);
        pair.agent.handle_timeout(at(second));
        pair.backend.handle_timeout(at(second));
        exchange(pair, at(second));
    }
    pair.backend.handle_timeout(at(until));
    events(&mut pair.agent);
    events(&mut pair.backend);
}

fn vouched_for(agent_seconds: u64, backend_seconds: u64) -> Pair {
    pair_with(credentials(AGENT, agent_seconds), credentials(BACKEND, backend_seconds))
}

fn pair_with(agent: Credentials, backend: Credentials) -> Pair {
    let roots = || Roots::new(identity(ROOT).public_key().clone());
    let configs = [
        (Config::agent(realm(), identity(AGENT)).peer(roots()), agent),
        (Config::backend(realm(), identity(BACKEND)).peer(roots()), backend),
    ];
    let [agent, backend] = configs.map(|(config, own)| config.with_credentials(&own).unwrap());
    let mut handshake = Handshake::new(agent, backend);
    handshake.now = Now { ..start() };
    let mut pair = handshake.run(&mut waxwire::session::ChainBook::new()).unwrap();
    pair.agent.ping(0);
    exchange(&mut pair, at(0));
    events(&mut pair.agent);
    events(&mut pair.backend);
    pair
}

fn credentials(of: u8, seconds: u64) -> Credentials {
    Credentials::new(credential(of, seconds))
}

fn credential(of: u8, seconds: u64) -> Credential {
    let subject = if of == AGENT { "agent" } else { "backend" };
    let root = Issuer::new(identity(ROOT), realm());
    root.issue(identity(of).public_key(), &terms(subject, seconds), &seed(60)).unwrap()
}

fn delegation(seconds: u64) -> Credential {
    let root = Issuer::new(identity(ROOT), realm());
    let terms = Terms { roles: Roles::BOTH, ..terms("issuer", seconds) };
    root.delegate(identity(8).public_key(), &terms, &seed(62)).unwrap()
}

/// Valid from the start for `seconds`.
fn terms(subject: &str, seconds: u64) -> Terms {
    let not_before = start().unix;
    Terms {
        subject: peer_id(subject),
        roles: if subject == "agent" { Roles::AGENT } else { Roles::BACKEND },
        not_before,
        not_after: UnixTime::from_secs(not_before.as_secs() + seconds),
        labels: Vec::new(),
    }
}
