//! The side that dials: HELLO, then FINISH. Each step is consumed by the next.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::chain::{Continuity, InitiatorChain, Rid};
use super::config::{Config, ConfigError};
use super::error::HandshakeError;
use super::handshake::{
    EXTENSION_FALLBACK, Opener, Sealer, addressed, begin, done, expect, header_of, sealed_bytes,
};
use super::keys::{Early, HandshakeKeys, transcript_start};
use super::knock::Knock;
use super::sealed::{Opening, Session};
use super::side::Side;
use crate::crypto::{Digest, Offer, Secret, Seed, Suite, hash};
use crate::header::{HEADER_BYTES, Header, RecordType, VERSION};
use crate::ids::LinkId;
use crate::limits::HANDSHAKE_TIME;
use crate::time::{Instant, Now};
use crate::wire::{
    HelloFields, HelloMarks, Malformed, RESUME_ENTRY_BYTES, Reject, Reply, Retry, put_entry,
};

/// An initiator that said hello and waits for the answer.
pub struct Initiator {
    config: Arc<Config>,
    knock: Knock,
    suite: Suite,
    offer: Offer,
    link: LinkId,
    random: [u8; 32],
    grease: u8,
    chain: Chain,
    hello: Bytes,
    retried: bool,
    deadline: Instant,
}

/// Chains offered, and whom they are with.
struct Chain {
    offers: Vec<Secret>,
    peer: Option<[u8; 32]>,
}

/// What came of a responder's record.
#[derive(Debug)]
pub enum Progress {
    /// Send this HELLO and go on.
    Again(Box<Initiator>, Bytes),
    /// The responder is who it should be.
    Done(Box<Established>),
}

/// A finished handshake. In this order: store [`Established::chain`], send
/// [`Established::finish`], use [`Established::session`].
#[derive(Debug)]
pub struct Established {
    /// The session. The responder's first record accepts it, and until then it seals nothing, unless
    /// it keeps no chain ([`Continuity::Off`]).
    pub session: Session,
    /// The last message of the handshake.
    pub finish: Bytes,
    /// What to remember for the next handshake, before `finish` is sent.
    pub chain: InitiatorChain,
}

impl Initiator {
    /// Begins a handshake: returns what waits for the answer, and the HELLO to send.
    ///
    /// `chain` is what an earlier handshake with the same peer left.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoKnock`] if the configuration names nothing to knock with.
    pub fn start(
        config: Arc<Config>,
        chain: Option<InitiatorChain>,
        seed: &Seed,
        now: Now,
    ) -> Result<(Self, Bytes), ConfigError> {
        let suite = match config.fallback {
            false => config.suites.first(),
            true => config.suites.last(),
        };
        let suite = *suite.ok_or(ConfigError::NoSuite)?;
        let knock = config.first_knock()?;
        let chain = chain.filter(|_| config.continuity != Continuity::Off);
        let peer = chain.as_ref().map(InitiatorChain::peer_key);
        let offers = chain.map_or_else(Vec::new, |chain| chain.offers(now.unix));
        let [grease] = *seed.draw::<1>("grease");
        let mut initiator = Self {
            knock,
            suite,
            offer: Offer::new(suite, seed),
            link: link_of(seed),
            random: *seed.draw("random"),
            grease,
            chain: Chain { offers, peer },
            hello: Bytes::new(),
            retried: false,
            deadline: now.instant.after(HANDSHAKE_TIME),
            config,
        };
        initiator.hello = initiator.encode_hello(&[]);
        let hello = initiator.hello.clone();
        Ok((initiator, hello))
    }

    /// The moment after which [`Initiator::handle`] only fails.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Reads the responder's record, opening it in place.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`] names the cause. The handshake is over; begin another one with the same
    /// offers.
    pub fn handle(self, record: &mut [u8], now: Now) -> Result<Progress, HandshakeError> {
        if now.instant > self.deadline {
            return Err(HandshakeError::TimedOut);
        }
        match addressed(record, self.link)?.kind {
            RecordType::Reply => self.finish(record, now).map(Progress::Done),
            RecordType::Retry => self.retry(record),
            RecordType::Reject => Err(rejected(record)),
            _ => Err(HandshakeError::UnexpectedRecord),
        }
    }

    fn retry(mut self, record: &[u8]) -> Result<Progress, HandshakeError> {
        let body = record.get(HEADER_BYTES..).unwrap_or_default();
        let retry = Retry::decode(body).map_err(|_| HandshakeError::MalformedRetry)?;
        if self.retried {
            return Err(HandshakeError::MalformedRetry);
        }
        self.retried = true;
        self.hello = self.encode_hello(retry.cookie);
        let hello = self.hello.clone();
        Ok(Progress::Again(Box::new(self), hello))
    }

    fn finish(self, record: &mut [u8], now: Now) -> Result<Box<Established>, HandshakeError> {
        let header = header_of(record);
        expect(record, RecordType::Reply, self.link)?;
        let body = record.get_mut(HEADER_BYTES..).unwrap_or_default();
        let reply = Reply::decode(body)?;
        if reply.version != VERSION {
            return Err(Malformed::Value("version").into());
        }
        // Exactly the suite whose share was sent can be chosen.
        if reply.suite != self.suite.to_u16() {
            return Err(Malformed::Value("suite").into());
        }
        let resumed = reply
            .resumed
            .map(|index| self.chain.offers.get(index).ok_or(Malformed::Value("resume index")));
        let resumed = resumed.transpose()?;
        let remote = LinkId(reply.link);
        let share = Bytes::copy_from_slice(reply.share);
        let (clear, sealed) = body.split_at_mut_checked(reply.clear_bytes).unwrap_or_default();
        let start = transcript_start(self.suite, &self.config.realm, self.config.role);
        let clear = hash(&[&start.0, &self.hello, &[&header, &*clear].concat()]);
        let shared = self.offer.complete(&share)?;
        let keys = HandshakeKeys::new(&Early::new(resumed), &shared, clear);
        let config = &*self.config;
        let opener = Opener { side: Side::Responder, config, keys: &keys, transcript: clear };
        let proven = opener.open(&header, sealed, now)?;
        let peer_bytes = proven.peer.key.to_bytes();
        let known = self.chain.peer == Some(peer_bytes);
        if resumed.is_some() && !known {
            return Err(HandshakeError::ResumeForeign);
        }
        // A chain that expired is no longer offered, but its peer is still known.
        if resumed.is_none() && known && config.continuity == Continuity::Require {
            return Err(HandshakeError::ResumeUnknown);
        }
        let (finish, transcript) = finish_of(config, &keys, proven.transcript, remote, peer_bytes);
        let keys = keys.session(transcript);
        // Until ACCEPT, the responder may have either secret.
        let before = resumed.or(self.chain.offers.last().filter(|_| known));
        let chain =
            InitiatorChain::extended(&proven.peer.key, keys.chain.duplicate(), before, now.unix);
        let opening = Opening {
            side: Side::Initiator,
            suite: self.suite,
            link: self.link,
            remote,
            peer: proven.peer,
            subject: proven.subject,
            record_bytes: proven.record_bytes,
            resumed: resumed.is_some(),
        };
        let session = Session::new(Arc::clone(&self.config), opening, keys, None, now);
        Ok(Box::new(Established { session, finish, chain }))
    }

    fn encode_hello(&self, cookie: &[u8]) -> Bytes {
        let rids: Vec<_> = self.chain.offers.iter().map(|chain| Rid::of(chain).0).collect();
        let grease = u16::from_be_bytes([(self.grease & 0x70) + 0x0a; 2]);
        let mut extensions = BytesMut::new();
        if self.config.fallback {
            put_entry(&mut extensions, EXTENSION_FALLBACK, &[]);
        }
        put_entry(&mut extensions, grease, &[]);
        let mut suites = vec![grease];
        suites.extend(self.config.suites.iter().map(|suite| suite.to_u16()));
        let fields = HelloFields {
            versions: &[0x1a | self.grease & 0x70, VERSION],
            suites: &suites,
            link: self.link.0,
            random: self.random,
            share_suite: self.suite.to_u16(),
            share: self.offer.share(),
            rids: &rids,
            cookie,
            extensions: &extensions,
        };
        let mut body = BytesMut::with_capacity(2_048);
        let marks = fields.encode(&mut body);
        let mut record = begin(RecordType::Hello, LinkId::NONE, body.len());
        record.extend_from_slice(&body);
        self.bind(&mut record, &marks, &rids);
        let (before, slot) = record.split_at_mut(HEADER_BYTES + marks.knock);
        slot.copy_from_slice(&self.knock.of(before));
        done(record, body.len())
    }

    /// Fills in the binders behind the ids of the resume list.
    fn bind(&self, record: &mut [u8], marks: &HelloMarks, rids: &[[u8; 16]]) {
        let (before, list) = record.split_at_mut(HEADER_BYTES + marks.resume);
        let (_, list) = list.split_at_mut(1);
        let entries = list.chunks_exact_mut(RESUME_ENTRY_BYTES);
        for ((chain, rid), entry) in self.chain.offers.iter().zip(rids).zip(entries) {
            let binder = Early::new(Some(chain)).binder(before, rid);
            entry.iter_mut().skip(rid.len()).zip(binder).for_each(|(slot, byte)| *slot = byte);
        }
    }
}

impl std::fmt::Debug for Initiator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Initiator").field("link", &self.link).finish_non_exhaustive()
    }
}

/// FINISH, and the transcript after it.
fn finish_of(
    config: &Config,
    keys: &HandshakeKeys,
    transcript: Digest,
    remote: LinkId,
    audience: [u8; 32],
) -> (Bytes, Digest) {
    let audience = Some(audience);
    let sealer = Sealer { side: Side::Initiator, config, keys, transcript, audience };
    let body_bytes = sealed_bytes(Side::Initiator, config);
    let mut record = begin(RecordType::Finish, remote, body_bytes);
    let transcript = sealer.seal(&mut record);
    (done(record, body_bytes), transcript)
}

/// A link id for this side to be written to on; never [`LinkId::NONE`].
pub(super) fn link_of(seed: &Seed) -> LinkId {
    let [first, rest @ ..] = *seed.draw::<8>("link");
    let [b, c, d, e, f, g, h] = rest;
    LinkId([first | 1, b, c, d, e, f, g, h])
}

/// What a REJECT says.
fn rejected(record: &[u8]) -> HandshakeError {
    let body = record.get(HEADER_BYTES..).unwrap_or_default();
    match Reject::decode(body) {
        Ok(reject) => HandshakeError::Rejected {
            code: reject.code,
            retry_after: Duration::from_millis(reject.retry_after_ms.into()),
        },
        Err(error) => error.into(),
    }
}

impl Session {
    /// What a record means that came where ACCEPT must: a refusal of FINISH, or nothing good.
    #[must_use]
    pub fn refusal(&self, record: &[u8]) -> HandshakeError {
        match Header::of_record(record) {
            Ok(header) if header.kind == RecordType::Reject && header.link == self.link => {
                rejected(record)
            }
            _ => HandshakeError::UnexpectedRecord,
        }
    }
}
