//! Who takes part: an agent and a backend with fixed keys, their configurations and credentials.
//! What costs key operations is made once; nothing here changes while inputs run.

use std::sync::{Arc, OnceLock};

use crate::crypto::{Identity, Seed, Suite};
use crate::ids::{PeerId, Realm, Role};
use crate::session::{
    Config, Continuity, Credential, Credentials, Issuer, Padding, Peer, Pinned, Roles, Roots,
    Terms, peer_of,
};
use crate::time::{Instant, Now, UnixTime};

pub(super) const ROOT: u8 = 3;
const AGENT: u8 = 1;
const BACKEND: u8 = 2;
const ISSUER: u8 = 4;
const START: u64 = 1_800_000_000;
/// Life of the credentials: short, so that an input reaches their end.
const LIFE: u64 = 600;

pub(super) fn seed(number: u8) -> Seed {
    Seed::dangerous_reproducible([number; 32])
}

pub(super) fn identity(number: u8) -> Identity {
    Identity::from_seed(seed(number))
}

pub(super) fn start() -> Now {
    Now { instant: Instant::from_nanos(1), unix: UnixTime::from_secs(START) }
}

pub(super) fn realm() -> Realm {
    made(Realm::new("fuzz"))
}

fn number(role: Role) -> u8 {
    match role {
        Role::Agent => AGENT,
        Role::Backend => BACKEND,
    }
}

fn name(role: Role) -> PeerId {
    made(PeerId::new(match role {
        Role::Agent => "agent",
        Role::Backend => "backend",
    }))
}

/// What was made of fixed parts.
pub(super) fn made<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(made) => made,
        Err(error) => unreachable!("fixed parts do not fit: {error}"),
    }
}

/// How the two know each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    Pins,
    Roots,
}

/// The choices of a configuration, each by a number that a fuzzer gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub trust: Trust,
    pub suites: u8,
    pub continuity: u8,
    pub records: u8,
}

impl Choice {
    pub(super) fn suites(self) -> &'static [Suite] {
        match self.suites % 3 {
            0 => &[Suite::Classical],
            1 => &[Suite::Hybrid],
            _ => &[Suite::Hybrid, Suite::Classical],
        }
    }

    pub(super) fn continuity(self) -> Continuity {
        match self.continuity % 3 {
            0 => Continuity::Prefer,
            1 => Continuity::Require,
            _ => Continuity::Off,
        }
    }

    /// Size of records and padding of them.
    fn records(self) -> (usize, Padding) {
        match self.records % 4 {
            0 => (16_384, Padding::None),
            1 => (2_048, Padding::Padme),
            2 => (2_048, Padding::Fixed(2_048)),
            _ => (65_519, Padding::Block(300)),
        }
    }

    fn index(self) -> usize {
        let trust = usize::from(self.trust == Trust::Roots);
        let [suites, continuity, records] =
            [self.suites % 3, self.continuity % 3, self.records % 4].map(usize::from);
        ((trust * 3 + suites) * 3 + continuity) * 4 + records
    }
}

const CHOICES: usize = 2 * 3 * 3 * 4;

/// The configuration of a side.
pub(super) fn config(role: Role, choice: Choice) -> Arc<Config> {
    static AGENTS: [OnceLock<Arc<Config>>; CHOICES] = [const { OnceLock::new() }; CHOICES];
    static BACKENDS: [OnceLock<Arc<Config>>; CHOICES] = [const { OnceLock::new() }; CHOICES];
    let shelf = match role {
        Role::Agent => &AGENTS,
        Role::Backend => &BACKENDS,
    };
    let made = || Arc::new(make(role, choice));
    shelf.get(choice.index()).map_or_else(made, |slot| Arc::clone(slot.get_or_init(made)))
}

/// The responder that lone HELLOs are for.
pub(super) fn responder() -> Arc<Config> {
    config(Role::Backend, Choice { trust: Trust::Pins, suites: 2, continuity: 0, records: 0 })
}

fn make(role: Role, choice: Choice) -> Config {
    let identity = identity(number(role));
    let wants = match role {
        Role::Agent => Config::agent(realm(), identity),
        Role::Backend => Config::backend(realm(), identity),
    };
    let peer = role.opposite();
    let config = match choice.trust {
        Trust::Pins => {
            let key = self::identity(number(peer)).public_key().fingerprint();
            wants.peer(Pinned::one(name(peer), peer, key))
        }
        Trust::Roots => {
            let config = wants.peer(Roots::new(self::identity(ROOT).public_key().clone()));
            made(config.with_credentials(presented(role, 0, 1)))
        }
    };
    let (record_bytes, padding) = choice.records();
    let config = made(config.with_suites(choice.suites()));
    let config = made(config.with_record_bytes(record_bytes));
    config.with_continuity(choice.continuity()).with_padding(padding)
}

/// Most labels of the credentials here: with them, one is nearly as long as it may be.
pub(super) const LABELS: u8 = 8;
/// Most lives that they may last.
pub(super) const LIVES: u8 = 3;
const PRESENTED: usize = 2 * (LABELS as usize + 1) * (LIVES as usize + 1);

/// Credentials of a side that end `lives` lives after the start, with so many labels. The agent's
/// come from the root, the backend's from an issuer below it.
pub(super) fn presented(role: Role, labels: u8, lives: u8) -> &'static Credentials {
    static MADE: [OnceLock<Credentials>; PRESENTED] = [const { OnceLock::new() }; PRESENTED];
    let (labels, lives) = (labels.min(LABELS), lives.min(LIVES));
    let index = [usize::from(role == Role::Backend), labels.into(), lives.into()];
    let [role_index, labels_index, lives_index] = index;
    let index = (role_index * usize::from(LABELS + 1) + labels_index) * usize::from(LIVES + 1);
    match MADE.get(index + lives_index) {
        Some(slot) => slot.get_or_init(|| make_credentials(role, labels, lives)),
        None => unreachable!("an index counts credentials"),
    }
}

fn make_credentials(role: Role, labels: u8, lives: u8) -> Credentials {
    let key = identity(number(role));
    match role {
        Role::Agent => Credentials::new(agent_leaf(labels, lives)),
        Role::Backend => {
            let issuer = Issuer::new(identity(ISSUER), realm());
            let above = terms(made(PeerId::new("issuer")), Roles::BOTH, labels, u8::MAX);
            let above = made(root().delegate(issuer.public_key(), &above, &seed(22)));
            let terms = terms(name(role), Roles::BACKEND, labels, lives);
            let leaf = made(issuer.issue(key.public_key(), &terms, &seed(23)));
            Credentials::with_issuer(leaf, above)
        }
    }
}

fn agent_leaf(labels: u8, lives: u8) -> Credential {
    let terms = terms(name(Role::Agent), Roles::AGENT, labels, lives);
    made(root().issue(identity(AGENT).public_key(), &terms, &seed(21)))
}

/// The root, and what trusts it.
pub(super) fn trusted() -> &'static (Identity, Roots) {
    static MADE: OnceLock<(Identity, Roots)> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = identity(ROOT);
        let roots = Roots::new(root.public_key().clone());
        (root, roots)
    })
}

fn root() -> Issuer {
    Issuer::new(identity(ROOT), realm())
}

fn terms(subject: PeerId, roles: Roles, labels: u8, lives: u8) -> Terms {
    Terms {
        subject,
        roles,
        not_before: UnixTime::from_secs(START - LIFE),
        not_after: UnixTime::from_secs(START + LIFE * u64::from(lives)),
        labels: (0..labels).map(|label| (format!("label-{label:03}"), "x".repeat(200))).collect(),
    }
}

/// Credentials that the root signed for the agent: the only ones an input may hold.
pub(super) fn credentials() -> &'static [Credential] {
    static MADE: OnceLock<Vec<Credential>> = OnceLock::new();
    MADE.get_or_init(|| {
        [(0, 1), (3, 1), (0, 2)].map(|(labels, lives)| agent_leaf(labels, lives)).into()
    })
}

/// Both configurations of a pair, and whom each admits as its peer.
pub(super) struct Sides {
    pub agent: (Arc<Config>, Peer),
    pub backend: (Arc<Config>, Peer),
}

/// The two sides of a choice.
pub(super) fn sides(choice: Choice) -> &'static Sides {
    static MADE: [OnceLock<Sides>; CHOICES] = [const { OnceLock::new() }; CHOICES];
    let made = || {
        let (agent, backend) = (config(Role::Agent, choice), config(Role::Backend, choice));
        let admitted = |config, other| match peer_of(config, other, start()) {
            Some(peer) => peer,
            None => unreachable!("the parties know each other"),
        };
        let (of_agent, of_backend) = (admitted(&agent, &backend), admitted(&backend, &agent));
        Sides { agent: (agent, of_agent), backend: (backend, of_backend) }
    };
    match MADE.get(choice.index()) {
        Some(slot) => slot.get_or_init(made),
        None => unreachable!("an index counts choices"),
    }
}
