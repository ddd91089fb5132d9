//! Credentials in a session that are not what the session's peer may present.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::rig::{
    Ends, assert_ends, at, ends, ends_of, events, forge, frame, identity, open, realm, seed,
    settled, start, transmit,
};
use crate::crypto::{Context, Identity, hash};
use crate::ids::{PeerId, Realm, Role};
use crate::limits::{CREDENTIAL_LIFE, SIGNED_FRAMES};
use crate::session::config::claim_of;
use crate::session::control::SMALL_FRAMES_BYTES;
use crate::session::sealed::Session;
use crate::session::{
    CloseCode, Config, Credential, Credentials, Event, Issuer, OpenError, Pinned, RefreshError,
    Refusal, Roles, Roots, Terms,
};
use crate::time::UnixTime;

/// proto-spec [S-15]: what may not be presented ends the session, each for its own reason.
#[test]
fn a_credential_that_may_not_be_presented_ends_the_session() {
    let good = || Terms {
        subject: PeerId::new("agent").unwrap(),
        roles: Roles::AGENT,
        not_before: start().unix,
        not_after: start().unix.after(CREDENTIAL_LIFE),
        labels: Vec::new(),
    };
    let past = UnixTime::from_secs(start().unix.as_secs() - 1_000);
    let [root, other_root] = [9, 8].map(|number| Issuer::new(identity(number), realm()));
    let abroad = Issuer::new(identity(9), Realm::new("abroad").unwrap());
    let issue = |issuer: &Issuer, number: u8, terms: Terms| {
        issuer.issue(identity(number).public_key(), &terms, &seed(60)).unwrap()
    };
    let refused = |refusal| RefreshError::Refused(refusal);
    let other_name = Terms { subject: PeerId::new("other").unwrap(), ..good() };
    let cases = [
        (issue(&root, 1, other_name), RefreshError::OtherIdentity),
        (issue(&root, 3, good()), RefreshError::OtherIdentity),
        (issue(&abroad, 1, good()), RefreshError::OtherIdentity),
        (issue(&other_root, 1, good()), refused(Refusal::UnknownIssuer)),
        (issue(&root, 1, Terms { roles: Roles::BACKEND, ..good() }), refused(Refusal::WrongRole)),
        (issue(&root, 1, Terms { not_after: past, ..good() }), refused(Refusal::Expired)),
        (
            issue(&root, 1, Terms { not_before: good().not_after, ..good() }),
            refused(Refusal::NotYetValid),
        ),
    ];
    for (credential, cause) in cases {
        let mut ends = vouched_for();
        let frame = presented(&ends.agent, &claim(&credential), Context::RefreshInitiator);
        assert_refused(&mut ends, &frame, cause);
    }
}

/// proto-spec [S-15]: the signature is the peer's, over this session, as this side.
#[test]
fn a_credential_that_is_not_signed_for_here_ends_the_session() {
    let mut ends = vouched_for();
    let good = claim(&credential_of(1));
    let mut cases = Vec::new();
    for context in Context::ALL.into_iter().filter(|one| *one != Context::RefreshInitiator) {
        cases.push(presented(&ends.agent, &good, context));
    }
    let mut flipped = presented(&ends.agent, &good, Context::RefreshInitiator);
    *flipped.last_mut().unwrap() ^= 1;
    cases.push(flipped);
    cases.push(signed_by(&identity(3), &ends.agent, &good, Context::RefreshInitiator));
    let elsewhere = super::rig::ends();
    let another = presented(&elsewhere.agent, &good, Context::RefreshInitiator);
    cases.push(another);
    for frame in cases {
        ends = vouched_for();
        assert_refused(&mut ends, &frame, RefreshError::BadSignature);
    }
}

/// proto-spec [S-15]: a bare key is no credential, and nor is what cannot be read.
#[test]
fn what_is_no_credential_ends_the_session() {
    let key = [&[1][..], identity(1).public_key().as_bytes()].concat();
    let cut = claim(&credential_of(1));
    for block in [&key[..], &[], &[2, 0], &[3, 1], &cut[..cut.len() - 1]] {
        let mut ends = vouched_for();
        let frame = presented(&ends.agent, block, Context::RefreshInitiator);
        assert_refused(&mut ends, &frame, RefreshError::NotACredential);
    }
}

/// proto-spec [S-15]: a session that a bare key proved has no subject, so it takes no credential,
/// even where a pin would admit one.
#[test]
fn a_session_of_bare_keys_takes_no_credential() {
    let mut ends = ends();
    let frame = presented(&ends.agent, &claim(&credential_of(1)), Context::RefreshInitiator);
    assert_refused(&mut ends, &frame, RefreshError::OtherIdentity);
}

/// The same frame, of a good credential, is taken: the refusals above are not for its form.
#[test]
fn a_good_credential_is_taken() {
    let mut ends = vouched_for();
    let good = claim(&credential_of(1));
    let frame = presented(&ends.agent, &good, Context::RefreshInitiator);
    let record = forge(&mut ends.agent, &frame);
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![]));
    assert_eq!(events(&mut ends.backend), [Event::CredentialRefreshed]);
}

/// proto-spec [S-22]: good signatures cost as much as bad ones. A minute later the count begins anew.
#[test]
fn a_peer_that_refreshes_without_end_is_sent_away() {
    let mut ends = vouched_for();
    let good = claim(&credential_of(1));
    let frame = presented(&ends.agent, &good, Context::RefreshInitiator);
    for now in [at(0), at(60)] {
        for _ in 0..SIGNED_FRAMES {
            let mut record = forge(&mut ends.agent, &frame);
            assert!(ends.backend.open(now, &mut record).is_ok());
        }
    }
    let mut record = forge(&mut ends.agent, &frame);
    let refused = ends.backend.open(at(60), &mut record).err();
    assert_eq!(refused, Some(OpenError::SignedTooOften));
    events(&mut ends.backend);
    let Ends { agent, backend } = &mut ends;
    assert!(backend.poll_transmit(at(60), &mut BytesMut::new()));
    assert!(backend.is_closed() && !agent.is_closed());
}

/// A credential that no record of the peer holds is refused at once; the session would else seal
/// empty records for ever.
#[test]
fn a_credential_too_large_for_the_peer_is_refused_here() {
    let mut ends = vouched_for();
    ends.agent.peer_record_bytes = 2_048;
    let labels = (0..7).map(|number| (format!("label{number}"), "x".repeat(240))).collect();
    let terms = Terms {
        subject: PeerId::new("agent").unwrap(),
        roles: Roles::AGENT,
        not_before: start().unix,
        not_after: start().unix.after(Duration::from_secs(1)),
        labels,
    };
    let root = Issuer::new(identity(9), realm());
    let credential = root.issue(identity(1).public_key(), &terms, &seed(60)).unwrap();
    let refused = ends.agent.refresh(&Credentials::new(credential));
    assert!(matches!(refused, Err(RefreshError::TooLarge(_, 2_048))), "{refused:?}");
    assert!(super::rig::transmit(&mut ends.agent, at(0)).is_none());
}

/// To the byte: room is kept for everything small that a session can have to say, so a credential that
/// is taken at all goes in one record beside all of it.
#[test]
fn a_credential_that_fits_goes_beside_all_that_is_small() {
    let mut ends = vouched_for();
    let credentials = Credentials::new(credential_of(1));
    let needed = 4 + 2 + claim(&credentials.leaf).len() + 64 + SMALL_FRAMES_BYTES;
    ends.agent.peer_record_bytes = needed - 1;
    let refused = ends.agent.refresh(&credentials);
    assert_eq!(refused, Err(RefreshError::TooLarge(needed, needed - 1)));
    ends.agent.peer_record_bytes = needed;
    ends.agent.refresh(&credentials).unwrap();
    ends.agent.ping(1);
    ends.agent.control.pong = Some(2);
    ends.agent.control.announce = Some(0);
    ends.agent.control.acknowledge = Some(0);
    ends.agent.go_away(Duration::ZERO, Duration::ZERO);
    let record = transmit(&mut ends.agent, at(0)).unwrap();
    assert!(!ends.agent.has_transmit(), "nothing waits");
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![]));
    let said = events(&mut ends.backend);
    assert!(said.contains(&Event::CredentialRefreshed) && said.contains(&Event::Pong(2)));
}

fn assert_refused(ends: &mut Ends, frame: &[u8], cause: RefreshError) {
    let record = forge(&mut ends.agent, frame);
    assert_eq!(open(&mut ends.backend, &record), Err(OpenError::Credential(cause)));
    assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::Refused);
}

/// A CREDENTIAL frame that the sender's identity signs.
fn presented(sender: &Session, block: &[u8], context: Context) -> Vec<u8> {
    signed_by(&sender.config.identity, sender, block, context)
}

fn signed_by(signer: &Identity, sender: &Session, block: &[u8], context: Context) -> Vec<u8> {
    let signature = signer.sign(context, &hash(&[&sender.binding.0, block]));
    let mut body = BytesMut::new();
    body.put_u16(u16::try_from(block.len()).unwrap());
    body.put_slice(block);
    body.put_slice(&signature);
    frame(0x0f, 0, &body)
}

fn claim(credential: &Credential) -> Vec<u8> {
    claim_of(&Credentials::new(credential.clone())).to_vec()
}

/// What the root issues to the agent.
fn credential_of(number: u8) -> Credential {
    let terms = Terms {
        subject: PeerId::new("agent").unwrap(),
        roles: Roles::AGENT,
        not_before: start().unix,
        not_after: start().unix.after(CREDENTIAL_LIFE),
        labels: Vec::new(),
    };
    let root = Issuer::new(identity(9), realm());
    root.issue(identity(number).public_key(), &terms, &seed(60)).unwrap()
}

/// Two ends; the agent has a credential of a root that the backend trusts.
fn vouched_for() -> Ends {
    let root = identity(9).public_key().clone();
    let backend = identity(2).public_key().fingerprint();
    let pins = Pinned::one(PeerId::new("backend").unwrap(), Role::Backend, backend);
    let agent = Config::agent(realm(), identity(1)).peer(pins);
    let agent = agent.with_credentials(&Credentials::new(credential_of(1))).unwrap();
    let backend = Config::backend(realm(), identity(2)).peer(Roots::new(root));
    settled(ends_of(agent, backend))
}
