//! The side that answers: REPLY, then a decision about FINISH. Each step is consumed by the next,
//! and none changes what outlives the handshake: the caller does, between the last two.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::chain::{Candidate, ChainBook, Continuity, Resumed, Rid, Succession};
use super::config::Config;
use super::error::HandshakeError;
use super::handshake::{
    EXTENSION_FALLBACK, Opener, Sealer, begin, done, expect, header_of, sealed_bytes,
};
use super::initiator::link_of;
use super::keys::{Early, HandshakeKeys, SessionKeys, transcript_start};
use super::sealed::{Opening, Session};
use super::side::Side;
use super::verifier::Peer;
use crate::crypto::{Answer, Digest, Secret, Seed, Suite, answer, hash, same};
use crate::header::{HEADER_BYTES, Header, RecordType, VERSION};
use crate::ids::{Generation, LinkId};
use crate::limits::{EARLY_DATA_BYTES, HANDSHAKE_TIME};
use crate::time::{Instant, Now};
use crate::wire::{Hello, Malformed, Reply, Retry, encode_reply};

/// A HELLO whose knock is right and whose offer can be met. Nothing costly was done for it yet.
pub struct Greeting {
    config: Arc<Config>,
    record: Bytes,
    suite: Suite,
    link: LinkId,
    candidate: Option<Candidate>,
    deadline: Instant,
}

/// A responder that answered and waits for FINISH.
pub struct Answered {
    config: Arc<Config>,
    keys: HandshakeKeys,
    transcript: Digest,
    opening: Ends,
    candidate: Option<Candidate>,
    reset_token: Secret<16>,
    deadline: Instant,
}

struct Ends {
    suite: Suite,
    link: LinkId,
    remote: LinkId,
}

/// A handshake that proved the initiator. What is left is to move its chain on, and to accept.
pub struct Accepting {
    config: Arc<Config>,
    keys: SessionKeys,
    opening: Opening,
    candidate: Option<Candidate>,
    reset_token: Secret<16>,
    early: BytesMut,
}

impl Greeting {
    /// Reads a HELLO: its knock first, then what it offers.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::BadKnock`] costs one HMAC and is answered by silence; the others say what
    /// the HELLO lacks.
    pub fn receive(
        config: Arc<Config>,
        record: &[u8],
        now: Instant,
    ) -> Result<Self, HandshakeError> {
        expect(record, RecordType::Hello, LinkId::NONE)?;
        if !config.accepts_knock(record) {
            return Err(HandshakeError::BadKnock);
        }
        let hello = Hello::decode(record.get(HEADER_BYTES..).unwrap_or_default())?;
        let suite = choose(&config, &hello)?;
        let link = LinkId(hello.link);
        let record = Bytes::copy_from_slice(record);
        let deadline = now.after(HANDSHAKE_TIME);
        Ok(Self { config, record, suite, link, candidate: None, deadline })
    }

    /// The link id that the sender of a HELLO chose: where to send [`HandshakeError::rejection`] when
    /// [`Greeting::receive`] refused it and no greeting is left to ask. [`LinkId::NONE`], at which
    /// nobody listens, if the HELLO breaks its layout. Proves nothing, and is for nothing else.
    #[must_use]
    pub fn link_of(record: &[u8]) -> LinkId {
        let hello = Hello::decode(record.get(HEADER_BYTES..).unwrap_or_default());
        hello.map_or(LinkId::NONE, |hello| LinkId(hello.link))
    }

    /// The link id of the initiator: where a rejection goes.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Answers: returns what waits for FINISH, and the REPLY to send. `chains` is where the chains
    /// that the HELLO offers are looked up; nothing in it changes.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`] names the cause. Nothing was sent.
    pub fn answer(
        mut self,
        chains: &ChainBook,
        seed: &Seed,
        now: Now,
    ) -> Result<(Answered, Bytes), HandshakeError> {
        self.look_up(chains, now);
        self.reply(seed)
    }

    /// Looks the chains that the HELLO offers up in `chains`; nothing in it changes. The first half
    /// of [`Greeting::answer`], for who shares a book and should not hold it for the rest.
    pub fn look_up(&mut self, chains: &ChainBook, now: Now) {
        let offers = match self.hello() {
            Ok(hello) if self.config.continuity != Continuity::Off => hello,
            _ => return,
        };
        let candidate = chains.find(offers.resume().map(|(rid, _)| Rid(rid)), now.unix);
        self.candidate = candidate;
    }

    /// Answers without a book, or after [`Greeting::look_up`].
    ///
    /// # Errors
    ///
    /// As [`Greeting::answer`].
    pub fn reply(mut self, seed: &Seed) -> Result<(Answered, Bytes), HandshakeError> {
        let candidate = self.candidate.take();
        let hello = self.hello()?;
        let early = Early::new(candidate.as_ref().map(|candidate| &candidate.secret));
        if let Some(candidate) = &candidate {
            self.check_binder(&hello, candidate, &early)?;
        }
        let Answer { share, shared } = answer(self.suite, hello.share, seed)?;
        let link = link_of(seed);
        let reply = Reply {
            version: VERSION,
            suite: self.suite.to_u16(),
            resumed: candidate.as_ref().map(|candidate| candidate.index),
            link: link.0,
            share: &share,
            clear_bytes: 0,
        };
        let mut clear = BytesMut::with_capacity(share.len() + 64);
        encode_reply(&reply, &seed.draw("random"), &mut clear);

        let config = &*self.config;
        let start = transcript_start(self.suite, &config.realm, config.role.opposite());
        let body_bytes = clear.len() + sealed_bytes(Side::Responder, config);
        let mut record = begin(RecordType::Reply, self.link, body_bytes);
        record.extend_from_slice(&clear);
        let transcript = hash(&[&start.0, &self.record, &record]);
        let keys = HandshakeKeys::new(&early, &shared, transcript);
        let sealer =
            Sealer { side: Side::Responder, config, keys: &keys, transcript, audience: None };
        let transcript = sealer.seal(&mut record);
        let opening = Ends { suite: self.suite, link, remote: self.link };
        let reset_token = Secret::new(*seed.draw("reset token"));
        let (config, deadline) = (self.config, self.deadline);
        let answered =
            Answered { config, keys, transcript, opening, candidate, reset_token, deadline };
        Ok((answered, done(record, body_bytes)))
    }

    /// What a cookie vouches for: everything a HELLO says before its resume list, the ids in that,
    /// and its extensions. Binders are left out: they cover the header, whose length a cookie
    /// changes.
    pub(super) fn cookie_statement(&self) -> Vec<u8> {
        let body = self.record.get(HEADER_BYTES..).unwrap_or_default();
        let Ok(hello) = self.hello() else { return Vec::new() };
        let before = body.get(..hello.marks.resume).unwrap_or_default();
        let rids: Vec<u8> = hello.resume().flat_map(|(rid, _)| rid).collect();
        let [.., count] = (rids.len() / 16).to_be_bytes();
        let rids = [&[count], &*rids].concat();
        hash(&[before, &rids, hello.extensions.bytes()]).0.to_vec()
    }

    /// The cookie it brings; empty if none.
    pub(super) fn cookie(&self) -> &[u8] {
        self.hello().map_or(&[], |hello| hello.cookie)
    }

    /// The RETRY that hands out `cookie`.
    pub(super) fn retry(&self, cookie: &[u8]) -> Bytes {
        let body_bytes = 2 + cookie.len();
        let mut record = begin(RecordType::Retry, self.link, body_bytes);
        Retry { cookie }.encode(&mut record);
        done(record, body_bytes)
    }

    fn hello(&self) -> Result<Hello<'_>, HandshakeError> {
        let body = self.record.get(HEADER_BYTES..).unwrap_or_default();
        Ok(Hello::decode(body)?)
    }

    fn check_binder(
        &self,
        hello: &Hello<'_>,
        candidate: &Candidate,
        early: &Early,
    ) -> Result<(), HandshakeError> {
        let before = self.record.get(..HEADER_BYTES + hello.marks.resume).unwrap_or_default();
        let entry = hello.resume().nth(candidate.index);
        let bound = entry.is_some_and(|(rid, binder)| same(&early.binder(before, &rid), &binder));
        if bound { Ok(()) } else { Err(HandshakeError::ResumeBinder) }
    }
}

impl std::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Greeting").field("link", &self.link).finish_non_exhaustive()
    }
}

/// The suite of a handshake: the one whose share was sent, unless something better was possible.
fn choose(config: &Config, hello: &Hello<'_>) -> Result<Suite, HandshakeError> {
    if !hello.versions.contains(&VERSION) {
        return Err(HandshakeError::NoCommonVersion);
    }
    if let Some(kind) = hello.extensions.unknown_critical(&[]) {
        return Err(HandshakeError::UnsupportedExtension(kind));
    }
    let offered = |suite: &&Suite| hello.suites().any(|number| number == suite.to_u16());
    let best = config.suites.iter().find(offered).ok_or(HandshakeError::NoCommonSuite)?;
    let sent = Suite::from_u16(hello.share_suite).filter(|suite| config.suites.contains(suite));
    let sent = sent.ok_or(HandshakeError::NoCommonSuite)?;
    if sent != *best {
        return Err(HandshakeError::Downgrade);
    }
    let falls_back = hello.extensions.get(EXTENSION_FALLBACK);
    if falls_back.is_some_and(|value| !value.is_empty()) {
        return Err(Malformed::Bounds("fallback").into());
    }
    if falls_back.is_some() && config.suites.first() != Some(&sent) {
        return Err(HandshakeError::Downgrade);
    }
    Ok(sent)
}

impl Answered {
    /// The moment after which [`Answered::finish`] only fails.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The link id that FINISH must carry.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.opening.link
    }

    /// The link id of the initiator: where a rejection goes.
    #[must_use]
    pub fn remote(&self) -> LinkId {
        self.opening.remote
    }

    /// Reads FINISH, opening it in place, and decides about the initiator.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`] names the cause; the initiator is told none of it
    /// ([`HandshakeError::rejection`]).
    pub fn finish(self, record: &mut [u8], now: Now) -> Result<Accepting, HandshakeError> {
        if now.instant > self.deadline {
            return Err(HandshakeError::TimedOut);
        }
        expect(record, RecordType::Finish, self.opening.link)?;
        let header = header_of(record);
        let sealed = record.get_mut(HEADER_BYTES..).unwrap_or_default();
        let (config, keys) = (&*self.config, &self.keys);
        let opener = Opener { side: Side::Initiator, config, keys, transcript: self.transcript };
        let proven = opener.open(&header, sealed, now)?;
        if let Some(candidate) = &self.candidate
            && candidate.peer != proven.peer.key.to_bytes()
        {
            return Err(HandshakeError::ResumeForeign);
        }
        let opening = Opening {
            side: Side::Responder,
            suite: self.opening.suite,
            link: self.opening.link,
            remote: self.opening.remote,
            peer: proven.peer,
            subject: proven.subject,
            record_bytes: proven.record_bytes,
            resumed: self.candidate.is_some(),
        };
        Ok(Accepting {
            keys: self.keys.session(proven.transcript),
            config: self.config,
            opening,
            candidate: self.candidate,
            reset_token: self.reset_token,
            early: BytesMut::new(),
        })
    }
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered").field("link", &self.opening.link).finish_non_exhaustive()
    }
}

impl Accepting {
    /// Who it is.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.opening.peer
    }

    /// The link id that early records carry.
    #[cfg(feature = "__fuzz")]
    pub(crate) fn link(&self) -> LinkId {
        self.opening.link
    }

    /// The step this handshake takes on the peer's chain: for [`ChainBook::advance`].
    #[must_use]
    pub fn succession(&self) -> Succession {
        let resumed = self.candidate.as_ref();
        Succession {
            peer: self.opening.peer.key.to_bytes(),
            newest: self.keys.chain.duplicate(),
            resumed: resumed.map(|found| Resumed {
                generation: found.generation,
                secret: found.secret.duplicate(),
            }),
        }
    }

    /// Keeps a record that came before this side decided; it is opened later.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::EarlyDataLimit`] beyond 64 KiB in all, and
    /// [`HandshakeError::UnexpectedRecord`] if it is no DATA record for this link. The handshake is
    /// then over.
    pub fn hold(&mut self, record: &[u8]) -> Result<(), HandshakeError> {
        expect(record, RecordType::Data, self.opening.link)?;
        if self.early.len() + record.len() > EARLY_DATA_BYTES {
            return Err(HandshakeError::EarlyDataLimit);
        }
        self.early.extend_from_slice(record);
        Ok(())
    }

    /// Accepts the initiator, whose chain is now at `generation` in the store. The session's first
    /// record tells it. Records that were held come back, to be opened in order.
    #[must_use]
    pub fn accept(self, generation: Generation, now: Now) -> (Session, Vec<BytesMut>) {
        let accept = Some((generation, self.reset_token));
        let session = Session::new(self.config, self.opening, self.keys, accept, now);
        let mut early = self.early;
        let mut held = Vec::new();
        while let Ok(header) = Header::decode(&early) {
            held.push(early.split_to(header.record_bytes().min(early.len())));
        }
        (session, held)
    }
}

impl std::fmt::Debug for Accepting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepting").field("peer", &self.opening.peer.id).finish_non_exhaustive()
    }
}
